"""What only the HTML page shows, in addition to every report: all tests, the timeline, changes, and deliveries."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.history.comparison import compare
from pytest_swarmtask.history.outcomes import last_outcomes
from pytest_swarmtask.relay.survey import survey_endpoints
from pytest_swarmtask.report.content import MOST_COMPARED, Report, ReportRequest, collect_report
from pytest_swarmtask.report.phrases import test_name
from pytest_swarmtask.report.timeline import Timeline, run_timeline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.history.comparison import Comparison
    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.outcomes import PastOutcome
    from pytest_swarmtask.history.query import Run
    from pytest_swarmtask.relay.survey import EndpointSurvey

MOST_TESTS = 50_000
"""Tests in the page. 20,000 make less than 2 MB, so the page stays below 5 MB without the evidence of failures.
`report --junit` has all tests.
"""

_STRIPS = 100
"""Failures that have a strip of past outcomes. Each is one question to the history."""
_PAST = 30
"""Outcomes in a strip."""


class PageTest(NamedTuple):
    """How a test ended in the run; `error` is its message unless it passed.

    `test` is its node id. `name` says the variant, too, if the run has several.
    """

    test: str
    name: str
    outcome: str
    duration: float | None
    worker: str | None
    attempt: int | None
    error: str | None


@dataclass(frozen=True)
class Page:
    """Everything that the HTML page shows of one run.

    Attributes:
        report: what every form of the report says.
        strips: for each failure how its test ended the last times, oldest first; empty for tasks, and after `_STRIPS`.
        tests: its tests: failed ones first, then those that have not ended, then the others, each by name; at most
            `MOST_TESTS`.
        timeline: the run as lanes.
        changes: the differences from the requested run, or else from the run before; None if there is none.
    """

    report: Report
    strips: list[list[PastOutcome]]
    tests: list[PageTest]
    timeline: Timeline
    changes: Comparison | None


class DeliverySummary(NamedTuple):
    """How many events each endpoint has received.

    Attributes:
        endpoints: the counts, by the names of the endpoints.
        problem: why the counts cannot be read now, or None.
    """

    endpoints: Mapping[str, EndpointSurvey]
    problem: str | None = None


_TESTS = """
SELECT task.name, task.variant, coalesce(span.status, 'unfinished'), span.duration, span.worker, span.attempt,
       CASE WHEN span.status IN ('passed', 'xpassed') THEN NULL ELSE span.error END
FROM span JOIN task ON task.id = span.task WHERE span.run = ? AND span.kind = 'TEST' AND span.superseded = 0
ORDER BY span.failed DESC, span.ended IS NOT NULL, task.name, span.id LIMIT ?
"""


def collect_page(db: Database, request: ReportRequest, root: str) -> Page | None:
    """Return what the page on the requested run shows, or None if no run matches.

    Args:
        db: the history.
        request: which run to report on.
        root: the project's folder.

    Raises:
        UsageError: the request names a run that does not exist, or a beginning that several runs have.
    """
    report = collect_report(db, request, root)
    if report is None:
        return None
    rows = db.execute(_TESTS, (report.run.key, MOST_TESTS))
    tests = [PageTest(name, test_name(name, variant, report.run), *row) for name, variant, *row in rows]
    changes = report.comparison or _changes_since_previous(db, report.trend)
    strips = [
        last_outcomes(db, failure.key, _PAST) if number < _STRIPS and failure.kind == "TEST" else []
        for number, failure in enumerate(report.failures)
    ]
    return Page(report, strips, tests, run_timeline(db, report.run), changes)


def _changes_since_previous(db: Database, trend: list[Run]) -> Comparison | None:
    return compare(db, trend[-1], trend[-2], MOST_COMPARED) if len(trend) > 1 else None


def summarize_deliveries(project: Project, environ: Mapping[str, str]) -> DeliverySummary:
    """Return how many events each endpoint has received. Never raises: a report is useful without these."""
    try:
        return DeliverySummary(survey_endpoints(project, environ))
    except (sqlite3.Error, OSError) as error:
        return DeliverySummary({}, f"the relay's database cannot be read now: {error}")
