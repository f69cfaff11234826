"""The questions that alerts ask the history: how a task or test ended before, and which spans are still open."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.query import Run


@dataclass(frozen=True)
class Ending:
    """How a task or test ended once.

    Attributes:
        span_id: its span.
        failed: whether it failed.
        duration: seconds, or None if unknown.
        ended: the timestamp of its end, as in events.
        run: the trace id of its run.
        commit: the commit of its run, or None if unknown.
    """

    span_id: str
    failed: bool
    duration: float | None
    ended: str
    run: str
    commit: str | None


_ENDINGS = """
WITH own AS (SELECT task, partial, command, tests FROM span
             WHERE run = (SELECT run FROM trace WHERE project = ?6 AND trace_id = ?1) AND span_id = ?2)
SELECT span.span_id, span.failed, span.duration, span.ended, run.trace_id, run."commit"
FROM own JOIN span ON span.task = own.task JOIN run ON run.id = +span.run
WHERE span.ended <= ?3 AND run.branch IS ?4 AND (span.superseded = 0 OR span.span_id = ?2)
  AND (span.failed = 1 OR span.kind <> 'TEST' AND span.status <> 'skipped' OR span.status IN ('passed', 'xpassed'))
  AND (span.tests IS NULL OR own.tests IS NULL OR span.span_id = ?2 OR (
       span.tests > 0 AND span.partial = own.partial AND (span.partial = 0 OR span.command = own.command)))
ORDER BY span.started DESC, span.id DESC LIMIT ?5
"""


def endings(  # noqa: PLR0913, PLR0917 - each of them narrows the question
    db: Database, trace_id: str, span_id: str, branch: str | None, until: str, limit: int
) -> list[Ending]:
    """Return how the task or test of a span ended on a branch up to a timestamp, newest first.

    It is the same variant of it. Skipped tests and superseded results are left out. If the span is a pytest session, so
    are sessions without tests and sessions of other tests: a complete session is compared with complete ones, a partial
    one with those that were started alike.
    """
    rows = db.execute(_ENDINGS, (trace_id, span_id, until, branch, limit, db.project))
    return [
        Ending(span_id, bool(failed), duration, ended, run, commit)
        for span_id, failed, duration, ended, run, commit in rows
    ]


def variants_of(db: Database, trace_id: str, span_ids: Collection[str]) -> dict[str, str]:
    """Return the variants of spans of one trace, by span id. A span without a variant, or one not known, has none."""
    query = """SELECT span_id, variant FROM span JOIN task ON task.id = span.task
               WHERE run = (SELECT run FROM trace WHERE project = ? AND trace_id = ?)
                 AND span_id IN (SELECT value FROM json_each(?)) AND variant <> ''"""
    return dict(db.execute(query, (db.project, trace_id, json.dumps(list(span_ids)))).fetchall())


# A subquery with a limit is evaluated for each span. PostgreSQL might begin an EXISTS with all that has ever failed.
_HAVE_FAILED = """
SELECT span_id, (
    SELECT 1 FROM span AS other WHERE other.task = span.task AND (other.failed = 1 OR other.attempt > 1) LIMIT 1
) FROM span
WHERE run = (SELECT run FROM trace WHERE project = ? AND trace_id = ?) AND span_id IN (SELECT value FROM json_each(?))
"""


def have_failed(db: Database, trace_id: str, span_ids: Collection[str]) -> dict[str, bool]:
    """Return, by span id, whether the tests of spans of one trace have ever failed or been repeated."""
    rows = db.execute(_HAVE_FAILED, (db.project, trace_id, json.dumps(list(span_ids))))
    return {span_id: found is not None for span_id, found in rows}


def task_of(db: Database, trace_id: str, span_id: str) -> int | None:
    """Return the key of the task or test, with its variant, that a span has, or None if the span is not known."""
    query = """SELECT task FROM span
               WHERE run = (SELECT run FROM trace WHERE project = ? AND trace_id = ?) AND span_id = ?"""
    row = db.execute(query, (db.project, trace_id, span_id)).fetchone()
    return None if row is None else int(row[0])


def earlier_coverage(db: Database, run: Run, branch: str | None) -> float | None:
    """Return the coverage in percent of the last run of the same tests before a run, on a branch, or None.

    It had the same variants: a suite may cover less under another Python.
    """
    query = """SELECT coverage FROM run WHERE project = ? AND branch IS ? AND partial = ? AND scope IS ?
               AND variants = ? AND started < ? AND coverage IS NOT NULL ORDER BY started DESC LIMIT 1"""
    known = (db.project, branch, int(run.partial), run.scope, run.variant_lines, run.started)
    row = db.execute(query, known).fetchone()
    return None if row is None else float(row[0])


@dataclass(frozen=True)
class OpenSpan:
    """A span that has started and not ended; `line` is the journal line of its start."""

    span_id: str
    line: str


def open_spans(db: Database, since: str) -> list[OpenSpan]:
    """Return the spans that started after a timestamp and have not ended, oldest first."""
    query = """SELECT span.span_id, (SELECT line FROM event WHERE event.run = span.run
                   AND json_extract(line, '$.span_id') = span.span_id ORDER BY event.id + 0 LIMIT 1)
               FROM span JOIN run ON run.id = span.run
               WHERE run.project = ? AND span.ended IS NULL AND span.started > ? ORDER BY span.started"""
    return [OpenSpan(*row) for row in db.execute(query, (db.project, since)) if row[1]]


def has_ended(db: Database, span_id: str) -> bool:
    """Whether the history has no open span of this id: it has ended, or retention has removed its run."""
    query = """SELECT 1 FROM span JOIN run ON run.id = span.run
               WHERE run.project = ? AND span.ended IS NULL AND span_id = ?"""
    return db.execute(query, (db.project, span_id)).fetchone() is None
