"""`swarmtask explain`: whose the failures of a run are, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_swarmtask.cli.asking import Question, add_from, form_of, print_answer
from pytest_swarmtask.cli.common import add_root, present_ci_run

if TYPE_CHECKING:
    import argparse

    from pytest_swarmtask.cli.common import Subparsers


def register(subparsers: Subparsers) -> None:
    """Add the command `explain`."""
    parser = subparsers.add_parser(
        "explain",
        help="tell whose the failures of a run are: yours, main's, flaky tests'",
        description="Tell for each failure of a run whether it is yours, fails on the default branch, or is a flaky "
        "test's; and how to run it again.",
        example="swarmtask explain test_checkout",
        page="failures",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "tests", nargs="*", default=[], metavar="TEST", help="node ids of failed tests, or parts of them"
    )
    which.add_argument("--failed", dest="failed", action="store_true", help="all failures of the run (the default)")
    parser.add_argument("--run", dest="run", metavar="ID", help="this run (any unique beginning of its id is enough)")
    parser.add_argument("--json", dest="json", action="store_true", help="print one JSON object")
    add_from(parser)
    add_root(parser)
    parser.set_defaults(func=explain)


def explain(arguments: argparse.Namespace) -> int:
    """Explain the failures of a run. Return 0, whosever they are.

    Raises:
        HistoryError: the history cannot be read now.
        UsageError: there is no such run or failure, or the server does not answer.
    """
    from pytest_swarmtask.report.explained_run import ExplainRequest, write_explained

    request = ExplainRequest(arguments.run, "\n".join(arguments.tests), present_ci_run())
    print_answer(
        arguments,
        Question("explain", request, write_explained),
        form_of(arguments, "json" if arguments.json else "text"),
    )
    return 0
