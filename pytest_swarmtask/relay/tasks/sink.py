"""The sink of the task manager: it gets events and sets the status of their tasks."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.event import EVENT_TYPES
from pytest_swarmtask.core.project import TASKS
from pytest_swarmtask.core.service_errors import TaskManagerError
from pytest_swarmtask.core.timing import DEFAULTS
from pytest_swarmtask.plugins.hookspecs import hookimpl
from pytest_swarmtask.plugins.sink import Delivered, Rejected, Retry, Split, Stopped
from pytest_swarmtask.relay.tasks.factory import task_manager
from pytest_swarmtask.relay.tasks.sync import desired_status, is_marked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_swarmtask.config.workflow import StatusMap
    from pytest_swarmtask.core.timing import Timing
    from pytest_swarmtask.plugins.hookspecs import SinkRequest
    from pytest_swarmtask.plugins.sink import PendingEvent, SendResult
    from pytest_swarmtask.relay.tasks.manager import DesiredStatus, TaskManager

_log = logging.getLogger("pytest_swarmtask.relay")

_NEVER = float("inf")


@hookimpl
def swarmtask_sink(request: SinkRequest) -> TaskManagerSink | None:
    """Return the sink of the task manager."""
    if request.name != TASKS:
        return None
    definition = request.workflow.task_integration.task_manager
    if not definition.enabled:
        raise ConfigError("task_manager is not enabled in the configuration any more")
    manager = task_manager(definition, request.project.root, request.environ)
    return TaskManagerSink(request.identity, manager, definition.status_map, request.timing)


class TaskManagerSink:
    """Sets the status of tasks. Used from one thread at a time.

    Args:
        name: the name under which deliveries are remembered.
        manager: the task manager.
        status_map: the status that each type of event gives to its task.
        timing: waiting times.
    """

    max_events = 100
    max_bytes = 1_000_000
    max_age = 0.2

    def __init__(self, name: str, manager: TaskManager, status_map: StatusMap, timing: Timing = DEFAULTS) -> None:
        self.name = name
        self._timing = timing
        self._manager = manager
        self._status_map = status_map
        self._accepted = {kind for kind in EVENT_TYPES if getattr(status_map, kind.lower(), "unchanged") != "unchanged"}
        self._watched: dict[str, tuple[float, DesiredStatus]] = {}
        """Statuses that may still be overwritten, by task id, with the monotonic time at which each was set."""
        self._latest: dict[str, str] = {}
        """The timestamp of the last status of each task. Earlier events may come later, from another segment."""
        self._reported: set[str] = set()
        """Unknown tasks that were logged."""

    def accepts(self, event_type: str) -> bool:
        """Whether events of this type give tasks a status."""
        return event_type in self._accepted

    def send(self, events: Sequence[PendingEvent]) -> SendResult:
        """Give the tasks of these events their status."""
        desired = self._desired(events)
        if not desired:
            return Delivered()
        try:
            outcome = self._manager.set_status(desired)
        except TaskManagerError as error:
            return _result(error, len(events))
        except Exception as error:  # noqa: BLE001 - a surprise in the file must not end the relay, which has other sinks
            _log.exception("%s", self.name)
            return Stopped(f"unexpected {type(error).__name__}, see the relay's log")
        self._report(events, set(outcome.unknown))
        now = time.monotonic()
        for task_id, status in desired.items():
            if task_id not in outcome.unknown:
                self._latest[task_id] = status.timestamp
                self._watched[task_id] = (now, status)
        return Delivered()

    def _desired(self, events: Sequence[PendingEvent]) -> dict[str, DesiredStatus]:
        """Return the last status that the events give to each task, unless a later one was set before."""
        desired: dict[str, DesiredStatus] = {}
        for pending in events:
            status = desired_status(pending.event, self._status_map)
            task_id = pending.event.task_id
            if status is not None and task_id is not None:
                latest = desired[task_id].timestamp if task_id in desired else self._latest.get(task_id, "")
                if status.timestamp >= latest:
                    desired[task_id] = status
        return desired

    def _report(self, events: Sequence[PendingEvent], unknown: set[str]) -> None:
        """Log each unknown task that tests are marked with, once. Other events may well be about no task."""
        marked = {pending.event.task_id for pending in events if is_marked(pending.event)}
        for task_id in sorted(unknown.intersection(marked).difference(self._reported)):
            self._reported.add(task_id)
            _log.warning("%s: tests are marked with task %s, which does not exist", self.name, task_id)

    def run_pending(self) -> float:
        """Set statuses again that Task Master has overwritten. Return the seconds until the next look, or infinity."""
        now = time.monotonic()
        self._watched = {
            id_: (at, status) for id_, (at, status) in self._watched.items() if now - at < self._timing.tasks_watch
        }
        if not self._watched:
            return _NEVER
        try:
            outcome = self._manager.restore({task_id: status for task_id, (_, status) in self._watched.items()})
        except TaskManagerError as error:
            _log.warning("%s: %s", self.name, error)
            return self._timing.tasks_look
        if outcome is not None and outcome.changes:
            self._watched = {task_id: (now, status) for task_id, (_, status) in self._watched.items()}
            for change in outcome.changes:
                _log.warning("%s: %s was overwritten, and is %s again", self.name, change.task_id, change.after)
        return self._timing.tasks_look

    def close(self) -> None:
        """Close the task manager."""
        self._manager.close()


def _result(error: TaskManagerError, count: int) -> SendResult:
    if error.passing:
        return Retry(str(error), error.after)
    if error.refused:
        # Alone, each event is judged by itself: only the one that the service refuses becomes a dead letter.
        return Split(str(error)) if count > 1 else Rejected(str(error))
    return Stopped(str(error))
