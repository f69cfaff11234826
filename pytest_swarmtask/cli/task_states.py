"""What became of the tasks that tests name in their marks: for `status` and `doctor`."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from pytest_swarmtask.cli.common import present_ci_run, say
from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.service_errors import TaskManagerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_swarmtask.config.workflow import TaskManagerConfig
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.history.database import Database

_MOST_NAMED = 20
"""Tasks that are named in a line."""


def tasks_of_last_run(db: Database) -> list[str]:
    """Return the tasks that the tests of the last run name in their marks."""
    from pytest_swarmtask.history.query import marked_tasks
    from pytest_swarmtask.report.content import last_run

    run = last_run(db, ci_run=present_ci_run())
    return marked_tasks(db, run) if run else []


def task_states(definition: TaskManagerConfig, project: Project, tasks: Sequence[str]) -> dict[str, str | None]:
    """Return the present status of tasks in the task manager, by id; None for a task that it does not know.

    The result is empty if the task manager cannot be read. A message says why.
    """
    from pytest_swarmtask.relay.tasks.factory import task_manager

    if not tasks:
        return {}
    try:
        with contextlib.closing(task_manager(definition, project.root, os.environ)) as manager:
            found = manager.read()
    except (TaskManagerError, ConfigError) as error:
        say(str(error))
        return {}
    return {} if found is None else {task: found[task].status if task in found else None for task in tasks}


def known_states(states: Mapping[str, str | None]) -> str:
    """Return the status of the tasks that are known, such as ``5.2 is done, 6 is pending``; "" if none is."""
    known = [f"{task} is {status}" for task, status in states.items() if status is not None]
    more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
    return f"{', '.join(known[:_MOST_NAMED])}{more}"


def unknown_tasks(states: Mapping[str, str | None]) -> list[str]:
    """Return the tasks that the task manager does not know."""
    return [task for task, status in states.items() if status is None]
