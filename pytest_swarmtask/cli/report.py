"""`swarmtask report`: report on a run, in the terminal, as JSON, Markdown, JUnit XML or HTML."""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_swarmtask.cli.asking import SERVER_VARIABLE, Question, add_from, answer, form_of, print_answer, server_of
from pytest_swarmtask.cli.common import (
    add_root,
    add_run_filters,
    ask_history,
    port,
    present_ci_run,
    project_of,
    write_named_file,
)
from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.text import neutral

if TYPE_CHECKING:
    import argparse

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.report.content import ReportRequest
    from pytest_swarmtask.report.forms import Form, Kind

PORT = 8018
"""The default of `--port`. It differs from the port of `swarmtask listen`, so that both can run."""


def register(subparsers: Subparsers) -> None:
    """Add the command `report`."""
    parser = subparsers.add_parser(
        "report",
        help="report on a run: failures and since when, slowest tests, trend",
        description="Report on the last run with tests: why each failure failed, since when, whose it is, and how the "
        "run compares with those before.",
        example="swarmtask report --full",
        page="history",
    )
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
    add_from(parser)
    add_root(parser)
    parser.set_defaults(func=report)


def report(arguments: argparse.Namespace) -> int:
    """Report on one run. Return 0, even if the run failed.

    Raises:
        HistoryError: the history cannot be read now.
        UsageError: the named run does not exist, or the page cannot be written or served.
    """
    from pytest_swarmtask.report.content import ReportRequest
    from pytest_swarmtask.report.forms import write_report

    request = ReportRequest(arguments.run, arguments.compare, arguments.branch, arguments.since, arguments.last)
    request = request._replace(ci_run=present_ci_run())
    if arguments.serve:
        return _serve(arguments, request)
    question = Question("report", request, write_report)
    form = form_of(arguments, _kind(arguments))
    if arguments.html not in (None, "-"):
        return _write(arguments, question, form)
    print_answer(arguments, question, form)
    return 0


def _kind(arguments: argparse.Namespace) -> Kind:
    kinds: tuple[Kind, ...] = ("json", "markdown", "junit")
    chosen: Kind = "text" if arguments.html is None else "html"
    return next((kind for kind in kinds if getattr(arguments, kind)), chosen)


def _write(arguments: argparse.Namespace, question: Question, form: Form) -> int:
    """Write the report to the file of `--html`."""
    from pytest_swarmtask.report.phrases import short_id

    out = io.BytesIO()
    run = answer(arguments, question, form, out)
    write_named_file(Path(arguments.html), out.getvalue())
    about = f"run {short_id(run)}" if run else "there is no run to show"
    print(neutral(f"{arguments.html}: {about}"))
    return 0


def _serve(arguments: argparse.Namespace, request: ReportRequest) -> int:
    server = server_of(arguments)
    if server is not None:
        raise UsageError(
            f"--serve shows the local history, and that of the server is at {server.page} already "
            f"({SERVER_VARIABLE}= asks for the local one)"
        )
    from pytest_swarmtask.cli import html_report
    from pytest_swarmtask.report.forms import MOST_ON_PAGE

    request = request._replace(failures=MOST_ON_PAGE)
    reporter = html_report.Reporter(project_of(arguments), functools.partial(ask_history, arguments), request)
    return html_report.serve(reporter, arguments.port)
