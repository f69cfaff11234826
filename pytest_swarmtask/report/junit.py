"""A run as JUnit XML in the form that pytest writes, for other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from pytest_swarmtask.core.text import neutral_lines
from pytest_swarmtask.history import query
from pytest_swarmtask.report.junit_outcome import outcome_element, output_elements, teardown_element

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, BinaryIO

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.query import Evidence, Result, ResultDetails, Run, VariantTotals
    from pytest_swarmtask.report.junit_outcome import OutcomeElement

_NOT_IN_XML = {0xFFFE: "\ufffd", 0xFFFF: "\ufffd"}
"""XML 1.0 forbids these two (section 2.2), like most control characters, which `neutral_lines` writes out."""


def write_junit(db: Database, run: Run, file: BinaryIO) -> None:
    """Write the tests of a run one by one, so that memory does not grow with their number.

    A run with several variants has a suite for each, since its tests have the same names in them.
    """
    xml = XMLGenerator(file, "utf-8", short_empty_elements=True)
    xml.startDocument()
    xml.startElement("testsuites", _attributes({"name": run.what}))
    suites = query.totals_by_variant(db, run)
    if len(suites) > 1:
        for totals in suites:
            _suite(xml, _about_variant(run, totals), query.results(db, run, totals.variant))
    else:
        _suite(xml, _about_run(run), query.results(db, run))
    xml.endElement("testsuites")
    xml.endDocument()
    file.write(b"\n")


def _suite(xml: XMLGenerator, about: Mapping[str, object], results: Iterable[ResultDetails]) -> None:
    xml.startElement("testsuite", _attributes(about))
    for details in results:
        outcome, teardown = outcome_element(details), teardown_element(details)
        if teardown is not None and details.result.outcome == "failed":
            # Where the test and its teardown failed, pytest writes two cases; the output is in the last one.
            _case(xml, details, [outcome], with_output=False)
            _case(xml, details, [teardown], with_output=True)
        else:  # where setup and teardown failed, it writes two elements
            _case(xml, details, [outcome, teardown], with_output=True)
    xml.endElement("testsuite")


def _about_run(run: Run) -> dict[str, object]:
    about = {"name": run.what, "timestamp": run.started, "time": f"{run.duration or 0:.3f}", "hostname": run.host or ""}
    counts = {**run.counts, "error": run.counts.get("errors", 0), "errors": 0}  # the word of a result is `error`
    return {**about, **_numbers(counts, run.teardown_errors)}


def _about_variant(run: Run, totals: VariantTotals) -> dict[str, object]:
    name = query.with_variant(run.what, totals.variant)
    about = {"name": name, "timestamp": totals.started, "time": f"{totals.duration:.3f}", "hostname": run.host or ""}
    return {**about, **_numbers(totals.counts, totals.teardown_errors)}


def _numbers(counts: Mapping[str, int], teardown_errors: int) -> dict[str, int]:
    """Return the numbers of a suite as pytest counts them, from the numbers of tests by outcome."""
    return {
        "tests": sum(counts.values()) + teardown_errors,
        "failures": counts.get("failed", 0),
        "errors": sum(counts.get(name, 0) for name in ("error", "crashed", "unfinished")) + teardown_errors,
        "skipped": sum(counts.get(name, 0) for name in ("skipped", "xfailed", "quarantined")),
    }


def _case(
    xml: XMLGenerator, details: ResultDetails, outcomes: Iterable[OutcomeElement | None], *, with_output: bool
) -> None:
    xml.characters("\n")
    xml.startElement("testcase", _attributes(_about(details.result)))
    _properties(xml, details.evidence)
    for outcome in outcomes:
        if outcome is not None:
            _element(xml, *outcome)
    if with_output:
        for tag, text in output_elements(details.evidence).items():
            _element(xml, tag, {}, text)
    xml.endElement("testcase")


def _about(result: Result) -> dict[str, str]:
    """Return the attributes of a case: the names that pytest gives it, and its duration."""
    path, _, rest = result.test.partition("::")
    bare, bracket, parameters = rest.partition("[")  # a parameter may contain `::`
    *classes, name = bare.split("::")
    module = path.removesuffix(".py").replace("/", ".")
    # A module that could not be collected has no test name, and pytest then names the case after the module.
    classname = ".".join([module, *classes]) if name else ""
    names = {"classname": classname, "name": name + bracket + parameters if name else module}
    return {**names, "time": f"{result.duration or 0:.3f}"}


def _properties(xml: XMLGenerator, evidence: Evidence) -> None:
    found: list[Any] = list(evidence.properties)  # whatever a program has written into its journal
    pairs = [pair for pair in found if isinstance(pair, list) and len(pair) == 2]
    if not pairs:
        return
    xml.startElement("properties", _attributes({}))
    for name, value in pairs:
        _element(xml, "property", {"name": name, "value": value}, "")
    xml.endElement("properties")


def _element(xml: XMLGenerator, tag: str, attributes: Mapping[str, object], text: str) -> None:
    xml.startElement(tag, _attributes(attributes))
    if text:
        xml.characters(_clean(text))
    xml.endElement(tag)


def _attributes(values: Mapping[str, object]) -> AttributesImpl[str]:
    return AttributesImpl({name: _clean(str(value)) for name, value in values.items()})


def _clean(text: str) -> str:
    """Return a text without characters that XML forbids. Lines stay lines, and tabs stay tabs."""
    return "\t".join(map(neutral_lines, text.split("\t"))).translate(_NOT_IN_XML)
