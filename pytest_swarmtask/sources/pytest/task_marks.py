"""Tests that belong to tasks: `@pytest.mark.task("5.2")`."""

from __future__ import annotations

import os
from itertools import pairwise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from pytest_swarmtask.sources.pytest.task_tests import TaskTests

REPORT_ATTRIBUTE = "swarmtask_tasks"
"""The attribute of a report in which an xdist worker sends the tasks of the test to the controller.

``[{task id: [number of selected tests, number of deselected tests]}, {node id: [task id]}]``. The first report of a
worker has the tasks of all tests, since a test may end its worker before there is a report of it.
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
        self._deselected: set[int] = set()

    def collect(self, items: Iterable[Any]) -> None:
        """Take all collected tests, before any is deselected."""
        self._collected = list(items)

    def select(self, items: Sequence[Any]) -> None:
        """Take the tests that will run.

        Tests that a plugin removed without calling `pytest_deselected` are counted as deselected, too.
        """
        if items != self._collected:
            known = self._deselected.union(map(id, items))
            self.deselect([item for item in self._collected if id(item) not in known])
        self._collected = []
        self._deselected.clear()
        parent, is_marked = None, False
        for item in items:
            if item.parent is not parent:  # most tests have the parent of the test before, and no mark of their own
                parent = item.parent
                is_marked = parent.get_closest_marker("task") is not None
            if not is_marked and not item.own_markers:
                continue
            names = task_ids(item)
            if names:
                self.by_test[item.nodeid] = names
                for name in names:
                    self.task(name).selected += 1

    def deselect(self, items: Sequence[Any]) -> None:
        """Take tests that were deselected."""
        self._deselected.update(map(id, items))
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

    def describe(self, nodeids: Iterable[str]) -> list[Any]:
        """Return the tasks of these tests as `REPORT_ATTRIBUTE` carries them."""
        by_test = {nodeid: list(self.by_test[nodeid]) for nodeid in nodeids if nodeid in self.by_test}
        names = dict.fromkeys(name for names in by_test.values() for name in names)
        return [{name: [self.tasks[name].selected, self.tasks[name].deselected] for name in names}, by_test]

    def add_described(self, described: Any) -> None:
        """Take what `describe` returned in a worker. All workers collect the same tests."""
        numbers, by_test = described
        for name, (selected, deselected) in numbers.items():
            task = self.task(name)
            task.selected, task.deselected = selected, deselected
        self.by_test.update((nodeid, tuple(names)) for nodeid, names in by_test.items())


def is_narrowed(config: Any, project: str) -> bool:
    """Whether the user runs only a part of the suite, so that this session cannot show that a task is done.

    True with ``--lf``; with ``-k``, ``-m``, ``--deselect`` and ``--ignore`` that are not in the suite's own `addopts`;
    with files and single tests; and with folders that are not the whole suite.

    Args:
        config: pytest's configuration of the session.
        project: the root of the project.
    """
    usual = _Usual(config.getini("addopts"))
    if getattr(config.option, "lf", False) or _is_picked(config.option, usual):
        return True
    own = list(map(str, config.invocation_params.args))
    if config.args_source is config.ArgsSource.TESTPATHS or usual.holds_any(set(config.args).difference(own)):
        return False  # what the suite itself names always runs; a user can only add to it
    given = [os.path.join(config.invocation_params.dir, str(argument)) for argument in config.args]
    return not all(os.path.isdir(path) for path in given) or not _is_whole(config, given, project)


class _Usual:
    """What the suite's own `addopts` say, which every session of it gets."""

    def __init__(self, addopts: Sequence[str]) -> None:
        self._words = [str(word) for word in addopts]

    def values(self, option: str) -> Iterator[str]:
        """Yield the values of an option: ``-m fast``, ``-mfast``, ``-m=fast``, ``--ignore=x``."""
        for word, after in pairwise([*self._words, ""]):
            if word == option:
                yield after
            elif word.startswith(f"{option}="):
                yield word[len(option) + 1 :]
            elif not option.startswith("--") and word.startswith(option):
                yield word[len(option) :]

    def holds_any(self, arguments: Iterable[str]) -> bool:
        """Whether one of these files and folders is always given."""
        return not set(self._words).isdisjoint(map(str, arguments))


_PICKING = (
    # (the attribute of pytest's options, how the option is written)
    ("keyword", "-k"),
    ("markexpr", "-m"),
    ("deselect", "--deselect"),
    ("ignore", "--ignore"),
    ("ignore_glob", "--ignore-glob"),
)
"""Options that choose tests."""


def _is_picked(option: Any, usual: _Usual) -> bool:
    """Whether an option chooses tests that the suite's own `addopts` do not choose."""
    for name, written in _PICKING:
        values = getattr(option, name, None) or ()
        given = {values} if isinstance(values, str) else set(map(str, values))
        if not given.issubset(usual.values(written)):
            return True
    return False


def _is_whole(config: Any, given: list[str], project: str) -> bool:
    """Whether the given folders are the whole suite.

    With `testpaths` in the configuration they must contain all of these. Without, each must be the root, contain it, or
    be a folder directly in it, such as ``tests``. A folder inside of another one that was given adds nothing.
    """
    paths = {os.path.realpath(path) for path in given}
    folders = [path for path in paths if not any(_is_within(path, other) for other in paths - {path})]
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
