"""The report as Markdown, for a pull request or a job's summary."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_swarmtask.report.terminal import moment, plain, seconds
from pytest_swarmtask.report.text import since, tests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_swarmtask.history.query import Failure
    from pytest_swarmtask.report.content import Report

_MOST = 50
_MARKS = re.compile(r"([\\`*_{}\[\]<>()#+!|~&@-])")


def markdown(report: Report) -> Iterator[str]:
    """Yield the lines of a report."""
    run = report.run
    yield f"## {_text(run.what)}: {_text(run.outcome)}"
    yield ""
    facts = [f"run {_code(run.run[:12])}", moment(run.started)]
    if run.duration is not None:
        facts.append(seconds(run.duration))
    facts += [_code(fact) for fact in (run.branch, (run.commit or "")[:10]) if fact]
    yield ", ".join(facts)
    if run.tests:
        yield f"\n{tests(run).plain}"
    if run.coverage is not None:
        yield f"\ncoverage {run.coverage:.1f} %"
    yield from _failures(report)
    yield from _lists(report)
    if report.slowest:
        yield "\n### Slowest\n\n| seconds | usually | test |\n| ---: | ---: | --- |"
    for timing in report.slowest:
        usual = "" if timing.usual is None else f"{timing.usual:.2f}"
        yield f"| {timing.duration:.2f} | {usual} | {_code(timing.test)} |"


def _failures(report: Report) -> Iterator[str]:
    shown = report.failures[:_MOST]
    if shown:
        yield f"\n### Failures ({report.failures_total})\n"
    for failure in shown:
        yield from _failure(failure)
    if report.failures_total > len(shown):
        yield f"\nand {report.failures_total - len(shown)} more"


def _failure(failure: Failure) -> Iterator[str]:
    yield f"- {_code(failure.task_id)} {_text(failure.outcome)}, {_text(since(failure))}"
    first = next(iter((failure.error or "").splitlines()), "")
    if first:
        yield f"  {_code(first)}"
    if failure.place:
        yield f"  {_code(failure.place)}"


def _lists(report: Report) -> Iterator[str]:
    if report.flaky:
        yield "\n### Flaky\n"
    for test in report.flaky:
        yield f"- {_code(test.test)} {_text(test.why)}"
    found = report.comparison
    if found is not None:
        yield f"\n### Against run {_code(found.other.run[:12])}\n"
        rows = (("newly failing", found.failing), ("fixed", found.fixed), ("still failing", found.still))
        for word, names in rows:
            yield from (f"- {word}: {_code(name)}" for name in names)


def _code(text: str) -> str:
    """Return a text as a code span in which nothing is markup, also inside of a table."""
    return f"`{plain(text).replace('`', chr(39)).replace('|', chr(0x2502))}`"


def _text(text: str) -> str:
    return _MARKS.sub(r"\\\1", plain(text))
