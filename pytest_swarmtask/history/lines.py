"""The whole events that only the journal has: of segments that were collected, and of runs whose lines were too old."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.core.errors import JournalError
from pytest_swarmtask.history.schema import EVENTS
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.journal.decode import decode_fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.history.database import Database

_RUN = "SELECT run FROM trace WHERE project = ? AND trace_id = ?"
_HAS_LINE = "SELECT 1 FROM event WHERE run = ? AND event_id = ?"
_ROW = EVENTS.format(source="(SELECT ?1 AS run, ?2 AS event_id, ?3 AS line)")


def journal_lines(db: Database, project: Project) -> Iterator[tuple[int, str, str]]:
    """Yield the whole events that the journal has and the history has not: run, id and line.

    Runs that the history has removed are left out. A segment has all its lines in the history, or none of them.
    """
    for segment in journals.segments(project.journal):
        checked = False
        for event in _events(project.segment(segment.name)):
            run = db.execute(_RUN, (db.project, event[0])).fetchone()
            if run is None or (not checked and db.execute(_HAS_LINE, (*run, event[1])).fetchone()):
                break
            checked = True
            yield run[0], *event[1:]


def as_row(db: Database, run: int, event_id: str, line: str) -> tuple[Any, ...]:
    """Return a whole event as a row of the view `events`."""
    row: tuple[Any, ...] = db.execute(_ROW, (run, event_id, line)).fetchone()
    return row


def _events(path: str) -> Iterator[tuple[str, str, str]]:
    """Yield trace id, id and line of each event of a segment, as far as it can be read."""
    with contextlib.suppress(OSError):
        for line, _ in journals.read(path):
            with contextlib.suppress(JournalError):
                event = decode_fields(line)
                yield event.trace_id, event.id, line.decode()
