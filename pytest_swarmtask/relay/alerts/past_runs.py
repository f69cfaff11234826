"""The history as conditions see it: the runs and ends up to an event, and starts that have no end."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import JournalError
from pytest_swarmtask.core.event import Event
from pytest_swarmtask.core.service_errors import HistoryError
from pytest_swarmtask.core.trace import Clock
from pytest_swarmtask.history import past
from pytest_swarmtask.history.flaky import Scope, assess
from pytest_swarmtask.history.query import Run, find_runs
from pytest_swarmtask.history.session import NOT_UP_TO_DATE, query_history
from pytest_swarmtask.relay.delivery.matching import is_among, mismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from typing import TypeVar

    from pytest_swarmtask.config.monitoring import SilenceAlert
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.flaky import Verdict
    from pytest_swarmtask.history.past import Ending

    Answer = TypeVar("Answer")
    Ask = Callable[[Database, str, Collection[str]], Mapping[str, Answer]]
    """A question about spans of one trace, answered by span id."""

_FORGOTTEN = 7 * 86400.0
"""Seconds after which a start without an end is ignored, as docs/automation.md says."""


class Past:
    """The history, with answers that are remembered. It is valid as long as nothing is added to the history.

    Args:
        db: the history.
        environment: the `WORKFLOW_ENVIRONMENT` of all events that are evaluated, or empty. None on a server, where each
            run has its own.

    Attributes:
        is_local: whether the history is that of one machine.
    """

    def __init__(self, db: Database, environment: str | None = "") -> None:
        self.db = db
        self.is_local = environment is not None
        self._environment = environment
        self._runs: dict[str, Run | None] = {}
        self._expected: defaultdict[str, set[str]] = defaultdict(set)
        self._variants: dict[tuple[str, str], str] = {}
        self._have_failed: dict[tuple[str, str], bool] = {}

    def run(self, event: Event) -> Run | None:
        """Return the run of an event as far as it is known, or None."""
        if event.trace_id not in self._runs:
            self._runs[event.trace_id] = next(iter(find_runs(self.db, event.trace_id)), None)
        return self._runs[event.trace_id]

    def environment(self, event: Event) -> str:
        """Return the environment of an event, or an empty text."""
        if self._environment is not None:
            return self._environment
        run = self.run(event)
        return (run.environment or "") if run else ""

    def branch(self, event: Event) -> str | None:
        """Return the branch of an event's run, or None if it is not known."""
        run = self.run(event)
        return run.branch if run else None

    def endings(self, event: Event, most: int) -> list[Ending]:
        """Return the last ends of the same task or test on the same branch, newest first.

        Args:
            event: the end that comes first in the result. The result is empty if the history does not contain it, and
                for a pytest session in which no test ran: it counts neither as passed nor as failed.
            most: the length of the result, at most.
        """
        if is_session(event) and event.metadata.get("tests") == 0:
            return []
        branch = self.branch(event)
        found = past.endings(self.db, event.trace_id, event.span_id, branch, event.timestamp, most + 1)
        own = next((number for number, one in enumerate(found) if one.span_id == event.span_id), None)
        return [] if own is None else found[own : own + most]

    def flakiness(self, event: Event, runs: int) -> Verdict | None:
        """Return the verdict on the test of an event from its last runs on the same branch, up to the event.

        Args:
            event: the end of a test.
            runs: the number of runs to look at.

        Returns:
            The verdict, or None if the history does not contain the event.
        """
        task = past.task_of(self.db, event.trace_id, event.span_id)
        return None if task is None else assess(self.db, task, Scope(runs, event.timestamp, self.branch(event)))

    def expect(self, events: Iterable[Event]) -> None:
        """Announce events, so that one question answers for all of them: thousands of tests end at a time."""
        for event in events:
            self._expected[event.trace_id].add(event.span_id)

    def variant(self, event: Event) -> str:
        """Return the variant that an event is about, or an empty text."""
        return self._learn(self._variants, event, past.variants_of, "")

    def has_failed(self, event: Event) -> bool:
        """Whether the test of an event has ever failed or been repeated, so that it can be flaky at all."""
        return self._learn(self._have_failed, event, past.have_failed, default=False)

    def _learn(self, known: dict[tuple[str, str], Answer], event: Event, ask: Ask[Answer], default: Answer) -> Answer:
        """Return what is known of an event. If nothing is, ask for all expected events of its trace at once."""
        key = (event.trace_id, event.span_id)
        if key not in known:
            expected = self._expected[event.trace_id]
            spans = expected if event.span_id in expected else {event.span_id}
            found = ask(self.db, event.trace_id, spans)
            known.update({(event.trace_id, span_id): found.get(span_id, default) for span_id in spans})
        return known[key]

    def earlier_coverage(self, event: Event) -> float | None:
        """Return the coverage in percent of the previous run on the same branch, or None."""
        run = self.run(event)
        return None if run is None else past.earlier_coverage(self.db, run, run.branch)

    def has_ended(self, span_id: str) -> bool:
        """Whether a span has ended, or is too old to be in the history."""
        return past.has_ended(self.db, span_id)


def is_session(event: Event) -> bool:
    """Whether an event is about a whole pytest session."""
    return event.event_type[:5] == "TASK_" and event.metadata.get("action") == "session"


class OpenStarts:
    """All starts that have no end yet. They are read once for all alerts."""

    def __init__(self, past_runs: Past) -> None:
        self.past = past_runs
        clock = Clock()
        since = clock.timestamp(max(0.0, clock.now() - _FORGOTTEN))
        self._events = list(_starts(past_runs.db, since))

    def of(self, alert: SilenceAlert) -> Iterator[Event]:
        """Yield the starts that an alert looks at."""
        for event in self._events:
            if is_among(event.event_type, alert.events) and self._is_about(alert, event):
                yield event

    def _is_about(self, alert: SilenceAlert, event: Event) -> bool:
        run, environment = self.past.run(event), self.past.environment(event)
        if run is not None and (run.environment or "") != environment:
            return False  # the alerts of its own environment look at it
        return mismatch(alert.when, event, environment, run.branch if run else None) is None


def _starts(db: Database, since: str) -> Iterator[Event]:
    for span in past.open_spans(db, since):
        with contextlib.suppress(JournalError):
            yield Event.decode(span.line.encode())


def query_past(
    project: Project, environ: Mapping[str, str], environment: str, question: Callable[[Past], Answer]
) -> Answer:
    """Import new events into the history of this machine, and query it for the alerts of an environment.

    Raises:
        HistoryError: the history cannot be used, or another process keeps new events from being imported.
    """
    notes: list[str] = []

    def query(db: Database) -> Answer:
        # Elsewhere a history without the newest events will do; a condition must see the event that it evaluates.
        if NOT_UP_TO_DATE in notes:
            raise HistoryError(NOT_UP_TO_DATE)
        return question(Past(db, environment))

    return query_history(project, query, environ=environ, timeout=5.0, say=notes.append)
