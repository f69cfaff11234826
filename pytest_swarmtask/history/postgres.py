"""A history in PostgreSQL, for a server. SQL that is written for both engines is translated here.

Other installations never load this module: psycopg comes with the extra `server`.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import re
from collections import defaultdict
from datetime import date, datetime, timedelta, timezone
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.sql import SQL, Identifier
from psycopg_pool import ConnectionPool

from pytest_swarmtask.core.service_errors import BodyError, HistoryError, StoreAwayError
from pytest_swarmtask.history.database import PROJECTS, STALE_PROJECTS, choose_or_add_project, choose_project
from pytest_swarmtask.history.postgres_schema import KEYS, MIGRATIONS, SCHEMA
from pytest_swarmtask.history.schema import VIEWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from psycopg.abc import Buffer

VERSION = len(MIGRATIONS)
OLDEST = 15
"""The oldest major version of PostgreSQL that the tests run on."""

_OF_SCHEMA, _OF_PROJECT, _OF_TOTALS = 1_937_207_668, 1_937_207_669, 1_937_207_670  # "swtt", and the next numbers
"""The first keys of our advisory locks, so that they are not those of another program in the same database."""
_FEWEST_TO_COPY = 8
"""Rows from which on it is faster to look which of them are known and to copy the others than to insert each."""

_PAGE, _LARGEST_PAGE = 10, 10_000
"""Rows that are fetched at once from a query that may have very many: first few, as they are often enough."""
_numbers = itertools.count()

_PATIENCE = 5
"""Seconds to wait for a connection. The sender of a webhook waits 10 for the answer, and then tries again."""


# -- the dialect ---------------------------------------------------------------------------------------------------

_WORD = re.compile(
    r"""(?P<text>'[^']*'|--[^\n]*)|(?P<is>\bIS\s+(?=[?:]))|\?(?P<number>\d*)|(?<![:\w]):(?P<name>[a-z_]+)|(?P<percent>%)
    |\s+INDEXED\s+BY\s+(?P<index>\w+)|(?P<cross>\bCROSS\s+JOIN\b)|(?P<each>\bjson_each\()""",
    re.VERBOSE,
)
_SAME_AS = {
    "is": "IS NOT DISTINCT FROM ",
    "percent": "%%",
    "index": "",
    "cross": "JOIN",
    "each": "json_array_elements_text(",
}


@functools.lru_cache(maxsize=500)
def translated(query: str) -> str:
    """Return a query in the subset of `history.database` as psycopg takes it.

    SQLite's hints for its planner, which indexes and which order of a join it is to use, are left out.
    """
    return _WORD.sub(_translated_word, query)


def _translated_word(found: re.Match[str]) -> str:
    kind = found.lastgroup
    if kind == "text":
        return found["text"].replace("%", "%%")
    if kind == "name":
        return f"%({found['name']})s"
    if kind == "number":
        return f"%(p{found['number']})s" if found["number"] else "%s"
    return _SAME_AS[str(kind)]


@functools.lru_cache(maxsize=500)
def _has_numbers(query: str) -> bool:
    return re.search(r"\?\d", query) is not None


def _values(query: str, values: Any) -> Any:
    """Return values as psycopg takes them: by name if the query has numbers, as in ``?1``."""
    if isinstance(values, dict) or not _has_numbers(query):
        return values
    return {f"p{number}": value for number, value in enumerate(values, 1)}


class _TimestampLoader(Loader):
    """Reads a moment in the format of events: ``2026-01-31T10:15:00.123Z``. The time zone of the session is UTC."""

    def load(self, data: Buffer) -> str:
        """Return the text of a moment that PostgreSQL has written as ``2026-01-31 10:15:00.12+00``."""
        text = bytes(data).decode()
        fraction = text[20:-3] if text[19] == "." else ""
        return f"{text[:10]}T{text[11:19]}.{fraction:0<3}Z"


# -- the connection ------------------------------------------------------------------------------------------------


class _Cursor(psycopg.ClientCursor[Any]):
    """Puts values into the text of a query, quoted.

    So the planner sees them, and a condition such as ``?1 IS NULL OR branch = ?1`` costs nothing.
    """

    def __iter__(self) -> Any:
        """Return an iterator of the rows, which are in memory anyway, in a third of the time of one by one."""
        return iter(self.fetchall())


def configure(connection: psycopg.Connection[Any]) -> None:
    """Prepare a connection, as a pool does with each one: its schema, its time zone, and how moments are read."""
    connection.autocommit = True
    connection.cursor_factory = _Cursor
    connection.execute(SQL("SET search_path = {}").format(Identifier(SCHEMA)))
    connection.execute("SET timezone = 'UTC'")
    connection.adapters.register_loader("timestamptz", _TimestampLoader)


def configure_writer(connection: psycopg.Connection[Any]) -> None:
    """Prepare a connection that writes: rows of spans that are known already are copied into a temporary table."""
    configure(connection)
    connection.execute("CREATE TEMPORARY TABLE new_span AS SELECT * FROM span WITH NO DATA")


class PostgresDatabase:
    """A connection to a history in PostgreSQL for one project, see `history.database.Database`.

    Args:
        connection: a connection that `configure_writer` has prepared.
        project: the key of the project.
    """

    has_days = True
    has_cheap_nulls = True

    def __init__(self, connection: psycopg.Connection[Any], project: int) -> None:
        self.project = project
        self.connection = connection

    def execute(self, query: str, values: Sequence[Any] | Mapping[str, Any] = (), /) -> psycopg.Cursor[Any]:
        """Execute one statement."""
        return self.connection.execute(translated(query).encode(), _values(query, values))

    def lazily(self, query: str, values: Sequence[Any] | Mapping[str, Any] = (), /) -> Iterator[Any]:
        """Execute a query, and yield its rows. Inside a transaction they are fetched page by page."""
        if not self._is_in_transaction():
            yield from self.execute(query, values)
            return
        name, size = f"lazy_{next(_numbers)}", _PAGE
        declared = f"DECLARE {name} NO SCROLL CURSOR FOR {translated(query)}"
        self.connection.execute(declared.encode(), _values(query, values))
        try:
            while rows := self.connection.execute(f"FETCH {size} FROM {name}".encode()).fetchall():
                yield from rows
                size = min(10 * size, _LARGEST_PAGE)
        finally:
            if self._is_in_transaction():  # else it has ended, and the cursor with it
                self.connection.execute(f"CLOSE {name}".encode())

    def _is_in_transaction(self) -> bool:
        return self.connection.info.transaction_status == TransactionStatus.INTRANS

    def executemany(self, statement: str, rows: Sequence[Sequence[Any]], /) -> None:
        """Execute a statement for each row of values. Rows of an INSERT that are new are copied."""
        found = _INSERT.fullmatch(statement) if len(rows) >= _FEWEST_TO_COPY else None
        if found and not found["rest"].strip():
            self._copy(found["table"], found["columns"], rows)
        elif found and found["table"] in KEYS:
            self._insert(found["table"], found["columns"], found["rest"], rows)
        elif rows:
            values = [_values(statement, row) for row in rows]
            self.connection.cursor().executemany(translated(statement).encode(), values)

    def _insert(self, table: str, columns: str, rest: str, rows: Sequence[Sequence[Any]]) -> None:
        """Copy the rows whose key the table does not have, and insert the others with what is to be done on conflict.

        To copy takes half of the time of an INSERT that looks for conflicts. Nobody adds a row between the look and the
        copy: a transaction keeps other writers to the project away.
        """
        names = columns.split(", ")
        key = itemgetter(*(names.index(name) for name in KEYS[table]))
        by_key = {key(row): row for row in rows}
        known = self._known(table, by_key)
        self._copy(table, columns, [row for found, row in by_key.items() if found not in known])
        if known and "DO UPDATE" in rest:
            made = f"new_{table}"
            self._copy(made, columns, [by_key[found] for found in known])
            self.connection.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {made} {rest}".encode())
            self.connection.execute(f"TRUNCATE {made}".encode())

    def _known(self, table: str, keys: Iterable[tuple[Any, ...]]) -> set[tuple[Any, ...]]:
        """Return those of the keys that rows of a table have. All but the last column of a key have few values."""
        *fixed, last = KEYS[table]
        where = " AND ".join(f"{name} = %s" for name in fixed)
        query = f"SELECT {last} FROM {table} WHERE {where} AND {last} = ANY(%s)".encode()
        groups: defaultdict[tuple[Any, ...], list[str]] = defaultdict(list)
        for found in keys:
            groups[found[:-1]].append(found[-1])
        return {
            (*group, text)
            for group, texts in groups.items()
            for (text,) in self.connection.execute(query, (*group, _array(texts)))
        }

    def _copy(self, table: str, columns: str, rows: Iterable[Sequence[Any]]) -> None:
        with self.connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copy:
            for row in rows:
                copy.write_row(row)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Write everything that the block does, or nothing. Other writers to the same project wait meanwhile."""
        with self.connection.transaction():
            # The rows of a project are folded by one writer at a time, as in SQLite. So no two of them lock the same
            # rows in another order, and nothing has to be tried again.
            self.connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_OF_PROJECT, self.project))
            yield

    @contextlib.contextmanager
    def derivation(self) -> Iterator[bool]:
        """Write what follows from the rows of events, while others write events. Yield False if another is at it."""
        with self.connection.transaction():
            lock = "SELECT pg_try_advisory_xact_lock(%s, %s)"
            yield self.connection.execute(lock, (_OF_TOTALS, self.project)).fetchone() == (True,)

    def hold_derivations(self) -> None:
        """Keep derivations away until the transaction ends."""
        self.connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_OF_TOTALS, self.project))

    def used_bytes(self) -> int:
        """Return 0: removed rows free no space at once, so a history in PostgreSQL is limited by age alone."""
        return 0

    def return_space(self) -> None:
        """Do nothing: PostgreSQL's autovacuum does it."""


def _array(texts: Iterable[str]) -> str:
    """Return an array of texts as PostgreSQL writes it, in a third of the time that psycopg takes."""
    quoted = [text.replace("\\", "\\\\").replace('"', '\\"') for text in texts]
    return '{"' + '","'.join(quoted) + '"}'


_INSERT = re.compile(r"\s*INSERT INTO (?P<table>\w+) \((?P<columns>[^)]+)\)\s+VALUES \([?, ]+\)(?P<rest>.*)", re.DOTALL)


def _check(url: str) -> None:
    """Check the form of an address, so that a slip of the pen is not waited for.

    Raises:
        HistoryError: it is malformed.
    """
    try:
        ports = str(conninfo_to_dict(url).get("port") or "5432").split(",")
    except psycopg.ProgrammingError as error:
        raise HistoryError(f"the address of the database cannot be read: {_line(error)}") from None
    for port in ports:
        if not (port.isdigit() and 0 < int(port) < 65536):
            raise HistoryError(f"the address of the database has the port {port!r}, expected 1 to 65535")


def _line(error: psycopg.Error) -> str:
    """Return the message of an error in one line."""
    return " ".join(str(error).split())


# -- schema and projects -------------------------------------------------------------------------------------------


def prepare(connection: psycopg.Connection[Any]) -> None:
    """Make the tables if there are none, and bring older ones to the present schema.

    Args:
        connection: a connection that `configure` has prepared.

    Raises:
        HistoryError: PostgreSQL is too old, or a newer version of pytest-swarmtask made the tables.
        psycopg.Error: the database cannot be used.
    """
    found = connection.info.server_version // 10_000
    if found < OLDEST:
        raise HistoryError(f"the database is PostgreSQL {found}: version {OLDEST} or later is needed")
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", (_OF_SCHEMA,))
        connection.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(SCHEMA)))
        connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
        row = connection.execute("SELECT version FROM schema_version").fetchone()
        version = row[0] if row else 0
        if version > VERSION:
            raise HistoryError(
                f"the database was made by a newer version of pytest-swarmtask (schema {version}, this one knows "
                f"{VERSION}): update pytest-swarmtask"
            )
        if version < VERSION:
            _migrate(connection, version)


def _migrate(connection: psycopg.Connection[Any], version: int) -> None:
    for script in (*MIGRATIONS[version:], VIEWS):
        connection.execute(script.encode())
    connection.execute("DELETE FROM schema_version")
    connection.execute("INSERT INTO schema_version VALUES (%s)", (VERSION,))


class PostgresStore:
    """A store in PostgreSQL, see `history.store.HistoryStore`. Any number of processes may use one database.

    Args:
        url: the address of the database, see
            https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING.
        connections: the number of connections, at most.

    Raises:
        HistoryError: PostgreSQL is too old, the address is malformed, or a newer version made the tables.
        StoreAwayError: the database cannot be reached now.
    """

    def __init__(self, url: str, connections: int) -> None:
        _check(url)
        try:
            with psycopg.connect(url, connect_timeout=_PATIENCE) as connection:
                configure(connection)
                prepare(connection)
        except psycopg.OperationalError as error:
            raise StoreAwayError(f"the database cannot be reached: {_line(error)}") from None
        self._pool = ConnectionPool(
            url,
            kwargs={"connect_timeout": _PATIENCE},
            min_size=1,
            max_size=connections,
            timeout=_PATIENCE,
            # Attempts to connect become rarer and rarer. After this time, the next request makes a new one at once.
            reconnect_timeout=_PATIENCE,
            configure=configure_writer,
            check=ConnectionPool.check_connection,  # so that a restart of PostgreSQL costs no request
            open=True,
        )

    @contextlib.contextmanager
    def writing(self, project: str) -> Iterator[PostgresDatabase]:
        """Lend a connection to the history of a project, which is made if there is none."""
        with self._lent() as connection:
            db = PostgresDatabase(connection, 0)
            choose_or_add_project(db, project)
            yield db

    @contextlib.contextmanager
    def reading(self, project: str) -> Iterator[PostgresDatabase]:
        """Lend a connection that sees the history of a project as it is at one moment."""
        with self._lent() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            db = PostgresDatabase(connection, 0)
            choose_project(db, project)
            yield db

    def projects(self) -> list[str]:
        """Return the names of all projects, sorted."""
        with self._lent() as connection:
            return [name for (name,) in connection.execute(PROJECTS)]

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Be the one process that evaluates alerts during the block, if no other one is. Yield whether that is so."""
        with self._lent() as connection:
            row = connection.execute("SELECT pg_try_advisory_lock(%s, 2)", (_OF_SCHEMA,)).fetchone()
            is_alone = row is not None and bool(row[0])
            try:
                yield is_alone
            finally:
                if is_alone:
                    connection.execute("SELECT pg_advisory_unlock(%s, 2)", (_OF_SCHEMA,))

    def stale_projects(self) -> list[str]:
        """Return the names of the projects with runs whose totals are to be computed."""
        with self._lent() as connection:
            return [name for (name,) in connection.execute(STALE_PROJECTS)]

    def drop_old_lines(self, age: float) -> None:
        """Drop the partitions of days that ended more than this many seconds ago, and make the missing ones."""
        today = datetime.now(timezone.utc).date()
        first = today - timedelta(seconds=age)
        with self._lent() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s, 1)", (_OF_SCHEMA,))
            days = {day for (day,) in connection.execute(_DAYS)}
            # Tomorrow's is made today, and clocks that are a day ahead find it, too.
            for day in {_number(first + timedelta(n)) for n in range((today - first).days + 2)} - days:
                _add_day(connection, day)
            for day in days:
                if day < _number(first):
                    connection.execute(f"DROP TABLE event_{day}".encode())
            connection.execute("DELETE FROM event_other WHERE day < %s", (_number(first),))

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    @contextlib.contextmanager
    def _lent(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            with self._pool.connection() as connection:
                yield connection
        except psycopg.DataError as error:
            raise BodyError(f"PostgreSQL cannot store it: {_line(error)}") from error
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.CheckViolation) as error:
            # PoolTimeout is an operational error. A check is violated by a row whose day gets a partition just now.
            raise StoreAwayError(f"the database cannot be used now: {_line(error)}") from error


# -- the days of raw lines -----------------------------------------------------------------------------------------

_DAYS = """
SELECT substr(child.relname, 7)::integer FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = 'event'::regclass AND child.relname ~ '^event_[0-9]+$'
"""


def _number(day: date) -> int:
    """Return a day as the table `event` has it."""
    return int(day.strftime("%Y%m%d"))


def _add_day(connection: psycopg.Connection[Any], day: int) -> None:
    """Add the partition of a day. Lines of that day that have come already are in ``event_other``, and are moved."""
    for statement in (
        "LOCK TABLE event_other IN ACCESS EXCLUSIVE MODE",
        f"CREATE TABLE event_{day} (LIKE event INCLUDING DEFAULTS)",
        f"INSERT INTO event_{day} SELECT * FROM event_other WHERE day = {day}",
        f"DELETE FROM event_other WHERE day = {day}",
        f"ALTER TABLE event ATTACH PARTITION event_{day} FOR VALUES FROM ({day}) TO ({day + 1})",
    ):
        connection.execute(statement.encode())
