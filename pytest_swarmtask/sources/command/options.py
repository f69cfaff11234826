"""The command line of `swarmtask run`.

It is parsed by hand, because importing argparse takes longer than all else that `run` does before the command starts.
"""

from __future__ import annotations

import os

from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.fastjson import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

USAGE = """\
usage: swarmtask run [--kind KIND] [--id ID] [--metadata JSON] [--tail N] [--] COMMAND [ARGUMENT ...]"""
HELP = f"""\
{USAGE}

Run a command, and report its start and its end as events. The exit code is the command's own.

  --kind KIND      what it is: task, build, deployment or test (default: task)
  --id ID          the task id of the events (default: the name of the command)
  --metadata JSON  an object that both events carry, such as '{{"version": "1.4"}}'
  --tail N         keep the last N lines of standard error for the event of a failure (default: 20; 0: do not
                   capture stderr)
  -h, --help       show this

A command that a signal has killed ends with 128 and its number, one that is not there with 127, one that cannot be
executed with 126. The command finds the run in TRACEPARENT, so that what it reports itself belongs to it."""

KINDS = ("task", "build", "deployment", "test")
_OPTION_NAMES = ("--kind", "--id", "--metadata", "--tail")
_DEFAULT_TAIL = 20


class RunOptions:
    """The options of one call.

    Attributes:
        command: the command and its arguments.
        kind: one of `KINDS`.
        task_id: the task id of the events.
        metadata: what the caller adds to both events.
        tail: number of lines of standard error to keep; with 0, it is not passed through us at all.
    """

    __slots__ = ("command", "kind", "metadata", "tail", "task_id")

    def __init__(self, command: Sequence[str]) -> None:
        self.command = command
        self.kind = "task"
        self.task_id = os.path.basename(command[0].rstrip("/")) or "command"
        self.metadata: dict[str, Any] = {}
        self.tail = _DEFAULT_TAIL


def parse(arguments: Sequence[str]) -> RunOptions | None:
    """Return the options in the arguments, or None if they ask for help.

    Raises:
        UsageError: an option is unknown, or its value is not valid, or there is no command.
    """
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "--":
        name, sign, value = rest.pop(0).partition("=")
        if name in ("-h", "--help"):
            return None
        if name not in _OPTION_NAMES:
            raise UsageError(
                f"found the unknown option {name}, expected one of {', '.join(_OPTION_NAMES)}{_nearest(name)}"
            )
        if not sign:
            if not rest:
                raise UsageError(f"{name}: found nothing after it, expected a value")
            value = rest.pop(0)
        given[name] = value
    command = rest[1:] if rest[:1] == ["--"] else rest
    if not command:
        raise UsageError("found no command, expected one after the options")
    return _options(command, given)


def _nearest(name: str) -> str:
    import difflib  # needed for this message only

    close = difflib.get_close_matches(name, _OPTION_NAMES, 1)
    return f" (did you mean {close[0]}?)" if close else ""


def _options(command: Sequence[str], given: Mapping[str, str]) -> RunOptions:
    options = RunOptions(command)
    for name, value in given.items():
        if name == "--kind":
            options.kind = _one_of(value, KINDS)
        elif name == "--tail":
            options.tail = _number(value)
        elif name == "--metadata":
            options.metadata = _object(value)
        elif value:
            options.task_id = value
        else:
            raise UsageError("--id: found nothing, expected a task id")
    return options


def _one_of(value: str, names: Sequence[str]) -> str:
    if value not in names:
        raise UsageError(f"--kind: found {value!r}, expected one of {', '.join(names)}")
    return value


def _number(value: str) -> int:
    if not (value.isascii() and value.isdecimal()):
        raise UsageError(f"--tail: found {value!r}, expected a number of lines")
    return int(value[:9])  # Python refuses to convert very long numbers, and no more lines than that are kept


def _object(text: str) -> dict[str, Any]:
    try:
        metadata = loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--metadata: found {_shown(text)}, expected a JSON object: {error}") from None
    if not isinstance(metadata, dict):
        raise UsageError(f"--metadata: found {_shown(text)}, expected a JSON object")
    return metadata


def _shown(text: str) -> str:
    from pytest_swarmtask.redaction.redactor import Redactor  # needed for messages only

    return repr(Redactor(os.environ).text(text, 200))
