"""A run as JUnit XML in the form that pytest writes, for other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from pytest_swarmtask.core.text import neutral_lines
from pytest_swarmtask.history import query

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from typing import BinaryIO

    from pytest_swarmtask.history.query import Result, Run

_TAGS = {
    "failed": "failure",
    "error": "error",
    "crashed": "error",
    "unfinished": "error",
    "skipped": "skipped",
    "xfailed": "skipped",
}
"""The element of each outcome that has one. pytest, too, puts expected failures under `skipped`."""
_NOT_IN_XML = {0xFFFE: "\ufffd", 0xFFFF: "\ufffd"}
"""XML 1.0 forbids these two (section 2.2), like most control characters, which `neutral_lines` writes out."""


def write_junit(db: sqlite3.Connection, run: Run, file: BinaryIO) -> None:
    """Write the tests of a run one by one, so that memory does not grow with their number."""
    xml = XMLGenerator(file, "utf-8", short_empty_elements=True)
    xml.startDocument()
    xml.startElement("testsuites", _attributes({"name": run.what}))
    xml.startElement("testsuite", _attributes(_suite(run)))
    for details in query.results(db, run):
        result = details.result
        xml.characters("\n")
        _case(xml, result, result.outcome, result.error)
        if details.teardown_error is not None and result.outcome == "failed":  # pytest writes a second case
            _case(xml, result, "error", details.teardown_error)
    xml.endElement("testsuite")
    xml.endElement("testsuites")
    xml.endDocument()
    file.write(b"\n")


def _suite(run: Run) -> dict[str, object]:
    counts = run.counts
    errors = sum(counts.get(name, 0) for name in ("errors", "crashed", "unfinished")) + run.teardown_errors
    numbers = {
        "tests": run.tests + run.teardown_errors,
        "failures": counts.get("failed", 0),
        "errors": errors,
        "skipped": counts.get("skipped", 0) + counts.get("xfailed", 0),
    }
    about = {"name": run.what, "timestamp": run.started, "time": f"{run.duration or 0:.3f}", "hostname": run.host or ""}
    return {**about, **numbers}


def _case(xml: XMLGenerator, result: Result, outcome: str, error: str | None) -> None:
    path, _, rest = result.test.partition("::")
    bare, bracket, parameters = rest.partition("[")  # a parameter may contain `::`
    *classes, name = bare.split("::")
    module = path.removesuffix(".py").replace("/", ".")
    # A module that could not be collected has no test name, and pytest then names the case after the module.
    classname = ".".join([module, *classes]) if name else ""
    attributes = {"classname": classname, "name": name + bracket + parameters if name else module}
    attributes["time"] = f"{result.duration or 0:.3f}"
    xml.startElement("testcase", _attributes(attributes))
    tag = _TAGS.get(outcome)
    if tag is not None:
        message = {"unfinished": "it has not ended"}.get(outcome, error or "")
        kind = {"type": "pytest.xfail"} if outcome == "xfailed" else {}
        xml.startElement(tag, _attributes({**kind, "message": message}))
        if result.place:
            xml.characters(_clean(result.place))
        xml.endElement(tag)
    xml.endElement("testcase")


def _attributes(values: Mapping[str, object]) -> AttributesImpl[str]:
    return AttributesImpl({name: _clean(str(value)) for name, value in values.items()})


def _clean(text: str) -> str:
    """Return a text without characters that XML forbids. Lines stay lines."""
    return neutral_lines(text).translate(_NOT_IN_XML)
