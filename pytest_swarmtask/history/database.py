"""What a history is to the code that asks and fills it, whichever engine holds it: SQLite or PostgreSQL.

No question is written twice. All SQL of the questions and of the import is the subset that both engines understand, in
SQLite's notation; `history.postgres` translates the few words that differ. The subset has these rules:

- Values are ``?``, ``?1`` or ``:name``. A comparison with a value that may be NULL is ``IS ?``.
- Lists of texts are one JSON value: ``name IN (SELECT value FROM json_each(?))``.
- Flags are integers, compared with 1 or 0. In sorting and in EXISTS a condition may stand alone.
- Of functions: the standard ones, and ``instr``, ``substr`` and ``json_extract(text, path)``.
- A plus before a column, as in ``run.id = +span.run``, keeps both engines from starting with the rows of each run where
  those of one test are few.
- A subquery in FROM has a name. In ``DO UPDATE``, columns of the present row are named with their table.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, Protocol

from pytest_swarmtask.core.service_errors import UnknownProjectError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

PROJECTS = "SELECT name FROM project WHERE name <> '' ORDER BY name"
"""The names of all projects of a server."""
NEWEST = "(SELECT coalesce(max(id), 0) FROM event)"
"""The id of the newest event of all projects. Alerts of a new project begin there: its own events come after that."""
STALE_PROJECTS = """
SELECT DISTINCT name FROM run JOIN project ON project.id = run.project WHERE stale = 1 AND name <> '' ORDER BY name
"""
"""The names of those with runs whose totals are to be computed (`history.runs`)."""
_PROJECT_KEY = "SELECT id FROM project WHERE name = ?"
_ADD_PROJECT = f"INSERT INTO project (name, evaluated) VALUES (?, {NEWEST}) ON CONFLICT DO NOTHING"
_UNUSUAL = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST_NAME = 64


class Rows(Protocol):
    """The rows that a query found."""

    @property
    def rowcount(self) -> int:
        """How many rows a statement has changed."""

    @property
    def description(self) -> Any:
        """A sequence for each column, which begins with its name."""

    def __iter__(self) -> Iterator[Any]: ...

    def fetchone(self) -> Any:
        """Return the next row, or None."""

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""


class Database(Protocol):
    """A connection to a history, for one project.

    Attributes:
        project: the key of the project. Tests, tasks and runs of other projects are never seen.
        has_days: whether raw lines are partitioned by day, so that the table `event` has the day of each.
        has_cheap_nulls: whether a NULL among the values of a row costs no more than a column that is left out.
    """

    project: int
    has_days: bool
    has_cheap_nulls: bool

    def execute(self, query: str, values: Any = ..., /) -> Rows:
        """Execute one statement. Its values are a sequence, or a mapping if they have names."""

    def lazily(self, query: str, values: Any = ..., /) -> Iterator[Any]:
        """Execute a query, and yield its rows. Those that nobody takes are not read; there may be very many."""

    def executemany(self, statement: str, rows: Sequence[Sequence[Any]], /) -> object:
        """Execute a statement for each row of values. No two rows of an upsert may have the same key."""

    def transaction(self) -> AbstractContextManager[None]:
        """Write everything that the block does, or nothing. Other writers to the project wait meanwhile."""

    def derivation(self) -> AbstractContextManager[bool]:
        """Write what follows from the rows of events: totals and verdicts. Others may write events meanwhile.

        What changes meanwhile is seen by one statement of the block and not by another, so the block has to find out.
        Yields whether the block may write: False if another process is at it.
        """

    def hold_derivations(self) -> None:
        """Keep derivations away until the transaction ends, which changes what they read and write."""

    def used_bytes(self) -> int:
        """Return how many bytes the history takes; 0 for an engine that is not limited in size."""

    def return_space(self) -> None:
        """Return the space of removed rows to the file system, where the engine does not do so by itself."""


@functools.lru_cache(maxsize=1000)
def project_name(source: str) -> str:
    """Return the name of the project whose events have this `source`, as a server has it."""
    return _UNUSUAL.sub("-", source)[:_LONGEST_NAME].strip("-.") or "project"


def choose_project(db: Database, name: str) -> None:
    """Make a connection one for a project.

    Raises:
        UnknownProjectError: the history has no such project.
    """
    row = db.execute(_PROJECT_KEY, (name,)).fetchone()
    if row is None:
        raise UnknownProjectError(name)
    db.project = row[0]


def choose_or_add_project(db: Database, name: str) -> None:
    """Make a connection one for a project, which is inserted if the history does not have it."""
    try:
        choose_project(db, name)  # first, because even an insert that does nothing waits for other writers of SQLite
    except UnknownProjectError:
        db.execute(_ADD_PROJECT, (name,))
        choose_project(db, name)
