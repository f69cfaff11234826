"""Determine the status that events give to tasks, and set the status of all tasks of a journal."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.config.load import load
from pytest_swarmtask.core.errors import JournalError
from pytest_swarmtask.core.event import SKIPPED, Event
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.relay.delivery.templates import variables
from pytest_swarmtask.relay.tasks.factory import task_manager
from pytest_swarmtask.relay.tasks.manager import DesiredStatus, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_swarmtask.config.workflow import StatusMap
    from pytest_swarmtask.core.project import Project

_OF_A_TEST = b'"event_type":"TEST_'
"""In the lines of tests. They give no task a status and are most of a journal, so they are not even decoded."""


class Synced(NamedTuple):
    """The result of `synchronize`.

    Attributes:
        outcome: which statuses were changed and which were not.
        known: whether the task manager's present statuses could be read.
        titles: the titles of the tasks, by id.
        marked: ids in marks of tests that are no tasks.
    """

    outcome: Outcome
    known: bool
    titles: dict[str, str]
    marked: list[str]


def desired_status(event: Event, status_map: StatusMap) -> DesiredStatus | None:
    """Return the status that an event gives to its task, or None if it gives none.

    A session that ran only some tests of a task may show that the task has failed. It shows neither that the task
    has begun nor that it is done.
    """
    status = getattr(status_map, event.event_type.lower(), "unchanged")
    if event.task_id is None or status == "unchanged":
        return None
    has_failed = event.event_type.endswith("_FAILED") and event.status != SKIPPED
    if event.metadata.get("partial") is True and not has_failed:
        return None
    return DesiredStatus(status, event.timestamp, variables(event))


def is_marked(event: Event) -> bool:
    """Whether the event is about a task that tests name in `@pytest.mark.task`."""
    return event.metadata.get("workflow") == "pytest" and event.metadata.get("action") == "task"


def synchronize(project: Project, environ: Mapping[str, str], *, dry_run: bool = False) -> Synced:
    """Give each task the status that its last event in the journal says.

    Args:
        project: the project.
        environ: where `${NAME}` is looked up; `WORKFLOW_ENVIRONMENT` in it chooses the environment.
        dry_run: change nothing, and return what would change.

    Raises:
        ConfigError: the configuration is not valid.
        TaskManagerError: the task manager cannot be used as it is.
    """
    definition = load(project, environ).workflow.task_integration.task_manager
    manager = task_manager(definition, project.root, environ)
    desired: dict[str, DesiredStatus] = {}
    marked: set[str] = set()
    for event in _events(project):
        status = desired_status(event, definition.status_map)
        if status is not None and event.task_id is not None:
            known = desired.get(event.task_id)
            if known is None or status.timestamp >= known.timestamp:
                desired[event.task_id] = status
            if is_marked(event):
                marked.add(event.task_id)
    try:
        tasks = manager.read()
        outcome = manager.set_status(desired, dry_run=dry_run)
    finally:
        manager.close()
    titles = {task_id: task.title for task_id, task in (tasks or {}).items()}
    return Synced(outcome, tasks is not None, titles, sorted(marked.intersection(outcome.unknown)))


def _events(project: Project) -> Iterator[Event]:
    """Yield the events of a journal except those of single tests, segment by segment."""
    for segment in journals.segments(project.journal):
        with contextlib.suppress(OSError):  # the segment was removed meanwhile
            for line, _ in journals.read(project.segment(segment.name)):
                if _OF_A_TEST not in line:
                    with contextlib.suppress(JournalError):  # not a line that we wrote
                        yield Event.decode(line)
