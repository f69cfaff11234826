"""The report as one HTML file, which needs no network and no other file. The essentials need no script either."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from pytest_swarmtask.core.outcomes import kind_of
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.report import charts
from pytest_swarmtask.report.frame import LONGEST_LISTED, LONGEST_MESSAGE, cut, framed, note, templates
from pytest_swarmtask.report.groups import by_cause
from pytest_swarmtask.report.html_evidence import folded_parts
from pytest_swarmtask.report.phrases import test_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_swarmtask.report.page import DeliverySummary, Page, PageTest

FIRST_TESTS = 50
"""Tests that the list shows without a script, and at once with one. `PAGE` in report.js must have the same value."""

_MOST_NOTES = 5000
"""Tests in the list that have their message. Failed tests come first, so only a run with more failures lacks some."""

_DEFAULTS = (None, None, "", None, "", 1, 0, "", 0)
"""The value of each column of a test that report.js assumes if the row is shorter. None is no default."""
_DIGITS = 4
"""Decimals of a duration in seconds: those below 10 ms are shown as tenths of a millisecond."""
_NO_LINK = -1
"""In the last column: the shown name does not tell the node id, as it is cut or has characters written out."""
_IN_SCRIPT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
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


def _data(page: Page | None, *, linked: bool) -> Markup:
    """Return the tests for report.js, as JSON that is safe inside of a script element."""
    found = {"outcomes": [], "tests": []} if page is None else _Columns(page, linked=linked).all()
    text = json.dumps(found, separators=(",", ":"), ensure_ascii=True)
    return Markup(text.translate(_IN_SCRIPT))  # noqa: S704 - no character is left that could begin or end a tag


class _Columns:
    """The tests as rows. Outcomes and suffixes are numbers, and a name is what differs from the name before it.

    A page of 5,000 tests has about 150 kB of them.
    """

    def __init__(self, page: Page, *, linked: bool) -> None:
        self._page = page
        self._linked = linked
        self._outcomes: dict[str, int] = {}
        self._suffixes: dict[str, int] = {"": 0}
        self._failures = {
            test_name(each.task_id, each.variant, page.report.run): number
            for number, each in enumerate(page.report.failures, 1)
            if each.kind == "TEST"
        }

    def all(self) -> dict[str, list[Any]]:
        """Return the columns and the rows."""
        rows = list(self._rows())
        outcomes = [[word, kind_of(word)] for word in self._outcomes]
        suffixes = {"suffixes": list(self._suffixes)} if self._linked else {}
        return {"outcomes": outcomes, "tests": rows, **suffixes}

    def _rows(self) -> Iterator[list[Any]]:
        before = ""
        for number, test in enumerate(self._page.tests):
            name = neutral(cut(test.name, LONGEST_LISTED))
            shared, before = _shared(before, name), name
            row = [
                _number(test.outcome, self._outcomes),
                shared,
                name[shared:],
                None if test.duration is None else round(test.duration, _DIGITS),
                neutral(test.worker or ""),
                test.attempt or 1,
                self._failures.get(test.name, 0),
                neutral(note(test)) if number < _MOST_NOTES else "",
                self._suffix(test, name) if self._linked else 0,
            ]
            while row and row[-1] == _DEFAULTS[len(row) - 1]:
                row.pop()  # a page of 20,000 tests would be much bigger
            yield row

    def _suffix(self, test: PageTest, shown: str) -> int:
        """Return the number of what follows the node id in the shown name, or `_NO_LINK`."""
        return _number(shown.removeprefix(test.test), self._suffixes) if shown == test.name else _NO_LINK


def _shared(before: str, name: str) -> int:
    """Return how many characters of a name are those of the name before it: up to its parameters, test or file.

    Only ASCII is shared, because JavaScript counts some other characters as two.
    """
    for head in (name.rpartition("[")[0], name.rpartition("::")[0], name.partition("::")[0]):
        if head and head.isascii() and before.startswith(head):
            return len(head)
    return 0


def _number(value: str, numbers: dict[str, int]) -> int:
    """Return the number of a value, which gets the next one if it is new."""
    return numbers.setdefault(value, len(numbers))
