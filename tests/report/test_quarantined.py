"""Reports on a real run with tests in quarantine: they are listed on their own, and not among the failures."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.shop import swarmtask, without_slowest
from tests.suite import Session, Suite

LATER = datetime.now(timezone.utc).date() + timedelta(days=9)
WHY = f"it races (until {LATER}, @ada, #12)"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[Suite, Session, str]:
    """A run in which one test passes, one fails, and one fails in quarantine; and its summary on GitHub."""
    suite = Suite(tmp_path_factory.mktemp("quarantined"))
    suite.write(test_a="def test_good(): pass\ndef test_bad(): assert 0\ndef test_racing(): assert 1 == 2, 'raced'\n")
    entry = f"tests:\n- {{test: '*racing', reason: it races, until: {LATER}, owner: '@ada', issue: '#12'}}\n"
    suite.file(".taskmaster/quarantine.yaml", entry)
    summary = suite.root / "summary.md"
    return suite, suite.pytest(GITHUB_STEP_SUMMARY=str(summary)), summary.read_text("utf-8")


def report(root: Path, *options: str) -> str:
    """Return what `swarmtask report` prints."""
    done = swarmtask(root, "report", *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_each_form_lists_it_on_its_own(session: tuple[Suite, Session, str]) -> None:
    """Text, Markdown, HTML and the summary of a session name the test, why, and until when."""
    suite, _, summary = session
    text = report(suite.root)
    assert "3 tests: 1 passed, 1 failed, 1 quarantined" in text
    assert f"Quarantined (1)\n  test_a.py::test_racing  {WHY}\n    AssertionError: raced" in text
    assert without_slowest(text).count("test_racing") == 1
    markdown = report(suite.root, "--markdown")
    escaped = WHY.replace("#", "&#35;").replace("@", "&#64;")
    assert f"| <code>test_a.py::test_racing</code> | {escaped} |" in markdown
    page = report(suite.root, "--html", "-").replace("<wbr>", "")  # where a browser may break a name
    section = page.partition('<section id="quarantined"')[2].partition("</section>")[0]
    assert "test_racing" in section
    assert WHY in section
    assert "test_racing" not in page.partition('<section id="failures"')[2].partition("</section>")[0]
    assert f"quarantined: it races (until {LATER}, &#35;12)" in summary
    assert "| tests | passed | failed | quarantined |" in summary


def test_the_object_has_it_apart(session: tuple[Suite, Session, str]) -> None:
    """`report --json` has what the file says; the failures are the other ones."""
    suite, _, _ = session
    found = json.loads(report(suite.root, "--json"))
    (test,) = found["quarantined"]
    assert (test["test"], test["reason"], test["until"]) == ("test_a.py::test_racing", "it races", str(LATER))
    assert (test["owner"], test["issue"], found["quarantined_total"]) == ("@ada", "#12", 1)
    assert [failure["task_id"] for failure in found["failures"]] == ["test_a.py::test_bad"]
    assert found["run"]["counts"] == {"passed": 1, "failed": 1, "quarantined": 1}


def test_junit_is_that_of_pytest(session: tuple[Suite, Session, str]) -> None:
    """Both have one skipped test, with the same words."""
    suite, ran, _ = session
    ours = ET.fromstring(report(suite.root, "--junit"))
    pytests = ET.parse(ran.junit).getroot()
    (skipped,), (expected,) = ours.iter("skipped"), pytests.iter("skipped")
    assert skipped.attrib == expected.attrib
    names = ("tests", "failures", "errors", "skipped")
    assert [ours[0].attrib[name] for name in names] == [pytests[0].attrib[name] for name in names]
