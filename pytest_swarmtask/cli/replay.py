"""`swarmtask replay`: the events that a webhook refused for good, and sending them again."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.cli.deliveries import journal_of
from pytest_swarmtask.config.settings import read_settings
from pytest_swarmtask.errors import JournalError, UsageError
from pytest_swarmtask.terminal import neutral

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pytest_swarmtask.relay.store import DeadLetter

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names no other type


def register(subparsers: Subparsers) -> None:
    """Add the command `replay`."""
    parser = subparsers.add_parser("replay", help="list the events that webhooks refused, or send them again")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--id", dest="ids", metavar="ID", action="append", help="send this one again; may be repeated")
    which.add_argument("--all", dest="all", action="store_true", help="send all of them again")
    which.add_argument("--json", dest="json", action="store_true", help="list them as JSON")
    parser.add_argument("--endpoint", dest="endpoint", metavar="NAME", help="only those of this webhook")
    parser.add_argument("--root", dest="root", metavar="DIR", help="the project's folder (default: found upwards)")
    parser.set_defaults(func=replay)


def replay(arguments: argparse.Namespace) -> int:
    """List dead letters, or send them again; exit code 1 when one of these was not delivered.

    Raises:
        UsageError: what is asked for cannot be done, or the relay's database cannot be used.
        AccessError: the role of whoever runs this does not allow it.
    """
    journal = journal_of(arguments)
    named = arguments.all or arguments.ids
    if named:
        read_settings(os.path.dirname(os.path.dirname(journal)), os.environ).access.require("delivery:replay")
    try:
        letters = _chosen(_letters(journal), arguments)
        if named:
            return _send(journal, letters)
    except (sqlite3.Error, OSError) as error:
        raise UsageError(f"the relay's database in {journal} cannot be used: {error}") from None
    _list(letters, as_json=arguments.json)
    return 0


def _letters(journal: str) -> list[DeadLetter]:
    from pytest_swarmtask.relay.replay import dead_letters

    return dead_letters(journal)


def _chosen(letters: Sequence[DeadLetter], arguments: argparse.Namespace) -> list[DeadLetter]:
    """Return the letters that are meant.

    Raises:
        UsageError: an id is none of theirs.
    """
    of_endpoint = [letter for letter in letters if arguments.endpoint in (None, letter.endpoint)]
    ids = arguments.ids or []
    unknown = sorted(set(ids) - {letter.event_id for letter in of_endpoint})
    if unknown:
        where = f" of {arguments.endpoint}" if arguments.endpoint else ""
        raise UsageError(f"--id: found {', '.join(unknown)}, expected ids of dead letters{where}: see swarmtask replay")
    return [letter for letter in of_endpoint if not ids or letter.event_id in ids]


def _send(journal: str, letters: Sequence[DeadLetter]) -> int:
    from pytest_swarmtask.relay.replay import replay as send_again

    delivered = 0
    for letter, problem in send_again(journal, os.environ, letters) if letters else ():
        if problem is None:
            delivered += 1
        else:
            print(neutral(f"{letter.endpoint}: {letter.event_id}: {problem}"))
    print(f"{delivered} of {len(letters)} delivered")
    return 0 if delivered == len(letters) else 1


def _list(letters: Sequence[DeadLetter], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([_as_json(letter) for letter in letters], indent=2))
        return
    for letter in letters:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(letter.at))
        event = _event(letter) or {}
        about = " ".join(str(event[key]) for key in ("event_type", "task_id") if event.get(key))
        print(neutral(f"{letter.endpoint}: {letter.event_id}: {about}: {when}: {letter.reason}"))
    print("send them again with: swarmtask replay --all, or --id ID" if letters else "there are no dead letters")


def _as_json(letter: DeadLetter) -> dict[str, Any]:
    named = {"endpoint": letter.endpoint, "id": letter.event_id, "reason": letter.reason, "at": letter.at}
    return {**named, "event": _event(letter)}


def _event(letter: DeadLetter) -> dict[str, Any] | None:
    """Return the event that a letter holds, None where it is damaged."""
    from pytest_swarmtask.events import Event

    try:
        return Event.decode(letter.line).to_dict()
    except JournalError:
        return None
