"""All forms of `swarmtask report` and `tests` agree with pytest, and no text in them controls a terminal."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.history.made import Process, rows, run, take_in
from tests.lab import clean_environ
from tests.shop import Shop, on_terminal, swarmtask
from tests.suite import Suite

COLUMNS = ("passed", "failed", "errors", "crashed", "skipped", "xfailed", "xpassed")
OUTCOME_OF = {"errors": "error"}


def report(shop: Shop, *arguments: str) -> dict[str, Any]:
    """Return the object that `report --json` prints."""
    done = shop.swarmtask("report", "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_all_agree_with_pytest(shop: Shop) -> None:
    """Session, JUnit XML, JSON, SQL and text have the same counts for each run."""
    shown = report(shop)["trend"]
    assert len(shown) == len(shop.sessions)
    take_in(shop.journal)  # where a server was asked, nothing has
    stored = rows(shop.journal, f"SELECT run, {', '.join(COLUMNS)} FROM runs")
    by_run = {row[0]: {name: count for name, count in zip(COLUMNS, row[1:], strict=True) if count} for row in stored}
    for session, told in zip(shop.sessions, shown, strict=True):
        counts = Counter(session.outcomes().values())
        assert told["run"] == session.start["trace_id"]
        assert {OUTCOME_OF.get(name, name): count for name, count in told["counts"].items()} == counts
        assert by_run[told["run"]] == told["counts"]
        assert told["tests"] == sum(counts.values())
        assert told["outcome"] == ("failed" if session.exit_code else "completed")
        text = shop.swarmtask("report", "--run", told["run"][:9]).stdout
        totals = next(line for line in text.splitlines() if line.startswith(f"{told['tests']} tests: "))
        assert all(f"{count} {outcome}" in totals for outcome, count in counts.items())


def test_junit_is_as_pytest_writes_it(shop: Shop) -> None:
    """Our JUnit XML has the same cases and results as pytest's, for every kind of result."""
    last = ET.parse(shop.sessions[-1].junit).getroot()
    done = shop.swarmtask("report", "--junit")
    assert done.returncode == 0
    ours = ET.fromstring(done.stdout)

    def cases(root: ET.Element) -> list[tuple[str | None, str | None, list[str]]]:
        found = [(c.get("classname"), c.get("name"), [child.tag for child in c]) for c in root.iter("testcase")]
        return sorted(found, key=repr)

    assert cases(ours) == cases(last)
    (suite,), (other,) = ours.iter("testsuite"), last.iter("testsuite")
    for name in ("failures", "errors", "skipped"):  # the number `tests` differs between versions of pytest
        assert suite.get(name) == other.get(name), name


def test_the_report_of_a_run(shop: Shop) -> None:
    """A report shows failures with message, place and streak, slow tests, and the trend."""
    text = shop.swarmtask("report").stdout
    lines = [line.rstrip() for line in text.splitlines()]
    assert lines[0].endswith("  pytest_run  failed")
    assert ", main at " in lines[1]
    at = lines.index("  test_shop.py::test_total  failed")
    assert lines[at + 1] == "    assert 4 == 3"
    assert lines[at + 3].startswith("    test_shop.py:12, since ")
    assert lines[at + 3].endswith(", 3 runs in a row")
    at = lines.index("  test_shop.py::test_db  failed")
    assert lines[at + 1 : at + 3] == ["    AssertionError: first line", "      second line"]
    assert "    in teardown: RuntimeError: connection lost" in lines
    assert any(line.endswith("new: it passed before") for line in lines)
    assert lines[lines.index("Slowest") + 1].startswith("     0.4")
    assert "usually 0.0" in lines[lines.index("Slowest") + 1]
    at = lines.index("The last 5 runs of pytest_run")
    assert lines[at + 1] == "  outcome   ..FFF"
    assert lines[at + 2] == "  failed    ▁▁▅██  2"
    assert not [line for line in text.splitlines() if line != line.rstrip()], "spaces at the end of a piped line"


def test_flaky_tests(shop: Shop) -> None:
    """A test is flaky if it passed only on rerun, or if it failed and passed on one commit."""
    found = {test["test"].partition("::")[2]: test["why"] for test in report(shop)["flaky"]}
    assert found == {
        "test_flaky": "passed when repeated",
        "test_crash": "passed and failed on one commit",
        "test_db": "passed and failed on one commit",
    }
    take_in(shop.journal)
    stored = rows(shop.journal, "SELECT DISTINCT test, why FROM flaky")
    assert {test.partition("::")[2]: why for test, why in stored} == found


def test_changes_that_are_not_committed_make_nothing_flaky(journal: Path) -> None:
    """With uncommitted changes, a test that fails and passes on one commit is not flaky."""
    for number, (outcome, dirty) in enumerate([("passed", False), ("failed", True), ("passed", True)]):
        run(journal, number, {"test_a": outcome}, commit="c0ffee", dirty=dirty)
    take_in(journal)
    assert rows(journal, "SELECT count(*) FROM flaky") == [(0,)]
    run(journal, 4, {"test_a": "failed"}, commit="c0ffee", dirty=False)
    take_in(journal)
    assert rows(journal, "SELECT test, why FROM flaky") == [("test_a", "passed and failed on one commit")]


def test_choosing_a_run(shop: Shop) -> None:
    first = shop.sessions[0].start["trace_id"]
    assert report(shop, "--run", first[:12].upper())["run"]["run"] == first
    assert report(shop, "--branch", "main", "--since", "1d", "--last", "2")["trend"][-1]["run"] != first
    assert report(shop, "--last", "--since", "2020-01-31")["run"]["run"] == shop.sessions[-1].start["trace_id"]
    assert report(shop, "--branch", "elsewhere") == {"run": None}
    done = shop.swarmtask("report", "--branch", "elsewhere", "--since", "2100-01-01T00:00Z")
    last = shop.sessions[-1].start["trace_id"]
    filters = "--branch elsewhere --since 2100-01-01T00:00:00.000Z"
    assert done.stdout.startswith(f"No run matches {filters}. Latest run: {last[:12]} of 20")
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run", "zzz"], "no run begins with 'zzz'; the last ones are "),
        (["--run", ""], "several runs begin with ''"),
        (["--compare", "zzz"], "no run begins with 'zzz'"),
        (["--since", "soon"], "'soon' is no time: expected a date such as 2026-01-31, or how long ago, as 12h or 7d"),
        (["--last", "none"], "'none' is not a number of runs"),
        (["--json", "--markdown"], "not allowed with argument"),
        (["--root", "nowhere"], "--root nowhere: there is no such folder"),
    ],
)
def test_bad_usage(shop: Shop, arguments: list[str], message: str) -> None:
    """A usage error exits with 2 and a helpful message."""
    done = shop.swarmtask("report", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_comparing_runs(shop: Shop) -> None:
    runs = [session.start["trace_id"] for session in shop.sessions]
    found = report(shop, "--run", runs[4], "--compare", runs[3])["comparison"]
    assert found["other"]["run"] == runs[3]
    assert [name.partition("::")[2] for name in found["failing"]] == ["test_db"]
    assert [name.partition("::")[2] for name in found["fixed"]] == ["test_crash"]
    assert [name.partition("::")[2] for name in found["still"]] == ["test_total"]
    assert [name.partition("::")[2] for name, _, _ in found["slower"]] == ["TestCart::test_add"]
    text = shop.swarmtask("report", "--run", runs[4], "--compare", runs[3]).stdout
    assert "  newly failing (1)\n    test_shop.py::test_db\n  fixed (1)\n    test_shop.py::test_crash\n" in text
    same = shop.swarmtask("report", "--run", runs[0], "--compare", runs[0]).stdout
    assert "  no difference\n" in same


def test_the_history_of_a_test(shop: Shop) -> None:
    done = shop.swarmtask("tests", "test_total")
    lines = done.stdout.splitlines()
    assert lines[0] == "test_shop.py::test_total"
    assert lines[1] == "  5 results: 3 failed, 2 passed"
    assert lines[3].startswith("  failing: since ")
    assert lines[3].endswith(", 3 runs in a row")
    assert ["failed" in line for line in lines[5:]] == [True] * 3 + [False] * 2
    found = json.loads(shop.swarmtask("tests", "test_shop.py::test_flaky", "--json", "--last", "4").stdout)
    assert [(result["outcome"], result["attempt"]) for result in found["results"]][-1] == ("passed", 2)
    assert len(found["results"]) == 4
    done = shop.swarmtask("tests", "test_total", "--branch", "elsewhere")
    assert (done.returncode, done.stdout) == (0, "No run of test_shop.py::test_total matches --branch elsewhere.\n")


def test_a_test_that_is_not_named_well(shop: Shop) -> None:
    done = shop.swarmtask("tests", "test_")
    assert done.returncode == 2
    assert "several tests contain 'test_', among them\n  test_shop.py::TestCart::test_add\n" in done.stderr
    assert done.stderr.count("test_shop.py::test_many") == 1, "a function is named once, not each of its parameters"
    done = shop.swarmtask("tests", "nothing_like_it")
    assert (done.returncode, done.stderr) == (
        2,
        "swarmtask: no test is known whose node id contains 'nothing_like_it'\n",
    )


def test_markdown(shop: Shop) -> None:
    """The Markdown report has tables for people, and every name and message in them is plain text."""
    text = shop.swarmtask("report", "--markdown").stdout
    assert (
        "| <code>test_shop.py::test_total</code> | <code>assert 4 == 3</code> | <code>test_shop.py:12</code> |" in text
    )
    assert "TestCart" in text


# -- terminals -----------------------------------------------------------------------------------------------------

HOSTILE = "tests/test_a.py::test_it[\x1b[31mred\x1b]0;title\x07\u202eevil\n\r\x9b2J<script>alert(1)</script>|`]"


@pytest.fixture
def hostile(journal: Path) -> Path:
    """A project whose names and messages attempt every kind of injection."""
    process = Process(journal, "f" * 32)
    events = process.session({HOSTILE: "failed", "x" * 10_000: "failed"}, branch="\x1b[2J", commit="\x07" * 40)
    events[2].metadata |= {"error": f"{HOSTILE}\n[bold]markup[/bold]\n" * 50, "location": HOSTILE}
    process.write(events)
    return journal.parents[1]


@pytest.mark.parametrize(
    "arguments",
    [["report"], ["report", "--markdown"], ["report", "--junit"], ["tests", "test_it"], ["tests", "x"], ["status"]],
    ids=" ".join,
)
def test_nothing_steers_the_terminal(hostile: Path, arguments: list[str]) -> None:
    done = swarmtask(hostile, *arguments)
    assert done.returncode == 0, done.stderr
    bad = {character for character in done.stdout if not character.isprintable() and character != "\n"}
    assert not bad
    if "--junit" in arguments:
        ET.fromstring(done.stdout)
    elif "--markdown" in arguments:
        assert "<script>" not in done.stdout
    else:
        assert "test_it[" in done.stdout or "xxx" in done.stdout


@pytest.mark.parametrize("columns", [30, 80, 120])
def test_narrow_terminals(shop: Shop, columns: int) -> None:
    """No line is wider than the terminal, but for a command to be copied, and no content is lost."""
    lines = on_terminal(shop.suite.root, columns, "report", NO_COLOR="1").splitlines()
    commands = [line for line in shop.swarmtask("report").stdout.splitlines() if line.startswith("  again: ")]
    assert len(commands[0]) > 30
    assert [line for line in lines if line.startswith("  again: ")] == commands
    assert max(len(line) for line in lines if line not in commands) <= columns
    assert "test_shop.py::test_total" in "".join(line.strip() for line in lines)


def test_colours_only_where_they_are_wanted(shop: Shop) -> None:
    colour = re.compile(r"\x1b\[(?:[0-9;]*;)?[34][0-7]")
    assert colour.search(on_terminal(shop.suite.root, 80, "report"))
    assert not colour.search(on_terminal(shop.suite.root, 80, "report", NO_COLOR="1"))
    assert "\x1b[" not in shop.swarmtask("report").stdout


def test_without_unicode(shop: Shop) -> None:
    """On an output with ASCII only, the report uses ASCII only and raises no error."""
    done = shop.swarmtask("report", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, "")
    assert "  failed    __=##  2" in done.stdout
    assert done.stdout.isascii()


@pytest.mark.parametrize("command", [["export", "--jsonl"], ["report"]], ids=["export", "report"])
def test_a_pipe_that_closes(shop: Shop, command: list[str]) -> None:
    """A command whose output is closed early, as in `export --jsonl | head`, exits with 0 and prints no error."""
    export = [sys.executable, "-m", "pytest_swarmtask", *command]
    with subprocess.Popen(export, cwd=shop.suite.root, env=clean_environ(), stdout=-1, stderr=-1) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 0


# -- export --------------------------------------------------------------------------------------------------------


def test_export(shop: Shop) -> None:
    """`export` prints the lines of the journal unchanged, or as a table."""
    lines = shop.swarmtask("export", "--jsonl").stdout.splitlines()
    assert sorted(lines) == sorted(
        line for path in shop.journal.glob("*.jsonl") for line in path.read_text("utf-8").splitlines()
    )
    table = list(csv.DictReader(shop.swarmtask("export", "--csv").stdout.splitlines()))
    events = [json.loads(line) for line in lines]
    assert [(row["id"], row["event_type"], row["task_id"]) for row in table] == [
        (event["id"], event["event_type"], event["task_id"]) for event in events
    ]
    assert json.loads(table[0]["metadata"]) == events[0]["metadata"]


# -- killed sessions -----------------------------------------------------------------------------------------------


def test_a_session_that_was_killed(project: Suite) -> None:
    """The next reader closes the spans of a killed session, and the report shows the crash."""
    project.write(test_it="import os\ndef test_ok(): pass\ndef test_bad(): os.kill(os.getpid(), 9)\n")
    project.pytest()
    lines = swarmtask(project.root, "report").stdout.splitlines()
    assert lines[0].endswith("pytest_run  failed")
    assert "2 tests, a part of the suite: 1 passed, 1 crashed" in lines
    assert "  test_it.py::test_bad  crashed" in lines
