"""How readers ask the history: brought up to date first, and kindly where it is busy, corrupt or not to be written."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from pytest_swarmtask.core.errors import ConfigError, HistoryError
from pytest_swarmtask.history import retention
from pytest_swarmtask.history.database import TIMEOUT, connect, identity, is_corrupt, set_aside
from pytest_swarmtask.history.ingest import ingest
from pytest_swarmtask.history.schema import VERSION
from pytest_swarmtask.journal import orphans
from pytest_swarmtask.journal import segments as journals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_swarmtask.core.project import Project

Answer = TypeVar("Answer")


class QueryOptions(NamedTuple):
    """How to ask.

    Attributes:
        environ: where the configuration looks up its variables.
        timeout: seconds to wait for others that write.
        say: called with what a person should know of, such as a corrupt file that was moved aside.
    """

    environ: Mapping[str, str]
    timeout: float = TIMEOUT
    say: Callable[[str], None] = lambda _: None


def query_history(project: Project, question: Callable[[sqlite3.Connection], Answer], options: QueryOptions) -> Answer:
    """Take in what is new in a journal, and return what a question finds in the history.

    A corrupt history is moved aside and made anew from the journal; where it cannot be written, a temporary one is
    made; where another process fills it just now, the answer is as of what it has done so far.

    Raises:
        HistoryError: a newer version wrote it, it is locked for too long, or the disk is full.
    """
    path = project.history
    for _ in range(3):
        known = identity(path)
        try:
            return _asked(path if _writable(project, path) else "", project, question, options)
        except sqlite3.Error as error:
            if not is_corrupt(error):
                raise HistoryError(_reason(path, error)) from error
            aside = set_aside(path, known)
            if aside:
                options.say(f"{path} was corrupt ({error}): it is now {aside}, and made anew from the journal")
    raise HistoryError(f"{path} is corrupt each time it is made anew: is the disk sound?")


class Counted(NamedTuple):
    """What was counted of a segment when it was taken in.

    Attributes:
        offset: how far it was read.
        events: lines up to there that are events.
        foreign: lines up to there that are none.
        closed: whether all that its run has begun has ended, as far as is known.
    """

    offset: int = 0
    events: int = 0
    foreign: int = 0
    closed: bool = False


def counted(project: Project) -> dict[str, Counted]:
    """Return what the history knows of segments, by name; as it is, and nothing where it cannot be read now."""
    path = project.history
    if not os.path.exists(path) or not _writable(project, path):
        return {}
    try:
        with contextlib.closing(sqlite3.connect(f"{Path(path).as_uri()}?mode=ro", timeout=0.0, uri=True)) as db:
            if db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                return {}
            going_on = _unfinished(db)
            rows = db.execute("SELECT name, offset, events, foreign_lines FROM segment").fetchall()
    except sqlite3.Error:
        return {}
    found = ((journals.Segment.parse(row[0]), row) for row in rows)
    return {row[0]: Counted(row[1], row[2], row[3], s.trace_id not in going_on) for s, row in found if s is not None}


def update(project: Project, environ: Mapping[str, str]) -> None:
    """Take in what is new, for later questions.

    Raises:
        HistoryError: as in `query_history`.
    """
    query_history(project, lambda _: None, QueryOptions(environ))


def _asked(
    path: str, project: Project, question: Callable[[sqlite3.Connection], Answer], options: QueryOptions
) -> Answer:
    if not path and os.path.exists(project.history):
        options.say(f"{project.history} is not ours to write: shown is what the journal still holds")
    with contextlib.closing(connect(path, options.timeout)) as db:
        try:
            found = ingest(db, project)
            _close_orphaned_spans(db, project)
            if found.events and path:
                _keep_small(db, project, options.environ)
        except sqlite3.OperationalError as error:
            if not _is_busy(error):
                raise
            options.say("another process is filling the history: shown is what it holds so far")
        return question(db)


def _close_orphaned_spans(db: sqlite3.Connection, project: Project) -> None:
    """Have ended what dead processes have left open, and take that in; only runs with something open are looked at."""
    runs = _unfinished(db)
    names = [segment.name for segment in journals.segments(project.journal) if segment.trace_id in runs]
    if names:
        orphans.close_orphaned_spans(project, names)
        ingest(db, project)


def _unfinished(db: sqlite3.Connection) -> set[str]:
    query = "SELECT DISTINCT trace_id FROM span JOIN run ON run.id = span.run WHERE span.ended IS NULL"
    return {trace_id for (trace_id,) in db.execute(query)}


def _keep_small(db: sqlite3.Connection, project: Project, environ: Mapping[str, str]) -> None:
    if not retention.is_due(db):
        return
    from pytest_swarmtask.config.load import load
    from pytest_swarmtask.config.monitoring import Retention

    try:
        kept = load(project, environ).workflow.monitoring.retention
    except ConfigError:  # is told where the configuration is asked for
        kept = Retention()
    retention.prune(db, kept.history_age, kept.history_bytes)


def _writable(project: Project, path: str) -> bool:
    """Tell whether a history may be made here: one that root made in a user's project would be closed to that user."""
    return (
        orphans.is_ours(project)
        and os.access(project.journal, os.W_OK)
        and (not os.path.exists(path) or os.access(path, os.W_OK))
    )


def _is_busy(error: sqlite3.Error) -> bool:
    return "locked" in str(error) or "busy" in str(error)


def _reason(path: str, error: sqlite3.Error) -> str:
    if _is_busy(error):
        return f"{path} is locked by another process: try again when that is done"
    return f"{path} cannot be used: {error}"
