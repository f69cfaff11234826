"""A history in a SQLite file: private, in WAL mode, of a known schema. A corrupt file is moved aside, not deleted."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import time
from itertools import chain
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.core.service_errors import HistoryError
from pytest_swarmtask.history.schema import LOCAL_PROJECT, MIGRATIONS, VERSION, VIEWS
from pytest_swarmtask.history.sqlite_file import make_private, opening, repairing, use_wal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


TIMEOUT = 10.0
"""Seconds to wait while other processes write, as docs/history.md says."""
_CACHE = 32_000
"""KiB of pages that a connection may keep in memory; SQLite's default is 2,000. It bounds the memory that a reader
needs, however large the history is."""
_MOST_VALUES = 999
"""Values in one statement. SQLite before 3.32 takes no more."""
_ROW = re.compile(r"(?<=VALUES )\([?, ]+\)")
_PAGE = 16_384
"""Bytes of a page in a new history; SQLite's default is 4,096. A commit spends its time on each changed page, and an
import changes pages as a whole: with larger ones it takes a sixth less time, and the file is a tenth smaller."""
_CHECKPOINT = 32_000_000
"""Bytes of pages in the write-ahead log before SQLite copies them into the database; its default is 4 million. This is
several batches long, because batches change the same pages: a page is then copied once for all of them."""
_WAL_LEFT = 4_000_000
"""Bytes that the write-ahead log keeps on the disk after a checkpoint. A first ingest makes it much longer."""


class SqliteDatabase(sqlite3.Connection):
    """A connection to a history in SQLite, see `history.database.Database`."""

    project = LOCAL_PROJECT
    has_days = False  # a day of each line would take room, and help nobody
    has_cheap_nulls = False  # Python's module looks for an adapter of each None, which takes longer than its row

    def executemany(self, statement: str, rows: Iterable[Any], /) -> sqlite3.Cursor:
        """Execute a statement for each row of values; an INSERT of many rows for several of them at once.

        SQLite prepares each execution for the table and all its indexes, which takes longer than to insert a row.
        """
        found = _ROW.search(statement)
        if found:
            rows = list(rows)
            at_once = _MOST_VALUES // found[0].count("?")
            whole = len(rows) - len(rows) % at_once
            several = statement.replace(found[0], ", ".join([found[0]] * at_once))
            groups = (rows[start : start + at_once] for start in range(0, whole, at_once))
            super().executemany(several, (tuple(chain.from_iterable(group)) for group in groups))
            rows = rows[whole:]
        return super().executemany(statement, rows)

    def lazily(self, query: str, values: Any = (), /) -> Iterator[Any]:
        """Execute a query, and yield its rows, as SQLite finds them."""
        return self.execute(query, values)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Write everything that the block does, or nothing. Other writers wait meanwhile."""
        self.execute("BEGIN IMMEDIATE")  # a transaction that began as a reader's could not wait for another writer
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if self.in_transaction:  # SQLite itself rolls back after some errors, such as a full disk
                self.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def derivation(self) -> Iterator[bool]:
        """Write what follows from the rows of events. SQLite has one writer at a time, so others wait here, too."""
        with self.transaction():
            yield True

    def hold_derivations(self) -> None:
        """Do nothing: a transaction has kept them away since it began."""

    def used_bytes(self) -> int:
        """Return how many bytes of the file are in use."""
        pages, free, size = (
            self.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def return_space(self) -> None:
        """Return free pages to the file system."""
        self.executescript("PRAGMA incremental_vacuum")  # `execute` would stop after one page


def connect(path: str, timeout: float = TIMEOUT, *, shared: bool = False) -> SqliteDatabase:
    """Open a history. Make the file if there is none, and bring an older one to the present schema.

    SQLite begins no transaction by itself on this connection: use its method `transaction`.

    Args:
        path: the file. An empty path means a temporary database, which SQLite deletes when it is closed.
        timeout: seconds to wait while other processes write.
        shared: whether other threads may use the connection, one at a time.

    Raises:
        HistoryError: a newer version of pytest-swarmtask wrote the file.
        sqlite3.OperationalError: the file is locked for too long, or cannot be written.
        sqlite3.DatabaseError: the file is corrupt.
    """
    with opening(path) if path else contextlib.nullcontext():
        return _connect(path, timeout, shared=shared)


def _connect(path: str, timeout: float, *, shared: bool) -> SqliteDatabase:
    if path:
        make_private(path)
    db = sqlite3.connect(
        path, timeout=timeout, isolation_level=None, check_same_thread=not shared, factory=SqliteDatabase
    )
    try:
        _prepare(db, path, timeout)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: SqliteDatabase, path: str, timeout: float) -> None:
    version = _version(db)
    if version > VERSION:
        raise HistoryError(
            f"{path} was written by a newer version of pytest-swarmtask (schema {version}, this one knows {VERSION}): "
            "update pytest-swarmtask, or move that file away"
        )
    if path:
        _begin_wal(db, timeout)
        # In WAL mode a power cut loses at most the last transactions, and the journal still has their events.
        db.execute("PRAGMA synchronous = NORMAL")
        (page,) = db.execute("PRAGMA page_size").fetchone()  # a history of an earlier version has small ones
        db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT // page}")
        db.execute(f"PRAGMA journal_size_limit = {_WAL_LEFT}")
    # A negative number is in KiB. SQLite counts it in pages of the size that they have now.
    db.execute(f"PRAGMA cache_size = -{_CACHE}")
    if version < VERSION:
        _migrate(db)


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _begin_wal(db: sqlite3.Connection, timeout: float) -> None:
    if db.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        return
    db.execute(f"PRAGMA page_size = {_PAGE}")  # these two have an effect only on a file that is still empty
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    use_wal(db, timeout)


def _migrate(db: SqliteDatabase) -> None:
    with db.transaction():
        # The version is read again, inside the transaction: another process may have migrated the file meanwhile.
        for script in MIGRATIONS[_version(db) :]:
            _execute_all(db, script)
        _execute_all(db, VIEWS)
        db.execute(f"PRAGMA user_version = {VERSION}")


def _execute_all(db: sqlite3.Connection, script: str) -> None:
    for statement in script.split(";\n"):  # `executescript` would commit the transaction first
        if statement.strip():
            db.execute(statement)


def is_corrupt(error: sqlite3.Error) -> bool:
    """Whether an error means that the file itself is damaged. Locked, full and forbidden files raise subclasses."""
    return type(error) is sqlite3.DatabaseError


def file_identity(path: str) -> int:
    """Return the inode number of a file, which a file that replaces it does not have; 0 if there is no file."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def set_aside(path: str, corrupt: int) -> str | None:
    """Rename a corrupt history and the files that belong to it.

    Args:
        path: the file.
        corrupt: the `file_identity` of the file that was found corrupt.

    Returns:
        Its new path, or None if another process has moved it or made a new one meanwhile.
    """
    with repairing(path):
        if file_identity(path) != corrupt:
            return None
        aside = f"{path}.corrupt-{int(time.time())}"
        # These two go first. After the database is gone, another process may make a new one with files of these names.
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.replace(path + suffix, aside + suffix)
        os.replace(path, aside)
        return aside
