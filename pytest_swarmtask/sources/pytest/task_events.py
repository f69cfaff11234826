"""The events of tasks that tests belong to: a task starts with its first test and ends with its last one.

Only loaded for a suite with such tests.
"""

from __future__ import annotations

from pytest_swarmtask.sources.pytest.outcome import EVENT_OF

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pytest_swarmtask.recording.recorder import Recorder
    from pytest_swarmtask.sources.pytest.outcome import TestRun
    from pytest_swarmtask.sources.pytest.task_marks import TaskIndex
    from pytest_swarmtask.sources.pytest.task_tests import TaskTests


class TaskEvents:
    """Records the start and the end of each task, following the tests of the session.

    Args:
        index: which tests belong to which tasks.
        recorder: makes span ids and knows the time.
        record: records an event inside of the session.
        may_lack_tests: returns whether a task may have tests that this session did not collect or does not run.
        at_end: whether tasks end only with the session, because the session may break off and then a task that looks
            complete is not.
    """

    def __init__(
        self,
        index: TaskIndex,
        recorder: Recorder,
        record: Callable[..., None],
        may_lack_tests: Callable[[], bool],
        *,
        at_end: bool,
    ) -> None:
        self._index = index
        self._recorder = recorder
        self._record = record
        self._may_lack_tests = may_lack_tests
        self._at_end = at_end

    def start_test(self, run: TestRun) -> None:
        """Start those tasks of a test that starts which have not started yet."""
        run.tasks = self._index.by_test[run.nodeid]
        for name in run.tasks:
            task = self._index.task(name)
            if task.span_id is None:
                self._start(name, task)

    def end_test(self, run: TestRun) -> None:
        """Count a test that has ended, and end those of its tasks that have no further test to run."""
        outcome = run.settle()
        for name in run.tasks:
            task = self._index.task(name)
            task.outcomes[outcome] = task.outcomes.get(outcome, 0) + 1
            if EVENT_OF[outcome] == "TEST_FAILED":
                task.failed.append(run.task_id)
                if task.span_id is None:
                    self._start(name, task)  # it has ended with fewer tests than there were, and not with this failure
            if task.ended >= task.selected:
                task.finished = self._recorder.clock.now()
                if not self._at_end:
                    self._end(name, task)

    def _start(self, name: str, task: TaskTests) -> None:
        task.span_id = self._recorder.span_id()
        task.started = self._recorder.clock.now()
        partial = {"partial": True} if task.deselected or self._may_lack_tests() else {}
        self._emit("TASK_STARTED", name, task, {"tests": task.selected, **partial})

    def end_all(self) -> None:
        """End the tasks that are still running, because the session ends."""
        for name, task in self._index.tasks.items():
            self._end(name, task)

    def _end(self, name: str, task: TaskTests) -> None:
        if task.span_id is None:
            return  # the task has not started, or has ended already
        event_type, status, error = task.verdict()
        metadata: dict[str, Any] = {"success": event_type == "TASK_COMPLETED"}
        if error is not None:
            metadata["error"] = error
        metadata["duration"] = round((task.finished or self._recorder.clock.now()) - task.started, 6)
        metadata["tests"] = task.selected
        metadata["counts"] = task.outcomes
        if task.is_partial or self._may_lack_tests():
            metadata["partial"] = True
        self._emit(event_type, name, task, metadata, status)
        task.span_id = None

    def _emit(
        self, event_type: str, name: str, task: TaskTests, metadata: dict[str, Any], status: str | None = None
    ) -> None:
        facts = {"workflow": "pytest", "action": "task", **metadata}
        self._record(event_type, name, facts, span_id=task.span_id, status=status)
