"""On a file system without locks each event is delivered once, too: the lock file itself is the relay's lock."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from subprocess import PIPE

import pytest

from pytest_swarmtask.core.timing import VARIABLE
from pytest_swarmtask.journal import locks
from tests.lab import QUICK, UNRELATED, WAIT, Lab, Receiver, wait_until

WITHOUT_LOCKS = """
import errno, fcntl

def flock(fd, operation):
    raise OSError(errno.ENOLCK, "No locks available")

fcntl.flock = flock
"""
ROUNDS = 200
"""Races for a lock file. A way of removing it that let two processes win did so in one of some dozens of races."""
LONG_AGO = 60.0
"""Seconds, more than the age at which a lock file counts as left behind."""


@pytest.fixture
def lockless(lab: Lab) -> Lab:
    """A project whose processes find no locks, as on some network file systems."""
    lab.file("site/sitecustomize.py", WITHOUT_LOCKS)
    lab.environ["PYTHONPATH"] = str(lab.root / "site")
    return lab


@pytest.fixture
def no_flock(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process finds no locks either."""
    monkeypatch.setattr(locks, "_lock", lambda *_, **__: None)


def age(path: Path) -> None:
    """Make a file look as if it was not renewed for a while."""
    then = time.time() - LONG_AGO
    os.utime(path, (then, then))


def start(lab: Lab, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=lab.root, env=lab.environ, stdout=subprocess.PIPE, text=True
    )


def test_six_sessions_at_once(lockless: Lab, receiver: Receiver) -> None:
    """Of the relays that six sessions and six emitters want at once, one delivers, and no event arrives twice."""
    lockless.file(
        "test_it.py", "import pytest, time\n@pytest.mark.parametrize('n', range(5))\ndef test(n): time.sleep(.1)\n"
    )
    running = [start(lockless, "pytest", "-q", *UNRELATED) for _ in range(6)]
    running += [start(lockless, "pytest_swarmtask", "emit", "TASK_STARTED", f"emitted_{n}") for n in range(6)]
    for process in running:
        process.communicate(timeout=WAIT)
        assert process.returncode == 0
    assert lockless.run("flush").returncode == 0
    recorded = lockless.ids()
    assert len(recorded) == 6 * 12 + 6
    assert Counter(receiver.ids) == Counter(recorded)


def test_a_relay_that_was_killed(lockless: Lab, receiver: Receiver) -> None:
    """The lock file of a killed relay counts as left behind after a while, and a new relay delivers the rest."""
    receiver.answer = lambda _: 503
    lockless.record(3, **{VARIABLE: QUICK + ",backoff_first=30"})
    wait_until(lambda: receiver.arrivals, "a first attempt")
    lockless.kill()
    (lock,) = Path(lockless.project.relay_folder).glob("*.lock")
    assert not receiver.ids
    receiver.answer = lambda _: 200
    age(lock)
    assert lockless.run("flush").returncode == 0
    assert receiver.ids == lockless.ids()


def test_doctor_says_so(lockless: Lab) -> None:
    """`doctor` names the file system without locks, and what is lost by that."""
    done = lockless.run("doctor", "--no-ping")
    assert "has no locks, so crashes of sessions are not noticed" in done.stdout
    assert "has no locks" not in lockless.run("doctor", "--no-ping", PYTHONPATH="").stdout


@pytest.mark.usefixtures("no_flock")
class TestLockFiles:
    """The lock files, where the file system has no locks."""

    def test_one_holder(self, tmp_path: Path) -> None:
        path = str(tmp_path / "a.lock")
        fd = locks.open_locked(path)
        assert fd is not None
        assert locks.is_held(path)
        assert locks.open_locked(path) is None
        locks.release(path, fd)
        assert not locks.is_held(path)
        assert os.listdir(tmp_path) == []

    def test_one_that_was_left_behind(self, tmp_path: Path) -> None:
        """It is taken by another process, and its former holder, which was only suspended, learns it."""
        path = tmp_path / "a.lock"
        suspended = locks.open_locked(str(path))
        assert suspended is not None
        age(path)
        assert not locks.is_held(str(path))
        fd = locks.open_locked(str(path))
        assert fd is not None
        assert locks.renew(str(path), fd)
        assert not locks.renew(str(path), suspended)
        locks.release(str(path), suspended)
        assert locks.is_held(str(path))
        locks.release(str(path), fd)

    def test_a_holder_renews_it(self, tmp_path: Path) -> None:
        path = tmp_path / "a.lock"
        fd = locks.open_locked(str(path))
        assert fd is not None
        age(path)
        assert locks.renew(str(path), fd)
        assert locks.open_locked(str(path)) is None
        os.close(fd)

    def test_one_of_many_takes_what_was_left_behind(self, tmp_path: Path) -> None:
        """Of processes that find the same file at once, one gets the lock."""
        program = (
            "import sys; from pytest_swarmtask.journal import locks; locks._lock = lambda *_, **__: None\n"
            "for line in sys.stdin: print(locks.open_locked(line.rstrip()) is not None, flush=True)"
        )
        command = [sys.executable, "-c", program]
        with contextlib.ExitStack() as ended:
            racing = [
                ended.enter_context(subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True, bufsize=1))
                for _ in range(4)
            ]
            for number in range(ROUNDS):
                path = tmp_path / f"{number}.lock"
                path.touch()
                age(path)
                for process in racing:
                    print(path, file=process.stdin)
                answers = [process.stdout.readline() for process in racing if process.stdout]
                assert answers.count("True\n") == 1
                assert os.listdir(tmp_path) == [path.name]
                path.unlink()

    def test_one_that_died_while_it_removed_a_file(self, tmp_path: Path) -> None:
        """Its lock for the removal counts as left behind, too."""
        path = tmp_path / "a.lock"
        for left in (path, tmp_path / "a.lock.removal"):
            left.touch()
            age(left)
        assert locks.open_locked(str(path)) is not None
        assert os.listdir(tmp_path) == [path.name]

    def test_one_that_cannot_be_removed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The lock is not taken, and nobody tries for ever."""
        path = tmp_path / "a.lock"
        path.touch()
        age(path)

        def refuse(_: str) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        with monkeypatch.context() as patched:
            patched.setattr(os, "unlink", refuse)
            assert locks.open_locked(str(path)) is None
