"""Whose a failure is: one verdict and its reasons, for people, programs, the gate and every form of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.history.explain import default_branch, facts_of
from pytest_swarmtask.history.flaky import LONGEST_STREAK
from pytest_swarmtask.report.failures import Explanation, Reason
from pytest_swarmtask.report.phrases import (
    failing_since,
    flakiness,
    format_time,
    rerun_command,
    same_error_of,
    short_commit,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.explain import FailureFacts, OnMain
    from pytest_swarmtask.history.query import Run
    from pytest_swarmtask.report.failures import ReportedFailure

YOURS, NOT_YOURS, FLAKY, QUARANTINED, UNKNOWN = "yours", "not_yours", "flaky", "quarantined", "unknown"
"""The verdicts."""
_WORDS = {"python": "Python", "ci_image": "CI image"}
"""Names of `SOFTWARE` in words. Dependencies need no name, because their values begin with names of lock files."""


def explain(db: Database, run: Run, failures: Sequence[ReportedFailure]) -> list[Explanation]:
    """Return the explanations of failures of a run, one for each."""
    main = default_branch(db, run) if failures else None
    facts = facts_of(db, run, failures, main)
    return [_explanation(run, failure, known, main) for failure, known in zip(failures, facts, strict=True)]


def _explanation(run: Run, failure: ReportedFailure, facts: FailureFacts, main: str | None) -> Explanation:
    verdict, headline = _verdict(failure, facts, main)
    again = rerun(run, failure.task_id, failure.variant) if failure.kind == "TEST" else None
    return Explanation(verdict, headline, list(_reasons(failure, facts, run.branch, main)), again)


def _verdict(failure: ReportedFailure, facts: FailureFacts, main: str | None) -> tuple[str, str]:
    """Return the verdict, and the same in words. The strongest reason why a failure is nobody's new one comes first."""
    on_main = facts.main.streak if facts.main is not None else 0
    # If a streak is longer than chance explains, it has another reason, even if the test is flaky.
    if facts.main is not None and on_main and (facts.flaky is None or on_main > LONGEST_STREAK):
        return NOT_YOURS, f"not yours: {_fails_since(facts.main, main)}"
    if facts.flaky is not None and failure.streak <= LONGEST_STREAK:
        return FLAKY, f"flaky: {neutral(flakiness(facts.flaky))}"
    if not facts.has_main:
        return UNKNOWN, f"unknown: no earlier run of {neutral(main or 'main')} is known"
    return YOURS, "yours: new here"


def _reasons(failure: ReportedFailure, facts: FailureFacts, branch: str | None, main: str | None) -> Iterator[Reason]:
    yield Reason("new", f"on {neutral(branch)}, {failing_since(failure)}" if branch else failing_since(failure))
    if facts.flaky is not None:
        flaky = facts.flaky
        under = f" under {flaky.variant}" if flaky.variant != failure.variant else ""
        last = f"score {flaky.score:.2f}, last {format_time(flaky.last)}"
        yield Reason("flaky", f"flaky{neutral(under)} in {neutral(flakiness(flaky))}; {last}")
    if main is not None and facts.has_main:
        yield Reason("main", _on_main(facts.main, main, failure.evidence.fingerprint))
    same = same_error_of(failure)
    if same:
        yield Reason("same_error", same)
    if facts.passed_under:
        passed = ", ".join(facts.passed_under)
        yield Reason("variant", neutral(f"only under {failure.variant}: it passed under {passed}"))
    if facts.changed:
        since = f"since it last passed on {facts.passed_in}"
        yield Reason("software", neutral(f"{since}: {', '.join(_changes(facts.changed))}"))


def _on_main(found: OnMain | None, main: str, fingerprint: str | None) -> str:
    if found is None:
        return f"no result on {neutral(main)}"
    variant = "" if found.same_variant else " under other variants"
    if not found.streak:
        return f"passed last on {neutral(main)}{variant}"
    is_another = None not in (found.fingerprint, fingerprint) and found.fingerprint != fingerprint
    return f"{_fails_since(found, main)}{variant}{', with another error' if is_another else ''}"


def _fails_since(found: OnMain, main: str | None) -> str:
    at = short_commit(found.commit) or format_time(found.since)
    return f"fails on {neutral(main or '')} since {neutral(at)}{' or before' if found.at_least else ''}"


def _changes(changed: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    for name, (before, now) in changed.items():
        lock = now.rpartition(" ")[0]
        if name not in _WORDS and lock == before.rpartition(" ")[0]:
            yield f"{lock} has changed"
        else:
            word = _WORDS.get(name, "dependencies of")
            yield f"{word} {now or 'unknown'} instead of {before or 'unknown'}"


def rerun(run: Run, test: str, variant: str) -> str:
    """Return the command that runs a test again. Its comment says under which of several variants it failed."""
    under = f"  # under {neutral(variant)}" if len(run.variants) > 1 and variant else ""
    return f"{rerun_command([test])}{under}"
