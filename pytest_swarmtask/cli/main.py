"""The command line: ``swarmtask`` and ``python -m pytest_swarmtask``.

`EXIT_CODES` says what its exit codes mean. `run` returns the exit code of its command.

This module imports little, because recipes of make call `emit` and `run` again and again.
"""

from __future__ import annotations

import gc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_swarmtask.cli.parser import CommandParser

_SHELL_VARIABLE = "TASKS_SHELL_"
"""The prefix that tasks.mk gives to the variables of a recipe's shell."""
EXIT_CODES = {
    0: "success",
    1: "the command has found a problem, such as events that wait or a run that failed",
    2: "wrong usage, or an invalid configuration or history",
    3: "the role of the user does not permit it",
    130: "Ctrl-C ended the command",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] == "emit":  # before argparse, which takes longer to load than the event to write
        from pytest_swarmtask import emit

        return emit.main(arguments[1:])
    if arguments and arguments[0] == "run":
        return _run_command(arguments[1:])
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has ended, which is no error
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


def in_recipe(arguments: Sequence[str]) -> int:
    """Run a command with the arguments of `recipe`, and return its exit code."""
    import os

    # Give the command those variables of the recipe's shell that it uses and that are not in the environment.
    for name in [name for name in os.environ if name.startswith(_SHELL_VARIABLE)]:
        os.environ.setdefault(name[len(_SHELL_VARIABLE) :], os.environ.pop(name))
    if arguments[2:3] == ["--id="]:  # the variable was empty: the command of the recipe runs all the same
        arguments = [*arguments[:2], *arguments[3:]]
    return main(arguments)


def _run_command(arguments: Sequence[str]) -> int:
    gc.disable()  # there is little garbage, and looking for it takes a tenth of the time of `run`
    if TYPE_CHECKING:
        import signal
    else:
        import _signal as signal  # as in `sources.command.process`

    # Ctrl-C ends this process until `run` handles it. Python would lose a KeyboardInterrupt that is raised inside of a
    # callback of the import system.
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from pytest_swarmtask.sources.command import run

    code = run.main(arguments)
    gc.freeze()  # or the interpreter would look for garbage when it ends
    return code


def _run(arguments: Sequence[str]) -> int:
    from pytest_swarmtask.core.errors import AccessError, ConfigError, UsageError
    from pytest_swarmtask.core.service_errors import HistoryError

    chosen = make_parser().parse_args(arguments)
    from pytest_swarmtask.cli.job_log import guard_job_log

    guard_job_log()
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
        pass  # standard error is closed or full, and there is no other way to report


def _flush_errors() -> None:
    """Give up standard error if it cannot be written. Otherwise the interpreter would end with another exit code."""
    try:
        sys.stderr.flush()
    except (AttributeError, OSError):  # it is None if it was closed when Python started
        sys.stderr = None


def _forget_output() -> None:
    """Discard buffered output. Otherwise the interpreter would try to write it at its end, and fail."""
    import os

    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        pass  # standard output is not a file, as in tests that replace it


def make_parser() -> CommandParser:
    """Return the parser of the command line, with all commands."""
    from pytest_swarmtask import __version__
    from pytest_swarmtask.cli.commands import COMMANDS
    from pytest_swarmtask.cli.next_steps import next_steps
    from pytest_swarmtask.cli.parser import CommandParser

    about = "Workflow events from tests and builds: recorded on this machine, sent to webhooks, kept as a history."
    parser = CommandParser(prog="swarmtask", description=about, example="swarmtask report", page="history")
    parser.add_argument("--version", action="version", version=f"pytest-swarmtask {__version__}")
    parser.set_defaults(func=next_steps, root=None, whole=parser)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=CommandParser)
    for module in COMMANDS:
        module.register(subparsers)
    # These two only need a line in the list: `main` answers them before there is a parser.
    subparsers.add_parser("emit", help="record one event: emit TYPE [TASK_ID] [METADATA_JSON]")
    subparsers.add_parser("run", help="run a command and record its start and end: run -- COMMAND [ARGUMENT ...]")
    return parser
