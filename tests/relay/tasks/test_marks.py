"""Only complete runs of marked tests begin and complete a task. The tests read the journal, without a relay."""

from __future__ import annotations

import os

import pytest

from pytest_swarmtask.core.project import Project
from pytest_swarmtask.relay.tasks.sync import synchronize
from tests.relay.tasks.board import Board, task
from tests.suite import WITH_WORKER, Suite, words

MARKED = """
    import pytest

    @pytest.mark.task("3")
    @pytest.mark.parametrize("number", range(3))
    def test_three(number):
        pass
"""
ELSEWHERE = """
    import pytest

    pytestmark = pytest.mark.task(3)

    def test_three_too():
        pass
"""
FAILING = ELSEWHERE.replace("pass", "assert 0")


class Marked(Suite):
    """A project with two test modules for task 3."""

    def status(self, *arguments: str, before: str = "pending") -> str:
        """Run a session with these arguments, and return the resulting status of the task."""
        board = Board(self.root).write(task(3, before))
        assert "3" in [event["task_id"] for event in self.pytest("-q", *arguments).events]
        synchronize(Project(str(self.root)), os.environ)
        return board.statuses()["3"]


@pytest.fixture
def marked(tmp_path: os.PathLike[str]) -> Marked:
    """The project, with only these tests."""
    made = Marked(tmp_path)  # type: ignore[arg-type]
    made.write(test_marked=MARKED, test_elsewhere=ELSEWHERE)
    return made


SLOW = ELSEWHERE.replace("pytest.mark.task(3)", "[pytest.mark.task(3), pytest.mark.slow]")
SILENT = """
    def pytest_collection_modifyitems(items):
        del items[0]
"""


@pytest.mark.parametrize("arguments", [(), (".",), pytest.param(("-x", "-n2"), marks=pytest.mark.slow)], ids=words)
def test_a_complete_run(marked: Marked, arguments: tuple[str, ...]) -> None:
    assert marked.status(*arguments) == "done"


@pytest.mark.parametrize(
    "arguments",
    [
        ("-k", "three and not 1]"),
        ("-k", "three"),
        ("-m", "task"),
        ("--ignore-glob=*elsewhere*",),
        ("--deselect", "test_marked.py::test_three[1]", "-n1"),
        ("test_marked.py",),
        ("test_marked.py::test_three",),
    ],
    ids=words,
)
def test_a_partial_run(marked: Marked, arguments: tuple[str, ...]) -> None:
    """A partial run neither begins nor completes a task."""
    assert marked.status(*arguments) == "pending"


def test_a_partial_run_that_fails(marked: Marked) -> None:
    """A partial run that fails still shows that the task is not done."""
    marked.write(test_elsewhere=FAILING)
    assert marked.status("test_elsewhere.py", before="done") == "pending"


@pytest.mark.parametrize("arguments", [(), WITH_WORKER], ids=words)
def test_tests_that_a_plugin_leaves_out_without_a_word(marked: Marked, arguments: tuple[str, ...]) -> None:
    """A run is partial if a plug-in silently removes tests, such as a plug-in that splits a suite over machines."""
    marked.write(conftest=SILENT)
    assert marked.status(*arguments) == "pending"


def test_what_the_suite_itself_always_leaves_out(marked: Marked) -> None:
    """The suite's own `addopts` make a run partial only if they exclude tests of the task."""
    marked.file("pytest.ini", '[pytest]\naddopts = -m "not slow" --ignore nothing\nmarkers = slow\n')
    marked.write(test_slow=SLOW)
    assert marked.status() == "pending"
    marked.write(test_slow="")
    assert marked.status() == "done"


def test_last_failed(marked: Marked) -> None:
    """A run with `--lf` is partial, although it deselects no test."""
    marked.write(test_elsewhere=FAILING)
    assert marked.status() == "pending"
    marked.write(test_elsewhere=ELSEWHERE)
    assert marked.status("--lf") == "pending"


def test_stopped_at_the_first_failure(marked: Marked) -> None:
    """With -x, a task is not done if some of its tests did not run."""
    marked.write(test_marked=MARKED + "\n    def test_two():\n        assert 0\n", test_n=ELSEWHERE)
    assert marked.status("-x", before="review") == "pending"


@pytest.mark.parametrize("arguments", [("-x",), ("--maxfail=1", "-n1"), ("--stepwise",)], ids=words)
def test_stopped_after_its_tests(marked: Marked, arguments: tuple[str, ...]) -> None:
    """A run that stops early completes no task, even if all tests of the task have passed."""
    marked.write(test_z="def test_z():\n    assert 0\n", test_zz=ELSEWHERE.replace("3", "4"))
    assert marked.status(*arguments) == "in-progress"


def test_a_module_that_cannot_be_imported(marked: Marked) -> None:
    """A module that cannot be imported prevents completion, since it may contain tests of any task."""
    marked.write(test_elsewhere="import nothing_of_this_name\n")
    assert marked.status("--continue-on-collection-errors") == "pending"


@pytest.mark.parametrize(
    ("testpaths", "arguments", "status"),
    [
        ("tests", (), "done"),
        ("te*", ("tests",), "done"),
        ("tests", ("tests/a",), "pending"),
        ("", ("tests",), "done"),
        ("", ("tests/a",), "pending"),
    ],
)
def test_folders(marked: Marked, testpaths: str, arguments: tuple[str, ...], status: str) -> None:
    """A run of given folders is complete if they contain all of `testpaths`, or are directly below the root."""
    (marked.root / "tests" / "a").mkdir(parents=True)
    (marked.root / "test_marked.py").rename(marked.root / "tests" / "test_marked.py")
    (marked.root / "test_elsewhere.py").rename(marked.root / "tests" / "a" / "test_elsewhere.py")
    marked.file("pytest.ini", f"[pytest]\ntestpaths = {testpaths}\n" if testpaths else "[pytest]\n")
    assert marked.status(*arguments) == status
