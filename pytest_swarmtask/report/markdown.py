"""The report as Markdown, for a pull request or the summary of a CI job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_swarmtask.core.markdown import code, table, text
from pytest_swarmtask.core.outcomes import first_line
from pytest_swarmtask.core.project import relative
from pytest_swarmtask.report.evidence import earlier_attempts
from pytest_swarmtask.report.markdown_evidence import folded_evidence
from pytest_swarmtask.report.phrases import (
    attempts_at,
    flakiness,
    format_duration,
    format_time,
    later_runs,
    outcome_counts,
    quarantine_of,
    shard_problems,
    short_commit,
    short_id,
    since_of,
    superseded_in,
    test_name,
    tests_of,
    whose,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_swarmtask.history.comparison import Comparison
    from pytest_swarmtask.history.flaky import Flaky
    from pytest_swarmtask.history.query import QuarantinedTest, Run, TestDuration
    from pytest_swarmtask.history.repeated import Repeated
    from pytest_swarmtask.report.content import Report
    from pytest_swarmtask.report.failures import ReportedFailure


def markdown(report: Report, root: str, *, full: bool = False) -> str:
    """Return a report. Files below `root` are shown relative to it. A full one has the evidence of its failures."""
    return "\n\n".join(_parts(report, root, full=full))


def _parts(report: Report, root: str, *, full: bool) -> Iterator[str]:
    yield from _head(report)
    yield from _failed_and_repeated(report, root)
    if full:
        yield from folded_evidence(report, root)
    if report.comparison is not None:
        yield f"Compared with run {code(short_id(report.comparison.other.run))}:"
        yield "\n".join(_comparison(report.comparison)) or "no difference"
    if report.slow:
        yield table(("slowest", "usually", "test"), (_slow(timing, report.run) for timing in report.slowest))
    if report.flaky:
        yield table(("flaky", "why"), (_flaky(test, report.run) for test in report.flaky))


def _failed_and_repeated(report: Report, root: str) -> Iterator[str]:
    if report.failures:
        yield _failures(report, root)
    if report.failures_total > len(report.failures):
        yield f"and {report.failures_total - len(report.failures)} more"
    if report.open:
        left_out = (
            (code(test_name(each.task_id, each.variant, report.run)), text(since_of(each))) for each in report.open
        )
        yield table(("failed before, and left out by this run", "since"), left_out)
    if report.open_total > len(report.open):
        yield f"and {report.open_total - len(report.open)} more"
    if report.repeated:
        header = ("passed when repeated", "attempts", "message", "place")
        yield table(header, (_repeated(test, report.run, root) for test in report.repeated))
    if report.repeated_total > len(report.repeated):
        yield f"and {report.repeated_total - len(report.repeated)} more"
    if report.quarantined:
        yield table(("quarantined", "why", "message"), (_quarantined(test, report.run) for test in report.quarantined))
    if report.quarantined_total > len(report.quarantined):
        yield f"and {report.quarantined_total - len(report.quarantined)} more"


def _quarantined(test: QuarantinedTest, run: Run) -> tuple[str, ...]:
    name, error = test_name(test.test, test.variant, run), first_line(test.error or "")
    return code(name), text(quarantine_of(test)), code(error)


def _head(report: Report) -> Iterator[str]:
    run = report.run
    yield f"### {text(run.what)}: {text(run.outcome)}"
    yield _facts(run)
    attempts = attempts_at(run)
    if attempts:
        yield text(attempts)
    later = later_runs(report.later, report.later_total)
    if later:
        yield text(later)
    if run.tests:
        counts = ", ".join(f"{count} {word}" for word, count in outcome_counts(run).items())
        yield f"{tests_of(run)}: {counts}"
        if run.superseded:
            yield superseded_in(run)
        if len(run.variants) > 1:
            yield f"{len(run.variants)} variants: {', '.join(map(code, run.variants))}"
    elif run.testing is not None:
        yield "no test ran"
    yield from map(text, shard_problems(report.shards))
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


def _slow(timing: TestDuration, run: Run) -> tuple[str, ...]:
    usual = "" if timing.usual is None else format_duration(timing.usual)
    return format_duration(timing.duration), usual, code(test_name(timing.test, timing.variant, run))


def _flaky(test: Flaky, run: Run) -> tuple[str, ...]:
    return code(test_name(test.test, test.variant, run)), text(flakiness(test))


def _failures(report: Report, root: str) -> str:
    """Return the table of failures. Its columns of verdicts and of owners are left out if they are empty."""
    columns = {"whose": whose, "owner": _owners}
    more = {name: of for name, of in columns.items() if any(map(of, report.failures))}
    rows = ((*_failure(each, report.run, root), *(text(of(each)) for of in more.values())) for each in report.failures)
    return table(("failed", "message", "place", "since", *more), rows)


def _owners(failure: ReportedFailure) -> str:
    return ", ".join(failure.owners or ())


def _failure(failure: ReportedFailure, run: Run, root: str) -> tuple[str, ...]:
    place = code(relative(failure.place or "", root))
    return (
        code(test_name(failure.task_id, failure.variant, run)),
        code(first_line(failure.error or "")),
        f"[{place}]({failure.link})" if failure.link else place,
        text(since_of(failure)),
    )


def _repeated(test: Repeated, run: Run, root: str) -> tuple[str, ...]:
    name, attempts = code(test_name(test.test, test.variant, run)), str(test.attempts_total)
    for last in earlier_attempts(test.attempts)[-1:]:
        return name, attempts, code(first_line(last.error)), code(relative(last.place, root))
    return name, attempts, "", ""


def _comparison(found: Comparison) -> Iterator[str]:
    rows = (
        ("newly failing", found.failing, found.numbers["failing"]),
        ("fixed", found.fixed, found.numbers["fixed"]),
        ("still failing", found.still, found.numbers["still"]),
    )
    for word, names, number in rows:
        yield from (f"- {word}: {code(name)}" for name in names)
        if number > len(names):
            yield f"- {word}: and {number - len(names)} more"
    for name, before, now in found.slower:
        yield f"- slower: {code(name)} {format_duration(before)} to {format_duration(now)}"
