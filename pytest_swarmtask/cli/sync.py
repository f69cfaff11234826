"""`swarmtask sync`: update the task manager from recorded events, or check whether it is up to date."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from pytest_swarmtask.cli.common import add_root, project_of
from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.project import TASKS
from pytest_swarmtask.core.text import neutral_lines, plural
from pytest_swarmtask.recording.settings import read_settings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.relay.tasks.manager import StatusChange
    from pytest_swarmtask.relay.tasks.sync import Synced


def register(subparsers: Subparsers) -> None:
    """Add the command `sync`."""
    parser = subparsers.add_parser(
        "sync",
        help="update Task Master from recorded events",
        description="Update Task Master from the recorded events: tasks are in-progress, done, or back to pending.",
        example="swarmtask sync --dry-run",
        page="tasks",
    )
    add_root(parser)
    parser.add_argument("--json", dest="json", action="store_true", help="print one JSON object")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--dry-run", dest="dry_run", action="store_true", help="change nothing, and print the changes as a diff"
    )
    how.add_argument(
        "--check", dest="check", action="store_true", help="change nothing; exit code 1 if a task is not up to date"
    )
    parser.set_defaults(func=sync)


def sync(arguments: argparse.Namespace) -> int:
    """Update the tasks. Return 1 if `--check` finds a task that is not up to date, else 0.

    Raises:
        AccessError: the role of the user does not permit ``task:sync``.
        ConfigError: the configuration is not valid.
        UsageError: `--check` was given, but the task manager cannot be asked for the status of tasks.
        TaskManagerError: the task manager cannot be used.
    """
    from pytest_swarmtask.relay.tasks.sync import synchronize

    project = project_of(arguments)
    read_settings(project, os.environ).access.require(TASKS)
    dry_run = arguments.dry_run or arguments.check
    synced = synchronize(project, os.environ, dry_run=dry_run)
    if arguments.check and not synced.known:
        raise UsageError("--check: this task manager cannot be asked for the status of its tasks, only updated")
    if arguments.json:
        print(json.dumps(_as_json(synced), indent=2))
    elif arguments.dry_run and synced.outcome.diff:
        print(neutral_lines(synced.outcome.diff), end="")
    else:
        print(neutral_lines("\n".join(_as_text(synced, dry_run=dry_run))))
    return 1 if arguments.check and synced.outcome.changes else 0


def _as_json(synced: Synced) -> dict[str, object]:
    outcome = synced.outcome
    changes, kept = ([_described(change, synced) for change in some] for some in (outcome.changes, outcome.kept))
    return {"changes": changes, "kept": kept, "unknown": synced.marked}


def _described(change: StatusChange, synced: Synced) -> dict[str, str]:
    return {**change._asdict(), "title": synced.titles.get(change.task_id, "")}


def _as_text(synced: Synced, *, dry_run: bool) -> Iterator[str]:
    for change in synced.outcome.changes:
        title = synced.titles.get(change.task_id)
        before = f"{change.before} → " if change.before else ""
        yield f"{change.task_id}  {before}{change.after}" + (f"  ({title})" if title else "")
    for change in synced.outcome.kept:
        was = f" stays {change.before}:" if change.before else ""
        yield f"{change.task_id} {was} it was changed after the event that says {change.after}"
    for task_id in synced.marked:
        yield f"tests are marked with task {task_id}, which does not exist"
    count = len(synced.outcome.changes)
    if not count:
        yield "all tasks are up to date"
    else:
        yield f"{plural(count, 'task')} {'would change' if dry_run else 'changed'}"
