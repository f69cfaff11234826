"""Tests that belong to tasks: `@pytest.mark.task("5.2")`.

A task begins with its first test and ends when its last one has ended.
"""

from __future__ import annotations

import os

from pytest_swarmtask.core.event import SKIPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

REPORT_ATTRIBUTE = "swarmtask_tasks"
"""The attribute of a report in which an xdist worker sends the tasks of a test to the controller.

A list of ``[task id, number of selected tests, number of deselected tests]``.
"""


class TaskTests:
    """One task and its tests in this session.

    Attributes:
        selected: number of its tests that will run.
        deselected: number of its tests that were deselected.
        span_id: its span while it is running, else None.
        started: when it started, seconds since the epoch.
        outcomes: number of its ended tests by outcome.
        finished: when its last test ended, seconds since the epoch, or 0.0.
        failed: node ids of its tests that failed, redacted.
    """

    __slots__ = ("deselected", "failed", "finished", "outcomes", "selected", "span_id", "started")

    def __init__(self, selected: int = 0, deselected: int = 0) -> None:
        self.selected = selected
        self.deselected = deselected
        self.span_id: str | None = None
        self.started = self.finished = 0.0
        self.outcomes: dict[str, int] = {}
        self.failed: list[str] = []

    @property
    def ended(self) -> int:
        """Number of its tests that have ended."""
        return sum(self.outcomes.values())

    @property
    def is_partial(self) -> bool:
        """Whether some of its tests were deselected, did not end, or ended otherwise than passed."""
        return self.deselected > 0 or self._passed < self.selected

    @property
    def _passed(self) -> int:
        return self.outcomes.get("passed", 0) + self.outcomes.get("xpassed", 0)

    def verdict(self) -> tuple[str, str | None, str | None]:
        """Return the ending event of the task, its status unless it is the usual one, and why it is not completed.

        A task of which no test passed is not completed. It has not failed either, so its status says that all of its
        tests were skipped (or failed as expected).
        """
        if self.failed:
            why = f"{len(self.failed)} of {self.selected} tests failed: {', '.join(self.failed[:5])}"
            return "TASK_FAILED", None, why
        if self.ended < self.selected:
            return "TASK_FAILED", None, f"the session ended after {self.ended} of its {self.selected} tests"
        if not self._passed:
            counts = ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.items())
            return "TASK_FAILED", SKIPPED, f"none of its tests passed: {counts}"
        return "TASK_COMPLETED", None, None


class TaskIndex:
    """Which tests belong to which tasks.

    Attributes:
        by_test: task ids by node id, only of tests that have tasks.
        tasks: what is known of each task, by its id.
    """

    def __init__(self) -> None:
        self.by_test: dict[str, tuple[str, ...]] = {}
        self.tasks: dict[str, TaskTests] = {}
        self._collected: list[Any] = []
        self._deselected = 0

    def collect(self, items: Iterable[Any]) -> None:
        """Take all collected tests, before any is deselected."""
        self._collected = list(items)

    def select(self, items: Sequence[Any]) -> None:
        """Take the tests that will run.

        Tests that a plugin removed without calling `pytest_deselected` are counted as deselected, too.
        """
        if len(items) + self._deselected < len(self._collected):
            kept = {id(item) for item in items}
            self.deselect([item for item in self._collected if id(item) not in kept])
        self._collected = []
        for item in items:
            names = task_ids(item)
            if names:
                self.by_test[item.nodeid] = names
                for name in names:
                    self.task(name).selected += 1

    def deselect(self, items: Sequence[Any]) -> None:
        """Take tests that were deselected."""
        self._deselected += len(items)
        for item in items:
            for name in task_ids(item):
                self.task(name).deselected += 1

    def task(self, name: str) -> TaskTests:
        """Return the task with this id, a new one if it is not known yet."""
        known = self.tasks.get(name)
        if known is None:
            known = self.tasks[name] = TaskTests()
        return known

    def describe(self, nodeid: str) -> list[list[str | int]]:
        """Return the tasks of a test as `REPORT_ATTRIBUTE` carries them."""
        return [[name, self.tasks[name].selected, self.tasks[name].deselected] for name in self.by_test.get(nodeid, ())]

    def add_described(self, nodeid: str, described: Iterable[Any]) -> None:
        """Add the tasks of a test from what `describe` returned in a worker."""
        if nodeid not in self.by_test:
            for name, selected, deselected in described:
                task = self.task(name)
                task.selected, task.deselected = selected, deselected
            self.by_test[nodeid] = tuple(name for name, _, _ in described)


def is_narrowed(config: Any, project: str) -> bool:
    """Whether the user runs only a part of the suite, so that this session cannot show that a task is done.

    True with ``--lf``; with ``-k``, ``-m``, ``--deselect`` and ``--ignore`` that are not in the suite's own `addopts`;
    with files and single tests; and with folders that are not the whole suite.

    Args:
        config: pytest's configuration of the session.
        project: the root of the project.
    """
    if getattr(config.option, "lf", False) or _is_picked(config):
        return True
    given = [os.path.join(config.invocation_params.dir, str(argument)) for argument in config.args]
    return not all(os.path.isdir(path) for path in given) or not _is_whole(config, given, project)


def _is_picked(config: Any) -> bool:
    # `addopts` can hold a value as an argument of its own, or at the end of one, as in ``-m=fast`` and ``-mfast``.
    usual = [str(argument) for argument in config.getini("addopts")]
    given = [getattr(config.option, name, None) for name in ("keyword", "markexpr")]
    for name in ("deselect", "ignore", "ignore_glob"):
        given += getattr(config.option, name, None) or ()
    return any(value and not any(argument.endswith(value) for argument in usual) for value in given)


def _is_whole(config: Any, given: list[str], project: str) -> bool:
    """Whether the given folders are the whole suite.

    With `testpaths` in the configuration they must contain all of these. Without, each must be the root, contain it, or
    be a folder directly in it, such as ``tests``.
    """
    folders = [os.path.realpath(path) for path in given]
    # Without an ini file pytest's rootpath can be the folder that was given, which would always be the whole suite.
    root = os.path.realpath(config.rootpath if config.inipath else project)
    testpaths = config.getini("testpaths")
    if not testpaths:
        return all(_is_within(root, folder) or os.path.dirname(folder) == root for folder in folders)
    wanted = [os.path.realpath(path) for name in testpaths for path in _matches(root, name)]
    return all(any(_is_within(path, folder) for folder in folders) for path in wanted)


def _matches(root: str, pattern: str) -> list[str]:
    path = os.path.join(root, pattern)
    if not any(character in pattern for character in "*?["):
        return [path]
    import glob  # few suites have a pattern in `testpaths`

    return glob.glob(path, recursive=True)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))


def task_ids(item: Any) -> tuple[str, ...]:
    """Return the task ids in the `task` markers of a test, its class and its module, each once.

    Other tools have a marker of this name, too, so arguments that are neither text nor numbers are ignored.
    """
    values = [value for mark in item.iter_markers("task") for value in mark.args]
    return tuple(dict.fromkeys(str(value) for value in values if type(value) in (str, int, float))) if values else ()
