"""What the HTML report shows beside what every report says: all tests, the timeline, deliveries, what has changed."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.history import query
from pytest_swarmtask.relay.survey import survey
from pytest_swarmtask.report.content import MOST_COMPARED, Report, ReportRequest, collect
from pytest_swarmtask.report.timeline import Timeline, timeline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.history.query import Comparison, Run
    from pytest_swarmtask.relay.survey import EndpointSurvey

MOST_TESTS = 50_000


class Test(NamedTuple):
    """How a test ended in the run; `error` is its message where it did not end well."""

    name: str
    outcome: str
    duration: float | None
    worker: str | None
    attempt: int | None
    error: str | None


@dataclass(frozen=True)
class Page:
    """All that the HTML report shows of one run.

    Attributes:
        report: what every form of the report says.
        tests: its tests, first those that failed, then those that have not ended, then the others in order; at most
            `MOST_TESTS`.
        timeline: what happened when.
        changes: what is different from the run that it is compared with: the one that was asked for, or the one before.
    """

    report: Report
    tests: list[Test]
    timeline: Timeline
    changes: Comparison | None


class DeliverySummary(NamedTuple):
    """What became of the journal's events: by endpoint, or why that cannot be told now."""

    endpoints: Mapping[str, EndpointSurvey]
    problem: str | None = None


_TESTS = """
SELECT task.name, coalesce(span.status, 'unfinished'), span.duration, span.worker, span.attempt,
       CASE WHEN span.status IN ('passed', 'xpassed') THEN NULL ELSE span.error END
FROM span JOIN task ON task.id = span.task WHERE span.run = ? AND span.kind = 'TEST'
ORDER BY span.failed DESC, span.ended IS NOT NULL, span.id LIMIT ?
"""


def collect_page(db: sqlite3.Connection, wanted: ReportRequest) -> Page | None:
    """Return what the page on a run shows, or None where there is no such run.

    Raises:
        UsageError: a run was named that is not there, or by a beginning that several have.
    """
    report = collect(db, wanted)
    if report is None:
        return None
    tests = [Test(*row) for row in db.execute(_TESTS, (report.run.key, MOST_TESTS))]
    return Page(report, tests, timeline(db, report.run), report.comparison or _since_the_last(db, report.trend))


def _since_the_last(db: sqlite3.Connection, trend: list[Run]) -> Comparison | None:
    return query.compare(db, trend[-1], trend[-2], MOST_COMPARED) if len(trend) > 1 else None


def deliveries(project: Project, environ: Mapping[str, str]) -> DeliverySummary:
    """Return what became of the events of a journal. Never raises: a report does without."""
    try:
        return DeliverySummary(survey(project, environ).endpoints)
    except (sqlite3.Error, OSError) as error:
        return DeliverySummary({}, f"the relay's database cannot be read now: {error}")
