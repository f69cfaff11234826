"""The command line: ``swarmtask`` and ``python -m pytest_swarmtask``.

Exit codes: 0 done; 1 the thing asked about is not well; 2 bad usage or configuration; 3 not permitted; `run` returns
its command's.
"""

from __future__ import annotations

import gc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any, NoReturn


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] == "emit":  # called from recipes, again and again: nothing else is loaded
        from pytest_swarmtask import emit

        return emit.main(arguments[1:])
    if arguments and arguments[0] == "run":
        return _run_command(arguments[1:])
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        _forget_output()
        return 0
    except OSError as error:
        _complain(error)
        _forget_output()
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        _flush_errors()


def _run_command(arguments: Sequence[str]) -> int:
    gc.disable()  # there is little garbage, and looking for it is a tenth of what `run` costs
    import signal

    # Until the command is watched: a KeyboardInterrupt that meets a callback of an import would be lost.
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from pytest_swarmtask.sources.command import run

    code = run.main(arguments)
    gc.freeze()  # not at the end, either
    return code


def _run(arguments: Sequence[str]) -> int:
    from pytest_swarmtask.core.errors import AccessError, ConfigError, HistoryError, UsageError

    chosen = _parser().parse_args(arguments)
    try:
        code: int = chosen.func(chosen)
    except (ConfigError, HistoryError, UsageError) as error:
        _complain(error)
        return 2
    except AccessError as error:
        _complain(error)
        return 3
    return code


def _complain(error: Exception) -> None:
    from pytest_swarmtask.core.text import neutral_lines

    try:
        print(f"swarmtask: {neutral_lines(str(error))}", file=sys.stderr)
    except OSError:
        pass  # nobody can be told


def _flush_errors() -> None:
    """Let go of standard error if it takes nothing, or the interpreter's end would change the exit code over it."""
    try:
        sys.stderr.flush()
    except (AttributeError, OSError):  # it may be closed from the start
        sys.stderr = None


def _forget_output() -> None:
    """Send what is still to be written to nowhere, or the interpreter's end would fail over it."""
    import os

    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        pass  # standard output is no file


def _commands() -> tuple[Any, ...]:
    """Return the modules that add commands, in the order of the help."""
    from pytest_swarmtask.cli import (
        config,
        deliveries,
        doctor,
        init,
        replay,
        report,
        secret,
        sync,
        tasksmk,
        triggers,
        watch,
    )
    from pytest_swarmtask.cli.listen import command as listen

    return init, deliveries, report, watch, replay, sync, triggers, doctor, listen, config, secret, tasksmk


def _parser() -> argparse.ArgumentParser:
    import argparse
    import contextlib

    from pytest_swarmtask import __version__

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            """End with 2, also where standard error takes nothing, which Python 3.10 trips over."""
            with contextlib.suppress(OSError, AttributeError):
                super().error(message)
            raise SystemExit(2)

    parser = Parser(prog="swarmtask", description="Workflow events from tests and builds.")
    parser.add_argument("--version", action="version", version=f"pytest-swarmtask {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    emit = subparsers.add_parser("emit", help="record one event: emit TYPE [TASK_ID] [METADATA_JSON]")
    emit.add_argument("event", nargs="+", metavar="TYPE [TASK_ID] [METADATA_JSON]")
    run = subparsers.add_parser("run", help="run a command and record its start and end: run -- COMMAND [ARGUMENT ...]")
    run.add_argument("command", nargs="+", metavar="COMMAND")
    for module in _commands():
        module.register(subparsers)
    return parser
