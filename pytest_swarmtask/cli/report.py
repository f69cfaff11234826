"""`swarmtask report`: report on a run, in the terminal, as JSON, Markdown, JUnit XML or HTML."""

from __future__ import annotations

import functools
import json
import sys
from typing import TYPE_CHECKING

from pytest_swarmtask.cli.common import (
    NOTHING_RECORDED,
    add_root,
    add_run_filters,
    ask_history,
    port,
    present_ci_run,
    project_of,
    run_filters,
)
from pytest_swarmtask.core.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.report.content import ReportRequest


PORT = 8018
"""The default of `--port`: next to the one of `swarmtask listen`, so that both can run."""
_NOT_THIS_CI_RUN = "This CI run is not in the history. Another run follows."
_MOST_FAILURES = 25
"""Failures in a terminal or in Markdown: more would only be scrolled past."""
_MOST_ON_PAGE = 200
"""Failures with their messages on the HTML page, as docs/history.md says. Its list of tests has all of them."""


def register(subparsers: Subparsers) -> None:
    """Add the command `report`."""
    parser = subparsers.add_parser("report", help="report on a run: failures and since when, slowest tests, trend")
    parser.add_argument("--run", dest="run", metavar="ID", help="this run (any unique beginning of its id is enough)")
    parser.add_argument(
        "--compare",
        dest="compare",
        metavar="RUN",
        help="show the differences from that run, or from the previous one: --compare previous",
    )
    parser.add_argument(
        "--full", dest="full", action="store_true", help="show tracebacks, output and earlier attempts of failures, too"
    )
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", dest="json", action="store_true", help="print one JSON object")
    forms.add_argument("--markdown", dest="markdown", action="store_true", help="print Markdown")
    forms.add_argument("--junit", dest="junit", action="store_true", help="print the run's tests as JUnit XML")
    forms.add_argument("--html", dest="html", metavar="FILE", help="write one HTML file (- for standard output)")
    forms.add_argument("--serve", dest="serve", action="store_true", help="serve a live page and print its address")
    parser.add_argument(
        "--port",
        dest="port",
        type=port,
        default=PORT,
        help="port of --serve; 0 for any free one (default: %(default)s)",
    )
    add_run_filters(parser, "compare with")
    add_root(parser)
    parser.set_defaults(func=report)


def report(arguments: argparse.Namespace) -> int:
    """Report on one run. Return 0, even if the run failed.

    Raises:
        HistoryError: the history cannot be read now.
        UsageError: the named run does not exist, or the page cannot be written or served.
    """
    from pytest_swarmtask.report.content import ReportRequest

    limit = ReportRequest().failures if arguments.json else _MOST_FAILURES
    request = ReportRequest(arguments.run, arguments.compare, arguments.branch, arguments.since, arguments.last, limit)
    request = request._replace(ci_run=present_ci_run())
    if arguments.html is not None or arguments.serve:
        return _page(arguments, request._replace(failures=_MOST_ON_PAGE))
    answer = _junit if arguments.junit else _report
    return ask_history(arguments, functools.partial(answer, request=request, arguments=arguments))


def _report(db: Database, request: ReportRequest, arguments: argparse.Namespace) -> int:
    from pytest_swarmtask.report.content import collect_report

    root = project_of(arguments).root
    found = collect_report(db, request, root)
    if found is not None and request.run is None and request.ci_run not in (None, found.run.ci_run):
        # On standard output, because the page of a CI run shows that, and must not pass off another run as its own.
        print(_NOT_THIS_CI_RUN, end="\n\n", file=sys.stderr if arguments.json else sys.stdout)
    if arguments.json:
        print(json.dumps({"run": None} if found is None else found.as_json(), indent=2))
    elif found is None:
        print(_no_run(db, arguments))
    elif arguments.markdown:
        from pytest_swarmtask.report.markdown import markdown

        print(markdown(found, root, full=arguments.full))
    else:
        from pytest_swarmtask.report.terminal import console
        from pytest_swarmtask.report.text import print_report

        print_report(found, root, console(), full=arguments.full)
    return 0


def _junit(db: Database, request: ReportRequest, arguments: argparse.Namespace) -> int:
    from pytest_swarmtask.report.content import requested_run
    from pytest_swarmtask.report.junit import write_junit

    run = requested_run(db, request)
    if run is None:
        raise UsageError(_no_run(db, arguments))  # an empty document would look like a run without tests
    write_junit(db, run, sys.stdout.buffer)
    return 0


def _no_run(db: Database, arguments: argparse.Namespace) -> str:
    from pytest_swarmtask.history.query import last_runs
    from pytest_swarmtask.report.phrases import short_id

    last = last_runs(db, 1)
    if not last:
        return NOTHING_RECORDED
    return f"No run matches {run_filters(arguments)}. Latest run: {short_id(last[0].run)} of {last[0].started}"


def _page(arguments: argparse.Namespace, request: ReportRequest) -> int:
    from pytest_swarmtask.cli import html_report

    reporter = html_report.Reporter(project_of(arguments), functools.partial(ask_history, arguments), request)
    if arguments.serve:
        return html_report.serve(reporter, arguments.port)
    return html_report.write(reporter, arguments.html)
