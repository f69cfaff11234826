"""The failures of a run in a terminal, as lines with their indentation; with ``--full`` also their evidence.

Tests that passed only when they were repeated are shown in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from pytest_swarmtask.core.outcomes import first_line
from pytest_swarmtask.core.project import relative
from pytest_swarmtask.core.text import neutral, neutral_lines, plural
from pytest_swarmtask.report.evidence import (
    contents,
    contents_of_attempts,
    earlier_attempts,
    parts_of_traceback,
    sections,
)
from pytest_swarmtask.report.groups import by_cause
from pytest_swarmtask.report.phrases import (
    owners_of,
    quarantine_of,
    rerun_of,
    same_error_of,
    since_of,
    test_name,
    whose,
)
from pytest_swarmtask.report.terminal import title

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_swarmtask.history.query import Evidence
    from pytest_swarmtask.report.content import Report
    from pytest_swarmtask.report.evidence import EarlierAttempt, Section
    from pytest_swarmtask.report.failures import ReportedFailure
    from pytest_swarmtask.report.groups import FailureGroup

    Lines = Iterator[tuple[Text, int]]

# Bounds that keep a failed run on a screen or two. `--full`, the HTML page and `--json` show more.
_MOST_LINES = 6
"""Lines of a message."""
_LONGEST_LINE = 240
"""Characters of a line of a message: three lines of a usual terminal."""
_MOST_NAMES = 10
"""Tests with one cause that are named. A broken fixture may fail hundreds."""
_MOST_WORDS = 3
"""Kinds of evidence that are named in the line about `--full`."""

_STYLES = {"raised": "bold", "message": "red", "": "default"}
"""Styles of the lines of a traceback by their kind."""


def failure_lines(report: Report, root: str, *, full: bool) -> Lines:
    """Yield the failures of a run. Files below `root` are shown relative to it."""
    failures, total = report.failures, report.failures_total
    if failures:
        yield from title(f"Failures ({total})" if total > 1 else "Failure")
    if full:
        yield from _full(report, root)
    else:
        for group in by_cause(failures):
            yield from (
                _group(report, group, root)
                if len(group.positions) > 1
                else _failure(report, failures[group.positions[0]], root, full=False)
            )
    if total > len(failures):
        yield Text(f"and {total - len(failures)} more: swarmtask report --json shows up to 1000", "dim"), 2
    again = rerun_of(failures)
    if again:
        if full:
            yield Text(), 0
        yield Text(f"again: {again}", "dim", no_wrap=True), 2
    if not full:
        yield from _hint(words for failure in failures for words in contents(failure.evidence))


def _full(report: Report, root: str) -> Lines:
    for number, failure in enumerate(report.failures):
        if number:
            yield Text(), 0
        yield from _failure(report, failure, root, full=True)
        yield from evidence_lines(failure.evidence, root, 4)


def _failure(report: Report, failure: ReportedFailure, root: str, *, full: bool) -> Lines:
    yield _head(report, failure), 2
    yield from _about(failure, root, full=full)


def _group(report: Report, group: FailureGroup, root: str) -> Lines:
    """Yield the failures with one cause: what they share, and then a line for each of the first ones."""
    failures = [report.failures[position] for position in group.positions]
    yield Text(f"{len(failures)} failures with one cause", "bold"), 2
    for line in _message(group.error, full=False):
        yield Text(line, "red"), 4
    places = {failure.place or "" for failure in failures}
    place = neutral(relative(places.pop(), root)) if len(places) == 1 else ""
    for line in (place, group.whose, group.same_error):
        if line:
            yield Text(line, "dim"), 4
    for failure in failures[:_MOST_NAMES]:
        own_place = "" if place else neutral(relative(failure.place or "", root))
        facts = ", ".join(filter(None, (own_place, since_of(failure), owners_of(failure))))
        yield _head(report, failure).append(f"  {facts}", "dim"), 4
        if not group.whose and whose(failure):
            yield Text(whose(failure), "dim"), 6
        if failure.error != group.error:
            yield from ((Text(line, "red"), 6) for line in _message(first_line(failure.error or ""), full=False))
        for line in _message(failure.teardown_error, full=False):
            yield Text(f"in teardown: {line}", "red"), 6
    if len(failures) > _MOST_NAMES:
        yield Text(f"and {len(failures) - _MOST_NAMES} more", "dim"), 4


def _head(report: Report, failure: ReportedFailure) -> Text:
    head = Text("" if failure.kind == "TEST" else f"{failure.kind.lower()} ", "dim")
    name = test_name(failure.task_id, failure.variant, report.run)
    return head.append(neutral(name), "default not dim").append(f"  {neutral(failure.outcome)}", "red not dim")


def left_out_lines(report: Report) -> Lines:
    """Yield the tests that failed before, and that the run has left out."""
    failures, total = report.open, report.open_total
    if not failures:
        return
    yield from title(f"Failed before, and left out by this run ({total})")
    for failure in failures:
        name = test_name(failure.task_id, failure.variant, report.run)
        yield Text(neutral(name)).append(f"  {since_of(failure)}", "dim"), 2
    if total > len(failures):
        yield Text(f"and {total - len(failures)} more", "dim"), 2


def repeated_lines(report: Report, root: str, *, full: bool) -> Lines:
    """Yield the tests that passed only when they were repeated: how each failed last, or all its failed attempts."""
    tests, total = report.repeated, report.repeated_total
    if not tests:
        return
    yield from title(f"Passed when repeated ({total})")
    told = [earlier_attempts(test.attempts) for test in tests]
    for number, (test, attempts) in enumerate(zip(tests, told, strict=True)):
        if full and number:
            yield Text(), 0
        name = neutral(test_name(test.test, test.variant, report.run))
        yield Text(name).append(f"  {plural(test.attempts_total, 'attempt')}", "yellow"), 2
        yield from attempt_lines(attempts, root, 4) if full else _last_attempt(attempts, root)
    if total > len(tests):
        yield Text(f"and {total - len(tests)} more: swarmtask report --json shows up to 1000", "dim"), 2
    if not full:
        yield from _hint(words for attempts in told for words in contents_of_attempts(attempts))


def quarantined_lines(report: Report) -> Lines:
    """Yield the tests that failed and do not count, why, and until when."""
    tests, total = report.quarantined, report.quarantined_total
    if not tests:
        return
    yield from title(f"Quarantined ({total})")
    for test in tests:
        name = test_name(test.test, test.variant, report.run)
        yield Text(neutral(name)).append(f"  {neutral(quarantine_of(test))}", "yellow"), 2
        for line in _message(first_line(test.error or ""), full=False):
            yield Text(line, "dim"), 4
    if total > len(tests):
        yield Text(f"and {total - len(tests)} more: swarmtask report --json shows up to 1000", "dim"), 2


def evidence_lines(evidence: Evidence, root: str, indent: int) -> Lines:
    """Yield the traceback of a failure, its output, and its earlier attempts with theirs."""
    yield from _section_lines(sections(evidence), indent)
    yield from attempt_lines(earlier_attempts(evidence.attempts), root, indent)


def attempt_lines(attempts: Iterable[EarlierAttempt], root: str, indent: int) -> Lines:
    """Yield how each attempt failed: message, place, traceback and output."""
    for attempt in attempts:
        yield Text(neutral(attempt.title), "bold"), indent
        yield from ((Text(line, "red"), indent + 2) for line in _message(attempt.error, full=True))
        if attempt.place:
            yield Text(neutral(relative(attempt.place, root)), "dim"), indent + 2
        yield from _section_lines(attempt.sections, indent + 2)


def _last_attempt(attempts: list[EarlierAttempt], root: str) -> Lines:
    """Yield the first line of the message of the last attempt, and its place."""
    for attempt in attempts[-1:]:
        for line in _message(first_line(attempt.error), full=False):
            yield Text(line, "red"), 4
        if attempt.place:
            yield Text(neutral(relative(attempt.place, root)), "dim"), 4


def _about(failure: ReportedFailure, root: str, *, full: bool) -> Lines:
    for line in _message(failure.error, full=full):
        yield Text(line, "red"), 4
    for line in _message(failure.teardown_error, full=full):
        yield Text(f"in teardown: {line}", "red"), 4
    facts = (neutral(relative(failure.place or "", root)), since_of(failure), owners_of(failure))
    yield Text(", ".join(filter(None, facts)), "dim"), 4
    for line in (whose(failure), same_error_of(failure)):
        if line:
            yield Text(line, "dim"), 4


def _section_lines(texts: Iterable[Section], indent: int) -> Lines:
    for section in texts:
        yield Text(section.title, "bold"), indent
        parts = parts_of_traceback(section.text) if section.is_traceback else (("", section.text),)
        for kind, part in parts:
            for line in neutral_lines(part.removesuffix("\n")).split("\n"):
                yield Text(line, _STYLES[kind]), indent + 2


def _hint(kinds: Iterable[str]) -> Lines:
    """Yield a line that names the option that shows the evidence, if there is any."""
    found = dict.fromkeys(kinds)
    if found:
        words = ", ".join([*found][:_MOST_WORDS]) + (" and more" if len(found) > _MOST_WORDS else "")
        yield Text(f"--full shows more: {words}", "dim"), 2


def _message(text: str | None, *, full: bool) -> list[str]:
    lines = [neutral(line) for line in (text or "").splitlines()]
    if full:
        return lines
    short = [line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}[…]" for line in lines[:_MOST_LINES]]
    return [*short, "[…]"] if len(lines) > _MOST_LINES else short
