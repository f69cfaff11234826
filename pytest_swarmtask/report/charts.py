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
_OUTCOMES = {"completed": ("good", 0.3), "failed": ("bad", 1.0)}
"""How a run's outcome is drawn: by its colour, and by its height."""


class Column(NamedTuple):
    """One run in a chart; `height` is in units, `kind` as in the timeline or ``plain``."""

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


def _charts(runs: Sequence[Run]) -> Iterator[Chart]:
    last = runs[-1]
    failed = sum(run.outcome == "failed" for run in runs)
    yield Chart("outcome", f"{failed} of {len(runs)} failed", [_outcome(run, at) for at, run in enumerate(runs)])
    if any(run.tests for run in runs):
        yield _numbers("failed tests", str(last.bad), runs, lambda run: float(run.bad), lambda value: f"{value:.0f}", "bad")
        yield _numbers("tests", str(last.tests), runs, lambda run: float(run.tests), lambda value: f"{value:.0f}")
    times = [run.duration for run in runs if run.duration is not None]
    if times:
        now = "" if last.duration is None else f"{seconds(last.duration)}, "
        now += f"median {seconds(statistics.median(times))}"
        yield _numbers("duration", now, runs, lambda run: run.duration, seconds)
    if any(run.coverage is not None for run in runs):
        now = "not measured" if last.coverage is None else f"{last.coverage:.1f} %"
        yield _numbers("coverage", now, runs, lambda run: run.coverage, lambda value: f"{value:.1f} %")


def _outcome(run: Run, at: int) -> Column:
    kind, share = _OUTCOMES.get(run.outcome, ("open", 0.6))
    return Column(at * STEP, HEIGHT * share, kind, f"{_about(run)}: {run.outcome}")


def _numbers(
    name: str,
    now: str,
    runs: Sequence[Run],
    value: Callable[[Run], float | None],
    words: Callable[[float], str],
    kind: str = "plain",
) -> Chart:
    most = max((value(run) or 0.0 for run in runs), default=0.0) or 1.0
    columns = []
    for at, run in enumerate(runs):
        number = value(run)
        if number is not None:
            height = max(_LOWEST, number / most * HEIGHT)
            columns.append(Column(at * STEP, round(height, 1), kind if number else "plain", f"{_about(run)}: {words(number)}"))
    return Chart(name, now, columns)


def _about(run: Run) -> str:
    return f"{run.run[:12]}, {moment(run.started)}"
