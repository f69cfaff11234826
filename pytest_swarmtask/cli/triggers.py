"""`swarmtask triggers test`: show which rules would fire on an event, and why the others would not."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.cli.common import add_root, project_of, relay_database
from pytest_swarmtask.core.errors import EventTypeError, JournalError, UsageError
from pytest_swarmtask.core.event import EVENT_TYPES, Event, event_type_name
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.journal.segments import COMPRESSED, SUFFIX

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.relay.triggers.dry_run import RuleOutcome


def register(subparsers: Subparsers) -> None:
    """Add the command `triggers` with its action."""
    parser = subparsers.add_parser(
        "triggers",
        help="try out the rules of automation_triggers",
        description="Try out the rules of automation_triggers without running their actions.",
        example="swarmtask triggers test --event TEST_FAILED",
        page="automation",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    test_parser = actions.add_parser("test", help="show which rules would fire on events, and why the others would not")
    test_parser.add_argument(
        "--event", nargs="+", required=True, dest="event", metavar="FILE|TYPE", help="files with events, or event types"
    )
    test_parser.add_argument("--task-id", dest="task_id", metavar="ID", help="task id of events that are given by type")
    test_parser.add_argument(
        "--metadata", dest="metadata", metavar="JSON", help="metadata of events that are given by type"
    )
    test_parser.add_argument("--json", dest="json", action="store_true", help="print one JSON object")
    add_root(test_parser)
    test_parser.set_defaults(func=test)


def test(arguments: argparse.Namespace) -> int:
    """Show what each rule would do on each event, without doing it. Return 0.

    Raises:
        ConfigError: the configuration is not valid.
        UsageError: an argument is not an event, or the relay's database cannot be read.
    """
    from pytest_swarmtask.config.load import load
    from pytest_swarmtask.recording.settings import read_settings
    from pytest_swarmtask.relay.triggers.dry_run import dry_run
    from pytest_swarmtask.relay.triggers.rules import Circumstances
    from pytest_swarmtask.relay.triggers.sink import branch_of

    project = project_of(arguments)
    loaded = load(project, os.environ)
    circumstances = Circumstances(loaded.environment or "", branch_of(project.root, os.environ))
    events = list(_events(arguments))
    access = read_settings(project, os.environ).access
    with relay_database(project):
        found = list(dry_run(loaded.workflow, project, access, circumstances, events))
    if arguments.json:
        print(json.dumps({"events": [_as_json(event, outcomes) for event, outcomes in found]}, indent=2))
    else:
        for event, outcomes in found:
            for line in _as_text(event, outcomes):
                print(neutral(line))
    return 0


def _events(arguments: argparse.Namespace) -> Iterator[Event]:
    for given in arguments.event:
        # A missing file must not be taken for the type of an event, which would be another error message.
        if os.path.exists(given) or os.sep in given or given.endswith((".json", SUFFIX, COMPRESSED)):
            yield from _read(given)
        else:
            yield _sample_event(given, arguments.task_id, arguments.metadata)


def _sample_event(name: str, task_id: str | None, metadata: str | None) -> Event:
    """Return a made-up event of a type.

    Raises:
        UsageError: the type is unknown, or the metadata is not a JSON object.
    """
    from pytest_swarmtask.core.trace import Clock, Ids, new_trace_id

    try:
        kind = event_type_name(name)
    except EventTypeError as error:
        raise UsageError(f"--event: {error}") from None
    try:
        given = json.loads(metadata or "{}")
    except ValueError as error:
        raise UsageError(f"--metadata is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise UsageError('--metadata: expected a JSON object such as {"branch":"main"}')
    ids, now = Ids(), Clock().timestamp()
    known = {"timestamp": now, **given}
    return Event(ids.event(), kind, task_id, EVENT_TYPES[kind], now, "test", new_trace_id(), ids.span(), None, known)


def _read(path: str) -> Iterator[Event]:
    """Yield the events of a file, which is one JSON object, or has one in each line.

    Raises:
        UsageError: the file cannot be read, or contains something else.
    """
    content = _content(path)
    try:
        yield Event.decode(content)
        return
    except JournalError as error:
        problem = error
    lines = [(number, line) for number, line in enumerate(content.splitlines(), 1) if line.strip()]
    for number, line in lines:
        try:
            event = Event.decode(line)
        except JournalError as error:
            # If the first line is not an event, the file is probably one JSON object. Say what is wrong with that.
            whole = number == 1
            raise UsageError(f"--event {path}:{number}: {problem if whole else error}") from None
        yield event
    if not lines:
        raise UsageError(f"--event {path}: found an empty file, expected events as JSON")


def _content(path: str) -> bytes:
    """Return the content of a file, which may be a compressed segment.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        content = Path(path).read_bytes()
        return gzip.decompress(content) if path.endswith(COMPRESSED) else content
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"--event {path}: {getattr(error, 'strerror', None) or error}") from None


def _as_json(event: Event, outcomes: list[RuleOutcome]) -> dict[str, Any]:
    rules = [
        {"rule": one.rule, "fires": one.reason is None, "reason": one.reason, "actions": one.actions}
        for one in outcomes
    ]
    return {"id": event.id, "event_type": event.event_type, "task_id": event.task_id, "rules": rules}


def _as_text(event: Event, outcomes: list[RuleOutcome]) -> Iterator[str]:
    yield f"{event.event_type} {event.task_id or ''}".rstrip()
    if not outcomes:
        yield "  there are no rules: add some under automation_triggers in workflow.yaml"
    for one in outcomes:
        yield f"  {one.rule}: {'would fire' if one.reason is None else f'no: {one.reason}'}"
        for action in one.actions:
            yield f"    {action}"
