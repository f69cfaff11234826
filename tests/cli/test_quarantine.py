"""`swarmtask quarantine`, with the history of real sessions."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.history.made import run
from tests.lab import Lab
from tests.shop import swarmtask

TODAY = datetime.now(timezone.utc).date()
LATER = TODAY + timedelta(days=30)


@pytest.fixture
def team(lone: Lab) -> Lab:
    """A project with a history of 22 runs: one test passes, one is flaky, one has failed now and then long ago."""
    journal = lone.root / ".taskmaster" / "events"
    for number in range(22):
        tests = {
            "a.py::test_good": "passed",
            "a.py::test_flaky": "failed" if number % 5 == 3 else "passed",
            "a.py::test_mended": "failed" if number == 1 else "passed",
        }
        run(journal, number + 1, tests, branch="main", commit=f"c{number}", dirty=False)
    return lone


def quarantine(project: Lab, *arguments: str, code: int = 0, **environ: str) -> str:
    """Return the output of `swarmtask quarantine`, which must end with this exit code."""
    done = swarmtask(project.root, "quarantine", *arguments, **environ)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def file_of(project: Lab) -> Path:
    """Return the path of the project's file."""
    return project.root / ".taskmaster" / "quarantine.yaml"


def test_from_suggestion_to_release(team: Lab) -> None:
    """A flaky test is suggested with a command; that adds it; it is listed, and released when it passes."""
    suggested = quarantine(team, "suggest")
    assert suggested.splitlines()[0] == "1 flaky test not in quarantine"
    assert "swarmtask quarantine add a.py::test_flaky --reason 'flaky: failed now and then on one branch'" in suggested

    added = quarantine(team, "add", "a.py::test_flaky", "--reason", "flaky: now and then", "--owner", "@anna")
    assert added == f"quarantined a.py::test_flaky until {LATER}: .taskmaster/quarantine.yaml:3\n"
    assert quarantine(team, "suggest") == "No flaky test is left outside of quarantine.\n"
    quarantine(team, "add", "a.py::test_m*", "--reason", "r", "--owner", "o", "--issue", "#1", "--days", "0")
    assert quarantine(team, "list").splitlines() == [
        "2 entries in quarantine",
        f"  a.py::test_flaky  flaky: now and then (until {LATER}, @anna)",
        "    30 days left; last results: 4 of 20 failed",
        f"  a.py::test_m*  r (until {TODAY}, o, #1)",
        "    today is the last day; 20 passes in a row: release it",
    ]

    assert quarantine(team, "release", "--passing") == "released a.py::test_m*\n"
    assert quarantine(team, "release", "--passing") == "No quarantined test passed 20 times in a row.\n"
    quarantine(team, "release", "a.py::test_flaky")
    assert quarantine(team, "list") == "No test is quarantined.\n"


def test_check_names_each_problem(team: Lab) -> None:
    """Entries that are invalid, expired, unknown or without an owner are named with their lines, as CI wants them."""
    lines = [
        "tests:",
        f"- {{test: a.py::test_good, reason: r, until: {LATER}}}",
        f"- {{test: a.py::test_gone, reason: r, until: {LATER}, owner: o}}",
        f"- {{test: a.py::test_flaky, reason: r, until: {TODAY - timedelta(days=1)}, owner: o}}",
        "- {test: a.py::test_flaky, reason: r, until: soon, owner: o}",
        f"- {{test: a.py::test_mended, reason: 100 %, until: {LATER}, owner: o}}",
    ]
    team.file(".taskmaster/quarantine.yaml", "\n".join(lines))
    expected = [
        (2, "a.py::test_good: has no owner"),
        (3, "a.py::test_gone: no such test is in the last complete run: correct the entry, or release it"),
        (4, f"a.py::test_flaky: expired on {TODAY - timedelta(days=1)}, and counts again: mend it, or extend until"),
        (5, "tests[3].until: found soon, expected a date such as 2026-12-31"),
    ]

    shown = quarantine(team, "check", code=1)
    assert shown.splitlines() == [f".taskmaster/quarantine.yaml:{line}: {text}" for line, text in expected]
    annotations = quarantine(team, "check", code=1, GITHUB_ACTIONS="true", GITHUB_WORKSPACE=str(team.root.parent))
    file = f"{team.root.name}/.taskmaster/quarantine.yaml"
    assert annotations.splitlines() == [
        f"::error file={file},line={line},title=quarantine::{text}" for line, text in expected
    ]
    found = json.loads(quarantine(team, "check", "--json", code=1))["findings"]
    assert [finding["line"] for finding in found] == [2, 3, 4, 5]


def test_check_is_content_with_right_entries(team: Lab) -> None:
    """Also without a history, in which no test can be missing."""
    quarantine(team, "add", "a.py::test_good", "--reason", "r", "--owner", "o")
    assert quarantine(team, "check") == "1 entry in order\n"
    assert json.loads(quarantine(team, "check", "--json")) == {"findings": []}


def test_without_a_history(lone: Lab) -> None:
    """Entries can be made, listed and checked before anything has run."""
    quarantine(lone, "add", "a.py::test_a", "--reason", "r", "--owner", "o", "--variant", "linux-*")
    (listed,) = json.loads(quarantine(lone, "list", "--json"))["tests"]
    facts = {"test": "a.py::test_a", "variant": "linux-*", "results": 0, "days_left": 30, "is_passing": False}
    assert listed.items() >= facts.items()
    assert "no result yet" in quarantine(lone, "list")
    quarantine(lone, "check")
    assert quarantine(lone, "suggest") == "No flaky test is left outside of quarantine.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "t", "--reason", "r", "--owner", "o", "--days", "91"), "expected a date up to"),
        (("add", "t", "--reason", " ", "--owner", "o"), "tests[0].reason: found nothing, expected text on one line"),
        (("add", "t", "--reason", "r", "--owner", "o", "--until", "soon"), "'soon' is not a date such as"),
        (("add", "t", "--reason", "r"), "--owner"),
        (("release",), "name the tests to release, or give --passing"),
        (("release", "a"), "a is not quarantined"),
    ],
)
def test_wrong_usage(lone: Lab, arguments: tuple[str, ...], message: str) -> None:
    """An entry that would not be applied is not written."""
    assert message in quarantine(lone, *arguments, code=2)
    assert not file_of(lone).exists()


def test_no_entry_twice(lone: Lab) -> None:
    """The same test under the same variant is refused with the line of the other entry."""
    command = ("add", "t", "--reason", "r", "--owner", "o")
    quarantine(lone, *command)
    before = file_of(lone).read_bytes()
    assert "t is quarantined already: .taskmaster/quarantine.yaml:3" in quarantine(lone, *command, code=2)
    assert file_of(lone).read_bytes() == before
    quarantine(lone, *command, "--variant", "linux")
