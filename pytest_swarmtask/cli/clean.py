"""`swarmtask clean`: show how much room the recorded events take, and remove them by age or wholly."""

from __future__ import annotations

import datetime as dt
import os
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.cli.common import add_root, number_of, project_of, survey_of
from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.text import NOTHING_RECORDED, neutral, plural
from pytest_swarmtask.journal import orphans

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.relay.removal import Usage

_DAY = 86400.0
_CONTENTS = {
    "journal": "recorded events",
    "history": "results of tests and runs",
    "deliveries": "what webhooks have received, and events that they refused",
    "other": "the compiled configuration, and other files that are made again",
}

_REMOVING = {
    "swarmtask clean --older-than 30 --yes": "removes what is older than 30 days",
    "swarmtask clean --all --yes": "removes everything",
}
_WIDTH = 39
"""Columns of a command. The longest above has 37."""


def register(subparsers: Subparsers) -> None:
    """Add the command `clean`."""
    parser = subparsers.add_parser(
        "clean",
        help="show how much room the recorded events take, and remove them",
        description="Show how much room the recorded events, the history and the deliveries take, and remove them by "
        "age or wholly. Configuration, quarantine and tasks stay.",
        example="swarmtask clean --older-than 30 --yes",
        page="history",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--older-than",
        dest="days",
        metavar="DAYS",
        type=number_of("days"),
        help="what was recorded more than DAYS days ago; events that wait for a webhook stay",
    )
    which.add_argument("--all", dest="all", action="store_true", help="everything")
    parser.add_argument(
        "--undelivered", dest="undelivered", action="store_true", help="with --all: events that wait for a webhook, too"
    )
    parser.add_argument("--yes", dest="yes", action="store_true", help="remove it; without --yes nothing is removed")
    add_root(parser)
    parser.set_defaults(func=clean)


def clean(arguments: argparse.Namespace) -> int:
    """Show what there is, or remove it. Return 0.

    Raises:
        ConfigError: the configuration, which says how long events may wait, is invalid.
        HistoryError: the history cannot be cleaned now.
        UsageError: the journal is in use, belongs to another user, or has events that wait.
    """
    from pytest_swarmtask.relay.removal import usage

    project = project_of(arguments)
    before = usage(project)
    if not _size(before):
        print(NOTHING_RECORDED)
        return 0
    if not arguments.yes:
        _print(project, before, is_asked=arguments.all or arguments.days is not None)
        return 0
    if not orphans.is_ours(project):
        raise UsageError(f"{project.journal} belongs to another user, who has to clean it")
    if arguments.all:
        _remove_all(project, with_undelivered=arguments.undelivered)
    elif arguments.days is not None:
        _remove_older(project, arguments.days * _DAY)
    else:
        raise UsageError("--yes needs --older-than DAYS or --all, which say what to remove")
    left = _size(usage(project))
    print(f"{_in_words(max(0, _size(before) - left))} freed, {_in_words(left)} left")
    return 0


def _remove_all(project: Project, *, with_undelivered: bool) -> None:
    from pytest_swarmtask.relay.removal import is_in_use, remove_all

    endpoints = survey_of(project).endpoints.items()
    if is_in_use(project):
        raise UsageError("a process records or delivers here: try again when that is done")
    waiting = {name: number for name, one in endpoints if (number := one.waiting + one.dead)}
    if waiting and not with_undelivered:
        events = ", ".join(f"{plural(number, 'event')} for {name}" for name, number in waiting.items())
        raise UsageError(f"not delivered yet: {events}; send them with swarmtask flush, or add --undelivered")
    remove_all(project, time.time())  # not earlier: the survey, too, writes files, next to the database


def _remove_older(project: Project, age: float) -> None:
    from msgspec.structs import replace

    from pytest_swarmtask.config.load import load
    from pytest_swarmtask.history import retention as runs
    from pytest_swarmtask.history.session import query_history
    from pytest_swarmtask.relay import retention

    # Undelivered events keep the age of the configuration, so that cleaning gives none of them up.
    configured = load(project, os.environ).workflow.monitoring.retention
    retention.prune(project, os.environ, replace(configured, journal_age=age))
    query_history(project, lambda db: runs.prune(db, age, float("inf")), environ=os.environ)


def _print(project: Project, found: Mapping[str, Usage], *, is_asked: bool) -> None:
    """Print what there is, and how to remove it. `is_asked` is whether the arguments say what to remove."""
    from rich.text import Text

    from pytest_swarmtask.report.terminal import console
    from pytest_swarmtask.report.text import print_line, print_row

    where = console()
    print_line(Text(neutral(f"{project.journal}: {_in_words(_size(found))}")), 0, where)
    for kind, one in found.items():
        if one.files:
            since = dt.datetime.fromtimestamp(one.since).date()  # noqa: DTZ006 - people read it in local time
            about = f"{_CONTENTS[kind]}, {plural(one.files, 'file')} since {since}"
            print_row(Text(f"{kind:<12}{_in_words(one.size):>8}  "), Text(about), 2, where)
    if is_asked:
        print("nothing was removed: add --yes")
        return
    print()
    for command, effect in _REMOVING.items():
        print_row(Text(f"{command:<{_WIDTH}}"), Text(effect), 2, where)


def _size(found: Mapping[str, Usage]) -> int:
    return sum(one.size for one in found.values())


def _in_words(size: int) -> str:
    """Return a number of bytes as people read it, such as ``7.2 MB``."""
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"
