"""Tests that belong to tasks: `@pytest.mark.task("5.2")`."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from pytest_swarmtask.sources.pytest.task_tests import TaskTests

REPORT_ATTRIBUTE = "swarmtask_tasks"
"""The attribute of a report in which an xdist worker sends the tasks of a test to the controller.

A list of ``[task id, number of selected tests, number of deselected tests]``.
"""


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
            from pytest_swarmtask.sources.pytest.task_tests import TaskTests  # few suites have tasks

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
