"""SQLite files of the history and of the relay: private, in WAL mode, and replaced by one process at a time."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.core.files import open_own
from pytest_swarmtask.journal import locks

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAUSE = 0.02
"""Seconds between two attempts to get a lock, which others hold only while they open or rename a file."""
_making = threading.Lock()


def make_private(path: str) -> None:
    """Make an empty file that only its owner can use, if there is none. SQLite gives its other files the same mode.

    Raises:
        OSError: the file cannot be made.
        sqlite3.DatabaseError: something else stands there, such as a named pipe, for which SQLite would wait for ever.
    """
    # Closing any descriptor of the file takes SQLite's locks away from all connections of this process, and other
    # processes would then remove its log (https://sqlite.org/howtocorrupt.html, 2.2). So this function opens nothing
    # as soon as there may be a connection.
    with _making:
        if not os.path.lexists(path):
            os.close(open_own(path, os.O_RDWR))
        elif os.path.islink(path) or not os.path.isfile(path):
            raise sqlite3.DatabaseError("it is not a regular file")


def use_wal(db: sqlite3.Connection, timeout: float) -> None:
    """Switch a database to WAL mode, and wait for other processes that do so at the same moment.

    SQLite's own timeout does not cover this statement, so it is repeated here.

    Raises:
        sqlite3.OperationalError: the database is locked for `timeout` seconds, or cannot be written.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:  # noqa: PERF203 - the loop repeats what failed
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)


@contextlib.contextmanager
def opening(path: str) -> Iterator[None]:
    """Keep other processes from moving a database aside while this one opens it.

    SQLite opens the database first and finds its log by name later. If the file was moved between the two, SQLite would
    take the log of the file that replaced it.
    """
    try:
        lock = _open_locked(path, shared=True)
    except OSError:  # the folder cannot be written, so nobody can move the file either
        yield
        return
    try:
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def repairing(path: str) -> Iterator[None]:
    """Keep other threads and processes from opening or replacing a database while this one replaces it."""
    lock = _open_locked(path, shared=False)
    try:
        yield
    finally:
        os.close(lock)


def _open_locked(path: str, *, shared: bool) -> int:
    # A file of its own, because the database is renamed while this lock is in use. Older versions use the same name.
    lock = open_own(f"{path}.mending", os.O_RDWR)
    while not locks.try_lock(lock, shared=shared):
        time.sleep(_PAUSE)
    return lock
