"""In an xdist worker: join the run of the controller, and tell it which tests belong to tasks.

A worker records nothing about tests itself; the controller does so from the reports.
"""

from __future__ import annotations

import pytest

from pytest_swarmtask.core.trace import parse_traceparent
from pytest_swarmtask.recording.recorder import get_recorder
from pytest_swarmtask.sources.pytest.task_marks import REPORT_ATTRIBUTE, TaskIndex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from typing import Any

WORKER_INPUT = "swarmtask_traceparent"
"""The key in the `workerinput` of xdist that carries the traceparent of the controller."""


class WorkerCapture:
    """The hooks in an xdist worker.

    Args:
        config: pytest's configuration of the worker.
        traceparent: of the controller's session.
    """

    def __init__(self, config: pytest.Config, traceparent: str) -> None:
        self._config = config
        self._tasks = TaskIndex()
        context = parse_traceparent(traceparent)
        if context is not None:  # then events that tests record themselves belong to the run
            get_recorder(otherwise=str(config.rootpath)).join(*context)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """See all tests before other plugins deselect some."""
        self._tasks.collect(items)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count tests that were deselected."""
        self._tasks.deselect(items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Look up the tasks of the tests that will run. If there are none, reports are left alone."""
        self._tasks.select(session.items)
        if self._tasks.by_test:
            self._config.pluginmanager.register(_ReportMarks(self._tasks), "swarmtask-report-marks")


class _ReportMarks:
    """Adds to each report the tasks of its test, and to the first one those of all tests."""

    def __init__(self, tasks: TaskIndex) -> None:
        self._tasks = tasks
        self._has_told_all = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Add the tasks as plain lists: xdist can send nothing richer, and the worker would die of it."""
        report = yield
        if not self._has_told_all or item.nodeid in self._tasks.by_test:
            nodeids = [item.nodeid] if self._has_told_all else list(self._tasks.by_test)
            setattr(report, REPORT_ATTRIBUTE, self._tasks.describe(nodeids))
            self._has_told_all = True
        return report
