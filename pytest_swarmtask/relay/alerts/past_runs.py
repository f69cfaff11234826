"""The ground on which conditions stand: the history up to an event, asked no more often than needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import HistoryError
from pytest_swarmtask.history import past
from pytest_swarmtask.history.query import Run, find_runs
from pytest_swarmtask.history.session import query_history

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.history.past import Ending

    Answer = TypeVar("Answer")


class Past:
    """What was, as the history tells it. Lives as long as one question to the history."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self._runs: dict[str, Run | None] = {}

    def run(self, event: Event) -> Run | None:
        """Return the run of an event, as far as it is known."""
        if event.trace_id not in self._runs:
            self._runs[event.trace_id] = next(iter(find_runs(self.db, event.trace_id)), None)
        return self._runs[event.trace_id]

    def branch(self, event: Event) -> str | None:
        """Return the branch of an event's run."""
        run = self.run(event)
        return run.branch if run else None

    def endings(self, event: Event, most: int) -> list[Ending]:
        """Return how the same thing ended on the same branch, this event's own ending first, then the earlier ones.

        Nothing where the history does not hold this one.
        """
        kind, _, _ = event.event_type.partition("_")
        found = past.endings(self.db, kind, event.task_id or "", self.branch(event), event.timestamp, most + 1)
        own = next((number for number, one in enumerate(found) if one.span_id == event.span_id), None)
        return [] if own is None else found[own : own + most]

    def earlier_coverage(self, event: Event) -> float | None:
        """Return the coverage in percent of the run before on the same branch, or None."""
        run = self.run(event)
        return None if run is None else past.earlier_coverage(self.db, run.branch, run.what, run.started)


def ask_past(project: Project, environ: Mapping[str, str], question: Callable[[Past], Answer]) -> Answer:
    """Bring the history up to date and ask it.

    Raises:
        HistoryError: it cannot be used, or not brought up to date now.
    """
    notes: list[str] = []

    def asked(db: sqlite3.Connection) -> Answer:
        if any("another process" in note for note in notes):
            raise HistoryError(notes[-1])
        return question(Past(db))

    return query_history(project, asked, environ=environ, timeout=5.0, say=notes.append)
