"""What the files of SQLite have in common here: private, in WAL mode, and mended by one process at a time."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.journal import locks

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAUSE = 0.02
_making = threading.Lock()


def make_private(path: str) -> None:
    """Make the file where there is none; SQLite gives its other files the mode of this one.

    Raises:
        OSError: it cannot be made.
    """
    # To close any descriptor of the file takes SQLite's locks from each connection that this process has to it; others
    # would then remove its log (https://sqlite.org/howtocorrupt.html, 2.2). So none is opened once there may be one.
    with _making:
        if not os.path.exists(path):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def use_wal(db: sqlite3.Connection, timeout: float) -> None:
    """Switch to WAL; unlike for everything else SQLite does not wait for others that do so at the same moment.

    Raises:
        sqlite3.OperationalError: it is locked for `timeout` seconds, or cannot be written.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:  # noqa: PERF203 - that is what the loop is for
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)


@contextlib.contextmanager
def unmoved(path: str) -> Iterator[None]:
    """See to it that nobody moves the file aside while it is being opened.

    SQLite opens the file first and finds its log by name with the first access: that would be the log of the next one.
    """
    try:
        lock = _locked(path, shared=True)
    except OSError:  # nothing can be written here, so nothing is moved
        yield
        return
    try:
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def alone(path: str) -> Iterator[None]:
    """Keep other threads and processes from mending the same file, and from opening it meanwhile."""
    lock = _locked(path, shared=False)
    try:
        yield
    finally:
        os.close(lock)


def _locked(path: str, *, shared: bool) -> int:
    lock = os.open(f"{path}.mending", os.O_RDWR | os.O_CREAT, 0o600)
    while not locks.try_lock(lock, shared=shared):
        time.sleep(_PAUSE)
    return lock
