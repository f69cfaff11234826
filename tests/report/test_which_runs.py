"""Reports are about the last run with tests, compare runs of the same tests, and tell a part from the whole suite."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.history.made import Process, run, take_in
from tests.lab import WAIT, clean_environ
from tests.report.test_html import page
from tests.shop import swarmtask
from tests.suite import Suite

MODULE = """
    import os
    import pytest

    @pytest.mark.parametrize("n", range(3))
    def test_ok(n): pass
    def test_one(): assert "ONE" not in os.environ, "one is wrong"
    def test_two(): assert "TWO" not in os.environ, "two is wrong"
"""
WRONG = {"ONE": "1", "TWO": "1"}


@pytest.fixture
def suite(project: Suite) -> Suite:
    """A project with two tests that can be made to fail."""
    return project.write(test_it=MODULE)


def report(suite: Suite, *arguments: str) -> dict[str, Any]:
    """Return the object that `report --json` prints."""
    done = swarmtask(suite.root, "report", "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def names(failures: list[dict[str, Any]]) -> list[str]:
    return [failure["task_id"].partition("::")[2] for failure in failures]


def emit(suite: Suite, *arguments: str) -> None:
    command = [sys.executable, "-m", "pytest_swarmtask.emit", *arguments]
    subprocess.run(command, cwd=suite.root, env=clean_environ(), check=True, timeout=WAIT)


class TestTheLastRun:
    def test_other_runs_do_not_hide_the_tests(self, suite: Suite) -> None:
        """One `emit`, a build or a listing after the tests is told, and the tests are still what is shown."""
        session = suite.pytest(ONE="1").start["trace_id"]
        suite.pytest("--collect-only")
        suite.pytest("--no-such-option")
        emit(suite, "DEPLOYMENT_STARTED", "shop")
        suite.pytest("-k", "no_hit")
        found = report(suite)
        assert found["run"]["run"] == session
        assert [other["what"] for other in found["later"]] == ["pytest_run", "shop"]
        assert found["later_total"] == 2
        told = "since then, without tests: pytest_run failed (run "
        text = swarmtask(suite.root, "report").stdout
        assert f"run {session[:12]}  pytest_run  failed" in text
        assert told in text
        assert told in swarmtask(suite.root, "report", "--markdown").stdout
        assert told in page(suite.root).text
        status = swarmtask(suite.root, "status").stdout
        assert f"last run   {session}" in status
        assert told in status
        assert json.loads(swarmtask(suite.root, "status", "--json").stdout)["last_run"]["trace_id"] == session

    def test_watch_names_it_while_nothing_is_running(self, suite: Suite) -> None:
        session = suite.pytest(ONE="1").start["trace_id"]
        emit(suite, "TASK_COMPLETED", "deploy")
        command = [sys.executable, "-m", "pytest_swarmtask", "watch", "--json"]
        with subprocess.Popen(command, cwd=suite.root, env=clean_environ(), stdout=subprocess.PIPE) as watch:
            assert watch.stdout is not None
            lines = (json.loads(line) for line in watch.stdout)
            idle = next(line for line in lines if line["change"] == "idle")
            watch.terminate()
        assert (idle["last"]["run"], idle["last"]["outcome"]) == (session, "failed")
        assert idle["last"]["counts"] == {"passed": 4, "failed": 1}

    def test_a_session_without_tests(self, suite: Suite) -> None:
        """It is said that no test ran. It has no place in the trend of those with tests."""
        for _ in range(2):
            suite.pytest()
            none = suite.pytest("-k", "no_hit").start["trace_id"]
        assert "\nno test ran\n" in swarmtask(suite.root, "report", "--run", none).stdout
        assert "no test ran" in swarmtask(suite.root, "report", "--run", none, "--markdown").stdout
        assert "No test ran." in page(suite.root, "--run", none).text
        assert [run["tests"] for run in report(suite)["trend"]] == [5, 5]

    def test_a_wrapper_around_the_session(self, suite: Suite) -> None:
        """Runs of the same tests are one trend, whatever ran around them, and the time is that of the tests."""
        suite.pytest()
        slow = "import subprocess, sys, time; time.sleep(2); sys.exit(subprocess.call(sys.argv[1:]))"
        wrapped = ["run", "--id", "nightly", "--", sys.executable, "-c", slow, *suite.command()]
        command = [sys.executable, "-m", "pytest_swarmtask", *wrapped]
        subprocess.run(command, cwd=suite.root, env=clean_environ(), check=True, timeout=2 * WAIT, capture_output=True)
        found = report(suite)
        assert [run["what"] for run in found["trend"]] == ["pytest_run", "nightly"]
        last = found["trend"][-1]
        assert last["testing"] + 2 <= last["duration"]
        assert "The last 2 runs of these tests\n" in swarmtask(suite.root, "report").stdout


class TestPartialRuns:
    def test_a_failure_stays_open(self, suite: Suite) -> None:
        """What a partial run leaves out stays listed until it ends well."""
        suite.pytest(**WRONG)
        suite.pytest("-k", "ok")
        found = report(suite)
        assert (found["run"]["partial"], names(found["failures"])) == (True, [])
        assert (names(found["open"]), found["open_total"]) == (["test_one", "test_two"], 2)
        told = "Failed before, and left out by this run (2)\n  test_it.py::test_one  new: first result on this branch"
        text = swarmtask(suite.root, "report").stdout
        assert told in text
        assert "3 tests, a part of the suite: 3 passed" in text
        assert "test_it.py::test_two" in page(suite.root).text
        assert "failed before, and left out" in swarmtask(suite.root, "report", "--markdown").stdout
        suite.pytest("-k", "one")
        suite.pytest("test_it.py::test_ok")
        assert names(report(suite)["open"]) == ["test_two"]
        suite.pytest("-k", "two", **WRONG)
        found = report(suite)
        assert (names(found["failures"]), names(found["open"])) == (["test_two"], [])
        assert found["failures"][0]["streak"] == 2
        suite.pytest()
        found = report(suite)
        assert (found["run"]["partial"], found["open"]) == (False, [])

    def test_a_test_that_is_gone(self, suite: Suite) -> None:
        """A complete run without a test shows that the test is gone, and its failure with it."""
        suite.pytest(**WRONG)
        suite.write(test_it=MODULE.replace("test_two", "test_2"))
        suite.pytest(ONE="1")
        suite.pytest("-k", "ok")
        assert names(report(suite)["open"]) == ["test_one"]

    def test_a_file_that_could_not_be_collected(self, suite: Suite) -> None:
        """It is mended when a test of it has run, in a part of the suite, too."""
        suite.pytest()
        suite.write(test_new="import nope")
        suite.pytest()
        suite.pytest("-k", "ok", "--continue-on-collection-errors", "test_it.py")
        assert [failure["task_id"] for failure in report(suite)["open"]] == ["test_new.py"]
        suite.write(test_new="def test_new(): pass")
        suite.pytest("test_new.py")
        assert report(suite)["open"] == []

    def test_tests_of_one_name(self, suite: Suite) -> None:
        """Of tests that a plugin gives one node id, one that passes last does not hide another that failed."""
        suite.write(
            conftest="""
            import pytest

            def pytest_collection_modifyitems(items):
                first = items[0]
                for result in (True, False, True):
                    made = pytest.Function.from_parent(first.parent, name="test_twin", callobj=lambda: None)
                    made.obj = lambda result=result: pytest.fail("no") if not result else None
                    items.append(made)
            """
        )
        suite.pytest()
        suite.write(conftest="")
        suite.pytest("-k", "ok")
        assert names(report(suite)["open"]) == ["test_twin"]

    def test_another_branch(self, journal: Path) -> None:
        """What is open on a branch says nothing about another one."""
        for number, (branch, facts) in enumerate([("main", {}), ("feature", {}), ("feature", {"partial": True})]):
            process = Process(journal, f"{number:032x}", 1_700_000_000 + 1000 * number)
            events = process.session({"test_a": "passed" if facts or branch == "feature" else "failed"}, branch=branch)
            events[-1].metadata.update(tests=1, **facts)
            process.write(events)
        assert json.loads(swarmtask(journal.parent.parent, "report", "--json").stdout)["open"] == []

    @pytest.mark.parametrize(
        ("arguments", "environ"),
        [
            (["-k", "one"], {}),
            (["-x"], {"ONE": "1"}),
            *(
                pytest.param(arguments, {}, marks=pytest.mark.long)
                for arguments in (
                    ["test_it.py"],
                    ["test_it.py::test_one"],
                    ["--deselect", "test_it.py::test_one"],
                    ["--lf"],
                )
            ),
        ],
    )
    def test_it_is_not_compared_with_whole_runs(
        self, suite: Suite, arguments: list[str], environ: dict[str, str]
    ) -> None:
        suite.pytest(TWO="1")
        suite.pytest(*arguments, **environ)
        partial = report(suite)
        assert partial["run"]["partial"]
        assert len(partial["trend"]) == 1
        suite.pytest()
        found = report(suite)
        assert [run["tests"] for run in found["trend"]] == [5, 5]
        assert [run["partial"] for run in found["trend"]] == [False, False]
        assert "fixed 1 test_it.py::test_two" in page(suite.root).text, "it changed since the last whole run"

    def test_it_is_compared_with_its_like(self, suite: Suite) -> None:
        """The same part of a suite, such as a folder that a job runs each time, has a trend of its own."""
        for _ in range(2):
            suite.pytest("-k", "one")
            suite.pytest("-k", "two")
        found = report(suite)
        assert [run["tests"] for run in found["trend"]] == [1, 1]
        assert "The last 2 runs of pytest " in swarmtask(suite.root, "report").stdout

    def test_a_folder_with_all_tests_is_the_whole_suite(self, project: Suite) -> None:
        project.file("tests/test_a.py", "def test_a(): pass")
        project.pytest("tests")
        project.pytest()
        assert [run["partial"] for run in report(project)["trend"]] == [False, False]

    def test_other_folders_are_other_tests(self, project: Suite) -> None:
        project.file("one/test_a.py", "def test_a(): pass")
        project.file("two/test_b.py", "def test_b(): pass")
        project.pytest("one")
        project.pytest("two")
        found = report(project)
        assert (found["run"]["partial"], len(found["trend"])) == (False, 1)

    def test_what_a_part_does_not_have_is_not_removed(self, suite: Suite) -> None:
        whole = suite.pytest().start["trace_id"]
        part = suite.pytest("-k", "one").start["trace_id"]
        assert report(suite, "--run", part, "--compare", whole)["comparison"]["gone"] == []
        assert report(suite, "--run", whole, "--compare", part)["comparison"]["added"] == []


class TestSinceWhen:
    def test_a_first_failure_is_new_and_added_not_newly_failing(self, suite: Suite) -> None:
        first = suite.pytest().start["trace_id"]
        suite.write(test_new="def test_new(): assert 0")
        suite.pytest()
        found = report(suite, "--compare", first)
        assert found["failures"][0]["new"] is True
        assert (found["comparison"]["failing"], found["comparison"]["added"]) == ([], ["test_new.py::test_new"])
        assert "new: first result on this branch" in swarmtask(suite.root, "report").stdout

    def test_report_and_tests_count_alike(self, journal: Path) -> None:
        """Neither counts the run of another branch between those of this one, nor two failures in one run twice."""
        for number, branch in enumerate(["main", "main", "feature", "main"]):
            failed = number > 0
            run(journal, number, {"t.py::test_a": "failed" if failed else "passed"}, branch=branch, commit=f"c{number}")
        take_in(journal)
        root = journal.parent.parent
        since = next(line for line in swarmtask(root, "report").stdout.splitlines() if "in a row" in line)
        of_test = next(line for line in swarmtask(root, "tests", "test_a").stdout.splitlines() if "in a row" in line)
        assert since.partition("since ")[2] == of_test.partition("since ")[2]
        assert since.endswith(" at c1, 2 runs in a row")

    def test_uncommitted_changes_are_shown_where_the_commit_is(self, journal: Path) -> None:
        for number in range(2):
            run(journal, number, {"t.py::test_a": "failed"}, branch="main", commit="c0ffee", dirty=number > 0)
        root = journal.parent.parent
        assert ", main at c0ffee-dirty" in swarmtask(root, "report").stdout
        assert "at c0ffee, 2 runs in a row" in swarmtask(root, "report").stdout
        assert "<code>c0ffee-dirty</code>" in swarmtask(root, "report", "--markdown").stdout
        assert "c0ffee-dirty" in page(root).text
        assert "  main at c0ffee-dirty" in swarmtask(root, "tests", "test_a").stdout
        assert json.loads(swarmtask(root, "report", "--json").stdout)["run"]["dirty"] is True


def test_a_function_with_all_its_parameters(suite: Suite) -> None:
    """A function is found by its name, and its parameters are shown in lines, failing ones first."""
    suite.write(
        test_it=MODULE.replace("def test_ok(n): pass", "def test_ok(n): assert n != 1 or 'ONE' not in os.environ")
    )
    suite.pytest()
    suite.pytest(ONE="1")
    lines = swarmtask(suite.root, "tests", "test_ok").stdout.splitlines()
    assert lines[0] == "test_it.py::test_ok"
    assert lines[1] == "  6 results: 5 passed, 1 failed"
    assert [line.split()[0] for line in lines[4:]] == ["failed", "passed", "passed"]
    assert "[1]  new: it passed before" in lines[4]
    found = json.loads(swarmtask(suite.root, "tests", "it.py::test_ok", "--json").stdout)
    assert (found["test"], len(found["results"])) == ("test_it.py::test_ok", 6)
    one = swarmtask(suite.root, "tests", "test_ok[2]").stdout.splitlines()
    assert one[:2] == ["test_it.py::test_ok[2]", "  2 results: 2 passed"]


class TestVariants:
    """Each variant of a suite is compared with itself. The variant of a session is named as by tox."""

    def test_another_python_is_no_change(self, suite: Suite) -> None:
        """A test that fails under one variant only is not new in each run of it, nor fixed in each of the other."""
        for _ in range(2):
            suite.pytest(SWARMTASK_VARIANT="old", ONE="1")
            suite.pytest(SWARMTASK_VARIANT="new")
        found = report(suite)
        assert (found["run"]["variants"], len(found["trend"]), found["flaky"]) == (["new"], 2, [])
        old = found["run"]["started"]
        suite.pytest(SWARMTASK_VARIANT="old", ONE="1")
        found = report(suite)
        assert found["run"]["started"] > old
        assert [run["variants"] for run in found["trend"]] == [["old"]] * 3
        assert [(one["task_id"].partition("::")[2], one["streak"]) for one in found["failures"]] == [("test_one", 3)]

    def test_a_part_of_the_suite(self, suite: Suite) -> None:
        """A partial run lists what it left out under its own variant."""
        suite.pytest(SWARMTASK_VARIANT="old", ONE="1")
        suite.pytest(SWARMTASK_VARIANT="new", TWO="1")
        suite.pytest("-k", "test_ok", SWARMTASK_VARIANT="old")
        assert names(report(suite)["open"]) == ["test_one"]
        suite.pytest("-k", "test_ok", SWARMTASK_VARIANT="new")
        assert names(report(suite)["open"]) == ["test_two"]

    def test_a_comparison_of_two(self, suite: Suite) -> None:
        """A run that is compared with another by name says which tests differ under the two variants."""
        old = suite.pytest(SWARMTASK_VARIANT="old", ONE="1").start["trace_id"]
        suite.pytest(SWARMTASK_VARIANT="new", TWO="1")
        found = report(suite, "--compare", old)["comparison"]
        assert [names([{"task_id": one} for one in found[kind]]) for kind in ("failing", "fixed", "added", "gone")] == [
            ["test_two"],
            ["test_one"],
            [],
            [],
        ]
