"""JUnit XML has everything that pytest writes there: tracebacks, reasons, output and properties."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tests.history.made import BASE, Process
from tests.shop import swarmtask

LOG = " Captured Log ".center(80, "-")
OUT = " Captured Out ".center(80, "-")
ERR = " Captured Err ".center(80, "-")


def exported(root: Path) -> ET.Element:
    """Return the root of the JUnit XML of the last run."""
    done = swarmtask(root, "report", "--junit")
    assert (done.returncode, done.stderr) == (0, "")
    return ET.fromstring(done.stdout)


def cases(journal: Path, outcome: str, **facts: Any) -> list[ET.Element]:
    """Write a run with one test that ended so, and return its test cases."""
    process = Process(journal, "1" * 32)
    ending = {"skipped": "skipped", "xfailed": "skipped"}.get(outcome, "failed")
    events = process.session({"tests/test_a.py::test_a": ending})
    events[2].metadata = {"outcome": outcome, **facts}
    process.write(events)
    return list(exported(journal.parents[1]).iter("testcase"))


def told(case: ET.Element) -> list[tuple[str, str, str]]:
    """Return tag, message and text of each element of a case."""
    return [(element.tag, element.get("message", ""), element.text or "") for element in case]


@pytest.mark.parametrize(
    ("outcome", "facts", "expected"),
    [
        ("failed", {"phase": "call", "error": "assert 0", "traceback": "E   assert 0"}, ("assert 0", "E   assert 0")),
        ("failed", {"phase": "call", "error": "assert 0", "location": "a.py:3"}, ("assert 0", "a.py:3")),
        (
            "error",
            {"phase": "setup", "error": "OSError: no", "traceback": "E   OSError: no"},
            ('failed on setup with "OSError: no"', "E   OSError: no"),
        ),
        (
            "error",
            {"phase": "teardown", "error": "OSError: no", "location": "a.py:3"},
            ('failed on teardown with "OSError: no"', "a.py:3"),
        ),
        ("error", {"phase": "collect", "error": "no module"}, ("collection failure", "no module")),
        ("error", {"phase": "collect", "error": "no", "traceback": "E  no"}, ("collection failure", "E  no")),
        ("crashed", {"phase": "call", "error": "worker gw0 crashed"}, ("worker gw0 crashed", "")),
        (
            "skipped",
            {"phase": "setup", "error": "no network", "location": "a.py:3"},
            ("no network", "a.py:3: no network"),
        ),
        ("skipped", {"phase": "collect", "error": "no", "location": "a.py:3"}, ("collection skipped", "a.py:3: no")),
        ("xfailed", {"phase": "call", "error": "a bug", "location": "a.py:3"}, ("a bug", "")),
    ],
)
def test_how_a_test_ended(journal: Path, outcome: str, facts: dict[str, Any], expected: tuple[str, str]) -> None:
    (case,) = cases(journal, outcome, **facts)
    tag = {"failed": "failure", "skipped": "skipped", "xfailed": "skipped"}.get(outcome, "error")
    assert told(case) == [(tag, *expected)]
    kind = {"xfailed": "pytest.xfail", "skipped": "pytest.skip"}.get(outcome)
    assert case[0].get("type") == (None if facts["phase"] == "collect" else kind)


def test_output_and_properties(journal: Path) -> None:
    """The elements stand in the order of the schema, and output has pytest's headings."""
    properties = [["ticket", "SHOP-7"], ["ok", True], ["none", None], ["n", 2.5]]
    (case,) = cases(journal, "failed", error="no", stdout="one\n\ttwo", log="logged", properties=properties)
    assert told(case)[1:] == [
        ("failure", "no", ""),
        ("system-out", "", f"{LOG}\nlogged\n{OUT}\none\n\ttwo\n"),
        ("system-err", "", f"{ERR}\n\n"),
    ]
    assert case[0].tag == "properties"
    pairs = [(each.get("name"), each.get("value")) for each in case[0]]
    assert pairs == [("ticket", "SHOP-7"), ("ok", "True"), ("none", "None"), ("n", "2.5")]


def test_a_teardown_that_failed_too(journal: Path) -> None:
    """There are two cases, as pytest writes them, and the output is in the second."""
    facts = {"error": "assert 0", "traceback": "E  assert 0", "stdout": "out"}
    first, second = cases(
        journal, "failed", **facts, teardown_error="OSError: gone", teardown_traceback="E   OSError: gone"
    )
    assert told(first) == [("failure", "assert 0", "E  assert 0")]
    assert told(second)[0] == ("error", 'failed on teardown with "OSError: gone"', "E   OSError: gone")
    assert [element.tag for element in second] == ["error", "system-out", "system-err"]


def test_every_text_is_xml(journal: Path) -> None:
    """What XML forbids is written out, and markup is text."""
    hostile = "\x1b[31m]]></failure>\x00\ufffe &amp; <b>\t\u202e"
    facts = dict.fromkeys(("error", "traceback", "stdout", "stderr", "log", "location"), hostile)
    (case,) = cases(journal, "failed", **facts, properties=[[hostile, hostile]])
    assert [element.tag for element in case] == ["properties", "failure", "system-out", "system-err"]
    shown = "\\x1b[31m]]></failure>\\x00\ufffd &amp; <b>\t\\u202e"
    assert told(case)[1] == ("failure", shown, shown)
    assert case[0][0].get("value") == shown


def test_a_suite_for_each_variant(journal: Path) -> None:
    """The tests of two variants have the same names, so each variant has a suite, with its own numbers."""
    for number, (variant, outcome) in enumerate((("py310", "failed"), ("py313", "passed"))):
        process = Process(journal, "1" * 32, BASE + 100 * number)
        process.write(process.session({"test_a.py::test_a": outcome, "test_a.py::test_b": "passed"}, variant=variant))
    suites = list(exported(journal.parents[1]).iter("testsuite"))
    numbers = [[suite.get(name) for name in ("name", "tests", "failures", "errors", "skipped")] for suite in suites]
    assert numbers == [["pytest_run (py310)", "2", "1", "0", "0"], ["pytest_run (py313)", "2", "0", "0", "0"]]
    names = [[(case.get("name"), len(case)) for case in suite] for suite in suites]
    assert names == [[("test_a", 1), ("test_b", 0)], [("test_a", 0), ("test_b", 0)]]
