"""`swarmtask tests`: the history of one test, or of one function with all its parameters."""

from __future__ import annotations

import functools
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from pytest_swarmtask.cli.common import (
    NOTHING_RECORDED,
    add_root,
    add_run_filters,
    ask_history,
    project_of,
    run_filters,
)
from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.text import neutral

if TYPE_CHECKING:
    import argparse

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.query import Failure
    from pytest_swarmtask.history.repeated import LastRepeated


_MOST_NAMED = 10
"""Tests in the message that several match. They show a person what to add to the text."""


_MOST_SHOWN = 25
"""Failures whose evidence is printed, as in a report: a function may have failed with hundreds of parameters."""


def register(subparsers: Subparsers) -> None:
    """Add the command `tests`."""
    parser = subparsers.add_parser("tests", help="show the history of one test")
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
    add_root(parser)
    parser.set_defaults(func=tests)


def tests(arguments: argparse.Namespace) -> int:
    """Show the history of one test, or of all parameters of one function. Return 0, even if it failed.

    Raises:
        HistoryError: the history cannot be read now.
        UsageError: no test or several tests have the given text in their node ids.
    """
    return ask_history(arguments, functools.partial(_tests, arguments=arguments))


def _tests(db: Database, arguments: argparse.Namespace) -> int:
    from pytest_swarmtask.history.query import RunFilter, last_failures, results_of
    from pytest_swarmtask.history.repeated import last_repeated
    from pytest_swarmtask.report.terminal import console
    from pytest_swarmtask.report.text import print_test

    tests = _find_tests(db, arguments.test)
    name = tests[0] if len(tests) == 1 else _function(tests[0])
    found = results_of(db, tests, arguments.last * len(tests), RunFilter(arguments.branch, arguments.since))
    if arguments.json:
        print(json.dumps({"test": name, "results": [asdict(result) for result in found]}, indent=2))
    elif found:
        branches = {result.test: result.branch for result in reversed(found)}
        failures = {test: last_failures(db, test, branch) for test, branch in branches.items()}
        print_test(name, found, failures, console())
        if arguments.full:
            _print_last_failures(db, [failure for each in failures.values() for failure in each], arguments)
            repeated = [last_repeated(db, test, branch) for test, branch in branches.items()]
            _print_last_repeated([last for each in repeated for last in each], arguments)
    else:
        print(f"No run of {neutral(name)} matches {run_filters(arguments)}.")
    return 0


def _print_last_failures(db: Database, failures: list[Failure], arguments: argparse.Namespace) -> None:
    from pytest_swarmtask.history.query import evidence_of
    from pytest_swarmtask.report.terminal import console
    from pytest_swarmtask.report.text import print_last_failures

    shown = [(failure, evidence_of(db, failure.key)) for failure in failures[:_MOST_SHOWN]]
    print_last_failures(shown, project_of(arguments).root, console())
    if len(failures) > _MOST_SHOWN:
        print(f"\nand {len(failures) - _MOST_SHOWN} more")


def _print_last_repeated(tests: list[LastRepeated], arguments: argparse.Namespace) -> None:
    from pytest_swarmtask.report.terminal import console
    from pytest_swarmtask.report.text import print_last_repeated

    print_last_repeated(tests[:_MOST_SHOWN], project_of(arguments).root, console())
    if len(tests) > _MOST_SHOWN:
        print(f"\nand {len(tests) - _MOST_SHOWN} more that passed when repeated")


def _find_tests(db: Database, text: str) -> list[str]:
    """Return the one test whose node id is the text, or else ends with it, or else contains it.

    If the text names a function that has parameters, return the tests with all its parameters.

    Raises:
        UsageError: there is no such test, or more than one.
    """
    from pytest_swarmtask.history.query import find_tests, last_runs

    found = find_tests(db, text)
    close = (
        [name for name in found if name == text]
        or [name for name in found if _function(name) == text]
        or [name for name in found if name.endswith(text)]
        or [name for name in found if _function(name).endswith(text)]
        or found
    )
    functions = dict.fromkeys(map(_function, close))
    if len(close) == 1 or len(functions) == 1:
        return close
    if not found:
        nothing = "" if last_runs(db, 1) else f": {NOTHING_RECORDED}"
        raise UsageError(f"no test is known whose node id contains {text!r}{nothing}")
    names = "".join(f"\n  {neutral(name)}" for name in list(functions)[:_MOST_NAMED])
    raise UsageError(f"several tests contain {text!r}, among them{names}")


def _function(test: str) -> str:
    """Return a node id without its parameters, which pytest puts in brackets at its end."""
    file, colons, name = test.partition("::")
    return f"{file}{colons}{name.partition('[')[0]}"
