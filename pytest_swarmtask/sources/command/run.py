"""`swarmtask run`: runs a command, and records its start and its end as events.

The command comes first: it runs and its exit code is returned even if no event can be recorded.
"""

from __future__ import annotations

import os
from itertools import takewhile

from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.facts.process import within_project, without_secrets
from pytest_swarmtask.core.project import is_switched_off
from pytest_swarmtask.recording.recorder import get_recorder
from pytest_swarmtask.sources.command.options import HELP, USAGE, parse
from pytest_swarmtask.sources.command.process import Command, end_by_interrupt
from pytest_swarmtask.sources.command.start import StartError, occupy_standard_descriptors, original_environ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pytest_swarmtask.recording.recorder import Recorder
    from pytest_swarmtask.redaction.redactor import Redactor
    from pytest_swarmtask.sources.command.options import RunOptions
    from pytest_swarmtask.sources.command.process import CommandResult
    from pytest_swarmtask.sources.command.stderr import Stderr

# An event has 16 KiB (`MAX_FACTS`), which the command line shares with the last lines of standard error and the
# caller's metadata.
_MAX_ARGUMENT = 500
_SHELLS = ("sh", "bash", "dash", "ksh", "zsh")
_MAX_COMMAND = 4000


class CommandEvents:
    """Records the two events of one command. Never raises: `problem` is the first thing that went wrong."""

    __slots__ = ("_common", "_failure", "_options", "_recorder", "_span_id", "_started")

    def __init__(self, recorder: Recorder, options: RunOptions) -> None:
        redactor = recorder.redactor
        command = within_project(options.command, recorder.settings.project.root)
        self._recorder = recorder
        self._options = options
        self._span_id = recorder.span_id()  # random, because a run can contain the same command many times at once
        self._started = recorder.clock.now()
        self._failure: str | None = None
        self._common: dict[str, Any] = {
            "workflow": recorder.settings.source,
            "action": options.kind,
            "command": _shortened(without_secrets(command, redactor.is_secret_key, redactor.hide_values), redactor),
        }
        if options.kind == "test":
            self._common |= {"test_type": "command", "specific_test": options.task_id}

    @property
    def problem(self) -> str | None:
        """The first line of what went wrong. None if nothing did, or if another process of the run has shown it."""
        problem = self._failure or self._recorder.problem
        return problem.partition("\n")[0] if problem and self._recorder.is_first_to_say(problem) else None

    def traceparent(self) -> str:
        """Return the `TRACEPARENT` that makes the command's own events part of this run, below this span."""
        return self._recorder.traceparent(self._span_id)

    def record_start(self) -> None:
        """Record the start."""
        self._record("STARTED", {}, self._started)

    def record_refusal(self, error: StartError) -> None:
        """Record that the command could not be started."""
        self._record_end({"exit_code": error.exit_code, "error": str(error)})

    def record_end(self, result: CommandResult, stderr: Stderr | None) -> None:
        """Record how the command has ended."""
        facts: dict[str, Any] = {"exit_code": result.exit_code, "signal": result.signal, "error": result.error}
        self._record_end({**facts, **result.usage}, stderr)

    def _record_end(self, facts: Mapping[str, Any], stderr: Stderr | None = None) -> None:
        now = self._recorder.clock.now()
        success = facts["error"] is None
        standard: dict[str, Any] = {"success": success, "duration": round(max(0.0, now - self._started), 6)}
        if self._options.kind == "test":
            standard |= {"test_passed": success, "outcome": "passed" if success else "failed"}
        standard |= {name: value for name, value in facts.items() if value is not None}
        passed = "PASSED" if self._options.kind == "test" else "COMPLETED"
        self._record(passed if success else "FAILED", standard, now, None if success else stderr)

    def _record(self, verb: str, facts: Mapping[str, Any], now: float, stderr: Stderr | None = None) -> None:
        recorder, options = self._recorder, self._options
        try:
            metadata = recorder.redactor.metadata({**self._common, **facts, **options.metadata})
            is_traced = _is_traced(options.command)
            tail = stderr.tail(options.tail, recorder.redactor, is_traced=is_traced) if stderr is not None else ""
            if tail:  # added after the redactor, which would shorten it as it shortens all long texts
                metadata.setdefault("stderr_tail", tail)
            recorder.record(
                f"{options.kind.upper()}_{verb}",
                recorder.redactor.plain(options.task_id),
                metadata,
                span_id=self._span_id,
                parent_span_id=recorder.parent_span_id,
                now=now,
                cleaned=True,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, the exit code of the command stays what it is
            self._failure = self._failure or f"{type(error).__name__}: {error}"

    def close(self) -> None:
        """End the segment."""
        try:
            self._recorder.close()
        except Exception as error:  # noqa: BLE001 - as in `_record`
            self._failure = self._failure or f"{type(error).__name__}: {error}"


def _is_traced(command: Sequence[str]) -> bool:
    """Whether a command is a shell with the option `-x`, as with ``.SHELLFLAGS = -xc`` in a Makefile."""
    if os.path.basename(command[0]) not in _SHELLS:
        return False
    options = takewhile(lambda argument: argument.startswith("-"), command[1:])
    return any("x" in option and not option.startswith("--") for option in options)


def _shortened(arguments: Sequence[str], redactor: Redactor) -> list[str]:
    """Return a command line that leaves room for the rest of an event."""
    shown: list[str] = []
    size = 0
    for count, argument in enumerate(arguments):
        if size > _MAX_COMMAND:
            return [*shown, f"… ({len(arguments) - count} more)"]
        shown.append(argument if len(argument) <= _MAX_ARGUMENT else redactor.text(argument, _MAX_ARGUMENT))
        size += len(shown[-1])
    return shown


def main(arguments: Sequence[str]) -> int:
    """Run a command; return its exit code, or 2 if the arguments are wrong."""
    try:
        options = parse(arguments)
    except UsageError as error:
        _print_error(f"run: {error}\n{USAGE}")
        return 2
    if options is None:
        print(HELP)
        return 0
    return _run(options)


def _run(options: RunOptions) -> int:
    environ = original_environ()
    try:
        occupy_standard_descriptors()
        recorder = get_recorder()
        if not recorder.settings.enabled:
            settings = recorder.settings
            if settings.project.refusal or not (settings.is_valid or is_switched_off(os.environ)):
                _print_error(str(recorder.problem))
            return _run_unwatched(options, environ)
        command = Command(options.command)
        command.take_signals()
        events = CommandEvents(recorder, options)
    except Exception as error:  # noqa: BLE001 - the working directory is gone, anything: the command runs
        _print_error(f"no events: {type(error).__name__}: {error}")
        return _run_unwatched(options, environ)
    return _run_watched(command, events, options, environ)


def _run_watched(command: Command, events: CommandEvents, options: RunOptions, environ: Mapping[str, str]) -> int:
    events.record_start()
    result = None
    try:
        command.start({**environ, "TRACEPARENT": events.traceparent()}, keep_stderr=options.tail > 0)
    except StartError as error:
        _print_error(str(error))
        exit_code = error.exit_code
        events.record_refusal(error)
    else:
        result = command.wait()
        exit_code = result.exit_code
        events.record_end(result, command.stderr)
    events.close()
    problem = events.problem
    if problem:
        _print_error(problem)
    if result and result.signal == "SIGINT" and command.was_interrupted:
        end_by_interrupt()
    return exit_code


def _run_unwatched(options: RunOptions, environ: Mapping[str, str]) -> int:
    try:
        Command(options.command).replace_process(environ)
    except StartError as error:
        _print_error(str(error))
        return error.exit_code


def _print_error(text: str) -> None:
    """Write a line to standard error by its number: Python's `sys.stderr` is None if the file was closed."""
    from pytest_swarmtask.core.text import neutral_lines

    try:
        os.write(2, f"swarmtask: {neutral_lines(text)}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        pass  # there is no other way to tell the user
