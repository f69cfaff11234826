"""Every form of a report shows the failed attempts of tests that passed when they were repeated."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.history.made import BASE, Process
from tests.report.test_evidence import HOSTILE
from tests.shop import swarmtask
from tests.suite import Suite

MODULE = """
    runs = []

    def test_flaky():
        runs.append(1)
        print("run", len(runs))
        assert len(runs) > 2, "the queue is slow\\nand full"

    def test_good(): pass
"""
ATTEMPT = {"outcome": "failed", "phase": "call", "error": "assert 0\nmore", "location": "t.py:3", "traceback": "E  no"}
TRACES = ("a" * 32, "b" * 32)


def write(journal: Path, number: int, tests: dict[str, dict[str, Any]], ending: str = "passed", **facts: Any) -> None:
    """Write a session whose tests have all ended so, with this metadata."""
    process = Process(journal, facts.pop("trace_id", f"{number:032x}"), BASE + number * 1000)
    events = process.session(dict.fromkeys(tests, ending), **facts)
    for event in events[2:-1:2]:
        event.metadata.update(tests[event.task_id or ""])
    process.write(events)


@pytest.fixture
def two_attempts(journal: Path) -> Path:
    """A project whose last run has two attempts at a job on GitHub; its test failed in the first one."""
    job = {"ci_run": "https://github.com o/r 7", "ci_job": "test"}
    write(journal, 1, {"test_a": ATTEMPT}, "failed", trace_id=TRACES[0], ci_job_run="1", **job)
    write(journal, 2, {"test_a": {}}, trace_id=TRACES[1], ci_job_run="2", **job)
    return journal.parents[1]


def shown(root: Path, *arguments: str) -> str:
    """Return what a command prints."""
    done = swarmtask(root, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_real_session(project: Suite) -> None:
    """The last failed attempt is shown at once, and all of them with their texts where that is asked for."""
    project.write(test_it=MODULE)
    assert project.pytest("--reruns=3").exit_code == 0
    text = shown(project.root, "report")
    assert (
        "\nPassed when repeated (1)\n"
        "  test_it.py::test_flaky  3 attempts\n"
        "    AssertionError: the queue is slow\n"
        "    test_it.py:7\n"
        "  --full shows more: traceback, captured stdout\n"
    ) in text
    full = shown(project.root, "report", "--full")
    page, markdown = (shown(project.root, "report", *form) for form in (["--html", "-"], ["--markdown", "--full"]))
    test = shown(project.root, "tests", "test_flaky", "--full")
    for each in (full, page, markdown, test):
        assert unescape(each).count("earlier attempt: failed") == 2
        assert unescape(each).count("E       AssertionError: the queue is slow") == 2
        assert "run 1\n" in each or "run 1<" in each
    assert "--full shows" not in full
    assert re.search(
        r"^test_it.py::test_flaky under \S+, passed when repeated in run \w+ of .*, 3 attempts$", test, re.MULTILINE
    )
    (told,) = json.loads(shown(project.root, "report", "--json"))["repeated"]
    assert [attempt["stdout"] for attempt in told["attempts"]] == ["run 1\n", "run 2\n"]


def test_attempts_of_a_job(two_attempts: Path) -> None:
    """The superseded failure is shown as an attempt, and the head lists the attempts at the run."""
    for trace_id in TRACES:
        text = shown(two_attempts, "report", "--full", "--run", trace_id[:8])
        assert f"\n  2 attempts: {'a' * 12}, {'b' * 12}\n" in text
        assert "\n1 test: 1 passed\n1 result of earlier attempts superseded\n" in text
        assert (
            "\nPassed when repeated (1)\n  test_a  2 attempts\n    earlier attempt: failed, 0.50 s\n"
            "      assert 0\n      more\n      t.py:3\n      traceback\n        E  no\n"
        ) in text
    report = json.loads(shown(two_attempts, "report", "--json"))
    assert report["run"]["traces"] == list(TRACES)
    assert report["repeated_total"] == 1
    assert report["repeated"] == [
        {"test": "test_a", "variant": "", "outcome": "passed", "attempts_total": 2,
         "attempts": [{"duration": 0.5, **ATTEMPT}]}
    ]  # fmt: skip
    assert f"2 attempts: {'a' * 12}, {'b' * 12}" in shown(two_attempts, "report", "--html", "-")
    markdown = shown(two_attempts, "report", "--markdown")
    assert f"\n\n2 attempts: {'a' * 12}, {'b' * 12}\n\n" in markdown
    assert "| <code>test_a</code> | 2 | <code>assert 0</code> | <code>t.py:3</code> |" in markdown
    assert "attempt 1" not in shown(two_attempts, "tests", "test_a")
    assert "passed when repeated in run aaaaaaaaaaaa of" in shown(two_attempts, "tests", "test_a", "--full")


def test_nothing_was_repeated(journal: Path) -> None:
    """Without such tests there is no section, no link to it, and no line of attempts."""
    write(journal, 1, {"test_a": {}})
    for form in ([], ["--markdown"], ["--html", "-"]):
        text = shown(journal.parents[1], "report", *form)
        assert "when repeated (" not in text
        assert "passed when repeated |" not in text
        assert 'id="repeated"' not in text
        assert "#repeated" not in text
        assert "attempts:" not in text
    assert json.loads(shown(journal.parents[1], "report", "--json"))["repeated"] == []


def test_long_lists(journal: Path) -> None:
    """They are bounded as failures are: 25 in a terminal and in Markdown, 200 on the page, 1000 in JSON."""
    write(journal, 1, {f"test_{n:04}": {"attempt": 2, "attempts": [ATTEMPT]} for n in range(1003)})
    root = journal.parents[1]
    text = shown(root, "report")
    assert "\nPassed when repeated (1003)\n" in text
    assert text.count("  2 attempts\n") == 25
    assert "\n  and 978 more: swarmtask report --json shows up to 1000\n" in text
    assert "\n\nand 978 more" in shown(root, "report", "--markdown")
    page = shown(root, "report", "--html", "-")
    assert page.count('id="evidence-repeated-') == 200
    assert "and 803 more:" in page
    report = json.loads(shown(root, "report", "--json"))
    assert (len(report["repeated"]), report["repeated_total"]) == (1000, 1003)


def test_the_texts_share_the_bounds_of_failures(journal: Path) -> None:
    """Failures come first; Markdown fits into the summary of a job, and the page does not grow without end."""
    long = "E  <&> x\n" * 6000
    write(journal, 1, {f"test_{n}": {"attempt": 2, "attempts": [{**ATTEMPT, "traceback": long}]} for n in range(190)})
    root = journal.parents[1]
    markdown = shown(root, "report", "--markdown", "--full")
    assert len(markdown.encode()) < 1_000_000
    assert 0 < markdown.count("<details>") == 25 - int(markdown.split(" more have a traceback")[0].split()[-1])
    page = shown(root, "report", "--html", "-")
    assert 0 < page.count("<code>swarmtask report --json</code> has these, too.") < 190


@pytest.mark.parametrize("key", ["traceback", "stdout", "error", "outcome", "phase", "location"])
def test_attempts_are_only_text(journal: Path, key: str) -> None:
    """Nothing in a text steers the terminal, ends an element, or makes markup."""
    write(journal, 1, {"test_bad": {"attempt": 2, "attempts": [{"stdout": "x", key: HOSTILE}]}})
    root = journal.parents[1]
    for form in (["report"], ["report", "--full"], ["tests", "test_bad", "--full"]):
        assert "\x1b" not in shown(root, *form)
        assert "\u202e" not in shown(root, *form)
    page, markdown = shown(root, "report", "--html", "-"), shown(root, "report", "--markdown", "--full")
    assert "<script>alert" not in page + markdown
    assert markdown.count("</details>") == markdown.count("<details>") == 1
    assert markdown.count("</pre>") == markdown.count("<pre>")


@pytest.mark.parametrize("attempts", ["x", ["x", None, 7], [{}], [{"outcome": 7, "error": [], "location": {}}], {}])
def test_journals_of_other_programs(journal: Path, attempts: object) -> None:
    """Attempts of another form than ours never stop a report."""
    write(journal, 1, {"test_odd": {"attempt": 2, "attempts": attempts}})
    root = journal.parents[1]
    for form in ([], ["--full"], ["--html", "-"], ["--markdown", "--full"], ["--json"]):
        assert "test_odd" in shown(root, "report", *form)
    assert "test_odd" in shown(root, "tests", "test_odd", "--full")
