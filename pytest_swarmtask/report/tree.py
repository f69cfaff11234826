"""A run as the tree of its spans, built from its events alone: each names its span and the span around."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_swarmtask import journal as journals
from pytest_swarmtask.errors import JournalError
from pytest_swarmtask.events import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_FAILURES = 20
"""Failed tests of one span that are shown one by one; of the others only the number is."""


@dataclass
class Span:
    """A started event and the one that ends it.

    Attributes:
        span_id, parent_span_id: as in the events.
        kind: ``TASK``, ``BUILD``, ``DEPLOYMENT`` or ``TEST``.
        task_id: what it is about.
        started: timestamp of its first event.
        status: that of its last event; of a test its outcome.
        failed: whether it ended with a failure.
        duration: seconds, or None where they are not known, as before its end.
        error: the first line of what is wrong, or "".
        children: the spans below, in the order in which they started.
    """

    span_id: str
    parent_span_id: str | None
    kind: str
    task_id: str
    started: str
    status: str = "started"
    failed: bool = False
    duration: float | None = None
    error: str = ""
    children: list[Span] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Take an event of this span into account."""
        if event.event_type.endswith("_STARTED"):
            return
        metadata = event.metadata
        self.status = str(metadata.get("outcome") or event.status)
        self.failed = event.event_type.endswith("_FAILED")
        duration = metadata.get("duration")
        self.duration = float(duration) if isinstance(duration, (int, float)) else None
        self.error = next(iter(str(metadata.get("error") or "").splitlines()), "") if self.failed else ""

    def shown(self) -> tuple[list[Span], Counter[str], int]:
        """Return the children to show one by one, the outcomes of all tests among them, and how many failures are left.

        Tests that passed are thousands, and nobody's question.
        """
        tests = [child for child in self.children if child.kind == "TEST"]
        failed = [test for test in tests if test.failed]
        hidden = {test.span_id for test in tests if test.status != "started" and not test.failed}
        hidden |= {test.span_id for test in failed[MOST_FAILURES:]}
        shown = [child for child in self.children if child.span_id not in hidden]
        return shown, Counter(test.status for test in tests), max(0, len(failed) - MOST_FAILURES)

    def as_json(self) -> dict[str, Any]:
        """Return it with what is below it, as `status --json` gives it."""
        shown, outcomes, _ = self.shown()
        fields = {key: value for key, value in vars(self).items() if key != "children"}
        return {**fields, "tests": dict(outcomes), "children": [child.as_json() for child in shown]}


def tree(events: Iterable[Event]) -> list[Span]:
    """Return the spans of one run that have no other of its spans around them, in the order in which they started."""
    spans: dict[str, Span] = {}
    for event in events:
        kind = event.event_type.partition("_")[0]
        span = spans.get(event.span_id)
        if span is None:
            span = spans[event.span_id] = Span(
                event.span_id, event.parent_span_id, kind, event.task_id or "", event.timestamp
            )
        span.started = min(span.started, event.timestamp)
        span.add(event)
    roots: list[Span] = []
    for span in sorted(spans.values(), key=lambda span: span.started):
        around = spans.get(span.parent_span_id or "")
        (roots if around is None else around.children).append(span)
    return roots


def events_of(journal: str, trace_id: str) -> Iterator[Event]:
    """Yield the events of a run that can be read from a journal, segment by segment."""
    for segment in journals.segments(journal):
        if segment.trace_id != trace_id:
            continue
        with suppress(OSError):  # it may have been removed in between
            for line, _ in journals.read(os.path.join(journal, segment.name)):
                with suppress(JournalError):  # the survey counts foreign lines
                    yield Event.decode(line)
