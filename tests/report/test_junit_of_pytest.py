"""JUnit XML from the history is that of pytest's own `--junit-xml` with `junit_logging=all`, for a real suite."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import xmlschema

from tests.lab import REPOSITORY
from tests.shop import swarmtask
from tests.suite import Suite

MODULE = """
    import logging, sys
    import pytest

    log = logging.getLogger("shop")

    @pytest.fixture
    def noisy():
        print("set up")
        yield

    @pytest.fixture
    def broken():
        print("before", file=sys.stderr)
        raise ConnectionError("refused <&>")

    @pytest.fixture
    def breaks():
        yield
        raise RuntimeError("connection lost")

    def test_good(record_property):
        record_property("ticket", "SHOP-7")
        record_property("ok", True)

    def test_fails(noisy, record_property):
        record_property("seconds", 2.5)
        print("out \\u00fc\\ttab")
        print("err", file=sys.stderr)
        log.warning("logged %s", "<b>")
        assert [1, 2] == [1, 3], "not equal"

    def test_of_several_lines():
        raise ValueError("several\\nlines")

    def test_setup(broken): pass
    def test_teardown(breaks): print("fine")
    def test_setup_and_teardown(breaks, broken): pass
    def test_both(breaks):
        print("printed")
        assert 0

    @pytest.mark.skip(reason="no network")
    def test_skip_mark(): pass
    def test_skip(): pytest.skip("not today")
    @pytest.mark.xfail(reason="a known bug")
    def test_xfail(): assert 0
    @pytest.mark.xfail
    def test_xfail_without_reason(): assert 0
    @pytest.mark.xfail(strict=True, reason="was a bug")
    def test_xpass_strict(): pass
    @pytest.mark.xfail
    def test_xpass(): pass
    @pytest.mark.parametrize("text", ["a::b", "c[d]"])
    def test_parameters(text): assert text == ""

    class TestGroup:
        def test_inside(self): pytest.fail("in words", pytrace=False)
"""
SCHEMA = xmlschema.XMLSchema(REPOSITORY / "tests" / "data" / "junit.xsd")
Told = list[tuple[str, list[tuple[str, str]], str]]


def cases(file: str, root: Path) -> dict[str, list[Told]]:
    """Return what the cases of a file say, by name, with paths below the root relative to it.

    Output that is empty is left out: pytest writes its headings for every test, and an event of a test that has written
    nothing does not mention output.
    """
    found: dict[str, list[Told]] = {}
    for case in ET.fromstring(file.replace(f"{root}/", "")).iter("testcase"):
        output = case.findall("system-out") + case.findall("system-err")
        if not any(has_text(element) for element in output):
            for element in output:
                case.remove(element)
        told = [(element.tag, sorted(element.items()), element.text or "") for element in case.iter()][1:]
        found.setdefault(f"{case.get('classname')}::{case.get('name')}", []).append(told)
    return found


def has_text(output: ET.Element) -> bool:
    """Whether there is more than headings in an element of captured output."""
    return any(line and not line.startswith("---") for line in (output.text or "").splitlines())


def test_a_suite_of_every_outcome(project: Suite) -> None:
    """Names, messages, tracebacks, reasons, properties, and the output up to the failure are the same."""
    project.write(test_it=MODULE, test_broken="import nothing_like_it")
    session = project.pytest("-ojunit_logging=all", "--continue-on-collection-errors")
    exported, written = swarmtask(project.root, "report", "--junit").stdout, session.junit.read_text("utf-8")
    for file in (exported, written):
        SCHEMA.validate(file.replace(' encoding="utf-8"', "", 1))
    ours, theirs = cases(exported, project.root), cases(written, project.root)
    assert len(theirs) == 17
    assert ours == theirs


def test_a_rerun_suite(project: Suite) -> None:
    """The file of a session whose tests were repeated is valid, too, and so is that of a session without tests."""
    project.write(test_it="runs = []\ndef test_flaky():\n    runs.append(1)\n    assert len(runs) > 1")
    for arguments in (["--reruns=1"], ["-k", "nothing"]):
        session = project.pytest("-ojunit_logging=all", "-ojunit_family=xunit2", *arguments)
        exported = swarmtask(project.root, "report", "--junit", "--run", session.start["trace_id"]).stdout
        for file in (exported, session.junit.read_text("utf-8")):
            SCHEMA.validate(file.replace(' encoding="utf-8"', "", 1))


def test_the_schema_refuses_other_files() -> None:
    """Elements in another order or of another name are not valid, so the schema proves something."""
    case = '<testcase classname="a" name="b" time="0.1">{}</testcase>'
    good = "<error message='no'/><error message='no'/><system-out>x</system-out><system-err/>"
    for inside, is_valid in ((good, True), ("<system-out/><error/>", False), ("<failed/>", False), ("text", False)):
        suite = f'<testsuites><testsuite name="a" tests="1">{case.format(inside)}</testsuite></testsuites>'
        assert SCHEMA.is_valid(suite) is is_valid, inside
