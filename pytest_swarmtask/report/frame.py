"""What all HTML pages share: the frame with its style and script, and how texts from events are shown.

Everything that comes from an event is shown as text: Jinja2 escapes it, and characters that change the direction of
text or steer a terminal are written out. A Content-Security-Policy allows only the style and the script of the page.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Protocol

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from pytest_swarmtask.core.outcomes import first_line, kind_of
from pytest_swarmtask.core.project import relative
from pytest_swarmtask.core.text import neutral_lines
from pytest_swarmtask.report import charts
from pytest_swarmtask.report.evidence import earlier_attempts, parts_of_traceback
from pytest_swarmtask.report.phrases import (
    attempts_at,
    failing_since,
    flakiness,
    format_duration,
    format_now,
    format_time,
    later_runs,
    outcome_counts,
    owners_of,
    quarantine_of,
    rerun_of,
    same_error_of,
    shard_problems,
    short_commit,
    since_of,
    superseded_in,
    test_name,
    trend_of,
    verdicts_of,
    whose,
)
from pytest_swarmtask.report.strips import strip_of
from pytest_swarmtask.report.timeline import WIDTH

if TYPE_CHECKING:
    from pytest_swarmtask.report.page import PageTest

# Characters that are shown. Node ids and messages come from anybody, and one of a megabyte would hide the rest.
_LONGEST_NAME = 1000
"""Of a node id in the list of failures."""
LONGEST_LISTED = 400
"""Of a node id elsewhere, and of every other text in one line."""
LONGEST_MESSAGE = 4000
"""Of a message in the list of failures."""
_LONGEST_NOTE = 120
"""Of a message in the list of tests, which has one line for it."""

_GLYPHS = {"good": "✓", "bad": "✕", "skip": "○", "open": "…"}
_OWN = "pytest_swarmtask.report"


class Links(Protocol):
    """The addresses of a server's other pages. A report in a file has no such pages."""

    @property
    def test_base(self) -> str:
        """The address of the page on a test, up to its node id."""

    def test(self, name: str) -> str | None:
        """Return the address of the page on a test; None if its node id cannot stand in an address."""

    def run(self, trace_id: str) -> str:
        """Return the address of the page on a run."""

    def compared(self, trace_id: str, other: str) -> str:
        """Return the address of the page on a run, compared with another run."""


def framed(templates: Environment, name: str, /, *, live: str = "", forms: bool = False, **content: Any) -> str:
    """Return a page: a template that extends `frame.html.j2`.

    Args:
        templates: where the template is.
        name: its name.
        live: the address that tells the version of the page, for a page that updates itself; else an empty text.
        forms: whether the page has forms, which ask the server.
        content: what the template shows. `links` is a `Links`, or None.
    """
    style, script = Markup(_source("report.css", _OWN)), Markup(_source("report.js", _OWN))  # noqa: S704 - our files
    allowed = policy(live=bool(live), forms=forms)
    shown = {"live": live, "style": style, "script": script, "policy": allowed, "made": format_now(), **content}
    return templates.get_template(name).render(shown)


@functools.cache
def policy(*, live: bool = False, forms: bool = False) -> str:
    """Return the Content-Security-Policy of a page: its own style and script, by their hashes, and nothing else.

    The standard is https://www.w3.org/TR/CSP3/. A live page, and one with forms, may also ask its own server.
    """
    own = f"style-src 'sha256-{_digest('report.css')}'; script-src 'sha256-{_digest('report.js')}';"
    asks = " connect-src 'self';" if live else ""
    return f"default-src 'none'; {own}{asks} base-uri 'none'; form-action {_SELF if forms else _NONE}"


_SELF, _NONE = "'self'", "'none'"


def _digest(name: str) -> str:
    return base64.b64encode(hashlib.sha256(_source(name, _OWN).encode()).digest()).decode()


@functools.cache
def _source(name: str, package: str) -> str:
    return files(package).joinpath("templates", name).read_text("utf-8")


@functools.lru_cache(maxsize=2)
def templates(root: str, package: str = _OWN) -> Environment:
    """Return the templates.

    Args:
        root: the project's folder. Files below it are shown relative to it. Empty if it is not known, as on a server.
        package: a package with more templates.
    """
    environment = Environment(
        loader=FunctionLoader(functools.partial(_found, package)),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_inert,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= _FILTERS | {"relative": lambda place: relative(place, root)}
    environment.globals |= {"width": WIDTH, "chart_height": charts.HEIGHT, "chart_step": charts.STEP}
    environment.globals |= {"test_name": test_name, "links": None}
    return environment


def _found(package: str, name: str) -> str:
    try:
        return _source(name, package)
    except FileNotFoundError:
        return _source(name, _OWN)


def _inert(value: object) -> object:
    """Return a value for the page. In texts, characters that a browser would obey instead of show are written out."""
    return value if isinstance(value, Markup) else neutral_lines(str(value))


def cut(text: str, longest: int) -> str:
    """Return a text, or its beginning if it is too long."""
    return text if len(text) <= longest else f"{text[:longest]}[…]"


_BREAKS = re.compile(r"(?<=[/\\[_.,-])(?=\w)|(?<=::)(?=\w)")
"""Where a person would break a long node id or path. `BREAKS` in report.js must be the same."""


def breakable(text: str) -> Markup:
    """Return a name for the page that a browser may break after a folder, a class or a word."""
    return Markup("<wbr>").join(map(escape, _BREAKS.split(neutral_lines(text))))


def note(test: PageTest) -> str:
    """Return the message of a test for the list of tests."""
    return cut(first_line(test.error or ""), _LONGEST_NOTE)


_FILTERS = {
    "seconds": format_duration,
    "moment": format_time,
    "since": failing_since,
    "since_whom": since_of,
    "flakiness": flakiness,
    "commit": short_commit,
    "later": later_runs,
    "owners": owners_of,
    "same_error": same_error_of,
    "whose": whose,
    "verdicts": verdicts_of,
    "rerun": rerun_of,
    "strip": strip_of,
    "breakable": breakable,
    "parts": parts_of_traceback,
    "trend": trend_of,
    "kind": kind_of,
    "glyph": _GLYPHS.__getitem__,
    "name": lambda text: cut(text, _LONGEST_NAME),
    "listed": lambda text: cut(text, LONGEST_LISTED),
    "message": lambda text: cut(text, LONGEST_MESSAGE),
    "note": note,
    "number": lambda value: f"{value:,}",
    "totals": outcome_counts,
    "superseded": superseded_in,
    "attempts": attempts_at,
    "shard_problems": shard_problems,
    "last_attempt": lambda test: next(iter(earlier_attempts(test.attempts)[-1:]), None),
    "first_line": first_line,
    "quarantine": quarantine_of,
}
