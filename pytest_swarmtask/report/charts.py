"""The trend over the last runs, as small charts of one column for each run."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.report.terminal import moment, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_swarmtask.history.query import Run

HEIGHT = 40
STEP = 10
"""Units from one column to the next."""
_LOWEST = 1.5
_MOST_OVER_MEDIAN = 4
_OUTCOMES = {"completed": ("good", 0.3), "failed": ("bad", 1.0)}
"""How a run's outcome is drawn: by its colour, and by its height."""


class Column(NamedTuple):
    """One run in a chart; `kind` as in the timeline or ``plain``, and ``cut`` where it should be higher."""

    x: int
    height: float
    kind: str
    text: str


@dataclass(frozen=True)
class Chart:
    """One number over the last runs; `now` tells it of the last one."""

    name: str
    now: str
    columns: list[Column]


def charts(runs: Sequence[Run]) -> list[Chart]:
    """Return the charts of these runs, oldest first, without those that have nothing to show."""
    return list(_charts(runs))


class _Numbers(NamedTuple):
    """What a chart of numbers is made of; `words` tells one of them to a person.

    With `cut`, one run that hung does not make all others look like nothing.
    """

    name: str
    now: str
    value: Callable[[Run], float | None]
    words: Callable[[float], str]
    kind: str = "plain"
    cut: bool = False


def _charts(runs: Sequence[Run]) -> Iterator[Chart]:
    last = runs[-1]
    failed = sum(run.outcome == "failed" for run in runs)
    yield Chart("outcome", f"{failed} of {len(runs)} failed", [_outcome(run, at) for at, run in enumerate(runs)])
    if any(run.tests for run in runs):
        yield _drawn(runs, _Numbers("failed tests", f"{last.bad:,}", lambda run: run.bad, "{:,}".format, "bad"))
        yield _drawn(runs, _Numbers("tests", f"{last.tests:,}", lambda run: run.tests, "{:,}".format))
    times = [run.duration for run in runs if run.duration is not None]
    if times:
        said = [] if last.duration is None else [seconds(last.duration)]
        now = ", ".join([*said, *([f"median {seconds(statistics.median(times))}"] if len(times) > 1 else [])])
        yield _drawn(runs, _Numbers("duration", now, lambda run: run.duration, seconds, cut=True))
    if any(run.coverage is not None for run in runs):
        now = "not measured" if last.coverage is None else f"{last.coverage:.1f} %"
        yield _drawn(runs, _Numbers("coverage", now, lambda run: run.coverage, "{:.1f} %".format))


def _outcome(run: Run, at: int) -> Column:
    kind, share = _OUTCOMES.get(run.outcome, ("open", 0.6))
    return Column(at * STEP, HEIGHT * share, kind, f"{_about(run)}: {run.outcome}")


def _drawn(runs: Sequence[Run], what: _Numbers) -> Chart:
    numbers = [(at * STEP, number, run) for at, run in enumerate(runs) if (number := what.value(run)) is not None]
    most = max((number for _, number, _ in numbers), default=0)
    if what.cut:
        most = min(most, _MOST_OVER_MEDIAN * statistics.median(number for _, number, _ in numbers))
    columns = []
    for x, number, run in numbers:
        height = min(max(_LOWEST, number / (most or 1) * HEIGHT), HEIGHT)
        drawn = (what.kind if number else "plain") + (" cut" if number > most else "")
        columns.append(Column(x, round(height, 1), drawn, f"{_about(run)}: {what.words(number)}"))
    return Chart(what.name, what.now, columns)


def _about(run: Run) -> str:
    return f"{run.run[:12]}, {moment(run.started)}"
