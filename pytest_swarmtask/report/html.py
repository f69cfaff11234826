"""The report as one HTML file, which needs no network and no other file. The essentials need no script either.

Everything that comes from an event is shown as text: Jinja2 escapes it, and characters that change the direction of
text or steer a terminal are written out. A Content-Security-Policy allows only the style and the script of the page.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from pytest_swarmtask.core.outcomes import first_line, kind_of
from pytest_swarmtask.core.project import relative
from pytest_swarmtask.core.text import neutral, neutral_lines
from pytest_swarmtask.report import charts
from pytest_swarmtask.report.evidence import earlier_attempts, parts_of_traceback
from pytest_swarmtask.report.html_evidence import folded_parts
from pytest_swarmtask.report.phrases import (
    attempts_at,
    failing_since,
    format_duration,
    format_now,
    format_time,
    later_runs,
    outcome_counts,
    owners_of,
    same_error_of,
    short_commit,
    superseded_in,
    test_name,
    trend_of,
)
from pytest_swarmtask.report.timeline import WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_swarmtask.report.page import DeliverySummary, Page, PageTest

FIRST_TESTS = 50
"""Tests that the list shows without a script, and at once with one. `PAGE` in report.js must have the same value."""

# Characters that are shown. Node ids and messages come from anybody, and one of a megabyte would hide the rest.
_LONGEST_NAME = 1000
"""Of a node id in the list of failures."""
_LONGEST_LISTED = 400
"""Of a node id elsewhere, and of every other text in one line."""
_LONGEST_MESSAGE = 4000
"""Of a message in the list of failures."""
_LONGEST_NOTE = 120
"""Of a message in the list of tests, which has one line for it."""
_MOST_NOTES = 5000
"""Tests in the list that have their message. Failed tests come first, so only a run with more failures lacks some."""

_DEFAULTS = (None, None, None, None, "", 1, 0, "")
"""The value of each column of a test that report.js assumes if the row is shorter. None is no default."""
_GLYPHS = {"good": "✓", "bad": "✕", "skip": "○", "open": "…"}
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
    style, script = Markup(_source("report.css")), Markup(_source("report.js"))  # noqa: S704 - our own files
    return _template(root).render(
        page=page,
        project=project,
        delivered=delivered,
        live=live,
        style=style,
        script=script,
        policy=policy(live=live),
        data=_data(page),
        charts=charts.charts(page.report.trend) if page else [],
        evidence=folded_parts(page.report, _LONGEST_MESSAGE) if page else None,
        compared=_COMPARED,
        made=format_now(),
    )


def policy(*, live: bool) -> str:
    """Return the Content-Security-Policy of the page: its own style and script, by their hashes, and nothing else.

    The standard is https://www.w3.org/TR/CSP3/. A live page may also ask its own server.
    """
    own = f"style-src 'sha256-{_digest('report.css')}'; script-src 'sha256-{_digest('report.js')}';"
    asks = " connect-src 'self';" if live else ""
    return f"default-src 'none'; {own}{asks} base-uri 'none'; form-action 'none'"


def _digest(name: str) -> str:
    return base64.b64encode(hashlib.sha256(_source(name).encode()).digest()).decode()


def _source(name: str) -> str:
    return files("pytest_swarmtask.report").joinpath("templates", name).read_text("utf-8")


def _template(root: str) -> Template:
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_inert,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "seconds": format_duration,
        "moment": format_time,
        "since": failing_since,
        "commit": short_commit,
        "later": later_runs,
        "owners": owners_of,
        "same_error": same_error_of,
        "parts": parts_of_traceback,
        "trend": trend_of,
        "kind": kind_of,
        "glyph": _GLYPHS.__getitem__,
        "relative": lambda place: relative(place, root),
        "name": lambda text: _cut(text, _LONGEST_NAME),
        "listed": lambda text: _cut(text, _LONGEST_LISTED),
        "message": lambda text: _cut(text, _LONGEST_MESSAGE),
        "note": _note,
        "number": lambda value: f"{value:,}",
        "totals": outcome_counts,
        "superseded": superseded_in,
        "attempts": attempts_at,
        "last_attempt": lambda test: next(iter(earlier_attempts(test.attempts)[-1:]), None),
        "first_line": first_line,
    }
    environment.globals |= {"width": WIDTH, "chart_height": charts.HEIGHT, "chart_step": charts.STEP}
    environment.globals |= {"first": FIRST_TESTS, "test_name": test_name}
    return environment.get_template("report.html.j2")


def _inert(value: object) -> object:
    """Return a value for the page. In texts, characters that a browser would obey instead of show are written out."""
    return value if isinstance(value, Markup) else neutral_lines(str(value))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}[…]"


def _note(test: PageTest) -> str:
    return _cut(first_line(test.error or ""), _LONGEST_NOTE)


def _data(page: Page | None) -> Markup:
    """Return the tests for report.js, as JSON that is safe inside of a script element."""
    found = {"outcomes": [], "files": [], "tests": []} if page is None else _columns(page)
    text = json.dumps(found, separators=(",", ":"), ensure_ascii=True)
    return Markup(text.translate(_IN_SCRIPT))  # noqa: S704 - no character is left that could begin or end a tag


def _columns(page: Page) -> dict[str, list[Any]]:
    """Return the tests as rows in which outcomes and files are numbers, since most tests share them."""
    failures = {
        test_name(each.task_id, each.variant, page.report.run): number
        for number, each in enumerate(page.report.failures, 1)
        if each.kind == "TEST"
    }
    outcomes: dict[str, int] = {}
    paths: dict[str, int] = {}
    rows = list(_rows(page.tests, failures, outcomes, paths))
    return {"outcomes": [[word, kind_of(word)] for word in outcomes], "files": list(paths), "tests": rows}


def _rows(
    tests: Sequence[PageTest], failures: dict[str, int], outcomes: dict[str, int], paths: dict[str, int]
) -> Iterator[list[Any]]:
    for number, test in enumerate(tests):
        path, separator, rest = neutral(_cut(test.name, _LONGEST_LISTED)).partition("::")
        row = [
            outcomes.setdefault(test.outcome, len(outcomes)),
            paths.setdefault(path, len(paths)),
            separator + rest,
            test.duration,
            neutral(test.worker or ""),
            test.attempt or 1,
            failures.get(test.name, 0),
            neutral(_note(test)) if number < _MOST_NOTES else "",
        ]
        while row and row[-1] == _DEFAULTS[len(row) - 1]:
            row.pop()  # a page of 20,000 tests would be much bigger
        yield row
