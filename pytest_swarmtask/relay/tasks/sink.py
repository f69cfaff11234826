"""The task manager as a sink: what events say of tasks becomes their status there."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import ConfigError, TaskManagerError
from pytest_swarmtask.core.event import EVENT_TYPES
from pytest_swarmtask.core.project import TASKS
from pytest_swarmtask.core.timing import DEFAULTS
from pytest_swarmtask.plugins.hookspecs import hookimpl
from pytest_swarmtask.plugins.sink import Delivered, Rejected, Retry, Split, Stopped
from pytest_swarmtask.relay.tasks.factory import task_manager
from pytest_swarmtask.relay.tasks.sync import is_marked, wish_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_swarmtask.config.workflow import StatusMap
    from pytest_swarmtask.core.timing import Timing
    from pytest_swarmtask.plugins.hookspecs import SinkRequest
    from pytest_swarmtask.plugins.sink import PendingEvent, SendResult
    from pytest_swarmtask.relay.tasks.manager import TaskManager, Wish

_log = logging.getLogger("pytest_swarmtask.relay")

_NEVER = float("inf")


@hookimpl
def swarmtask_sink(request: SinkRequest) -> TaskManagerSink | None:
    """Return the sink of the task manager."""
    if request.name != TASKS:
        return None
    if request.workflow is None:
        raise ConfigError("the configuration is not valid, see: swarmtask config validate")
    definition = request.workflow.task_integration.task_manager
    if not definition.enabled:
        raise ConfigError("task_manager is not enabled in the configuration any more")
    manager = task_manager(definition, request.project.root, request.environ)
    return TaskManagerSink(request.identity, manager, definition.status_map, request.timing)


class TaskManagerSink:
    """Carries events to a task manager. Used from one thread at a time.

    Args:
        name: under which its deliveries are counted.
        manager: where to.
        status_map: which status each type of event gives.
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
        self._fulfilled: dict[str, tuple[float, Wish]] = {}
        self._latest: dict[str, str] = {}
        self._reported: set[str] = set()

    def accepts(self, event_type: str) -> bool:
        """Tell whether events of this type give tasks a status."""
        return event_type in self._accepted

    def send(self, records: Sequence[PendingEvent]) -> SendResult:
        """Give the tasks of these events their status."""
        wishes = self._wishes(records)
        if not wishes:
            return Delivered()
        try:
            outcome = self._manager.set_status(wishes)
        except TaskManagerError as error:
            return _verdict(error, len(records))
        except Exception as error:  # noqa: BLE001 - whatever the file holds, the relay serves the others
            _log.exception("%s", self.name)
            return Stopped(f"unexpected {type(error).__name__}, see the relay's log")
        self._report(records, set(outcome.unknown))
        now = time.monotonic()
        for task_id, wish in wishes.items():
            if task_id not in outcome.unknown:
                self._latest[task_id] = wish.timestamp
                self._fulfilled[task_id] = (now, wish)
        return Delivered()

    def _wishes(self, records: Sequence[PendingEvent]) -> dict[str, Wish]:
        """Return the last wish of each task, unless a later one was fulfilled before."""
        wishes: dict[str, Wish] = {}
        for record in records:
            wish = wish_of(record.event, self._status_map)
            task_id = record.event.task_id
            if wish is not None and task_id is not None:
                latest = wishes[task_id].timestamp if task_id in wishes else self._latest.get(task_id, "")
                if wish.timestamp >= latest:
                    wishes[task_id] = wish
        return wishes

    def _report(self, records: Sequence[PendingEvent], unknown: set[str]) -> None:
        """Log once which tasks tests are marked with that are none."""
        marked = {record.event.task_id for record in records if is_marked(record.event)}
        for task_id in sorted(unknown.intersection(marked).difference(self._reported)):
            self._reported.add(task_id)
            _log.warning("%s: tests are marked with task %s, which does not exist", self.name, task_id)

    def run_pending(self) -> float:
        """Look after what was set a moment ago; return the seconds until that has to be done again."""
        now = time.monotonic()
        self._fulfilled = {
            id_: (at, wish) for id_, (at, wish) in self._fulfilled.items() if now - at < self._timing.tasks_watch
        }
        if not self._fulfilled:
            return _NEVER
        try:
            outcome = self._manager.restore({task_id: wish for task_id, (_, wish) in self._fulfilled.items()})
        except TaskManagerError as error:
            _log.warning("%s: %s", self.name, error)
            return self._timing.tasks_look
        if outcome is not None and outcome.changes:
            self._fulfilled = {task_id: (now, wish) for task_id, (_, wish) in self._fulfilled.items()}
            for change in outcome.changes:
                _log.warning("%s: %s was overwritten, and is %s again", self.name, change.task_id, change.after)
        return self._timing.tasks_look

    def close(self) -> None:
        """Let go of the task manager."""
        self._manager.close()


def _verdict(error: TaskManagerError, count: int) -> SendResult:
    if error.passing:
        return Retry(str(error), error.after)
    if error.refused:
        return Split(str(error)) if count > 1 else Rejected(str(error))
    return Stopped(str(error))
