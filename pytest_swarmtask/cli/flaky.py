"""`swarmtask flaky`: the flaky tests, the worst first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_swarmtask.cli.asking import Question, add_from, form_of, print_answer
from pytest_swarmtask.cli.common import add_root, add_run_filters

if TYPE_CHECKING:
    import argparse

    from pytest_swarmtask.cli.common import Subparsers


def register(subparsers: Subparsers) -> None:
    """Add the command `flaky`."""
    parser = subparsers.add_parser("flaky", help="list the flaky tests, the worst first, and why they are flaky")
    parser.add_argument("--json", dest="json", action="store_true", help="print one JSON object")
    add_run_filters(parser, "list the tests that were flaky in")
    add_from(parser)
    add_root(parser)
    parser.set_defaults(func=flaky)


def flaky(arguments: argparse.Namespace) -> int:
    """List the tests that were flaky in the last runs. Return 0, even if there are some.

    Raises:
        HistoryError: the history cannot be read now.
        UsageError: the server does not answer.
    """
    from pytest_swarmtask.report.flaky_tests import write_flaky
    from pytest_swarmtask.report.forms import SearchedRuns

    request = SearchedRuns(arguments.branch, arguments.since, arguments.last)
    question = Question("flaky", request, write_flaky)
    print_answer(arguments, question, form_of(arguments, "json" if arguments.json else "text"))
    return 0
