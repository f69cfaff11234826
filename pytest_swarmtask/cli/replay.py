"""`swarmtask replay` and `swarmtask purge`: send refused events (dead letters) again, or drop them."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.cli.common import add_root, number_of, project_of, relay_database
from pytest_swarmtask.core.errors import JournalError, UsageError
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.recording.settings import read_settings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.relay.delivery.store import DeadLetter


_DAY = 86400.0
_NONE = "there are no dead letters"


def register(subparsers: Subparsers) -> None:
    """Add the commands `replay` and `purge`."""
    parser = subparsers.add_parser(
        "replay",
        help="list events that webhooks refused, or send them again",
        description="List the events that webhooks refused (the dead letters), or send them again.",
        example="swarmtask replay --all",
        page="delivery",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--id", dest="ids", metavar="ID", action="append", help="send this event again (may be repeated)"
    )
    which.add_argument("--all", dest="all", action="store_true", help="send all refused events again")
    which.add_argument("--json", dest="json", action="store_true", help="print the list as JSON")
    parser.set_defaults(func=replay)
    purging = subparsers.add_parser(
        "purge",
        help="drop events that webhooks refused",
        description="Drop events that webhooks refused.",
        example="swarmtask purge --older-than 30",
        page="delivery",
    )
    purging.add_argument("--id", dest="ids", metavar="ID", action="append", help="only this event (may be repeated)")
    purging.add_argument(
        "--older-than",
        dest="days",
        metavar="DAYS",
        type=number_of("days"),
        default=0.0,
        help="only events that were refused more than DAYS days ago",
    )
    purging.add_argument("--yes", dest="yes", action="store_true", help="drop them; without --yes they are only listed")
    purging.set_defaults(func=purge)
    for one in (parser, purging):
        one.add_argument("--endpoint", dest="endpoint", metavar="NAME", help="only events that this webhook refused")
        add_root(one)


def replay(arguments: argparse.Namespace) -> int:
    """List dead letters, or send them again. Return 1 if one of them was not delivered, else 0.

    Raises:
        UsageError: an id is unknown, or the relay's database cannot be used.
        AccessError: the role of the user does not permit ``delivery:replay``.
    """
    project = project_of(arguments)
    send = arguments.all or arguments.ids
    if send:
        _require(project, "delivery:replay")
    with relay_database(project, "used"):
        letters = _chosen(_letters(project), arguments)
        if send:
            return _send(project, letters)
    if arguments.json:
        print(json.dumps([_as_json(letter) for letter in letters], indent=2))
    else:
        _list(letters)
        print("send them again with: swarmtask replay --all, or --id ID" if letters else _NONE)
    return 0


def purge(arguments: argparse.Namespace) -> int:
    """Drop dead letters, or list the ones that would be dropped. Return 0.

    Raises:
        UsageError: an id is unknown, or the relay's database cannot be used.
        AccessError: the role of the user does not permit ``delivery:purge``.
    """
    from pytest_swarmtask.relay import replay as relay

    project = project_of(arguments)
    if arguments.yes:
        _require(project, "delivery:purge")
    with relay_database(project, "used"):
        limit = time.time() - arguments.days * _DAY if arguments.days else float("inf")
        letters = [letter for letter in _chosen(_letters(project), arguments) if letter.at <= limit]
        if arguments.yes:
            print(f"{relay.purge(project, letters) if letters else 0} dropped")
            return 0
    _list(letters)
    print("drop them for good with: --yes" if letters else _NONE)
    return 0


def _require(project: Project, control: str) -> None:
    """Check a permission of the user.

    Raises:
        AccessError: their role does not have it.
    """
    read_settings(project, os.environ).access.require(control)


def _letters(project: Project) -> list[DeadLetter]:
    from pytest_swarmtask.relay.delivery.backlog import dead_letters

    return dead_letters(project)


def _chosen(letters: Sequence[DeadLetter], arguments: argparse.Namespace) -> list[DeadLetter]:
    """Return the letters that the options `--endpoint` and `--id` name.

    Raises:
        UsageError: there is no letter with one of the ids.
    """
    of_endpoint = [letter for letter in letters if arguments.endpoint in (None, letter.endpoint)]
    ids = arguments.ids or []
    unknown = sorted(set(ids) - {letter.event_id for letter in of_endpoint})
    if unknown:
        where = f" of {arguments.endpoint}" if arguments.endpoint else ""
        raise UsageError(f"--id: found {', '.join(unknown)}, expected ids of dead letters{where}: see swarmtask replay")
    return [letter for letter in of_endpoint if not ids or letter.event_id in ids]


def _send(project: Project, letters: Sequence[DeadLetter]) -> int:
    from pytest_swarmtask.relay.replay import replay as send_again

    delivered = 0
    for letter, problem in send_again(project, os.environ, letters) if letters else ():
        if problem is None:
            delivered += 1
        else:
            print(neutral(f"{letter.endpoint}: {letter.event_id}: {problem}"))
    print(f"{delivered} of {len(letters)} delivered")
    return 0 if delivered == len(letters) else 1


def _list(letters: Iterable[DeadLetter]) -> None:
    for letter in letters:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(letter.at))
        event = _event(letter) or {}
        about = " ".join(str(event[key]) for key in ("event_type", "task_id") if event.get(key))
        print(neutral(f"{letter.endpoint}: {letter.event_id}: {about}: {when}: {letter.reason}"))


def _as_json(letter: DeadLetter) -> dict[str, Any]:
    named = {"endpoint": letter.endpoint, "id": letter.event_id, "reason": letter.reason, "at": letter.at}
    return {**named, "event": _event(letter)}


def _event(letter: DeadLetter) -> dict[str, Any] | None:
    """Return the event of a letter, or None if its line is damaged."""
    from pytest_swarmtask.core.event import Event

    try:
        return Event.decode(letter.line).to_dict()
    except JournalError:
        return None
