"""The commands that list what the history knows: `swarmtask runs`, `failures`, `flaky` and `slow`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_swarmtask.cli.asking import Question, add_from, form_of, print_answer
from pytest_swarmtask.cli.common import LAST_RUNS, add_root, add_run_filters

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.report.forms import SearchedRuns


def register(subparsers: Subparsers) -> None:
    """Add the commands."""
    about = "List the last runs: when each began, how it ended, its tests, branch and id."
    _add(subparsers, runs, "list the last runs, with their ids", about)
    about = "List what failed in the last run, or in several, by cause: tests that failed with one error are one block."
    _add(subparsers, failures, "list the failures of the last run by cause", about, last=1)
    about = "List the flaky tests, the worst first: in how many runs each was flaky, and why."
    _add(subparsers, flaky, "list the flaky tests, the worst first", about)
    about = "List the tests that take the most time, by the median of their durations."
    _add(subparsers, slow, "list the slowest tests", about)


def _add(
    subparsers: Subparsers,
    command: Callable[[argparse.Namespace], int],
    short: str,
    about: str,
    last: int = LAST_RUNS,
) -> None:
    name = command.__name__
    example = f"swarmtask {name} --branch main --last 50"
    parser = subparsers.add_parser(name, help=short, description=about, example=example, page="history")
    parser.add_argument("--json", dest="json", action="store_true", help="print one JSON object")
    add_run_filters(parser, "look at", last)
    parser.add_argument("--variant", dest="variant", metavar="NAME", help="only runs and tests under this variant")
    add_from(parser)
    add_root(parser)
    parser.set_defaults(func=command)


def runs(arguments: argparse.Namespace) -> int:
    """List the last runs. Return 0, however they ended.

    Raises:
        HistoryError: the history cannot be read now.
        UsageError: the server does not answer.
    """
    from pytest_swarmtask.report.runs import RunsRequest, write_runs

    request = RunsRequest(arguments.branch, arguments.since, arguments.last, variant=arguments.variant)
    return _answer(arguments, Question("runs", request, write_runs))


def failures(arguments: argparse.Namespace) -> int:
    """List the failures of the last runs by their causes. Return 0, even if there are some.

    Raises:
        HistoryError: the history cannot be read now.
        UsageError: the server does not answer.
    """
    from pytest_swarmtask.report.causes import write_causes

    return _answer(arguments, Question("failures", _searched(arguments), write_causes))


def flaky(arguments: argparse.Namespace) -> int:
    """List the tests that were flaky in the last runs. Return 0, even if there are some.

    Raises:
        HistoryError: the history cannot be read now.
        UsageError: the server does not answer.
    """
    from pytest_swarmtask.report.flaky_tests import write_flaky

    return _answer(arguments, Question("flaky", _searched(arguments), write_flaky))


def slow(arguments: argparse.Namespace) -> int:
    """List the slowest tests of the last runs. Return 0.

    Raises:
        HistoryError: the history cannot be read now.
        UsageError: the server does not answer.
    """
    from pytest_swarmtask.report.slow_tests import write_slow

    return _answer(arguments, Question("slow", _searched(arguments), write_slow))


def _searched(arguments: argparse.Namespace) -> SearchedRuns:
    from pytest_swarmtask.report.forms import SearchedRuns

    return SearchedRuns(arguments.branch, arguments.since, arguments.last, arguments.variant)


def _answer(arguments: argparse.Namespace, question: Question) -> int:
    print_answer(arguments, question, form_of(arguments, "json" if arguments.json else "text"))
    return 0
