"""The history of one test, or of one function with all its parameters, in each form: `swarmtask tests`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.outcomes import function_of
from pytest_swarmtask.core.text import NOTHING_RECORDED, neutral
from pytest_swarmtask.history.query import (
    Result,
    RunFilter,
    evidence_of,
    find_tests,
    last_failures,
    last_runs,
    results_of,
)
from pytest_swarmtask.history.repeated import last_repeated
from pytest_swarmtask.report.forms import no_match, write_json, write_text
from pytest_swarmtask.report.terminal import drawn

if TYPE_CHECKING:
    from rich.console import Console

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.query import Failure
    from pytest_swarmtask.report.forms import Form

_MOST_NAMED = 10
"""Tests that a message names if a text matches several. They show a person what to add to the text."""
_MOST_SHOWN = 25
"""Failures whose evidence is printed, as in a report: a function may have failed with hundreds of parameters."""


class TestRequest(NamedTuple):
    """Which test is asked about, and which of its results.

    Attributes:
        test: its node id, or a part of it that no other test has.
        branch: only results on this branch.
        since: only results at this timestamp or later.
        last: the number of runs.
    """

    test: str
    branch: str | None = None
    since: str | None = None
    last: int = 20


@dataclass(frozen=True)
class TestHistory:
    """The object of `tests --json`.

    Attributes:
        test: the node id of the test, or of the function.
        results: its results, newest first.
    """

    test: str
    results: list[Result]


def write_test(db: Database, request: TestRequest, form: Form, out: BinaryIO) -> None:
    """Write the history of a test, or of a function with all its parameters.

    Raises:
        UsageError: no test or several tests have the given text in their node ids.
    """
    tests = _find_tests(db, request.test)
    name = tests[0] if len(tests) == 1 else function_of(tests[0])
    found = results_of(db, tests, request.last * len(tests), RunFilter(request.branch, request.since))
    if form.kind == "json":
        write_json(asdict(TestHistory(name, found)), out)
    elif found:
        write_text(drawn(form.screen, lambda console: _print(db, name, found, form, console)), out)
    else:
        write_text(f"{no_match(db, f'No run of {neutral(name)}', request.branch, request.since)}\n", out)


def _print(db: Database, name: str, found: list[Result], form: Form, console: Console) -> None:
    from pytest_swarmtask.report.text import print_test

    branches = {result.test: result.branch for result in reversed(found)}
    failures = {test: last_failures(db, test, branch) for test, branch in branches.items()}
    print_test(name, found, failures, console)
    if form.full:
        _print_last_failures(db, [failure for each in failures.values() for failure in each], form.root, console)
        _print_last_repeated(db, branches, form.root, console)


def _print_last_failures(db: Database, failures: list[Failure], root: str, console: Console) -> None:
    from pytest_swarmtask.report.text import print_last_failures

    shown = [(failure, evidence_of(db, failure.key)) for failure in failures[:_MOST_SHOWN]]
    print_last_failures(shown, root, console)
    if len(failures) > _MOST_SHOWN:
        console.print(f"\nand {len(failures) - _MOST_SHOWN} more")


def _print_last_repeated(db: Database, branches: dict[str, str | None], root: str, console: Console) -> None:
    from pytest_swarmtask.report.text import print_last_repeated

    tests = [last for test, branch in branches.items() for last in last_repeated(db, test, branch)]
    print_last_repeated(tests[:_MOST_SHOWN], root, console)
    if len(tests) > _MOST_SHOWN:
        console.print(f"\nand {len(tests) - _MOST_SHOWN} more that passed when repeated")


def _find_tests(db: Database, text: str) -> list[str]:
    """Return the one test whose node id is the text, or else ends with it, or else contains it.

    If the text names a function that has parameters, return the tests with all its parameters.

    Raises:
        UsageError: there is no such test, or more than one.
    """
    found = find_tests(db, text)
    close = (
        [name for name in found if name == text]
        or [name for name in found if function_of(name) == text]
        or [name for name in found if name.endswith(text)]
        or [name for name in found if function_of(name).endswith(text)]
        or found
    )
    functions = dict.fromkeys(map(function_of, close))
    if len(close) == 1 or len(functions) == 1:
        return close
    if not found:
        nothing = "" if last_runs(db, 1) else f": {NOTHING_RECORDED}"
        raise UsageError(f"no test is known whose node id contains {text!r}{nothing}")
    names = "".join(f"\n  {neutral(name)}" for name in list(functions)[:_MOST_NAMED])
    raise UsageError(f"several tests contain {text!r}, among them{names}")
