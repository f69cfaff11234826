"""Locks that distinguish live processes from dead ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pytest_swarmtask.journal import locks

HOLDER = """
import os, sys
from pytest_swarmtask.journal import locks
fd = locks.open_locked(sys.argv[1])
print(fd is not None, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "a.lock")


def hold(path: str) -> subprocess.Popen[str]:
    """Start a process that keeps the lock until its stdin ends."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    return holder


def end(holder: subprocess.Popen[str]) -> None:
    holder.communicate(timeout=30)


def test_a_file_that_is_not_there_is_not_locked(path: str) -> None:
    """Checking the lock of a missing file creates no file."""
    assert not locks.is_locked(path)
    assert not os.path.exists(path)


def test_one_holder(path: str) -> None:
    """Only one process gets the lock until it closes the file, and checking a lock does not disturb its owner."""
    fd = locks.open_locked(path)
    assert fd is not None
    assert locks.is_locked(path)
    assert locks.open_locked(path) is None
    os.close(fd)
    assert not locks.is_locked(path)
    again = locks.open_locked(path)
    assert again is not None
    os.close(again)


def test_another_process_holds_it(path: str) -> None:
    """A lock of another process is seen as locked, and is free as soon as that process ends."""
    holder = hold(path)
    assert locks.is_locked(path)
    assert locks.open_locked(path) is None
    end(holder)
    assert not locks.is_locked(path)


def test_death_lets_go(path: str) -> None:
    """Killing a process releases its locks."""
    holder = hold(path)
    holder.send_signal(signal.SIGKILL)
    end(holder)
    assert not locks.is_locked(path)


def test_an_unlinked_lock_is_none(path: str) -> None:
    """A lock on a removed file does not count for a new file of the same name."""
    old = locks.open_locked(path)
    assert old is not None
    os.unlink(path)
    new = locks.open_locked(path)
    assert new is not None
    os.close(old)
    assert locks.is_locked(path)
    os.close(new)


def test_who_only_looks_is_not_taken_for_a_holder(path: str) -> None:
    """A process gets a free lock even while others keep checking whether the file is locked."""
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            locks.is_locked(path)

    Path(path).touch()
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2000):
            fd = locks.open_locked(path)
            assert fd is not None
            os.close(fd)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_only_we_can_read_it(path: str) -> None:
    """A lock file is private, and child processes do not inherit it."""
    fd = locks.open_locked(path)
    assert fd is not None
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert not os.get_inheritable(fd)
    os.close(fd)
