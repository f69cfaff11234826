"""The report as one HTML file, which needs no network and no other file. The essentials need no script either."""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.core.outcomes import kind_of
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.report import charts
from pytest_swarmtask.report.frame import LONGEST_LISTED, LONGEST_MESSAGE, cut, framed, note, templates
from pytest_swarmtask.report.groups import by_cause
from pytest_swarmtask.report.html_evidence import folded_parts
from pytest_swarmtask.report.phrases import test_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.report.content import Report
    from pytest_swarmtask.report.page import DeliverySummary, Page, PageTest

FIRST_TESTS = 50
"""Tests that the list shows without a script, and at once with one. `PAGE` in report.js must have the same value."""

_MOST_NOTES = 5000
"""Tests in the list that have their message. Failed tests come first, so messages are missing only if more tests
failed."""

_DIGITS = 4
"""Decimals of a duration in seconds: those below 10 ms are shown as tenths of a millisecond."""
_COMPARED = (
    ("failing", "bad", "newly failing"),
    ("fixed", "good", "fixed"),
    ("still", "bad", "still failing"),
    ("added", "skip", "added"),
    ("gone", "skip", "removed"),
)


def html(page: Page | None, project: str, root: str, delivered: DeliverySummary | None, *, live: bool = False) -> str:
    """Return the page.

    Args:
        page: its content; None if there is no run to show.
        project: the name of the project.
        root: the project's folder. Files below it are shown relative to it. It is empty on a server.
        delivered: how many events each endpoint has received; None on a server, which delivers nothing.
        live: whether the page is served, and so asks the server for news.
    """
    address = "version" if live else ""
    content = report_content(page)
    return framed(templates(root), "report.html.j2", live=address, project=project, delivered=delivered, **content)


def report_content(page: Page | None, *, linked: bool = False) -> dict[str, Any]:
    """Return what `report.html.j2` shows of a run, apart from deliveries.

    Args:
        page: its content; None if there is no run to show.
        linked: whether the list of tests has links to the pages on the tests.
    """
    return {
        "page": page,
        "data": _data(page, linked=linked),
        "charts": charts.charts(page.report.trend) if page else [],
        "causes": by_cause(page.report.failures) if page else [],
        "evidence": folded_parts(page.report, LONGEST_MESSAGE) if page else None,
        "compared": _COMPARED,
        "first": FIRST_TESTS,
    }


def _data(page: Page | None, *, linked: bool) -> str:
    """Return the tests for report.js: JSON, compressed with zlib to about a twentieth, in base64.

    Each outcome has its kind beside it. The columns of a test are those of `_row`.
    """
    tests = page.tests if page else []
    failures = _numbered_failures(page.report) if page else {}
    rows = [_row(test, failures, with_note=number < _MOST_NOTES, linked=linked) for number, test in enumerate(tests)]
    found = {"kinds": {test.outcome: kind_of(test.outcome) for test in tests}, "tests": rows}
    text = json.dumps(found, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode())).decode()


def _numbered_failures(report: Report) -> dict[str, int]:
    """Return where the page shows the failure of a test, by its name."""
    shown = ((number, each) for number, each in enumerate(report.failures, 1) if each.kind == "TEST")
    return {test_name(each.task_id, each.variant, report.run): number for number, each in shown}


def _row(test: PageTest, failures: Mapping[str, int], *, with_note: bool, linked: bool) -> list[Any]:
    """Return outcome, name, duration, worker, attempt, failure, message, and the node id if there is a page on it."""
    name = neutral(cut(test.name, LONGEST_LISTED))
    return [
        test.outcome,
        name,
        None if test.duration is None else round(test.duration, _DIGITS),
        neutral(test.worker or ""),
        test.attempt or 1,
        failures.get(test.name, 0),
        neutral(note(test)) if with_note else "",
        test.test if linked and name == test.name else None,  # one with special characters may be no valid address
    ]
