"""The file of the history: private, in WAL mode, of a known schema; a corrupt one is moved aside, not deleted."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import HistoryError
from pytest_swarmtask.history.schema import MIGRATIONS, VERSION, VIEWS
from pytest_swarmtask.history.sqlite_file import alone, make_private, unmoved, use_wal

if TYPE_CHECKING:
    from collections.abc import Iterator


TIMEOUT = 10.0
"""Seconds to wait for others that write, at most."""
_CACHE = 32_000
"""Pages held in memory, in KiB."""
_CHECKPOINT = 8_000
"""Pages in the write-ahead log before they are moved on: several batches, since batches change the same pages."""
_WAL_LEFT = 4_000_000
"""Bytes of the write-ahead log that may stay behind."""


def connect(path: str, timeout: float = TIMEOUT) -> sqlite3.Connection:
    """Open a history, making it or bringing it to the present schema where needed. An empty path is a temporary one.

    Transactions are the caller's: see `transaction`.

    Raises:
        HistoryError: a newer version wrote it.
        sqlite3.OperationalError: it is locked for too long, or cannot be written.
        sqlite3.DatabaseError: it is corrupt.
    """
    with unmoved(path) if path else contextlib.nullcontext():
        return _connect(path, timeout)


def _connect(path: str, timeout: float) -> sqlite3.Connection:
    if path:
        make_private(path)
    db = sqlite3.connect(path, timeout=timeout, isolation_level=None)
    try:
        _prepare(db, path, timeout)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: str, timeout: float) -> None:
    db.execute(f"PRAGMA cache_size = -{_CACHE}")
    version = _version(db)
    if version > VERSION:
        raise HistoryError(
            f"{path} was written by a newer version of pytest-swarmtask (schema {version}, this one knows {VERSION}): "
            "update pytest-swarmtask, or move that file away"
        )
    if path:
        _begin_wal(db, timeout)
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")
        db.execute(f"PRAGMA journal_size_limit = {_WAL_LEFT}")
    if version < VERSION:
        _migrate(db)


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _begin_wal(db: sqlite3.Connection, timeout: float) -> None:
    if db.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        return
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # holds only for a file that is still empty
    use_wal(db, timeout)


def _migrate(db: sqlite3.Connection) -> None:
    with transaction(db):
        for script in MIGRATIONS[_version(db) :]:  # asked again: another process may have been faster
            _execute_all(db, script)
        _execute_all(db, VIEWS)
        db.execute(f"PRAGMA user_version = {VERSION}")


def _execute_all(db: sqlite3.Connection, script: str) -> None:
    for statement in script.split(";\n"):  # `executescript` would commit
        if statement.strip():
            db.execute(statement)


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Write all of what is done inside, or nothing; others that want to write wait meanwhile."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def is_corrupt(error: sqlite3.Error) -> bool:
    """Tell whether an error means that the file itself is damaged: not locked, full, or refused."""
    return type(error) is sqlite3.DatabaseError


def identity(path: str) -> int:
    """Return what tells this file from one that takes its place; 0 where there is none."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def set_aside(path: str, known: int) -> str | None:
    """Move a corrupt history out of the way, with what belongs to it.

    Args:
        path: where it is.
        known: the `identity` of the file that was found corrupt.

    Returns:
        Where it is now, or None where another process has done it in the meantime.
    """
    with alone(path):
        if identity(path) != known:
            return None
        aside = f"{path}.corrupt-{int(time.time())}"
        for suffix in ("-wal", "-shm"):  # first: afterwards they may be those of a new one that somebody else has made
            with contextlib.suppress(FileNotFoundError):
                os.replace(path + suffix, aside + suffix)
        os.replace(path, aside)
        return aside
