"""Tests that belong to tasks: `@pytest.mark.task("5.2")`.

A task begins with its first test and ends when its last one has ended.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

REPORT_ATTRIBUTE = "swarmtask_tasks"
"""How an xdist worker tells the controller: ``[task id, selected tests, deselected tests]`` for each task of a test."""


class TaskTests:
    """What is known of one task in this session.

    Attributes:
        selected: how many of its tests will run.
        deselected: how many were left out.
        span_id: its span, once it has begun.
        started: when it began, seconds since the epoch.
        outcomes: how many of its tests ended how.
        finished: when the last of its tests ended.
        failed: node ids of those that failed.
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
        """How many of its tests have ended."""
        return sum(self.outcomes.values())

    @property
    def partial(self) -> bool:
        """Whether some of its tests did not run, or did not pass without having failed."""
        passed = self.outcomes.get("passed", 0) + self.outcomes.get("xpassed", 0)
        return self.deselected > 0 or passed < self.selected

    def verdict(self) -> tuple[str, str | None]:
        """Return the ending event of the task and, for a failure, the reason."""
        if self.failed:
            return "TASK_FAILED", f"{len(self.failed)} of {self.selected} tests failed: {', '.join(self.failed[:5])}"
        if self.ended < self.selected:
            return "TASK_FAILED", f"the session ended after {self.ended} of its {self.selected} tests"
        return "TASK_COMPLETED", None


class TaskIndex:
    """Which tests belong to which tasks."""

    def __init__(self) -> None:
        self.of: dict[str, tuple[str, ...]] = {}
        self.tasks: dict[str, TaskTests] = {}
        self._collected: list[Any] = []
        self._deselected = 0

    def collect(self, items: Iterable[Any]) -> None:
        """Take all tests there are, before any is left out."""
        self._collected = list(items)

    def select(self, items: Sequence[Any]) -> None:
        """Take the tests that will run; some plugins leave out others without a word."""
        if len(items) + self._deselected < len(self._collected):
            kept = {id(item) for item in items}
            self.deselect([item for item in self._collected if id(item) not in kept])
        self._collected = []
        for item in items:
            names = task_ids(item)
            if names:
                self.of[item.nodeid] = names
                for name in names:
                    self.task(name).selected += 1

    def deselect(self, items: Sequence[Any]) -> None:
        """Take tests that were left out."""
        self._deselected += len(items)
        for item in items:
            for name in task_ids(item):
                self.task(name).deselected += 1

    def task(self, name: str) -> TaskTests:
        """Return what is known of a task."""
        known = self.tasks.get(name)
        if known is None:
            known = self.tasks[name] = TaskTests()
        return known

    def describe(self, nodeid: str) -> list[list[str | int]]:
        """Return the tasks of a test in the form that travels on a report."""
        return [[name, self.tasks[name].selected, self.tasks[name].deselected] for name in self.of.get(nodeid, ())]

    def learn(self, nodeid: str, described: Iterable[Any]) -> None:
        """Take what a report from a worker brought."""
        if nodeid not in self.of:
            for name, selected, deselected in described:
                task = self.task(name)
                task.selected, task.deselected = selected, deselected
            self.of[nodeid] = tuple(name for name, _, _ in described)


def is_narrowed(config: Any, project: str) -> bool:
    """Tell whether somebody wants a part of the suite only, so that this session cannot say that a task is done.

    That is so with ``--lf``; with ``-k``, ``-m``, ``--deselect`` and ``--ignore`` beyond those of the suite's own
    `addopts`; with files and single tests, and with folders that are not all of the suite.

    Args:
        config: the session's.
        project: the project's folder.
    """
    if getattr(config.option, "lf", False) or _is_picked(config):
        return True
    given = [os.path.join(config.invocation_params.dir, str(argument)) for argument in config.args]
    return not all(os.path.isdir(path) for path in given) or not _is_whole(config, given, project)


def _is_picked(config: Any) -> bool:
    usual = [str(argument) for argument in config.getini("addopts")]
    given = [getattr(config.option, name, None) for name in ("keyword", "markexpr")]
    for name in ("deselect", "ignore", "ignore_glob"):
        given += getattr(config.option, name, None) or ()
    return any(value and not any(argument.endswith(value) for argument in usual) for value in given)


def _is_whole(config: Any, given: list[str], project: str) -> bool:
    """Tell whether folders hold all of `testpaths`; without that, whether they are the root, or folders right in it."""
    folders = [os.path.realpath(path) for path in given]
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
    import glob

    return glob.glob(path, recursive=True)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))


def task_ids(item: Any) -> tuple[str, ...]:
    """Return the task ids of a test, from its own markers, its class's and its module's, each once.

    Other tools have a marker of this name too: what is neither text nor number is not ours.
    """
    values = [value for mark in item.iter_markers("task") for value in mark.args]
    return tuple(dict.fromkeys(str(value) for value in values if type(value) in (str, int, float))) if values else ()
