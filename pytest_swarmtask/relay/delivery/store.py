"""The relay's database: cursors, the retry schedule and dead letters, in SQLite.

The events are in the journal. If the database is lost, the events are delivered again. None is lost, except for dead
letters whose segment is gone. The database also has what triggers and alerts remember, see `relay.delivery.memory`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_swarmtask.history.sqlite_file import make_private, opening, repairing, use_wal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

_log = logging.getLogger("pytest_swarmtask.relay")

_TIMEOUT = 10.0
"""Seconds to wait for other processes and threads that write."""

_OTHER_TROUBLE = ("locked", "unable to open", "disk", "readonly", "newer version")
"""Words in the messages of errors that say nothing against the file itself: locks, permissions, space, versions."""

SCHEMA_VERSION = 2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS cursors (
    endpoint TEXT NOT NULL, segment TEXT NOT NULL, offset INTEGER NOT NULL, lines INTEGER NOT NULL,
    delivered INTEGER NOT NULL, dead INTEGER NOT NULL, skipped INTEGER NOT NULL,
    PRIMARY KEY (endpoint, segment)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS endpoints (
    name TEXT PRIMARY KEY, state TEXT NOT NULL, reason TEXT NOT NULL, failures INTEGER NOT NULL,
    next_attempt REAL NOT NULL, changed REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead_letters (
    endpoint TEXT NOT NULL, event_id TEXT NOT NULL, line BLOB NOT NULL, reason TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (endpoint, event_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS memory (
    scope TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, changed REAL NOT NULL,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dropped (
    endpoint TEXT NOT NULL, writer TEXT NOT NULL, cause TEXT NOT NULL, letters INTEGER NOT NULL,
    PRIMARY KEY (endpoint, writer, cause)
) WITHOUT ROWID;
"""

_ODD = """
SELECT 1 FROM dead_letters WHERE typeof(endpoint) <> 'text' OR typeof(event_id) <> 'text' OR typeof(line) <> 'blob'
    OR typeof(reason) <> 'text' OR typeof(at) <> 'real'
UNION ALL
SELECT 1 FROM dropped WHERE typeof(endpoint) <> 'text' OR typeof(writer) <> 'text' OR typeof(cause) <> 'text'
    OR typeof(letters) <> 'integer' OR letters <= 0
"""
"""Finds damage that SQLite's own check does not see: values of the wrong type, which SQLite stores in any column.

Positions and states are checked when they are read, because each of them can be replaced by the beginning.
"""

PURGED, EXPIRED, REJECTED = "purged", "expired", "rejected"
"""Why events were dropped. A person drops dead letters. Retention drops dead letters that are too old or too many. A
receiver drops events if it accepts a request but not all that is in it."""


class Position(NamedTuple):
    """How far an endpoint is in one segment.

    Attributes:
        offset: bytes of the segment that are settled.
        lines: settled lines, which are `delivered`, `dead` or `skipped`.
        delivered: events that the endpoint accepted.
        dead: events that became dead letters, whatever happened to the letters since.
        skipped: lines that its filter left out, or that are no events.
    """

    offset: int = 0
    lines: int = 0
    delivered: int = 0
    dead: int = 0
    skipped: int = 0


_STATES = ("ok", "retrying", "stopped", "disabled")


class EndpointState(NamedTuple):
    """Whether an endpoint accepts events.

    Attributes:
        state: ``ok``, ``retrying``, ``stopped`` (a person must change something) or ``disabled`` (it answered 410).
        reason: why it is not ``ok``, for people; else empty.
        failures: attempts in a row that failed.
        next_attempt: when to try again, in seconds since the epoch.
    """

    state: str = "ok"
    reason: str = ""
    failures: int = 0
    next_attempt: float = 0.0


class DeadLetter(NamedTuple):
    """An event that an endpoint refused permanently.

    Attributes:
        endpoint: which one.
        event_id: the event's id.
        line: the event as it is in the journal.
        reason: why it was refused, for people.
        at: when, in seconds since the epoch.
    """

    endpoint: str
    event_id: str
    line: bytes
    reason: str
    at: float


class Dropped(NamedTuple):
    """How many events were dropped for the same reason.

    Attributes:
        endpoint: which one refused them.
        writer: the process that wrote the events; empty once the journal has no segment of it any more.
        cause: `PURGED`, `EXPIRED` or `REJECTED`.
        letters: how many.
    """

    endpoint: str
    writer: str
    cause: str
    letters: int


def writer_of(event_id: str) -> str:
    """Return the process that wrote an event, as `Segment.process` names it."""
    return event_id.partition("-")[0].partition("_")[0]


class Store:
    """One connection to the database; each thread has its own.

    Raises:
        sqlite3.Error: from any method, when the database cannot be read or written.
    """

    def __init__(self, path: str) -> None:
        self._db = open_database(path)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def position(self, endpoint: str, segment: str) -> Position:
        """Return how far an endpoint is in a segment."""
        query = "SELECT offset, lines, delivered, dead, skipped FROM cursors WHERE endpoint = ? AND segment = ?"
        row = self._db.execute(query, (endpoint, segment)).fetchone()
        return _position(row) if row else Position()

    def positions(self) -> Iterator[tuple[str, str, Position]]:
        """Yield endpoint, segment and position of each cursor."""
        for row in self._db.execute("SELECT endpoint, segment, offset, lines, delivered, dead, skipped FROM cursors"):
            yield row[0], row[1], _position(row[2:])

    def settle(
        self,
        endpoint: str,
        positions: dict[str, Position],
        letters: Sequence[DeadLetter] = (),
        rejected: Sequence[Dropped] = (),
    ) -> None:
        """Save new positions of an endpoint, and what was not delivered up to them, in one transaction."""
        with self._db:
            rows = [(endpoint, segment, *position) for segment, position in positions.items()]
            self._db.executemany("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self._db.executemany("INSERT OR REPLACE INTO dead_letters VALUES (?, ?, ?, ?, ?)", letters)
            self._count(rejected)

    def state(self, endpoint: str) -> EndpointState:
        """Return the last known state of an endpoint."""
        query = "SELECT state, reason, failures, next_attempt FROM endpoints WHERE name = ?"
        row = self._db.execute(query, (endpoint,)).fetchone()
        return _state(row) if row else EndpointState()

    def states(self) -> dict[str, EndpointState]:
        """Return the last known state of each endpoint, by name."""
        rows = self._db.execute("SELECT name, state, reason, failures, next_attempt FROM endpoints ORDER BY name")
        return {row[0]: _state(row[1:]) for row in rows}

    def set_state(self, endpoint: str, state: EndpointState) -> None:
        """Save the state of an endpoint."""
        with self._db:
            row = (endpoint, *state, time.time())
            self._db.execute("INSERT OR REPLACE INTO endpoints VALUES (?, ?, ?, ?, ?, ?)", row)

    def dead_letters(self) -> Iterator[DeadLetter]:
        """Yield the dead letters, oldest first."""
        query = "SELECT endpoint, event_id, line, reason, at FROM dead_letters ORDER BY at"
        yield from (DeadLetter(*row) for row in self._db.execute(query))

    def dead_ids(self) -> list[tuple[str, str]]:
        """Return endpoint and event id of each dead letter."""
        return self._db.execute("SELECT endpoint, event_id FROM dead_letters").fetchall()

    def excess_letters(self, before: float, most: int) -> list[tuple[str, str]]:
        """Return endpoint and event id of the dead letters that retention drops.

        Args:
            before: seconds since the epoch; older dead letters are dropped.
            most: bytes that dead letters may have together; the oldest ones beyond that are dropped.
        """
        query = "SELECT endpoint, event_id, at < ?, length(line) FROM dead_letters ORDER BY at DESC"
        found, size = [], 0
        for endpoint, event_id, is_old, length in self._db.execute(query, (before,)):
            size += length
            if is_old or size > most:
                found.append((endpoint, event_id))
        return found

    def drop(self, letters: Iterable[tuple[str, str]], cause: str) -> int:
        """Drop dead letters, given by endpoint and event id; return how many of them there were."""
        query = "DELETE FROM dead_letters WHERE endpoint = ? AND event_id = ?"
        with self._db:
            gone = [letter for letter in letters if self._db.execute(query, letter).rowcount]
            self._count(Dropped(endpoint, writer_of(event_id), cause, 1) for endpoint, event_id in gone)
        return len(gone)

    def dropped(self) -> list[Dropped]:
        """Return how many events were dropped."""
        query = "SELECT endpoint, writer, cause, letters FROM dropped"
        return [Dropped(*row) for row in self._db.execute(query)]

    def _count(self, dropped: Iterable[Dropped]) -> None:
        query = (
            "INSERT INTO dropped VALUES (?, ?, ?, ?) "
            "ON CONFLICT (endpoint, writer, cause) DO UPDATE SET letters = letters + excluded.letters"
        )
        self._db.executemany(query, dropped)

    def forget_all_but(self, segments: Collection[str], writers: Collection[str]) -> None:
        """Remove the cursors in all other segments, and the names of all other writers from the dropped events."""
        with self._db:
            gone = [one for one in self.dropped() if one.writer and one.writer not in writers]
            self._db.executemany("DELETE FROM dropped WHERE writer = ?", {(one.writer,) for one in gone})
            self._count(one._replace(writer="") for one in gone)
            known = self._db.execute("SELECT DISTINCT segment FROM cursors").fetchall()
            others = [row for row in known if row[0] not in segments]
            self._db.executemany("DELETE FROM cursors WHERE segment = ?", others)

    def revive(self, letter: DeadLetter) -> None:
        """Remove a dead letter, because it was delivered now."""
        with self._db:
            query = "DELETE FROM dead_letters WHERE endpoint = ? AND event_id = ?"
            self._db.execute(query, (letter.endpoint, letter.event_id))


def _position(row: Sequence[Any]) -> Position:
    """Return a position, or the beginning if it is damaged in a way that SQLite does not see."""
    if not all(isinstance(value, int) and value >= 0 for value in row):
        return Position()
    position = Position(*row)
    return position if position.lines == position.delivered + position.dead + position.skipped else Position()


def _state(row: Sequence[Any]) -> EndpointState:
    state, reason, failures, next_attempt = row
    whole = state in _STATES and isinstance(reason, str) and isinstance(next_attempt, (int, float))
    return EndpointState(*row) if whole and isinstance(failures, int) and failures >= 0 else EndpointState()


def open_database(path: str) -> sqlite3.Connection:
    """Open the database. If it is damaged, it is moved aside, and a new one is created.

    Raises:
        sqlite3.Error: it is locked for too long, it cannot be written, or a newer version wrote it.
    """
    try:
        with opening(path):
            return _connect(path)
    except sqlite3.DatabaseError as error:
        if _may_be_sound(error):
            raise
        with repairing(path):
            return _replaced(path)


def _may_be_sound(error: sqlite3.DatabaseError) -> bool:
    """Whether the cause of an error may be outside of the file. Python 3.10 gives no error codes, so words decide."""
    return isinstance(error, sqlite3.OperationalError) and any(word in str(error) for word in _OTHER_TROUBLE)


def _replaced(path: str) -> sqlite3.Connection:
    """Move a damaged database aside and return a new one."""
    try:
        return _connect(path)  # another delivery may have replaced it meanwhile
    except sqlite3.DatabaseError as error:
        if _may_be_sound(error):
            raise
        aside = f"{path}.corrupt-{int(time.time())}"
        _log.warning(
            "%s cannot be read (%s): moved to %s, every journaled event is delivered again", path, error, aside
        )
        # First its log: after the database was moved, a log of this name may belong to a new one of another process.
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path + suffix)
        os.replace(path, aside)
        return _connect(path)


def _has_our_tables(db: sqlite3.Connection) -> bool:
    found = {sql for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE type = 'table'")}
    made = (statement.strip().replace(" IF NOT EXISTS", "") for statement in _SCHEMA.split(";"))
    return found == {statement for statement in made if statement}


def _text(value: bytes) -> str:
    """Return a text of the database. A damaged one is shown with U+FFFD, instead of an error in every query."""
    return value.decode("utf-8", "replace")


def _connect(path: str) -> sqlite3.Connection:
    make_private(path)
    db = sqlite3.connect(path, timeout=_TIMEOUT)
    db.text_factory = _text
    try:
        use_wal(db, _TIMEOUT)
        db.execute("PRAGMA synchronous = NORMAL")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise sqlite3.OperationalError(  # noqa: TRY301 - closed below
                f"{path} was written by a newer version of pytest-swarmtask"
            )
        (found,) = db.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)  # noqa: TRY301 - closed below
        if version == SCHEMA_VERSION and not _has_our_tables(db):
            raise sqlite3.DatabaseError("its tables are not the ones that were made")  # noqa: TRY301 - closed below
        if version == SCHEMA_VERSION and db.execute(_ODD).fetchone():
            raise sqlite3.DatabaseError("its dead letters are not as they were written")  # noqa: TRY301 - closed below
        if version < SCHEMA_VERSION:
            db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    except UnicodeDecodeError as error:  # raised while Python decodes the message of an error about damaged text
        db.close()
        raise sqlite3.DatabaseError("it is no text where it should be") from error
    except BaseException:
        db.close()
        raise
    return db
