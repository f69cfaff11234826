"""`swarmtask tests`: the history of one test, or of one function with all its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_swarmtask.cli.asking import Question, add_from, form_of, print_answer
from pytest_swarmtask.cli.common import add_root, add_run_filters

if TYPE_CHECKING:
    import argparse

    from pytest_swarmtask.cli.common import Subparsers


def register(subparsers: Subparsers) -> None:
    """Add the command `tests`."""
    parser = subparsers.add_parser(
        "tests",
        help="show the history of one test",
        description="Show the history of one test: its outcomes, durations and commits, and since when it fails.",
        example="swarmtask tests test_checkout --full",
        page="history",
    )
    parser.add_argument(
        "test", metavar="NODEID", help="its node id, or any unique part of it; a function has all its parameters"
    )
    parser.add_argument(
        "--full",
        dest="full",
        action="store_true",
        help="show traceback and output of the last failure, and of the attempts before it last passed when repeated",
    )
    parser.add_argument("--json", dest="json", action="store_true", help="print one JSON object")
    add_run_filters(parser, "show")
    add_from(parser)
    add_root(parser)
    parser.set_defaults(func=tests)


def tests(arguments: argparse.Namespace) -> int:
    """Show the history of one test, or of all parameters of one function. Return 0, even if it failed.

    Raises:
        HistoryError: the history cannot be read now.
        UsageError: no test or several tests have the given text in their node ids.
    """
    from pytest_swarmtask.report.history_of_tests import TestRequest, write_test

    request = TestRequest(arguments.test, arguments.branch, arguments.since, arguments.last)
    question = Question("test", request, write_test)
    print_answer(arguments, question, form_of(arguments, "json" if arguments.json else "text"))
    return 0
