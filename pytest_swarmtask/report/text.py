"""The report in a terminal, and the history of one test."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from pytest_swarmtask.core.outcomes import first_line, kind_of
from pytest_swarmtask.core.project import relative
from pytest_swarmtask.core.text import neutral, neutral_lines, plural
from pytest_swarmtask.report.evidence import earlier_attempts
from pytest_swarmtask.report.failure_lines import (
    attempt_lines,
    evidence_lines,
    failure_lines,
    left_out_lines,
    quarantined_lines,
    repeated_lines,
)
from pytest_swarmtask.report.phrases import (
    attempts_at,
    failing_since,
    flakiness,
    format_duration,
    format_time,
    format_times,
    last_runs_in_words,
    later_runs,
    outcome_counts,
    shard_problems,
    short_commit,
    short_id,
    superseded_in,
    test_name,
    tests_of,
    trend_of,
)
from pytest_swarmtask.report.terminal import OUTCOME_STYLES, bars, counts, title

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

    from pytest_swarmtask.history.comparison import Comparison
    from pytest_swarmtask.history.query import Evidence, Failure, Result, Run
    from pytest_swarmtask.history.repeated import LastRepeated
    from pytest_swarmtask.report.content import Report

# Bounds that keep a failed run on a screen or two. The HTML page and `--json` show more.
_MOST_COMPARED = 10
"""Node ids of each kind of change."""
_MOST_PARAMETERS = 50
"""Tests of one function. The failing ones come first."""

_STYLES = {"bad": "red", "good": "green"}
"""Colours of outcomes by their kind."""


def print_report(report: Report, root: str, console: Console, *, full: bool = False) -> None:
    """Print a report. Files below `root` are shown relative to it. A full one has the evidence of its failures."""
    for line, indent in _report(report, root, console, full=full):
        print_line(line, indent, console)


def print_line(line: Text | Table, indent: int, console: Console) -> None:
    """Print a line or a table with an indentation, which continuation lines have, too.

    A piped line stays a line. So does a command to be copied (`Text.no_wrap`), because a shell would not take its
    parts.
    """
    if isinstance(line, Text) and (line.no_wrap or not console.is_terminal):
        console.print(Text(" " * indent if line else "").append_text(line), soft_wrap=True)
        return
    console.print(Padding(line, (0, 0, 0, indent), expand=False) if line else "", overflow="fold")


def print_row(head: Text, line: Text, indent: int, console: Console) -> None:
    """Print a line with a head, such as a time. In a terminal, continuation lines begin to the right of the head."""
    if not console.is_terminal:
        print_line(head.append_text(line), indent, console)
        return
    row = Table.grid(Column(no_wrap=True), Column(overflow="fold"))
    row.add_row(head, line)
    print_line(row, indent, console)


def _report(report: Report, root: str, console: Console, *, full: bool) -> Iterator[tuple[Text, int]]:
    yield from _head(report)
    yield from ((Text(problem, "yellow"), 0) for problem in shard_problems(report.shards))
    yield from failure_lines(report, root, full=full)
    yield from left_out_lines(report)
    yield from repeated_lines(report, root, full=full)
    yield from quarantined_lines(report)
    if report.comparison is not None:
        yield from _comparison(report.comparison)
    if report.slow:
        yield from title("Slowest")
        known = any(timing.usual is not None for timing in report.slow)
        for timing in report.slow:
            usual = "" if timing.usual is None else f"usually {format_duration(timing.usual)}"
            line = Text(f"{format_duration(timing.duration):>9}  ").append(f"{usual:<18}" if known else "", "dim")
            yield line.append(neutral(test_name(timing.test, timing.variant, report.run))), 2
    if report.flaky:
        yield from title(f"Flaky in {last_runs_in_words(len(report.trend))}")
        for test in report.flaky:
            name = test_name(test.test, test.variant, report.run)
            yield Text(neutral(name)).append(f"  {neutral(flakiness(test))}", "yellow"), 2
    if len(report.trend) > 1:
        yield from title(f"{last_runs_in_words(len(report.trend)).capitalize()} of {trend_of(report.trend)}")
        yield from _trend(report.trend, console.encoding)


def _head(report: Report) -> Iterator[tuple[Text, int]]:
    run = report.run
    head = Text("run ").append(neutral(short_id(run.run)), "bold").append(f"  {neutral(run.what)}  ")
    yield head.append(run.outcome, OUTCOME_STYLES[run.outcome]), 0
    place = f"{run.branch or 'no branch'} at {short_commit(run.commit, run.dirty)}" if run.commit else run.branch
    took = None if run.duration is None else format_duration(run.duration)
    python = f"Python {run.python}" if run.python else None
    facts = (format_time(run.started), took, place, run.environment, run.ci, python, run.host)
    yield Text(", ".join(neutral(fact) for fact in facts if fact), "dim"), 2
    for line in (run.command, run.ci_url, attempts_at(run)):
        if line:
            yield Text(neutral(line), "dim"), 2
    if run.outcome == "unfinished":
        yield Text("still running, or its end was never written", "yellow"), 2
    later = later_runs(report.later, report.later_total)
    if later:
        yield Text(later, "dim"), 2
    if run.tests:
        yield Text(), 0
        yield Text(f"{tests_of(run)}: ").append_text(counts(outcome_counts(run))), 0
        if run.superseded:
            yield Text(superseded_in(run), "dim"), 0
        if len(run.variants) > 1:
            yield Text(neutral(f"{len(run.variants)} variants: {', '.join(run.variants)}"), "dim"), 0
    elif run.testing is not None:
        yield Text(), 0
        yield Text("no test ran", "yellow"), 0
    if run.coverage is not None:
        yield Text(f"coverage {run.coverage:.1f} %"), 0


def _comparison(found: Comparison) -> Iterator[tuple[Text, int]]:
    yield from title(f"Compared with run {neutral(short_id(found.other.run))} of {format_time(found.other.started)}")
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
    times = [run.measured for run in runs]
    known = [value for value in times if value is not None]
    if known:
        now = "" if last.measured is None else f"{format_duration(last.measured)}, "
        yield _bars("duration", times, f"{now}median {format_duration(statistics.median(known))}", encoding), 2
    if any(run.coverage is not None for run in runs):
        now = "" if last.coverage is None else f"{last.coverage:.1f} %"
        yield _bars("coverage", [run.coverage for run in runs], now, encoding), 2


def _bars(word: str, values: Sequence[float | None], now: str, encoding: str) -> Text:
    return Text(f"{word:<10}", "dim").append(bars(values, encoding), "default not dim").append(f"  {now}", "not dim")


def print_test(
    name: str, results: Sequence[Result], failures: Mapping[str, Sequence[Failure]], console: Console
) -> None:
    """Print the results of one test, newest first. Of a function, print how the test with each parameter ended last.

    Args:
        name: the node id of the test, or of the function.
        results: its results, newest first.
        failures: by node id, how each test failed when it last ran, for each variant in which it failed.
        console: where to print.
    """
    console.print(Text(neutral(name), "bold"), overflow="fold")
    for line in _test(results, console.encoding):
        print_line(line, 2, console)
    if list(failures) != [name]:
        _print_parameters(name, results, failures, console)
        return
    has_variants = len({result.variant for result in results}) > 1
    for failure in failures[name]:
        under = f" under {neutral(failure.variant)}" if has_variants and failure.variant else ""
        print_line(Text(f"failing{under}: {failing_since(failure)}", "red"), 2, console)
    console.print()
    for result, time in zip(results, format_times([result.started for result in results]), strict=True):
        print_row(Text(f"{time}  ", "dim"), _result(result, with_variant=has_variants), 2, console)


def print_last_failures(failures: Sequence[tuple[Failure, Evidence]], root: str, console: Console) -> None:
    """Print how tests failed when they last ran: place, message and evidence."""
    for failure, evidence in failures:
        console.print()
        at = f" at {relative(failure.place, root)}" if failure.place else ""
        under = f" under {failure.variant}" if failure.variant else ""
        print_line(Text(neutral(f"{failure.task_id}{under}{at}"), "bold"), 0, console)
        for text in neutral_lines(failure.error or "").splitlines():
            print_line(Text(text, "red"), 2, console)
        for line, indent in evidence_lines(evidence, root, 2):
            print_line(line, indent, console)


def print_last_repeated(tests: Sequence[LastRepeated], root: str, console: Console) -> None:
    """Print how tests failed the last time that they passed only when they were repeated."""
    for last in tests:
        console.print()
        under = f" under {last.test.variant}" if last.test.variant else ""
        run = f"run {short_id(last.run)} of {format_time(last.started)}"
        head = f"{last.test.test}{under}, passed when repeated in {run}, {plural(last.test.attempts_total, 'attempt')}"
        print_line(Text(neutral(head), "bold"), 0, console)
        for line, indent in attempt_lines(earlier_attempts(last.test.attempts), root, 2):
            print_line(line, indent, console)


def _print_parameters(
    name: str, results: Sequence[Result], failures: Mapping[str, Sequence[Failure]], console: Console
) -> None:
    """Print a line for the last result with each parameter, failing ones first."""
    last = {result.test: result for result in reversed(results)}
    console.print()
    for test in sorted(failures, key=lambda one: (not failures[one], one))[:_MOST_PARAMETERS]:
        line = _outcome(last[test]).append(neutral(test.removeprefix(name)), "default")
        since = "".join(f"  {failing_since(failure)}" for failure in failures[test][:1])
        print_line(line.append(since, "red"), 2, console)
    if len(failures) > _MOST_PARAMETERS:
        print_line(Text(f"and {len(failures) - _MOST_PARAMETERS} more"), 2, console)


def _test(results: Sequence[Result], encoding: str) -> Iterator[Text]:
    outcomes = Counter(result.outcome for result in results)
    times = [result.duration for result in results if result.duration is not None]
    yield Text(f"{plural(len(results), 'result')}: ").append_text(counts(outcomes))
    if times:
        shown = bars([result.duration for result in results[::-1]], encoding)
        middle, longest = statistics.median(times), max(times)
        yield Text(f"duration  {shown}  median {format_duration(middle)}, longest {format_duration(longest)}")


def _outcome(result: Result) -> Text:
    took = "" if result.duration is None else format_duration(result.duration)
    line = Text(f"{neutral(result.outcome):<10}", _STYLES.get(kind_of(result.outcome), "default"))
    return line.append(f"{took:>10}  ", "default")


def _result(result: Result, *, with_variant: bool) -> Text:
    line = _outcome(result).append(neutral(short_id(result.run)), "default")
    place = " at ".join(filter(None, (result.branch, short_commit(result.commit, result.dirty))))
    line.append(f"  {neutral(place)}" if place else "", "default")
    if with_variant and result.variant:
        line.append(f"  {neutral(result.variant)}", "default")
    if result.superseded:
        line.append("  superseded", "yellow")
    if result.attempt is not None and result.attempt > 1:
        line.append(f"  attempt {result.attempt}", "yellow")
    first = first_line(result.error or "")
    return line.append(f"  {neutral(first)}", _STYLES.get(kind_of(result.outcome), "default")) if first else line
