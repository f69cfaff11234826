"""`swarmtask watch`: show running runs live."""

from __future__ import annotations

import functools
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.cli.common import add_root, present_ci_run, project_of
from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.service_errors import HistoryError
from pytest_swarmtask.journal.segments import segments
from pytest_swarmtask.report.phrases import short_id

if TYPE_CHECKING:
    import argparse

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.report.live.runs import LiveChange
    from pytest_swarmtask.report.live.screen import LiveView


_POLL = 0.1
"""Seconds between two looks at the journal: a change is seen at once, and a look that finds nothing costs little."""


def register(subparsers: Subparsers) -> None:
    """Add the command `watch`."""
    parser = subparsers.add_parser(
        "watch",
        help="show running tasks and tests live, and each failure",
        description="Follow the running tasks and tests on this machine, and show each failure when it happens.",
        example="swarmtask watch",
        page="terminal",
    )
    parser.add_argument(
        "--run", dest="run", metavar="ID", help="only this run (any unique beginning of its id is enough)"
    )
    parser.add_argument(
        "--until-done",
        dest="until_done",
        action="store_true",
        help="end when no run is running any more; exit code 1 if one failed",
    )
    parser.add_argument("--json", dest="json", action="store_true", help="print one JSON object for each change")
    add_root(parser)
    parser.set_defaults(func=watch)


def watch(arguments: argparse.Namespace) -> int:
    """Show running runs until Ctrl-C, or with `--until-done` until no run is running any more.

    Returns:
        0; with `--until-done`, 1 if a run failed and 130 after Ctrl-C.

    Raises:
        UsageError: the named run does not exist.
    """
    from pytest_swarmtask.relay.retention import prune_if_needed
    from pytest_swarmtask.report.live.runs import RunWatcher

    project = project_of(arguments)
    prune_if_needed(project, os.environ)
    watcher = RunWatcher(project, None if arguments.run is None else _find_run(project, arguments.run))
    signal.signal(signal.SIGTERM, _exit)  # the view must end, or the terminal would be left without a cursor
    try:
        with _view(as_json=arguments.json) as view:
            while not (arguments.until_done and watcher.is_done):
                for change in watcher.poll():
                    # The last change is `idle`, which says that `watch` waits for a run. Here it ends instead.
                    if change.change != "idle" or not (arguments.until_done and watcher.is_done):
                        view.add(_with_last_run(change, project) if change.change == "idle" else change)
                view.refresh(list(watcher.runs.values()))
                time.sleep(_POLL)
    except KeyboardInterrupt:
        return 130 if arguments.until_done else 0
    return 0 if watcher.all_succeeded else 1


def _with_last_run(idle: LiveChange, project: Project) -> LiveChange:
    """Add the last run with tests. People look for it while nothing is running."""
    from pytest_swarmtask.history.session import query_history
    from pytest_swarmtask.report.content import last_run

    try:
        question = functools.partial(last_run, ci_run=present_ci_run())
        run = query_history(project, question, environ=os.environ) if segments(project.journal) else None
    except HistoryError:
        run = None  # what is running can be shown without it
    if run is None:
        return idle._replace(facts={"last": None})
    shown = {name: getattr(run, name) for name in ("run", "started", "what", "outcome", "tests", "counts", "partial")}
    return idle._replace(facts={"last": shown})


def _exit(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _view(*, as_json: bool) -> LiveView:
    from pytest_swarmtask.report.live.screen import JsonView, LinesView, ScreenView
    from pytest_swarmtask.report.terminal import console

    if as_json:
        return JsonView()
    where = console()
    if sys.stdout.isatty() and where.is_terminal and not where.is_dumb_terminal:
        return ScreenView(where)
    return LinesView()


def _find_run(project: Project, prefix: str) -> str:
    """Return the trace id that begins with `prefix`. Only the journal is searched: `watch` reads the events there.

    Raises:
        UsageError: no run or several runs begin with it.
    """
    known = list(dict.fromkeys(segment.trace_id for segment in segments(project.journal)))
    found = [run for run in known if run.startswith(prefix.lower())]
    if len(found) == 1:
        return found[0]
    names = ", ".join(short_id(run) for run in (found or known)[-3:])
    if found:
        raise UsageError(f"several runs begin with {prefix!r}: {names}")
    last = f"the last ones are {names}" if names else "there are none"
    raise UsageError(f"no run in the journal begins with {prefix!r}; {last}")
