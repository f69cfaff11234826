"""The report as Markdown, for a pull request or the summary of a CI job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_swarmtask.core.markdown import code, table, text
from pytest_swarmtask.core.outcomes import first_line
from pytest_swarmtask.core.project import relative
from pytest_swarmtask.report.phrases import (
    failing_since,
    format_duration,
    format_time,
    later_runs,
    outcome_counts,
    short_commit,
    short_id,
    tests_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_swarmtask.history.query import Comparison, Run
    from pytest_swarmtask.report.content import Report
    from pytest_swarmtask.report.failures import ReportedFailure


def markdown(report: Report, root: str) -> str:
    """Return a report. Files below `root` are shown relative to it."""
    return "\n\n".join(_parts(report, root))


def _parts(report: Report, root: str) -> Iterator[str]:
    yield from _head(report)
    if report.failures:
        yield _failures(report.failures, root)
    if report.failures_total > len(report.failures):
        yield f"and {report.failures_total - len(report.failures)} more"
    if report.open:
        left_out = ((code(failure.task_id), text(failing_since(failure))) for failure in report.open)
        yield table(("failed before, and left out by this run", "since"), left_out)
    if report.open_total > len(report.open):
        yield f"and {report.open_total - len(report.open)} more"
    if report.comparison is not None:
        yield f"Compared with run {code(short_id(report.comparison.other.run))}:"
        yield "\n".join(_comparison(report.comparison)) or "no difference"
    if report.slow:
        rows = (
            (format_duration(t.duration), "" if t.usual is None else format_duration(t.usual), code(t.test))
            for t in report.slowest
        )
        yield table(("slowest", "usually", "test"), rows)
    if report.flaky:
        yield table(("flaky", "why"), ((code(test.test), text(test.why)) for test in report.flaky))


def _head(report: Report) -> Iterator[str]:
    run = report.run
    yield f"### {text(run.what)}: {text(run.outcome)}"
    yield _facts(run)
    later = later_runs(report.later, report.later_total)
    if later:
        yield text(later)
    if run.tests:
        counts = ", ".join(f"{count} {word}" for word, count in outcome_counts(run).items())
        yield f"{tests_of(run)}: {counts}"
    elif run.testing is not None:
        yield "no test ran"
    if run.coverage is not None:
        yield f"coverage {run.coverage:g} %"


def _facts(run: Run) -> str:
    facts = [f"run {code(short_id(run.run))}", format_time(run.started)]
    if run.duration is not None:
        facts.append(format_duration(run.duration))
    if run.branch:
        facts.append(f"branch {code(run.branch)}")
    if run.commit:
        facts.append(f"commit {code(short_commit(run.commit, run.dirty))}")
    return ", ".join(facts)


def _failures(failures: Sequence[ReportedFailure], root: str) -> str:
    """Return the table of failures. It has a column of owners if any of them has one."""
    owned = any(failure.owners for failure in failures)
    header = ("failed", "message", "place", "since", *(("owner",) if owned else ()))
    return table(header, (_failure(each, root, owned=owned) for each in failures))


def _failure(failure: ReportedFailure, root: str, *, owned: bool) -> tuple[str, ...]:
    place = code(relative(failure.place or "", root))
    return (
        code(failure.task_id),
        code(first_line(failure.error or "")),
        f"[{place}]({failure.link})" if failure.link else place,
        text(failing_since(failure)),
        *((text(", ".join(failure.owners or ())),) if owned else ()),
    )


def _comparison(found: Comparison) -> Iterator[str]:
    rows = (("newly failing", found.failing), ("fixed", found.fixed), ("still failing", found.still))
    for word, names in rows:
        yield from (f"- {word}: {code(name)}" for name in names)
