"""The report as one HTML file that needs nothing else: no network, no other file, and for the essentials no script.

Whatever comes out of an event is text: Jinja2 escapes it, and what could steer a terminal or turn the direction of a
line is written out. A policy in the page allows only the one style and the one script that it brings along.
"""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from pytest_swarmtask.core.outcomes import first_line, kind_of, relative
from pytest_swarmtask.core.text import neutral, neutral_lines
from pytest_swarmtask.report import charts
from pytest_swarmtask.report.terminal import moment, seconds
from pytest_swarmtask.report.text import since, tests
from pytest_swarmtask.report.timeline import WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_swarmtask.history.query import Run
    from pytest_swarmtask.report.page import DeliverySummary, Page, Test

FIRST_TESTS = 50
"""Tests that are there without a script, and that a page of the list has with one."""
_LONGEST_NAME = 1000
_LONGEST_LISTED = 400
_LONGEST_MESSAGE = 4000
_LONGEST_NOTE = 120
_MOST_NOTES = 5000
_USUAL = (None, None, None, None, "", 1, 0, "")
_GLYPHS = {"good": "✓", "bad": "✕", "skip": "○", "open": "…"}
_IN_SCRIPT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
_COMPARED = (
    ("failing", "bad", "newly failing"),
    ("fixed", "good", "fixed"),
    ("still", "bad", "still failing"),
    ("added", "skip", "only here"),
    ("gone", "skip", "only there"),
)


def html(page: Page | None, project: str, root: str, delivered: DeliverySummary, *, live: bool = False) -> str:
    """Return the report.

    Args:
        page: what it says; None where there is no run to show.
        project: the name of the project.
        root: its folder; places in it are told from there.
        delivered: what became of the events.
        live: whether the page is served, and asks whether there is something new.
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
        compared=_COMPARED,
        made=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M UTC%z"),
    )


def policy(*, live: bool) -> str:
    """Return the Content-Security-Policy of the page: its own style and script and nothing else."""
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
        "seconds": seconds,
        "moment": moment,
        "since": since,
        "kind": kind_of,
        "glyph": _GLYPHS.__getitem__,
        "relative": lambda place: relative(place, root),
        "name": lambda text: _cut(text, _LONGEST_NAME),
        "listed": lambda text: _cut(text, _LONGEST_LISTED),
        "message": lambda text: _cut(text, _LONGEST_MESSAGE),
        "note": _note,
        "number": lambda value: f"{value:,}",
        "totals": _totals,
    }
    environment.globals |= {"width": WIDTH, "chart_height": charts.HEIGHT, "chart_step": charts.STEP}
    environment.globals["first"] = FIRST_TESTS
    return environment.get_template("report.html.j2")


def _inert(value: object) -> object:
    """Return what is put into the page: text of others without what is obeyed instead of shown."""
    return value if isinstance(value, Markup) else neutral_lines(str(value))


def _totals(run: Run) -> list[tuple[str, str]]:
    """Return each number of tests with its word, as the terminal says them."""
    _, _, counted = tests(run).plain.partition(": ")
    pairs = (part.split(" ", 1) for part in counted.split(", ") if part)
    return [(number, word) for number, word in pairs]


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}[…]"


def _note(test: Test) -> str:
    return _cut(first_line(test.error or ""), _LONGEST_NOTE)


def _data(page: Page | None) -> Markup:
    """Return the tests for the script, as JSON that is safe inside of a script element."""
    found = {"outcomes": [], "files": [], "tests": []} if page is None else _columns(page)
    text = json.dumps(found, separators=(",", ":"), ensure_ascii=True)
    return Markup(text.translate(_IN_SCRIPT))  # noqa: S704 - nothing is left in it that ends or begins a tag


def _columns(page: Page) -> dict[str, list[Any]]:
    failures = {each.task_id: number for number, each in enumerate(page.report.failures, 1) if each.kind == "TEST"}
    outcomes: dict[str, int] = {}
    paths: dict[str, int] = {}
    rows = list(_rows(page.tests, failures, outcomes, paths))
    return {"outcomes": [[word, kind_of(word)] for word in outcomes], "files": list(paths), "tests": rows}


def _rows(
    found: Sequence[Test], failures: dict[str, int], outcomes: dict[str, int], paths: dict[str, int]
) -> Iterator[list[Any]]:
    for number, test in enumerate(found):
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
        while row and row[-1] == _USUAL[len(row) - 1]:
            row.pop()  # what is as usual need not be said twenty thousand times
        yield row
