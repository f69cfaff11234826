"""The action `run`: run a command in its own process group, with the event's fields in its environment."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from typing import IO, TYPE_CHECKING

from pytest_swarmtask.config.variables import expand
from pytest_swarmtask.core.files import open_own
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.core.trace import CAUSES, traceparent
from pytest_swarmtask.relay.delivery.templates import fill
from pytest_swarmtask.relay.triggers.interface import ActionError
from pytest_swarmtask.relay.triggers.rules import triggers_that_led_to
from pytest_swarmtask.wire.evidence import facts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.config.triggers import RunCommand
    from pytest_swarmtask.redaction.redactor import Redactor
    from pytest_swarmtask.relay.triggers.interface import ActionContext, Firing

_MOST_OUTPUT = 64 * 1024
"""Bytes of a command's output that are logged: the last ones."""
_LONGEST_LINE = 2000
"""Characters of one line of output that are logged."""
_EVENT_FIELDS = ("id", "task_id", "status", "timestamp", "source", "trace_id", "span_id", "parent_span_id")


class CommandAction:
    """Runs a command. Its output goes to the relay's log, its failure is the action's."""

    def __init__(self, definition: RunCommand) -> None:
        self._definition = definition

    def execute(self, firing: Firing, context: ActionContext) -> None:
        """Run the command, and kill it when the rule's timeout is over."""
        code, output = self._run(firing, context)
        _log_output(context.project.relay_log, firing.rule.name, output, context.redactor)
        program = self._definition.command[0]
        if code is None:
            raise ActionError(f"{program} was killed, as it took longer than {firing.rule.timeout:g} s")
        if code:
            raise ActionError(f"{program} ended with exit code {code}")

    def describe(self, values: Mapping[str, object]) -> str:
        """Return the command line, quoted for a shell."""
        program, *arguments = self._definition.command
        try:
            return f"run {shlex.join([program, *(_argument(one, values) for one in arguments)])}"
        except ActionError as error:
            return f"run would fail: {error}"

    def required_permissions(self) -> list[str]:
        """Return nothing: ``trigger:run`` covers commands."""
        return []

    def _run(self, firing: Firing, context: ActionContext) -> tuple[int | None, str]:
        """Run the command. Return its exit code, or None if it was killed, and the end of its output.

        Raises:
            ActionError: it could not be started, or an argument is refused.
            ConfigError: a variable that it needs is not set.
        """
        command = self._command(firing.values, context.environ)
        cwd = os.path.join(context.project.root, expand(self._definition.cwd or "", context.environ))
        environ = self._environ(firing, context.environ)
        # A file instead of a pipe: a background process of the command may keep it open, and nobody has to read along.
        with tempfile.TemporaryFile() as output:
            try:
                process = subprocess.Popen(
                    command,
                    cwd=cwd,
                    env=environ,
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
                _kill(process, context.timing.command_grace)
                code = None
            return code, _tail(output)

    def _command(self, values: Mapping[str, object], environ: Mapping[str, str]) -> list[str]:
        """Return the program and its arguments. The program is no template, so an event cannot choose it."""
        program, *arguments = self._definition.command
        return [expand(program, environ), *(_argument(expand(one, environ), values) for one in arguments)]

    def _environ(self, firing: Firing, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the command's environment: the relay's own, and variables that describe the event.

        Raises:
            UnsetVariableError: a variable that `env` names is not set.
        """
        event = firing.event
        about_event = {
            **{f"SWARMTASK_EVENT_{name.upper()}": getattr(event, name) for name in _EVENT_FIELDS},
            "SWARMTASK_EVENT_TYPE": event.event_type,
            "SWARMTASK_EVENT_METADATA": json.dumps(facts_of(event), ensure_ascii=False),
            "SWARMTASK_TRIGGER": firing.rule.name,
            CAUSES: ",".join([*triggers_that_led_to(event), firing.rule.name]),
            "TRACEPARENT": traceparent(event.trace_id, event.span_id),
        }
        if firing.environment:
            about_event["WORKFLOW_ENVIRONMENT"] = firing.environment
        own = {name: fill(expand(text, environ), firing.values) for name, text in self._definition.env.items()}
        # The system refuses an environment with NUL in it.
        added = {name: (value or "").replace("\0", "") for name, value in {**about_event, **own}.items()}
        return {**environ, **added}


def _argument(template: str, values: Mapping[str, object]) -> str:
    """Return one argument with its templates filled. It stays one argument, no matter what the event contains.

    Raises:
        ActionError: the event's values would turn it into an option, or put a NUL into it.
    """
    filled = fill(template, values)
    if filled.startswith("-") and not template.startswith("-"):
        raise ActionError(f"the argument {template} would become the option {filled[:80]!r} by what the event says")
    if "\0" in filled:
        raise ActionError(f"the argument {template} would hold a NUL by what the event says")
    return filled


def _kill(process: subprocess.Popen[bytes], grace: float) -> None:
    """End a command and all processes of its process group. They have `grace` seconds to end by themselves."""
    _signal(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace)
    if sys.platform != "win32":  # Windows has no process groups of this kind, and `_signal` has killed the process
        _signal(process, signal.SIGKILL)  # also if the command itself has ended: its children may ignore SIGTERM
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if sys.platform == "win32":
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):  # the group is empty
        os.killpg(process.pid, number)


def _tail(output: IO[bytes]) -> str:
    """Return the last bytes of a file as text."""
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _MOST_OUTPUT))
    text = output.read(_MOST_OUTPUT).decode("utf-8", "replace")
    return text if size <= _MOST_OUTPUT else f"({size - _MOST_OUTPUT} bytes before this are left out)\n{text}"


def _log_output(path: str, rule: str, output: str, redactor: Redactor) -> None:
    """Append a command's output to the relay's log, line by line, without secrets and control characters."""
    at = time.strftime("%Y-%m-%d %H:%M:%S")
    lines = redactor.text(output, _MOST_OUTPUT).splitlines()
    text = "".join(f"{at} trigger {rule} | {neutral(line[:_LONGEST_LINE])}\n" for line in lines)
    with contextlib.suppress(OSError):  # such as a full disk: the command has run all the same
        fd = open_own(path, os.O_WRONLY | os.O_APPEND)
        with open(fd, "ab") as file:
            file.write(text.encode("utf-8", "replace"))
