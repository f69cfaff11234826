"""`swarmtask watch`: the runs that go on now, live."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.cli.common import project_of
from pytest_swarmtask.core.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.report.live.screen import Show


_POLL = 0.1
_SHORT = 12


def register(subparsers: Subparsers) -> None:
    """Add the command `watch`."""
    parser = subparsers.add_parser("watch", help="show live what runs now, and what fails")
    parser.add_argument("--run", dest="run", metavar="ID", help="only this run (the beginning of its id will do)")
    parser.add_argument(
        "--until-done", dest="until_done", action="store_true", help="end with the run; exit code 1 when it failed"
    )
    parser.add_argument("--json", dest="json", action="store_true", help="print one JSON object for each change")
    parser.add_argument("--root", dest="root", metavar="DIR", help="the project's folder (default: found upwards)")
    parser.set_defaults(func=watch)


def watch(arguments: argparse.Namespace) -> int:
    """Show what goes on until it is over, or until Ctrl-C."""
    from pytest_swarmtask.report.live.runs import Watching

    project = project_of(arguments)
    watching = Watching(project, None if arguments.run is None else _whole_id(project, arguments.run))
    signal.signal(signal.SIGTERM, _leave)  # so that the terminal gets its cursor back
    try:
        with _show(as_json=arguments.json) as show:
            while not (arguments.until_done and watching.done):
                for change in watching.poll():
                    if change.change != "idle" or not (arguments.until_done and watching.done):  # else it does not wait
                        show.change(change)
                show.update(list(watching.runs.values()))
                time.sleep(_POLL)
    except KeyboardInterrupt:
        return 130 if arguments.until_done else 0
    return 0 if watching.well else 1


def _leave(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _show(*, as_json: bool) -> Show:
    from pytest_swarmtask.report.live.screen import Json, Lines, Screen
    from pytest_swarmtask.report.terminal import console

    if as_json:
        return Json()
    where = console()
    return Screen(where) if sys.stdout.isatty() and where.is_terminal and not where.is_dumb_terminal else Lines()


def _whole_id(project: Project, prefix: str) -> str:
    """Return the one run of a journal whose id begins like this.

    Raises:
        UsageError: there is none, or more than one.
    """
    from pytest_swarmtask.journal.segments import segments

    known = list(dict.fromkeys(segment.trace_id for segment in segments(project.journal)))
    found = [run for run in known if run.startswith(prefix.lower())]
    if len(found) == 1:
        return found[0]
    names = ", ".join(run[:_SHORT] for run in (found or known)[-3:])
    if found:
        raise UsageError(f"several runs begin with {prefix!r}: {names}")
    last = f"the last ones are {names}" if names else "there are none"
    raise UsageError(f"no run in the journal begins with {prefix!r}; {last}")
