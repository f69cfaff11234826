"""The flaky tests of a project, in each form: `swarmtask flaky`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, BinaryIO

from rich.text import Text

from pytest_swarmtask.core.text import neutral, plural
from pytest_swarmtask.history.flaky import Flaky  # noqa: TC001 - the API's schemas are made of the fields
from pytest_swarmtask.history.query import flaky, last_runs, with_variant
from pytest_swarmtask.report.forms import no_match, write_json, write_text
from pytest_swarmtask.report.phrases import flakiness, format_time, last_runs_in_words, short_commit, short_id
from pytest_swarmtask.report.terminal import drawn

if TYPE_CHECKING:
    from rich.console import Console

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.report.forms import Form, SearchedRuns

MOST = 1000
"""Tests that are listed. A team that has more of them needs the first ones first."""


@dataclass(frozen=True)
class FlakyTests:
    """The object of `flaky --json`.

    Attributes:
        runs: the number of runs with tests that were searched.
        flaky: the tests that were flaky in one of them, the worst first, at most `MOST`.
    """

    runs: int
    flaky: list[Flaky]


def find_flaky(db: Database, request: SearchedRuns) -> FlakyTests:
    """Return the tests that were flaky in the last runs."""
    runs = last_runs(db, request.last, request.as_filter())
    return FlakyTests(len(runs), flaky(db, runs, MOST, request.variant) if runs else [])


def write_flaky(db: Database, request: SearchedRuns, form: Form, out: BinaryIO) -> None:
    """Write the flaky tests."""
    found = find_flaky(db, request)
    if form.kind == "json":
        write_json(asdict(found), out)
    elif not found.runs:
        write_text(f"{no_match(db, 'No run with tests', request.branch, request.since, request.variant)}\n", out)
    elif not found.flaky:
        write_text(f"No test was flaky in {last_runs_in_words(found.runs)}.\n", out)
    else:
        write_text(drawn(form.screen, lambda console: _print(found, console)), out)


def _print(found: FlakyTests, console: Console) -> None:
    from pytest_swarmtask.report.text import print_line

    has_variants = len({test.variant for test in found.flaky}) > 1
    print_line(
        Text(f"{plural(len(found.flaky), 'flaky test')} in {last_runs_in_words(found.runs)}", "bold"), 0, console
    )
    for test in found.flaky:
        name = Text(neutral(with_variant(test.test, test.variant) if has_variants else test.test))
        print_line(name.append(f"  {neutral(flakiness(test))}", "yellow"), 2, console)
        at = " at ".join(filter(None, (test.branch, short_commit(test.commit))))
        where = f" on {at}" if test.branch else f" at {at}" if at else ""
        last = f"last {format_time(test.last)} in run {short_id(test.run)}{where}"
        print_line(Text(neutral(last), "dim"), 4, console)
