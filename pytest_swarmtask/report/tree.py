"""A run as the tree of its spans: each names its span and the span around."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.core.outcomes import FAILED, first_line

if TYPE_CHECKING:
    import sqlite3

    from pytest_swarmtask.history.query import Run

MOST_FAILURES = 20
"""Tests of one span that are shown one by one, because they failed or have not ended; of the others only the number."""


@dataclass
class SpanNode:
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
        tests: the outcomes of all tests right below it.
        children: the spans right below it in the order in which they started, without tests that are nobody's question.
    """

    span_id: str
    parent_span_id: str | None
    kind: str
    task_id: str
    started: str
    status: str
    failed: bool
    duration: float | None
    error: str
    tests: Counter[str] = field(default_factory=Counter)
    children: list[SpanNode] = field(default_factory=list)

    @property
    def failures_left(self) -> int:
        """How many failed tests right below it are not among its children."""
        failed = sum(self.tests[outcome] for outcome in FAILED)
        return failed - sum(child.failed for child in self.children if child.kind == "TEST")

    def as_json(self) -> dict[str, Any]:
        """Return it with what is below it, as `status --json` gives it."""
        return {**vars(self), "tests": dict(self.tests), "children": [child.as_json() for child in self.children]}


_SHOWN = """
SELECT span_id, parent, kind, name, started, status, failed, duration, error, root FROM (
    SELECT span.*, task.name, above.id IS NULL AS root,
           row_number() OVER (PARTITION BY span.kind, span.parent, span.failed ORDER BY span.started, span.id) AS number
    FROM span JOIN task ON task.id = span.task
    LEFT JOIN span AS above ON above.run = span.run AND above.span_id = span.parent
    WHERE span.run = ? AND (span.kind <> 'TEST' OR span.failed = 1 OR span.ended IS NULL OR above.id IS NULL)
) WHERE kind <> 'TEST' OR number <= ? ORDER BY started, id
"""
_TESTS = """
SELECT parent, coalesce(status, 'started'), count(*) FROM span
WHERE run = ? AND kind = 'TEST' AND parent IS NOT NULL GROUP BY 1, 2
"""


def tree(db: sqlite3.Connection, run: Run) -> list[SpanNode]:
    """Return the spans of a run that have no other of its spans around them, in the order in which they started."""
    spans: dict[str, SpanNode] = {}
    roots: list[SpanNode] = []
    rows = db.execute(_SHOWN, (run.key, MOST_FAILURES)).fetchall()
    for span_id, parent, kind, name, started, status, failed, duration, error, _ in rows:
        wrong = first_line(error or "") if failed else ""
        spans[span_id] = SpanNode(
            span_id, parent, kind, name, started, status or "started", bool(failed), duration, wrong
        )
    for row in rows:
        if row[-1]:
            roots.append(spans[row[0]])
        elif row[1] in spans:  # else it is below a test that is not shown
            spans[row[1]].children.append(spans[row[0]])
    for parent, outcome, count in db.execute(_TESTS, (run.key,)):
        if parent in spans:
            spans[parent].tests[outcome] = count
    return roots
