"""The events of tasks that tests belong to: a task begins with its first test and ends with its last."""

from __future__ import annotations

from pytest_swarmtask.sources.pytest.outcome import EVENT_OF
from pytest_swarmtask.sources.pytest.task_marks import REPORT_ATTRIBUTE, TaskIndex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from pytest_swarmtask.recording.recorder import Recorder
    from pytest_swarmtask.sources.pytest.outcome import TestRun
    from pytest_swarmtask.sources.pytest.task_marks import TaskTests


class TaskEvents:
    """Emits them, from what the session tells of its tests.

    Args:
        recorder: gives spans and times.
        record: takes the events.
        narrowed: tells whether a task may have tests that this session has not even collected, or does not run.
        at_end: whether tasks end with the session only, because it may break off and so not be a complete one.

    Attributes:
        of: the tasks of each test that has some, by node id.
    """

    def __init__(
        self, recorder: Recorder, record: Callable[..., None], narrowed: Callable[[], bool], *, at_end: bool
    ) -> None:
        self._recorder = recorder
        self._record = record
        self._narrowed = narrowed
        self._at_end = at_end
        self._index = TaskIndex()
        self.of = self._index.of

    def collect(self, items: Iterable[Any]) -> None:
        """Take all tests there are, before any is left out."""
        self._index.collect(items)

    def select(self, items: Sequence[Any]) -> None:
        """Take the tests that will run."""
        self._index.select(items)

    def deselect(self, items: Sequence[Any]) -> None:
        """Take tests that were left out."""
        self._index.deselect(items)

    def learn(self, run: TestRun, report: Any) -> None:
        """Take what a report from an xdist worker brought, if it did."""
        described = getattr(report, REPORT_ATTRIBUTE, None)
        if described and not run.tasks:
            self._index.learn(report.nodeid, described)
            self.join(run, report.nodeid)

    def join(self, run: TestRun, nodeid: str) -> None:
        """Take a test that has begun, and begin those of its tasks that have not."""
        run.tasks = self.of[nodeid]
        for name in run.tasks:
            task = self._index.task(name)
            if task.span_id is None:
                task.span_id = self._recorder.span_id()
                task.started = self._recorder.clock.now()
                partial = {"partial": True} if task.deselected or self._narrowed() else {}
                self._emit("TASK_STARTED", name, task, {"tests": task.selected, **partial})

    def add(self, run: TestRun) -> None:
        """Take a test that has ended, and end those of its tasks whose last one it was."""
        outcome = run.settle()
        for name in run.tasks:
            task = self._index.task(name)
            task.outcomes[outcome] = task.outcomes.get(outcome, 0) + 1
            if EVENT_OF[outcome] == "TEST_FAILED":
                task.failed.append(run.task_id)
            if task.ended >= task.selected:
                task.finished = self._recorder.clock.now()
                if not self._at_end:
                    self._end(name, task)

    def end_all(self) -> None:
        """End what is still open, since the session ends."""
        for name, task in self._index.tasks.items():
            self._end(name, task)

    def _end(self, name: str, task: TaskTests) -> None:
        if task.span_id is None:
            return  # never began, or has ended
        event_type, why = task.verdict()
        metadata: dict[str, Any] = {"success": event_type == "TASK_COMPLETED"}
        if why is not None:
            metadata["error"] = why
        metadata["duration"] = round((task.finished or self._recorder.clock.now()) - task.started, 6)
        metadata["tests"] = task.selected
        metadata["counts"] = task.outcomes
        if task.partial or self._narrowed():
            metadata["partial"] = True
        self._emit(event_type, name, task, metadata)
        task.span_id = None

    def _emit(self, event_type: str, name: str, task: TaskTests, metadata: dict[str, Any]) -> None:
        self._record(event_type, name, {"workflow": "pytest", "action": "task", **metadata}, span_id=task.span_id)
