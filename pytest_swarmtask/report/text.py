"""The report in a terminal, and the history of one test."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from pytest_swarmtask.core.outcomes import FAILED, first_line, relative
from pytest_swarmtask.core.text import neutral, plural
from pytest_swarmtask.report.phrases import (
    failing_since,
    format_duration,
    format_time,
    outcome_counts,
    short_commit,
    short_id,
)
from pytest_swarmtask.report.terminal import bars, counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console

    from pytest_swarmtask.history.query import Comparison, Failure, Result, Run
    from pytest_swarmtask.report.content import Report

# Bounds that keep a failed run on a screen or two. The HTML page and `--json` show more.
_MOST_LINES = 6
"""Lines of a message."""
_LONGEST_LINE = 240
"""Characters of a line of a message: three lines of a usual terminal."""
_MOST_COMPARED = 10
"""Node ids of each kind of change."""


def print_report(report: Report, root: str, console: Console) -> None:
    """Print a report. Files below `root` are shown relative to it."""
    for line, indent in _report(report, root, console):
        _print(line, indent, console)


def _print(line: Text | Table, indent: int, console: Console) -> None:
    """Print a line or a table with an indentation, which continuation lines have, too."""
    console.print(Padding(line, (0, 0, 0, indent), expand=False) if line else "", overflow="fold")


def _report(report: Report, root: str, console: Console) -> Iterator[tuple[Text, int]]:
    yield from _head(report.run)
    yield from _failures(report.failures, report.failures_total, root)
    if report.comparison is not None:
        yield from _comparison(report.comparison)
    if report.slow:
        yield from _title("Slowest")
        known = any(timing.usual is not None for timing in report.slow)
        for timing in report.slow:
            usual = "" if timing.usual is None else f"usually {format_duration(timing.usual)}"
            line = Text(f"{format_duration(timing.duration):>9}  ").append(f"{usual:<18}" if known else "", "dim")
            yield line.append(neutral(timing.test)), 2
    if report.flaky:
        yield from _title(f"Flaky in the last {_runs(len(report.trend))}")
        for test in report.flaky:
            commit = f" {short_commit(test.commit)}" if test.commit and test.why.endswith("commit") else ""
            times = "once" if test.failed == 1 else f"{test.failed} times"
            yield Text(neutral(test.test)).append(f"  {test.why}{neutral(commit)}, {times}", "yellow"), 2
    if len(report.trend) > 1:
        yield from _title(f"The last {_runs(len(report.trend))} of {neutral(report.run.what)}")
        yield from _trend(report.trend, console.encoding)


def _title(text: str) -> Iterator[tuple[Text, int]]:
    yield Text(), 0
    yield Text(text, "bold"), 0


def _runs(number: int) -> str:
    return "run" if number == 1 else f"{number} runs"


def _head(run: Run) -> Iterator[tuple[Text, int]]:
    style = {"failed": "bold red", "completed": "bold green"}.get(run.outcome, "bold yellow")
    head = Text("run ").append(neutral(short_id(run.run)), "bold").append(f"  {neutral(run.what)}  ")
    yield head.append(run.outcome, style), 0
    place = f"{run.branch or 'no branch'} at {short_commit(run.commit)}" if run.commit else run.branch
    took = None if run.duration is None else format_duration(run.duration)
    python = f"Python {run.python}" if run.python else None
    facts = (format_time(run.started), took, place, run.environment, run.ci, python, run.host)
    yield Text(", ".join(neutral(fact) for fact in facts if fact), "dim"), 2
    for line in (run.command, run.ci_url):
        if line:
            yield Text(neutral(line), "dim"), 2
    if run.outcome == "unfinished":
        yield Text("still running, or its end was never written", "yellow"), 2
    if run.tests:
        yield Text(), 0
        yield Text(f"{plural(run.tests, 'test')}: ").append_text(counts(outcome_counts(run))), 0
    if run.coverage is not None:
        yield Text(f"coverage {run.coverage:.1f} %"), 0


def _failures(failures: Sequence[Failure], total: int, root: str) -> Iterator[tuple[Text, int]]:
    if failures:
        yield from _title(f"Failures ({total})" if total > 1 else "Failure")
    for failure in failures:
        head = Text("" if failure.kind == "TEST" else f"{failure.kind.lower()} ", "dim")
        head.append(neutral(failure.task_id), "default not dim").append(f"  {neutral(failure.outcome)}", "red not dim")
        yield head, 2
        for line in _message(failure.error):
            yield Text(line, "red"), 4
        for line in _message(failure.teardown_error):
            yield Text(f"in teardown: {line}", "red"), 4
        facts = (neutral(relative(failure.place or "", root)), failing_since(failure))
        yield Text(", ".join(filter(None, facts)), "dim"), 4
    if total > len(failures):
        yield Text(f"and {total - len(failures)} more: swarmtask report --json shows up to 1000", "dim"), 2


def _message(text: str | None) -> list[str]:
    lines = [_short(neutral(line)) for line in (text or "").splitlines()]
    return [*lines[:_MOST_LINES], "[…]"] if len(lines) > _MOST_LINES else lines


def _short(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}[…]"


def _comparison(found: Comparison) -> Iterator[tuple[Text, int]]:
    yield from _title(f"Compared with run {neutral(short_id(found.other.run))} of {format_time(found.other.started)}")
    rows = (
        ("newly failing", "red", found.failing, found.numbers["failing"]),
        ("fixed", "green", found.fixed, found.numbers["fixed"]),
        ("still failing", "red", found.still, found.numbers["still"]),
        ("added", "default", found.added, found.numbers["added"]),
        ("removed", "default", found.gone, found.numbers["gone"]),
    )
    for word, style, names, number in rows:
        if number:
            yield Text(f"{word} ({number})", style), 2
            yield from ((Text(neutral(name)), 4) for name in names[:_MOST_COMPARED])
    if found.slower:
        yield Text("slower"), 2
    for name, before, now in found.slower[:_MOST_COMPARED]:
        yield Text(f"{format_duration(before)} to {format_duration(now)}  {neutral(name)}"), 4
    if not any(number for *_, number in rows) and not found.slower:
        yield Text("no difference"), 2


def _trend(runs: Sequence[Run], encoding: str) -> Iterator[tuple[Text, int]]:
    strip = Text("outcome   ", "dim")
    for run in runs:
        strip.append(*{"failed": ("F", "red not dim"), "completed": (".", "green not dim")}.get(run.outcome, ("?", "")))
    yield strip, 2
    last = runs[-1]
    if any(run.tests for run in runs):
        yield _bars("failed", [float(run.bad) for run in runs], f"{last.bad}", encoding), 2
        yield _bars("tests", [float(run.tests) for run in runs], f"{last.tests}", encoding), 2
    times = [run.duration for run in runs]
    known = [value for value in times if value is not None]
    if known:
        now = "" if last.duration is None else f"{format_duration(last.duration)}, "
        yield _bars("duration", times, f"{now}median {format_duration(statistics.median(known))}", encoding), 2
    if any(run.coverage is not None for run in runs):
        now = "" if last.coverage is None else f"{last.coverage:.1f} %"
        yield _bars("coverage", [run.coverage for run in runs], now, encoding), 2


def _bars(word: str, values: Sequence[float | None], now: str, encoding: str) -> Text:
    return Text(f"{word:<10}", "dim").append(bars(values, encoding), "default not dim").append(f"  {now}", "not dim")


def print_test(results: Sequence[Result], console: Console) -> None:
    """Print the results of one test, newest first."""
    console.print(Text(neutral(results[0].test), "bold"), overflow="fold")
    for line in _test(results, console.encoding):
        _print(line, 2, console)
    for result in results:
        at, line = Text(f"{format_time(result.started)}  ", "dim"), _result(result)
        if console.is_terminal:  # continuation lines go beside the time, not below it
            row = Table.grid(Column(no_wrap=True), Column(overflow="fold"))
            row.add_row(at, line)
            _print(row, 2, console)
        else:
            _print(at.append_text(line), 2, console)


def _test(results: Sequence[Result], encoding: str) -> Iterator[Text]:
    outcomes = Counter(result.outcome for result in results)
    times = [result.duration for result in results if result.duration is not None]
    yield Text(f"{plural(len(results), 'result')}: ").append_text(counts(outcomes))
    failing = _failing(results)
    if failing:
        first = failing[-1]
        commit = f" at {neutral(short_commit(first.commit))}" if first.commit else ""
        yield Text(f"failing since {format_time(first.started)}{commit}, {len(failing)} in a row", "red")
    if times:
        shown = bars([result.duration for result in results[::-1]], encoding)
        middle, longest = statistics.median(times), max(times)
        yield Text(f"duration  {shown}  median {format_duration(middle)}, longest {format_duration(longest)}")
    yield Text()


def _failing(results: Iterable[Result]) -> list[Result]:
    """Return the failures since the test last passed, newest first. Skipped results are ignored."""
    failing = []
    for result in results:
        if result.outcome in FAILED:
            failing.append(result)
        elif result.outcome in ("passed", "xpassed"):
            break
    return failing


def _result(result: Result) -> Text:
    took = "" if result.duration is None else format_duration(result.duration)
    style = "red" if result.outcome in FAILED else "green" if result.outcome in ("passed", "xpassed") else "default"
    line = Text(f"{neutral(result.outcome):<10}", style)
    line.append(f"{took:>10}  ", "default").append(neutral(short_id(result.run)), "default")
    place = " at ".join(filter(None, (result.branch, short_commit(result.commit or ""))))
    line.append(f"  {neutral(place)}" if place else "", "default")
    if result.attempt is not None and result.attempt > 1:
        line.append(f"  attempt {result.attempt}", "yellow")
    first = first_line(result.error or "")
    return line.append(f"  {neutral(first)}", style) if first else line
