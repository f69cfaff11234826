"""A run as the tree of its spans, which `status` shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.core.outcomes import FAILED, first_line

if TYPE_CHECKING:
    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.query import Run

MOST_FAILURES = 20
"""Failed or unfinished tests of one span that have a node of their own. All other tests are only counted."""


MOST_SPANS = 200
"""Spans of a run, other than tests, that have a node: the first ones that failed, and as many others."""


@dataclass
class SpanNode:
    """A span: a start event and the event that ends it. `status --json` has these fields.

    Attributes:
        span_id, parent_span_id: as in the events.
        kind: ``TASK``, ``BUILD``, ``DEPLOYMENT`` or ``TEST``.
        task_id: as in the events.
        started: the timestamp of its start.
        status: the status of its last event; for a test, its outcome.
        failed: whether it failed.
        duration: seconds, or None if unknown, as before its end.
        error: the first line of its message if it failed, else "".
        tests: the outcomes of all tests directly below it.
        children: the spans directly below it, in the order of their starts. Of its tests only `MOST_FAILURES` that
            failed, and as many that have not ended.
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
    tests: dict[str, int] = field(default_factory=dict)
    children: list[SpanNode] = field(default_factory=list)

    @property
    def failures_left(self) -> int:
        """The number of failed tests directly below it that are not among its children."""
        failed = sum(self.tests.get(outcome, 0) for outcome in FAILED)
        return failed - sum(child.failed for child in self.children if child.kind == "TEST")

    @property
    def size(self) -> int:
        """The number of spans in this tree other than tests."""
        return (self.kind != "TEST") + sum(child.size for child in self.children)

    def as_json(self) -> dict[str, Any]:
        """Return the span and all spans below it as plain data."""
        return {**vars(self), "children": [child.as_json() for child in self.children]}


_SHOWN = """
SELECT span_id, parent, kind, name, started, status, failed, duration, error, root FROM (
    SELECT span.*, task.name, above.id IS NULL AS root,
           row_number() OVER (PARTITION BY span.kind = 'TEST', CASE span.kind WHEN 'TEST' THEN span.parent END,
                              span.failed ORDER BY span.started, span.id) AS number
    FROM span JOIN task ON task.id = span.task
    LEFT JOIN span AS above ON above.run = span.run AND above.span_id = span.parent
    WHERE span.run = ? AND (span.kind <> 'TEST' OR span.failed = 1 OR span.ended IS NULL OR above.id IS NULL)
) AS step WHERE number <= CASE kind WHEN 'TEST' THEN ? ELSE ? END ORDER BY started, id
"""
_TESTS = """
SELECT parent, coalesce(status, 'started'), count(*) FROM span
WHERE run = ? AND kind = 'TEST' AND parent IS NOT NULL GROUP BY 1, 2
"""


def span_tree(db: Database, run: Run) -> list[SpanNode]:
    """Return the outermost spans of a run, in the order of their starts, with the spans below them."""
    spans: dict[str, SpanNode] = {}
    roots: list[SpanNode] = []
    rows = db.execute(_SHOWN, (run.key, MOST_FAILURES, MOST_SPANS)).fetchall()
    for span_id, parent, kind, name, started, status, failed, duration, error, _ in rows:
        wrong = first_line(error or "") if failed else ""
        spans[span_id] = SpanNode(
            span_id, parent, kind, name, started, status or "started", bool(failed), duration, wrong
        )
    for row in rows:
        if row[-1]:
            roots.append(spans[row[0]])
        elif row[1] in spans:  # else its parent is a test that has no node
            spans[row[1]].children.append(spans[row[0]])
    for parent, outcome, count in db.execute(_TESTS, (run.key,)):
        if parent in spans:
            spans[parent].tests[outcome] = count
    return roots


def left_out(db: Database, run: Run, spans: list[SpanNode]) -> int:
    """Return how many spans of a run, other than tests, have no node in its tree."""
    (count,) = db.execute("SELECT count(*) FROM span WHERE run = ? AND kind <> 'TEST'", (run.key,)).fetchone()
    return int(count) - sum(span.size for span in spans)
