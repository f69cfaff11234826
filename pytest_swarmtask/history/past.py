"""What alerts ask: how the same thing ended before, and what has not ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True)
class Ending:
    """How a task or test ended once.

    Attributes:
        span_id: which of its spans.
        failed: whether it did.
        duration: seconds, or None.
        ended: when, as in events.
        attempt: which one of a test that was repeated, or None.
        run: trace id.
        commit: of the run, or None.
        dirty: whether the checkout is known to have held changes.
    """

    span_id: str
    failed: bool
    duration: float | None
    ended: str
    attempt: int | None
    run: str
    commit: str | None
    dirty: bool


_ENDINGS = """
SELECT span.span_id, span.failed, span.duration, span.ended, span.attempt, run.trace_id, run."commit", run.dirty
FROM span JOIN run ON run.id = span.run
WHERE span.task = (SELECT id FROM task WHERE kind = ?1 AND name = ?2) AND span.ended <= ?3 AND run.branch IS ?4
  AND (span.failed = 1 OR span.kind <> 'TEST' OR span.status IN ('passed', 'xpassed'))
ORDER BY span.started DESC, span.id DESC LIMIT ?5
"""


def endings(  # noqa: PLR0913, PLR0917 - what is asked for
    db: sqlite3.Connection, kind: str, task_id: str, branch: str | None, until: str, most: int
) -> list[Ending]:
    """Return how a task or test ended on a branch up to a time, newest first; a skip says nothing."""
    rows = db.execute(_ENDINGS, (kind, task_id, until, branch, most))
    return [
        Ending(span_id, bool(failed), duration, ended, attempt, run, commit, bool(dirty))
        for span_id, failed, duration, ended, attempt, run, commit, dirty in rows
    ]


def earlier_coverage(db: sqlite3.Connection, branch: str | None, what: str, before: str) -> float | None:
    """Return the coverage in percent of the last run of this on a branch that started before a time and measured it."""
    query = """SELECT coverage FROM run WHERE branch IS ? AND roots = ? AND started < ? AND coverage IS NOT NULL
               ORDER BY started DESC LIMIT 1"""
    row = db.execute(query, (branch, what, before)).fetchone()
    return None if row is None else float(row[0])


@dataclass(frozen=True)
class Open:
    """A span that has begun and not ended; `line` is the event that began it."""

    span_id: str
    line: str


def open_spans(db: sqlite3.Connection, since: str) -> list[Open]:
    """Return what began after a time and has not ended, oldest first."""
    query = """SELECT span.span_id, (SELECT line FROM event WHERE event.run = span.run
                   AND json_extract(line, '$.span_id') = span.span_id ORDER BY event.id LIMIT 1)
               FROM span WHERE span.ended IS NULL AND span.started > ? ORDER BY span.started"""
    return [Open(*row) for row in db.execute(query, (since,)) if row[1]]


def has_ended(db: sqlite3.Connection, span_id: str) -> bool:
    """Tell whether a span is not known as open: it has ended, or is too old to be kept."""
    return db.execute("SELECT 1 FROM span WHERE ended IS NULL AND span_id = ?", (span_id,)).fetchone() is None
