"""Where a server keeps the histories of all its projects: one SQLite file, or a database of PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from queue import Empty, LifoQueue
from typing import TYPE_CHECKING, Protocol

from pytest_swarmtask.core.service_errors import HistoryError, StoreAwayError
from pytest_swarmtask.history.database import PROJECTS, STALE_PROJECTS, choose_or_add_project, choose_project
from pytest_swarmtask.history.retention import drop_events
from pytest_swarmtask.history.sqlite import TIMEOUT, SqliteDatabase, connect
from pytest_swarmtask.journal import locks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from pytest_swarmtask.history.database import Database

POSTGRES_SCHEMES = ("postgresql://", "postgres://")


class HistoryStore(Protocol):
    """The histories of all projects. Several threads may use it.

    Raises:
        StoreAwayError: from any method, when the database cannot be reached, or is locked for too long.
    """

    def writing(self, project: str) -> AbstractContextManager[Database]:
        """Lend a connection to the history of a project, which is made if there is none."""

    def reading(self, project: str) -> AbstractContextManager[Database]:
        """Lend a connection that sees the history of a project as it is at one moment.

        Raises:
            UnknownProjectError: there is no such project.
        """

    def projects(self) -> list[str]:
        """Return the names of all projects, sorted."""

    def alone(self) -> AbstractContextManager[bool]:
        """Be the one process that evaluates alerts during the block, if no other one is. Yield whether that is so.

        A process that dies in the block makes room for another one at once.
        """

    def stale_projects(self) -> list[str]:
        """Return the names of the projects with runs whose totals are to be computed."""

    def drop_old_lines(self, age: float) -> None:
        """Remove the raw lines of events that are older than this many seconds."""

    def close(self) -> None:
        """Close all connections."""


def open_store(address: str, connections: int) -> HistoryStore:
    """Open the store at an address.

    Args:
        address: the path of a SQLite file, which is made if there is none, or the URL of a database of PostgreSQL.
        connections: the number of connections, at most.

    Raises:
        HistoryError: the store cannot be used; the message says what to do.
        StoreAwayError: the database cannot be reached now.
    """
    if not address.startswith(POSTGRES_SCHEMES):
        return SqliteStore(address, connections)
    try:
        from pytest_swarmtask.history.postgres import PostgresStore
    except ImportError as error:
        raise HistoryError(f"PostgreSQL needs a package ({error}): pip install 'pytest-swarmtask[server]'") from None
    return PostgresStore(address, connections)


class SqliteStore:
    """A store in a SQLite file.

    Args:
        path: the file.
        connections: the number of connections, at most.

    Raises:
        HistoryError: the file cannot be used.
    """

    def __init__(self, path: str, connections: int) -> None:
        self._path = os.path.abspath(path)
        self._free: LifoQueue[SqliteDatabase] = LifoQueue()  # the one that was used last has its pages in memory
        try:
            for _ in range(connections):
                self._free.put(connect(self._path, shared=True))
        except (OSError, sqlite3.Error) as error:
            raise HistoryError(f"{path} cannot be used: {error}") from None

    @contextlib.contextmanager
    def writing(self, project: str) -> Iterator[Database]:
        """Lend a connection to the history of a project, which is made if there is none."""
        with self._lent() as db:
            choose_or_add_project(db, project)
            yield db

    @contextlib.contextmanager
    def reading(self, project: str) -> Iterator[Database]:
        """Lend a connection that sees the history of a project as it is at one moment."""
        with self._lent() as db:
            db.execute("BEGIN")
            try:
                choose_project(db, project)
                yield db
            finally:
                db.execute("ROLLBACK")

    def projects(self) -> list[str]:
        """Return the names of all projects, sorted."""
        with self._lent() as db:
            return [name for (name,) in db.execute(PROJECTS)]

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Be the one process that evaluates alerts during the block, if no other one is. Yield whether that is so."""
        path = f"{self._path}.alerts"
        try:
            lock = locks.open_locked(path)
        except OSError as error:
            raise StoreAwayError(f"{path} cannot be used now: {error.strerror}") from error
        try:
            yield lock is not None
        finally:
            if lock is not None:
                locks.release(path, lock)

    def stale_projects(self) -> list[str]:
        """Return the names of the projects with runs whose totals are to be computed."""
        with self._lent() as db:
            return [name for (name,) in db.execute(STALE_PROJECTS)]

    def drop_old_lines(self, age: float) -> None:
        """Remove the raw lines of runs that ended more than this many seconds ago."""
        for project in self.projects():
            with self.writing(project) as db:
                drop_events(db, age)

    def close(self) -> None:
        """Close all connections."""
        while not self._free.empty():
            self._free.get().close()

    @contextlib.contextmanager
    def _lent(self) -> Iterator[SqliteDatabase]:
        try:
            db = self._free.get(timeout=TIMEOUT)
        except Empty:
            raise StoreAwayError(f"all connections to {self._path} are in use") from None
        try:
            yield db
        except sqlite3.Error as error:
            raise StoreAwayError(f"{self._path} cannot be used now: {error}") from error
        finally:
            self._free.put(db)
