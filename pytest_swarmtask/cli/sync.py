"""`swarmtask sync`: bring the task manager in step with what was recorded, or see whether it is."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from pytest_swarmtask.cli.common import project_of
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
    parser = subparsers.add_parser("sync", help="give tasks the status that the last event of each says")
    parser.add_argument("--root", dest="root", metavar="DIR", help="the project's folder (default: found upwards)")
    parser.add_argument("--json", dest="json", action="store_true", help="print one JSON object")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", dest="dry_run", action="store_true", help="only show what would change, as a diff")
    how.add_argument(
        "--check", dest="check", action="store_true", help="change nothing; exit code 1 if something would"
    )
    parser.set_defaults(func=sync)


def sync(arguments: argparse.Namespace) -> int:
    """Synchronize; exit code 1 when `--check` finds that something is not in step.

    Raises:
        AccessError: the role of whoever runs this does not allow ``task:sync``.
        ConfigError: the configuration is not valid.
        UsageError: the task manager cannot be checked.
        TaskManagerError: the task manager cannot be used as it is.
    """
    from pytest_swarmtask.relay.tasks.sync import synchronize

    project = project_of(arguments)
    read_settings(project, os.environ).access.require(TASKS)
    dry_run = arguments.dry_run or arguments.check
    synced = synchronize(project, os.environ, dry_run=dry_run)
    if arguments.check and not synced.known:
        raise UsageError("--check: the task manager is a service that can be told, but not asked what is")
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
        yield f"{task_id}  does not exist, but tests are marked with it"
    count = len(synced.outcome.changes)
    if not count:
        yield "all tasks are in step"
    else:
        yield f"{plural(count, 'task')} {'would change' if dry_run else 'changed'}"
