"""From events to the status that tasks should have, and bringing a task manager in step with a whole journal."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.config.load import load
from pytest_swarmtask.core.errors import JournalError
from pytest_swarmtask.core.event import Event
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.relay.delivery.templates import variables
from pytest_swarmtask.relay.tasks.factory import task_manager
from pytest_swarmtask.relay.tasks.manager import Outcome, Wish

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_swarmtask.config.workflow import StatusMap
    from pytest_swarmtask.core.project import Project

_OF_A_TEST = b'"event_type":"TEST_'


class Synced(NamedTuple):
    """A synchronization by hand.

    Attributes:
        outcome: what became of the wishes.
        known: whether the task manager could be asked what is.
        titles: of the tasks, by id.
        marked: those ids that tests name in a mark and that are no tasks.
    """

    outcome: Outcome
    known: bool
    titles: dict[str, str]
    marked: list[str]


def wish_of(event: Event, status_map: StatusMap) -> Wish | None:
    """Return the status that an event gives its task, or None where it gives none.

    A session that ran some of a task's tests can tell that the task failed, but neither that it begins nor that it
    is done.
    """
    status = getattr(status_map, event.event_type.lower(), "unchanged")
    if event.task_id is None or status == "unchanged":
        return None
    if event.metadata.get("partial") is True and not event.event_type.endswith("_FAILED"):
        return None
    return Wish(status, event.timestamp, variables(event))


def is_marked(event: Event) -> bool:
    """Tell whether an event is of a task that tests name in `@pytest.mark.task`."""
    return event.metadata.get("workflow") == "pytest" and event.metadata.get("action") == "task"


def synchronize(project: Project, environ: Mapping[str, str], *, dry_run: bool = False) -> Synced:
    """Give each task the status that the last event of it in the project's journal says.

    Args:
        project: the project.
        environ: where variables are looked up, and which environment holds.
        dry_run: only find out what would change.

    Raises:
        ConfigError: the configuration is not valid.
        TaskManagerError: the task manager cannot be used as it is.
    """
    definition = load(project, environ).workflow.task_integration.task_manager
    manager = task_manager(definition, project.root, environ)
    wishes: dict[str, Wish] = {}
    marked: set[str] = set()
    for event in _events(project):
        wish = wish_of(event, definition.status_map)
        if wish is not None and event.task_id is not None:
            known = wishes.get(event.task_id)
            if known is None or wish.timestamp >= known.timestamp:
                wishes[event.task_id] = wish
            if is_marked(event):
                marked.add(event.task_id)
    try:
        tasks = manager.read()
        outcome = manager.set_status(wishes, dry_run=dry_run)
    finally:
        manager.close()
    titles = {task_id: task.title for task_id, task in (tasks or {}).items()}
    return Synced(outcome, tasks is not None, titles, sorted(marked.intersection(outcome.unknown)))


def _events(project: Project) -> Iterator[Event]:
    """Yield the events of a journal that are of no single test, segment by segment."""
    for segment in journals.segments(project.journal):
        with contextlib.suppress(OSError):  # removed while we looked
            for line, _ in journals.read(project.segment(segment.name)):
                if _OF_A_TEST not in line:
                    with contextlib.suppress(JournalError):  # a line that is nothing of ours
                        yield Event.decode(line)
