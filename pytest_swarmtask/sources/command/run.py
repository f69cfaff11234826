"""`swarmtask run`: any command between a started event and the one that tells how it has ended.

The command is served first: it runs, and its exit code is ours, whatever becomes of the events. The few options are
read by hand, since argparse alone costs more than all the rest.
"""

from __future__ import annotations

import os

from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.facts.process import without_secrets
from pytest_swarmtask.core.fastjson import loads
from pytest_swarmtask.core.trace import traceparent
from pytest_swarmtask.recording.recorder import get_recorder
from pytest_swarmtask.sources.command.process import Command, become, end_interrupted
from pytest_swarmtask.sources.command.start import StartError, given_environ, keep_standard_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pytest_swarmtask.recording.recorder import Recorder
    from pytest_swarmtask.redaction.redactor import Redactor
    from pytest_swarmtask.sources.command.process import Ended
    from pytest_swarmtask.sources.command.stderr import Stderr

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
_OPTIONS = ("--kind", "--id", "--metadata", "--tail")
_TAIL = 20
_LONGEST_ARGUMENT = 500
_LONGEST_COMMAND = 4000


class RunOptions:
    """What `run` was called with."""

    __slots__ = ("command", "kind", "metadata", "tail", "task_id")

    def __init__(self, command: Sequence[str]) -> None:
        self.command = command
        self.kind = "task"
        self.task_id = os.path.basename(command[0].rstrip("/")) or "command"
        self.metadata: dict[str, Any] = {}
        self.tail = _TAIL


def parse(arguments: Sequence[str]) -> RunOptions | None:
    """Return what the arguments say, or None where they ask for help.

    Raises:
        UsageError: they cannot be followed.
    """
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "--":
        name, sign, value = rest.pop(0).partition("=")
        if name in ("-h", "--help"):
            return None
        if name not in _OPTIONS:
            raise UsageError(f"found the unknown option {name}, expected one of {', '.join(_OPTIONS)}{_nearest(name)}")
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
    import difflib  # only on the way to an error

    close = difflib.get_close_matches(name, _OPTIONS, 1)
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
    return int(value[:9])


def _object(text: str) -> dict[str, Any]:
    try:
        metadata = loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--metadata: found {_shown(text)}, expected a JSON object: {error}") from None
    if not isinstance(metadata, dict):
        raise UsageError(f"--metadata: found {_shown(text)}, expected a JSON object")
    return metadata


def _shown(text: str) -> str:
    from pytest_swarmtask.redaction.redactor import Redactor  # only on the way to an error

    return repr(Redactor(os.environ).text(text, 200))


class CommandEvents:
    """The two events of one command. Never raises: what goes wrong is in `problem`."""

    __slots__ = ("_common", "_options", "_recorder", "_span_id", "_started", "_trouble")

    def __init__(self, recorder: Recorder, options: RunOptions) -> None:
        redactor = recorder.redactor
        self._recorder = recorder
        self._options = options
        self._span_id = recorder.span_id()  # one command may run many times in a run, also at the same time
        self._started = recorder.clock.now()
        self._trouble: str | None = None
        self._common: dict[str, Any] = {
            "workflow": recorder.settings.source,
            "action": options.kind,
            "command": _bounded(without_secrets(options.command, redactor.is_secret_key), redactor),
        }
        if options.kind == "test":
            self._common |= {"test_type": "command", "specific_test": options.task_id}

    @property
    def problem(self) -> str | None:
        """The first line of what went wrong, or None, also where the run has been told before."""
        problem = self._trouble or self._recorder.problem
        return problem.partition("\n")[0] if problem and self._recorder.is_first_to_say(problem) else None

    def traceparent(self) -> str:
        """Return what makes the command part of this run, below its own span."""
        return traceparent(self._recorder.trace_id, self._span_id)

    def started(self) -> None:
        """Record the start."""
        self._record("STARTED", {}, self._started)

    def refused(self, error: StartError) -> None:
        """Record that the command could not be started."""
        self._end({"exit_code": error.exit_code, "error": str(error)})

    def ended(self, ended: Ended, stderr: Stderr | None) -> None:
        """Record how the command has ended."""
        facts: dict[str, Any] = {"exit_code": ended.exit_code, "signal": ended.signal, "error": ended.error}
        self._end({**facts, **ended.used}, stderr)

    def _end(self, facts: Mapping[str, Any], stderr: Stderr | None = None) -> None:
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
            tail = stderr.tail(options.tail, recorder.redactor) if stderr is not None else ""
            if tail:  # longer than the redactor leaves other texts
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
        except Exception as error:  # noqa: BLE001 - whatever it is, the command's exit code stands
            self._trouble = self._trouble or f"{type(error).__name__}: {error}"

    def close(self) -> None:
        """End the segment."""
        try:
            self._recorder.close()
        except Exception as error:  # noqa: BLE001 - as above
            self._trouble = self._trouble or f"{type(error).__name__}: {error}"


def _bounded(arguments: Sequence[str], redactor: Redactor) -> list[str]:
    """Return a command line that leaves room for the rest of an event."""
    shown: list[str] = []
    size = 0
    for count, argument in enumerate(arguments):
        if size > _LONGEST_COMMAND:
            return [*shown, f"… ({len(arguments) - count} more)"]
        shown.append(argument if len(argument) <= _LONGEST_ARGUMENT else redactor.text(argument, _LONGEST_ARGUMENT))
        size += len(shown[-1])
    return shown


def main(arguments: Sequence[str]) -> int:
    """Run a command; return its exit code, or 2 where the call is wrong."""
    try:
        options = parse(arguments)
        if options is None:
            print(HELP)
            return 0
        return _run(options)
    except UsageError as error:
        _say(f"run: {error}\n{USAGE}")
        return 2


def _run(options: RunOptions) -> int:
    environ = given_environ()
    try:
        keep_standard_files()
        recorder = get_recorder()
        if not recorder.settings.enabled:
            return _run_unwatched(options, environ)
        command = Command(options.command)
        command.listen()
        report = CommandEvents(recorder, options)
    except Exception as error:  # noqa: BLE001 - the working directory is gone, anything: the command runs
        _say(f"no events: {type(error).__name__}: {error}")
        return _run_unwatched(options, environ)
    return _run_watched(command, report, options, environ)


def _run_watched(command: Command, report: CommandEvents, options: RunOptions, environ: Mapping[str, str]) -> int:
    report.started()
    ended = None
    try:
        command.start({**environ, "TRACEPARENT": report.traceparent()}, keep_stderr=options.tail > 0)
    except StartError as error:
        _say(str(error))
        code = error.exit_code
        report.refused(error)
    else:
        ended = command.wait()
        code = ended.exit_code
        report.ended(ended, command.stderr)
    report.close()
    problem = report.problem
    if problem:
        _say(problem)
    if ended and ended.signal == "SIGINT" and command.interrupted:
        end_interrupted()
    return code


def _run_unwatched(options: RunOptions, environ: Mapping[str, str]) -> int:
    try:
        become(options.command, environ)
    except StartError as error:
        _say(str(error))
        return error.exit_code


def _say(text: str) -> None:
    """Write a line to standard error, past Python's own file, which is missing where it was closed."""
    from pytest_swarmtask.core.text import neutral_lines

    try:
        os.write(2, f"swarmtask: {neutral_lines(text)}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        pass  # nobody can be told
