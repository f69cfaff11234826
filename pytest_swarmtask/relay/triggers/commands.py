"""The action `run`: a command with what is known of the event, in a process group of its own, for a limited time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from typing import IO, TYPE_CHECKING

from pytest_swarmtask.config.variables import expand
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.core.trace import CAUSES, traceparent
from pytest_swarmtask.relay.delivery.templates import fill
from pytest_swarmtask.relay.triggers.rules import ActionError, chain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.config.triggers import RunCommand
    from pytest_swarmtask.redaction.redactor import Redactor
    from pytest_swarmtask.relay.triggers.rules import Firing

_MOST_OUTPUT = 64 * 1024
"""Bytes of its output that are kept: the last ones."""
_LONGEST_LINE = 2000
_FIELDS = ("id", "task_id", "status", "timestamp", "source", "trace_id", "span_id", "parent_span_id")


def arguments_of(action: RunCommand, values: Mapping[str, object], environ: Mapping[str, str]) -> list[str]:
    """Return the command's program and arguments; what an event says stays within the argument that names it.

    Raises:
        ActionError: what the event says would make an option of an argument, or cannot be in one.
        UnsetVariableError: a variable that an argument names is not set.
    """
    program, *arguments = action.command
    return [expand(program, environ), *(argument(expand(one, environ), values) for one in arguments)]


def argument(template: str, values: Mapping[str, object]) -> str:
    """Return one argument, with its templates filled.

    Raises:
        ActionError: as `arguments_of`.
    """
    filled = fill(template, values)
    if filled.startswith("-") and not template.startswith("-"):
        raise ActionError(f"the argument {template} would become the option {filled[:80]!r} by what the event says")
    if "\0" in filled:
        raise ActionError(f"the argument {template} would hold a NUL by what the event says")
    return filled


def environ_of(action: RunCommand, firing: Firing, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a command: the relay's own, and what is known of the event.

    Raises:
        UnsetVariableError: a variable that `env` names is not set.
    """
    event = firing.event
    fields = {f"SWARMTASK_EVENT_{name.upper()}": getattr(event, name) for name in _FIELDS}
    about = {
        **fields,
        "SWARMTASK_EVENT_TYPE": event.event_type,
        "SWARMTASK_EVENT_METADATA": json.dumps(event.metadata, ensure_ascii=False),
        "SWARMTASK_TRIGGER": firing.rule.name,
        CAUSES: ",".join([*chain(event), firing.rule.name]),
        "TRACEPARENT": traceparent(event.trace_id, event.span_id),
    }
    if firing.environment:
        about["WORKFLOW_ENVIRONMENT"] = firing.environment
    more = {name: fill(expand(text, environ), firing.values) for name, text in action.env.items()}
    return {**environ, **{name: (value or "").replace("\0", "") for name, value in {**about, **more}.items()}}


def run(
    action: RunCommand, firing: Firing, environ: Mapping[str, str], root: str, grace: float
) -> tuple[int | None, str]:
    """Run a command; return its exit code, None where its time was over, and the end of its output.

    Once its time is over it has `grace` seconds to end by itself.

    Raises:
        ActionError: it could not be started.
        ConfigError: a variable that it needs is not set.
    """
    command = arguments_of(action, firing.values, environ)
    cwd = os.path.join(root, expand(action.cwd or "", environ))
    env = environ_of(action, firing, environ)
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise ActionError(f"{command[0]} could not be started: {error}") from None
        try:
            code: int | None = process.wait(firing.rule.timeout)
        except subprocess.TimeoutExpired:
            _end(process, grace)
            code = None
        return code, _tail(output)


def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    """End a command with all that it has started and that has not left its process group."""
    _signal(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace)
    if sys.platform != "win32":
        _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if sys.platform == "win32":
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left
        os.killpg(process.pid, number)


def _tail(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _MOST_OUTPUT))
    text = output.read(_MOST_OUTPUT).decode("utf-8", "replace")
    return text if size <= _MOST_OUTPUT else f"({size - _MOST_OUTPUT} bytes before this are left out)\n{text}"


def keep_output(path: str, rule: str, output: str, redactor: Redactor) -> None:
    """Add what a command has said to the relay's log: line by line, without secrets, fit for a terminal."""
    at = time.strftime("%Y-%m-%d %H:%M:%S")
    lines = redactor.text(output, _MOST_OUTPUT).splitlines()
    text = "".join(f"{at} trigger {rule} | {neutral(line[:_LONGEST_LINE])}\n" for line in lines)
    with contextlib.suppress(OSError):  # a full disk
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with open(fd, "ab") as file:
            file.write(text.encode("utf-8", "replace"))
