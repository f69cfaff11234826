"""In an xdist worker: join the controller's run, and tell it which tests belong to tasks. Nothing is emitted here."""

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


class WorkerCapture:
    """Registered in each xdist worker."""

    def __init__(self, config: pytest.Config, traceparent: str) -> None:
        self._config = config
        self._tasks = TaskIndex()
        context = parse_traceparent(traceparent)
        if context is not None:  # so that events that tests trigger themselves belong to the run
            get_recorder(otherwise=str(config.rootpath)).join(*context)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """See all tests, before any is left out."""
        self._tasks.collect(items)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count what was left out."""
        self._tasks.deselect(items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Look for tests of tasks; where there are none, reports stay as they are."""
        self._tasks.select(session.items)
        if self._tasks.of:
            self._config.pluginmanager.register(_ReportMarks(self._tasks), "swarmtask-report-marks")


class _ReportMarks:
    def __init__(self, tasks: TaskIndex) -> None:
        self._tasks = tasks

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Put the tasks of a test on its reports: plain lists, since anything richer would kill the worker."""
        report = yield
        described = self._tasks.describe(item.nodeid)
        if described:
            setattr(report, REPORT_ATTRIBUTE, described)
        return report
