"""Whose the failures of a run are, in each form: `swarmtask explain`."""

# ruff: noqa: TC001 - the API's schemas are made of the fields

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from rich.text import Text

from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.outcomes import first_line, function_of
from pytest_swarmtask.core.project import relative
from pytest_swarmtask.core.text import neutral, plural
from pytest_swarmtask.history import query
from pytest_swarmtask.history.explain import default_branch
from pytest_swarmtask.history.owners import read_owners
from pytest_swarmtask.history.query import Run
from pytest_swarmtask.report.content import ReportRequest, requested_run, without_keys
from pytest_swarmtask.report.explanation import QUARANTINED, explain, rerun
from pytest_swarmtask.report.failures import Reason, report_failures
from pytest_swarmtask.report.forms import no_run, tell_of_another_run, write_json, write_text
from pytest_swarmtask.report.phrases import owners_in_words, quarantine_of, short_id, test_name
from pytest_swarmtask.report.terminal import drawn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.owners import Owners
    from pytest_swarmtask.history.query import QuarantinedTest
    from pytest_swarmtask.report.failures import Explanation, ReportedFailure
    from pytest_swarmtask.report.forms import Form

_MOST = 1000
"""Failures that are explained, as many as `report --json` has."""
_MOST_NAMED = 10
"""Failed tests in the message that none matches."""
_STYLES = {"yours": "red", "not_yours": "green", "flaky": "yellow", "quarantined": "yellow", "unknown": "default"}
"""Colours of verdicts: what needs the reader is red."""


class ExplainRequest(NamedTuple):
    """Which failures are explained.

    Attributes:
        run: the beginning of the run's id; None for the last run.
        tests: node ids, or parts of them, one a line; empty for all failures of the run.
        ci_run: the CI run that asks. If no run is named, it goes before the last run.
    """

    run: str | None = None
    tests: str = ""
    ci_run: str | None = None


@dataclass(frozen=True)
class ExplainedFailure:
    """A failure of a run, and whose it is.

    Attributes:
        test: the node id of a test, or the id of a task, build or deployment that failed.
        variant: its variant, or an empty text.
        kind: ``TEST``, ``TASK``, ``BUILD`` or ``DEPLOYMENT``.
        outcome: how it ended.
        error: the first line of the message.
        place: file and line.
        owners: the owners of the test's file in `CODEOWNERS`; None if there is no such file.
        verdict: ``yours``, ``not_yours``, ``flaky``, ``quarantined`` or ``unknown``.
        headline: the verdict in words, such as ``not yours: fails on main since abc1234``.
        reasons: what the history says about the failure, in a fixed order.
        rerun: the command that runs the test again; None for anything but a test.
    """

    test: str
    variant: str
    kind: str
    outcome: str
    error: str | None
    place: str | None
    owners: list[str] | None
    verdict: str
    headline: str
    reasons: list[Reason]
    rerun: str | None


@dataclass(frozen=True)
class ExplainedRun:
    """The object of `explain --json`.

    Attributes:
        run: the run; None if there is none.
        default_branch: the branch with which it is compared; None if none is known.
        failures: its failures, or those that were asked for, at most 1000; after them as many quarantined tests.
        failures_total: how many of both it has.
    """

    run: Run | None
    default_branch: str | None
    failures: list[ExplainedFailure]
    failures_total: int


def explained_run(db: Database, request: ExplainRequest, root: str) -> ExplainedRun:
    """Return the explanations of the failures of a run.

    Args:
        db: the history.
        request: which failures are explained.
        root: the project's folder; empty if it is not known, as on a server.

    Raises:
        UsageError: there is no such run, or a text matches none of its failures.
    """
    run = requested_run(db, ReportRequest(request.run, ci_run=request.ci_run))
    if run is None:
        return ExplainedRun(None, None, [], 0)
    failures, total = explained_failures(db, run, root, request.tests.splitlines())
    return ExplainedRun(run, default_branch(db, run), failures, total)


def explained_failures(
    db: Database, run: Run, root: str, tests: Sequence[str] = ()
) -> tuple[list[ExplainedFailure], int]:
    """Return the failures of a run, at most `_MOST`, each with its verdict; and how many the run has.

    Args:
        db: the history.
        run: the run.
        root: the project's folder; empty if it is not known.
        tests: node ids, or parts of them; none for all failures.

    Raises:
        UsageError: a text matches no failure.
    """
    failures, total = query.failures(db, run, _MOST)
    quarantined, more = query.quarantined(db, run, _MOST)
    reported = report_failures(db, run, failures, root, authors={})  # no explanation names an author
    found = [_explained(failure, why) for failure, why in zip(reported, explain(db, run, reported), strict=True)]
    owners = read_owners(root) if quarantined and root else None
    found += [_quarantined(run, test, owners) for test in quarantined]
    return _chosen(run, found, tests) if tests else found, total + more


def _chosen(run: Run, failures: Sequence[ExplainedFailure], texts: Sequence[str]) -> list[ExplainedFailure]:
    """Return the failures whose node ids are one of the texts, or else contain it, in the order of the run."""
    chosen: set[str] = set()
    for text in texts:
        exact = {one.test for one in failures if text in (one.test, function_of(one.test))}
        found = exact or {one.test for one in failures if text in one.test}
        if not found:
            names = "".join(f"\n  {neutral(one.test)}" for one in failures[:_MOST_NAMED])
            failed = f"; these failed:{names}" if names else ""
            raise UsageError(f"nothing that failed in run {short_id(run.run)} contains {text!r}{failed}")
        chosen |= found
    return [one for one in failures if one.test in chosen]


def _explained(failure: ReportedFailure, why: Explanation) -> ExplainedFailure:
    error = first_line(failure.error or "") or None
    return ExplainedFailure(
        failure.task_id, failure.variant, failure.kind, failure.outcome, error, failure.place, failure.owners,
        why.verdict, why.headline, why.reasons, why.rerun,
    )  # fmt: skip


def _quarantined(run: Run, test: QuarantinedTest, owners: Owners | None) -> ExplainedFailure:
    error = first_line(test.error or "") or None
    known = None if owners is None else owners.of_test(test.test)
    why = neutral(quarantine_of(test))
    return ExplainedFailure(
        test.test, test.variant, "TEST", "quarantined", error, test.place, known,
        QUARANTINED, f"quarantined: {why}", [Reason("quarantined", why)], rerun(run, test.test, test.variant),
    )  # fmt: skip


def write_explained(db: Database, request: ExplainRequest, form: Form, out: BinaryIO) -> str | None:
    """Write the explanations, and return the id of the run; None if there is none.

    Raises:
        UsageError: as in `explained_run`.
    """
    found = explained_run(db, request, form.root)
    run = found.run
    if run is not None and request.run is None and request.ci_run not in (None, run.ci_run):
        tell_of_another_run(form, out)
    if form.kind == "json":
        write_json(without_keys(asdict(found)), out)
    elif run is None:
        write_text(f"{no_run(db, ReportRequest())}\n", out)
    else:
        write_text(drawn(form.screen, lambda console: _print(found, run, form.root, console)), out)
    return run.run if run else None


def _print(found: ExplainedRun, run: Run, root: str, console: Console) -> None:
    from pytest_swarmtask.report.text import print_line

    for line, indent in _lines(found, run, root):
        print_line(line, indent, console)


def _lines(found: ExplainedRun, run: Run, root: str) -> Iterator[tuple[Text, int]]:
    branch = f" on {run.branch}" if run.branch else ""
    quarantined = run.counts.get("quarantined", 0)
    failures = found.failures_total - quarantined
    number = plural(failures, "failure") if failures else "no failure"
    more = f", {quarantined} quarantined" if quarantined else ""
    yield Text(neutral(f"run {short_id(run.run)}{branch}: {number}{more}"), "bold"), 0
    for failure in found.failures:
        yield Text(), 0
        name = test_name(failure.test, failure.variant, run)
        yield Text(neutral(name), "bold"), 2
        yield Text(failure.headline, _STYLES[failure.verdict]), 4
        if failure.error:
            yield Text(neutral(failure.error), "red"), 4
        facts = (relative(failure.place or "", root), owners_in_words(failure.owners))
        if any(facts):
            yield Text(neutral(", ".join(filter(None, facts))), "dim"), 4
        for reason in failure.reasons:
            yield Text(f"- {reason.text}"), 4
        if failure.rerun:
            yield Text(f"again: {failure.rerun}", "dim", no_wrap=True), 4
