"""How the history is read: import new events first, cope with a busy, corrupt or read-only file, then ask."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.service_errors import HistoryError
from pytest_swarmtask.history import retention
from pytest_swarmtask.history.ingest import forget_segments, ingest
from pytest_swarmtask.history.schema import VERSION
from pytest_swarmtask.history.sqlite import TIMEOUT, connect, file_identity, is_corrupt, set_aside
from pytest_swarmtask.journal import orphans

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.journal.collect import Collected

Answer = TypeVar("Answer")

_ATTEMPTS = 3
"""Attempts to get a sound database. Other processes may move one aside and make a new one at the same time."""

NOT_UP_TO_DATE = "another process is filling the history: shown is what it holds so far"
"""What `query_history` says if the newest events are missing in the history."""


def query_history(  # noqa: PLR0913 - all but two have defaults
    project: Project,
    question: Callable[[Database], Answer],
    *,
    environ: Mapping[str, str],
    timeout: float = TIMEOUT,
    say: Callable[[str], None] = lambda _: None,
    collected: Collected | None = None,
) -> Answer:
    """Import new events of a journal into its history, then ask the history a question.

    A corrupt history is moved aside and made again from the journal. If the history cannot be written, a temporary one
    is made. If another process is writing to the history for too long, the answer is as of what it has written so far.

    Args:
        project: the project.
        question: a function that reads the history.
        environ: the variables that the configuration may name.
        timeout: seconds to wait while other processes write.
        say: called with each message for a person, such as that a corrupt file was moved aside.
        collected: segments that were just collected. Their whole lines are not kept, because the segments have them,
            and the retention is applied at once: the history may go into a cache next.

    Returns:
        The result of `question`.

    Raises:
        HistoryError: a newer version wrote the history, it is locked for too long, or the disk is full.
    """
    path = project.history
    for _ in range(_ATTEMPTS):
        identity = file_identity(path)
        writable = _is_writable(project)
        if not writable and os.path.exists(path):
            say(f"{path} is not ours to write: shown is what the journal still holds")
        try:
            with contextlib.closing(connect(path if writable else "", timeout)) as db:
                _bring_up_to_date(db, project, environ, say, collected, temporary=not writable)
                return question(db)
        except sqlite3.Error as error:
            if not is_corrupt(error):
                raise HistoryError(_reason(path, error)) from error
            aside = set_aside(path, identity)
            if aside:
                say(f"{path} was corrupt ({error}): it is now {aside}, and made anew from the journal")
    raise HistoryError(f"{path} is corrupt each time it is made anew: is the disk sound?")


def update(project: Project, environ: Mapping[str, str]) -> None:
    """Import new events of a journal into its history.

    Raises:
        HistoryError: as in `query_history`.
    """
    query_history(project, lambda _: None, environ=environ)


def _bring_up_to_date(  # noqa: PLR0913 - they are what `query_history` was given
    db: Database,
    project: Project,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    collected: Collected | None,
    *,
    temporary: bool,
) -> None:
    try:
        orphans.close_orphaned_spans(project)
        if collected:
            forget_segments(db, collected.changed)
        found = ingest(db, project, collected.segments if collected else ())
        for path in found.damaged:
            say(f"{path} is damaged: the events after the damage cannot be read")
        if not temporary and (collected or (found.events and retention.is_due(db))):
            _apply_retention(db, project, environ, collected.traces if collected else ())
    except sqlite3.OperationalError as error:
        if not _is_busy(error):
            raise
        say(NOT_UP_TO_DATE)


def _apply_retention(db: Database, project: Project, environ: Mapping[str, str], kept: Collection[str]) -> None:
    # Imported here, because it loads YAML, which hardly any question needs.
    from pytest_swarmtask.config.load import load
    from pytest_swarmtask.config.monitoring import Retention

    try:
        limits = load(project, environ).workflow.monitoring.retention
    except ConfigError:  # other commands report it
        limits = Retention()
    # Raw lines go first, because a run is removed only if the history is still too big without them.
    retention.drop_events(db, limits.history_events_age)
    retention.prune(db, limits.history_age, limits.history_bytes, kept)


def _is_writable(project: Project) -> bool:
    """Whether this user may write the history. In another user's journal nothing is written, even by root.

    A database that root has made in a user's project could not be used by that user.
    """
    path = project.history
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


class SegmentCounts(NamedTuple):
    """What the history knows of a segment.

    Attributes:
        offset: the bytes that were imported.
        events: the imported lines that are events.
        foreign: the imported lines that are not events.
    """

    offset: int = 0
    events: int = 0
    foreign: int = 0


def segment_counts(project: Project) -> dict[str, SegmentCounts]:
    """Return what the history knows of segments, by their names. Nothing is imported, and no other process waited for.

    If the history cannot be read at once, the result is empty.
    """
    path = project.history
    if not os.path.isfile(path) or not _is_writable(project):
        return {}
    try:
        with contextlib.closing(sqlite3.connect(f"{Path(path).as_uri()}?mode=ro", timeout=0.0, uri=True)) as db:
            if db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                return {}
            rows = db.execute("SELECT name, offset, events, foreign_lines FROM segment").fetchall()
    except sqlite3.Error:
        return {}
    return {name: SegmentCounts(*counts) for name, *counts in rows}
