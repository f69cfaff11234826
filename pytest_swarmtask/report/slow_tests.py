"""The tests of a project that take the most time, in each form: `swarmtask slow`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, BinaryIO

from rich.text import Text

from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.history.query import last_runs, with_variant
from pytest_swarmtask.history.slow import SlowTest, slow_tests
from pytest_swarmtask.report.content import MIN_SLOW
from pytest_swarmtask.report.forms import no_match, write_json, write_text
from pytest_swarmtask.report.phrases import format_duration, last_runs_in_words
from pytest_swarmtask.report.terminal import drawn

if TYPE_CHECKING:
    from rich.console import Console

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.report.forms import Form, SearchedRuns

_MOST = {"json": 1000, "text": 20}
"""Tests that are listed. What a person can make faster stands at the top."""


@dataclass(frozen=True)
class SlowTests:
    """The object of `slow --json`.

    Attributes:
        runs: the number of runs with tests that were searched.
        slow: the slowest tests by their medians, at most 1000.
    """

    runs: int
    slow: list[SlowTest]


def write_slow(db: Database, request: SearchedRuns, form: Form, out: BinaryIO) -> None:
    """Write the slowest tests of the last runs."""
    runs = last_runs(db, request.last, request.as_filter())
    found = SlowTests(len(runs), slow_tests(db, runs, request.variant, _MOST[form.kind]))
    if form.kind == "json":
        write_json(asdict(found), out)
    elif not runs:
        write_text(f"{no_match(db, 'No run with tests', request.branch, request.since, request.variant)}\n", out)
    else:
        write_text(drawn(form.screen, lambda console: _print(found, console)), out)


def _print(found: SlowTests, console: Console) -> None:
    from pytest_swarmtask.report.text import print_line

    print_line(Text(f"The slowest tests by their medians in {last_runs_in_words(found.runs)}", "bold"), 0, console)
    has_variants = len({test.variant for test in found.slow}) > 1
    for test in found.slow:
        name = with_variant(test.test, test.variant) if has_variants else test.test
        line = Text(f"{format_duration(test.median):>9}  ").append(f"{test.share:>4.0%}  ", "dim")
        print_line(line.append(neutral(name)), 2, console)
        if test.longest > max(2 * test.median, MIN_SLOW):
            print_line(Text(f"up to {format_duration(test.longest)}", "dim"), 19, console)
