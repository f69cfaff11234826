"""`swarmtask report`, `tests` and `export`: what the history tells of a run, of a test, or as it is."""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import sys
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, TypeVar

from pytest_swarmtask.cli.common import port, project_of
from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.core.timestamps import local_time

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.report.content import ReportRequest


Answer = TypeVar("Answer")

RUNS = 20
PORT = 8018
_MOST_FAILURES = 25
_MOST_ON_PAGE = 200
_MOST_TESTS = 10
_NOTHING = "nothing has been recorded here yet"
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def register(subparsers: Subparsers) -> None:
    """Add the commands `report`, `tests` and `export`."""
    report_parser = subparsers.add_parser("report", help="report on a run: failures and since when, slowest, trend")
    report_parser.add_argument("--run", dest="run", metavar="ID", help="this run (the beginning of its id will do)")
    report_parser.add_argument("--compare", dest="compare", metavar="RUN", help="show what is different from that run")
    forms = report_parser.add_mutually_exclusive_group()
    forms.add_argument("--json", dest="json", action="store_true", help="print one JSON object")
    forms.add_argument("--markdown", dest="markdown", action="store_true", help="print Markdown")
    forms.add_argument("--junit", dest="junit", action="store_true", help="print the run's tests as JUnit XML")
    forms.add_argument("--html", dest="html", metavar="FILE", help="write one HTML file (- for standard output)")
    forms.add_argument("--serve", dest="serve", action="store_true", help="show it in a browser, and what is new")
    report_parser.add_argument(
        "--port", dest="port", type=port, default=PORT, help="for --serve; 0 takes any free one (default: %(default)s)"
    )
    report_parser.set_defaults(func=report)
    tests_parser = subparsers.add_parser("tests", help="show the history of one test")
    tests_parser.add_argument("test", metavar="NODEID", help="its node id, or a part that no other has")
    tests_parser.add_argument("--json", dest="json", action="store_true", help="print one JSON object")
    tests_parser.set_defaults(func=tests)
    for parser, what in ((report_parser, "compare with"), (tests_parser, "show")):
        _add_filters(parser, what)
    export_parser = subparsers.add_parser("export", help="print all events of the history")
    formats = export_parser.add_mutually_exclusive_group(required=True)
    formats.add_argument("--jsonl", dest="csv", action="store_false", help="as journal lines")
    formats.add_argument("--csv", dest="csv", action="store_true", help="as a table")
    export_parser.set_defaults(func=export)
    for parser in (report_parser, tests_parser, export_parser):
        parser.add_argument("--root", dest="root", metavar="DIR", help="the project's folder (default: found upwards)")


def _add_filters(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--last",
        dest="last",
        type=_number,
        nargs="?",
        default=RUNS,
        const=RUNS,
        metavar="N",
        help=f"{what} the last N runs (default: {RUNS})",
    )
    parser.add_argument("--branch", dest="branch", help="only runs on this branch")
    parser.add_argument(
        "--since", dest="since", type=_since, metavar="WHEN", help="only runs since then: 7d, 12h, 2026-01-31"
    )


def _number(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of runs")
    return int(text)


def _since(text: str) -> str:
    """Return a moment, given as a date, a time or how long ago, as the timestamps of events have it."""
    ago = re.fullmatch(r"([0-9]{1,4})([mhdw])", text)
    try:
        if ago:
            moment = datetime.now(timezone.utc) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            moment = local_time(text).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: expected a date such as 2026-01-31, or how long ago, as 12h or 7d"
        ) from None
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def report(arguments: argparse.Namespace) -> int:
    """Report on one run."""
    from pytest_swarmtask.report.content import ReportRequest

    most = ReportRequest().failures if arguments.json else _MOST_FAILURES
    wanted = ReportRequest(arguments.run, arguments.compare, arguments.branch, arguments.since, arguments.last, most)
    if arguments.html is not None or arguments.serve:
        return _page(arguments, wanted._replace(failures=_MOST_ON_PAGE))
    if arguments.junit:
        return _ask(arguments, functools.partial(_junit, wanted=wanted))
    return _ask(arguments, functools.partial(_report, wanted=wanted, arguments=arguments))


def _report(db: sqlite3.Connection, wanted: ReportRequest, arguments: argparse.Namespace) -> int:
    from pytest_swarmtask.report.content import collect

    found = collect(db, wanted)
    root = project_of(arguments).root
    if arguments.json:
        print(json.dumps({"run": None} if found is None else found.as_json(), indent=2))
    elif found is None:
        print(_no_run(db))
    elif arguments.markdown:
        from pytest_swarmtask.report.markdown import markdown

        print(markdown(found, root))
    else:
        from pytest_swarmtask.report.terminal import console
        from pytest_swarmtask.report.text import print_report

        print_report(found, root, console())
    return 0


def _page(arguments: argparse.Namespace, wanted: ReportRequest) -> int:
    from pytest_swarmtask.cli import html_report

    reporter = html_report.Reporter(project_of(arguments), functools.partial(_ask, arguments), wanted)
    return (
        html_report.serve(reporter, arguments.port) if arguments.serve else html_report.write(reporter, arguments.html)
    )


def _no_run(db: sqlite3.Connection) -> str:
    from pytest_swarmtask.history.query import last_runs

    last = last_runs(db, 1)
    return f"no run is like that; the last one is {last[0].run[:12]} of {last[0].started}" if last else _NOTHING


def _junit(db: sqlite3.Connection, wanted: ReportRequest) -> int:
    from pytest_swarmtask.report.content import chosen
    from pytest_swarmtask.report.junit import write_junit

    run = chosen(db, wanted)
    if run is None:
        raise UsageError(_no_run(db))
    write_junit(db, run, sys.stdout.buffer)
    return 0


def tests(arguments: argparse.Namespace) -> int:
    """Show the history of one test."""
    return _ask(arguments, functools.partial(_tests, arguments=arguments))


def _tests(db: sqlite3.Connection, arguments: argparse.Namespace) -> int:
    from pytest_swarmtask.history.query import RunFilter, results_of
    from pytest_swarmtask.report.terminal import console
    from pytest_swarmtask.report.text import print_test

    test = _one_test(db, arguments.test)
    found = results_of(db, test, arguments.last, RunFilter(arguments.branch, arguments.since))
    if arguments.json:
        print(json.dumps({"test": test, "results": [asdict(result) for result in found]}, indent=2))
    elif found:
        print_test(found, console())
    else:
        print("no run is like that")
    return 0


def _one_test(db: sqlite3.Connection, text: str) -> str:
    from pytest_swarmtask.history.query import find_tests, last_runs

    found = find_tests(db, text, _MOST_TESTS)
    close = [name for name in found if name == text] or [name for name in found if name.endswith(text)] or found
    if len(close) == 1:
        return close[0]
    if not found:
        nothing = "" if last_runs(db, 1) else f": {_NOTHING}"
        raise UsageError(f"no test is known whose node id contains {text!r}{nothing}")
    names = "".join(f"\n  {neutral(name)}" for name in found)
    raise UsageError(f"several tests contain {text!r}, among them{names}")


def export(arguments: argparse.Namespace) -> int:
    """Print all events."""
    return _ask(arguments, functools.partial(_export, as_table=arguments.csv))


def _export(db: sqlite3.Connection, *, as_table: bool) -> int:
    if not db.execute("SELECT 1 FROM event LIMIT 1").fetchone():
        print(f"swarmtask: {_NOTHING}", file=sys.stderr)
    if not as_table:
        for (line,) in db.execute("SELECT line FROM event ORDER BY id"):
            print(line)
        return 0
    import csv

    cursor = db.execute("SELECT * FROM events")
    writer = csv.writer(sys.stdout)
    writer.writerow([column[0] for column in cursor.description])
    writer.writerows(cursor)
    return 0


def _ask(arguments: argparse.Namespace, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
    from pytest_swarmtask.history.session import QueryOptions, query_history

    return query_history(
        project_of(arguments),
        question,
        QueryOptions(os.environ, say=lambda note: print(f"swarmtask: {note}", file=sys.stderr)),
    )
