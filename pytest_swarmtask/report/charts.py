"""The trend of the last runs, or of the last results of a test, as small bar charts with one column for each."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.core.outcomes import kind_of
from pytest_swarmtask.report.phrases import format_duration, format_time, short_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_swarmtask.history.query import Result, Run

HEIGHT = 40
"""Units of the highest column."""
STEP = 10
"""Units from one column to the next."""
_LOWEST = 1.5
"""Units of the lowest column, so that a zero is seen and differs from a gap."""
_MOST_OVER_MEDIAN = 4
"""Multiple of the median at which a chart of durations is cut. Otherwise one run that hung would flatten all others."""
_OUTCOMES = {"completed": ("good", 0.3), "failed": ("bad", 1.0)}
"""The colour of an outcome, and its height as a share of `HEIGHT`, for people who cannot see the colours."""


class ChartColumn(NamedTuple):
    """One run or result in a chart.

    Attributes:
        x, height: position and height in units.
        kind: CSS classes: the kind of an outcome (`kind_of`) or ``plain``, and ``cut`` if the column should be higher.
        text: the run and its number, in words.
    """

    x: int
    height: float
    kind: str
    text: str


@dataclass(frozen=True)
class Chart:
    """One number over the last runs or results.

    Attributes:
        name: what it is.
        now: its value in the newest run, in words.
        columns: its columns, from left to right. Those without a number are left out.
        length: the number of columns that there would be without gaps.
    """

    name: str
    now: str
    columns: list[ChartColumn]
    length: int


def charts(runs: Sequence[Run]) -> list[Chart]:
    """Return the charts of these runs, which are given oldest first. Numbers that no run has are left out."""
    return list(_charts(runs))


class _Series(NamedTuple):
    """A number of a run, and how it is shown.

    Attributes:
        name, now: as in `Chart`.
        value: returns the number of a run, or None.
        words: returns a number in words.
        kind: the class of a column whose number is not zero.
        cut: whether columns are cut at `_MOST_OVER_MEDIAN`.
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
    outcomes = [_outcome(run, at) for at, run in enumerate(runs)]
    yield Chart("outcome", f"{failed} of {len(runs)} failed", outcomes, len(runs))
    if any(run.tests for run in runs):
        yield _chart(runs, _Series("failed tests", f"{last.bad:,}", lambda run: run.bad, "{:,}".format, "bad"))
        yield _chart(runs, _Series("tests", f"{last.tests:,}", lambda run: run.tests, "{:,}".format))
    times = [run.measured for run in runs if run.measured is not None]
    if times:
        parts = [] if last.measured is None else [format_duration(last.measured)]
        if len(times) > 1:
            parts.append(f"median {format_duration(statistics.median(times))}")
        yield _chart(runs, _Series("duration", ", ".join(parts), lambda run: run.measured, format_duration, cut=True))
    if any(run.coverage is not None for run in runs):
        now = "not measured" if last.coverage is None else f"{last.coverage:.1f} %"
        yield _chart(runs, _Series("coverage", now, lambda run: run.coverage, "{:.1f} %".format))


def _outcome(run: Run, at: int) -> ChartColumn:
    kind, share = _OUTCOMES.get(run.outcome, ("open", 0.6))
    return ChartColumn(at * STEP, HEIGHT * share, kind, f"{_about(run)}: {run.outcome}")


def _chart(runs: Sequence[Run], series: _Series) -> Chart:
    points = []
    for at, run in enumerate(runs):
        number = series.value(run)
        if number is not None:
            text = f"{_about(run)}: {series.words(number)}"
            points.append(_Point(at * STEP, number, series.kind if number else "plain", text))
    return Chart(series.name, series.now, _columns(points, cut=series.cut), len(runs))


class _Point(NamedTuple):
    x: int
    number: float
    kind: str
    text: str


def _columns(points: Sequence[_Point], *, cut: bool) -> list[ChartColumn]:
    top = max((point.number for point in points), default=0)
    if cut and points:
        top = min(top, _MOST_OVER_MEDIAN * statistics.median(point.number for point in points))
    columns = []
    for x, number, kind, text in points:
        height = min(max(_LOWEST, number / (top or 1) * HEIGHT), HEIGHT)
        columns.append(ChartColumn(x, round(height, 1), f"{kind} cut" if number > top else kind, text))
    return columns


_SHARES = {"good": 0.3, "bad": 1.0}
"""The height of a result's kind as a share of `HEIGHT`, as in `_OUTCOMES`."""


def result_charts(results: Sequence[Result]) -> list[Chart]:
    """Return the charts of a test's results, which are given oldest first: how it ended, and how long it took."""
    outcomes: list[ChartColumn] = []
    times: list[_Point] = []
    for at, result in enumerate(results):
        kind, about = kind_of(result.outcome), f"{_about(result)}: {result.outcome}"
        outcomes.append(ChartColumn(at * STEP, HEIGHT * _SHARES.get(kind, 0.6), kind, about))
        if result.duration is not None:
            times.append(_Point(at * STEP, result.duration, "plain", f"{about}, {format_duration(result.duration)}"))
    failed = sum(column.kind == "bad" for column in outcomes)
    found = [Chart("outcome", f"{failed} of {len(results)} failed", outcomes, len(results))]
    if times:
        middle, longest = statistics.median(time.number for time in times), max(time.number for time in times)
        now = f"median {format_duration(middle)}, longest {format_duration(longest)}"
        found.append(Chart("duration", now, _columns(times, cut=True), len(results)))
    return found


def _about(of: Run | Result) -> str:
    return f"{short_id(of.run)}, {format_time(of.started)}"
