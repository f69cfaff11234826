"""What reports say about a failure beside its message: owners, author, link, evidence, and where else it was."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pytest_swarmtask.history import query
from pytest_swarmtask.history.owners import read_owners
from pytest_swarmtask.history.query import Evidence, Failure
from pytest_swarmtask.report.source_links import linker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.owners import Owners
    from pytest_swarmtask.history.query import Run


@dataclass(frozen=True)
class Reason:
    """One thing that the history says about a failure.

    Attributes:
        kind: ``new``, ``flaky``, ``quarantined``, ``main``, ``same_error``, ``variant`` or ``software``.
        text: what it says.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class Explanation:
    """Whose a failure is, and why.

    Attributes:
        verdict: ``yours``, ``not_yours``, ``flaky``, ``quarantined`` or ``unknown``.
        headline: the verdict in words, such as ``not yours: fails on main since abc1234``.
        reasons: what the history says about the failure, in a fixed order.
        rerun: the command that runs the test again; None for anything but a test.
    """

    verdict: str
    headline: str
    reasons: list[Reason]
    rerun: str | None


@dataclass(frozen=True)
class ReportedFailure(Failure):
    """A failure as reports show it. In JSON, the fields of its evidence stand beside its own.

    Attributes:
        owners: the owners of the test's file in `CODEOWNERS`, empty if it has none; None if there is no such file.
        since_author: who wrote `since_commit`, as the local repository says; None if it does not know the commit.
        link: the address of `place` on the site of the repository, at the commit of the run; None if it is unknown.
        same_error: the number of other tests of the run with the same fingerprint; None without a fingerprint.
        same_error_runs: the number of other runs that have a failure with it; None without a fingerprint.
        explanation: whose failure it is; None for one of an earlier run.
        evidence: traceback, output, earlier attempts and such.
    """

    owners: list[str] | None
    since_author: str | None
    link: str | None
    same_error: int | None
    same_error_runs: int | None
    explanation: Explanation | None
    evidence: Evidence


def report_failures(
    db: Database, run: Run, failures: Sequence[Failure], root: str, authors: Mapping[str, str]
) -> list[ReportedFailure]:
    """Return the failures of a run as reports show them, without the explanations (`report.explanation`).

    Args:
        db: the history.
        run: the run.
        failures: its failures.
        root: the project's folder; empty if it is not known, as on a server.
        authors: the authors of commits, as far as they are known and shown.
    """
    link = linker(root, run.commit)

    @cache  # a broken fixture gives hundreds of tests one fingerprint
    def other_runs(fingerprint: str) -> int:
        return query.runs_with_error(db, run, fingerprint)

    tests = query.tests_by_error(db, run) if failures else {}
    reported = []
    for failure, owners, author, evidence in _described(db, failures, root, authors):
        error = evidence.fingerprint
        same, runs = (max(0, tests.get(error, 0) - 1), other_runs(error)) if error else (None, None)
        reported.append(ReportedFailure(**vars(failure), owners=owners, since_author=author,
                                        link=link(failure.place), same_error=same, same_error_runs=runs,
                                        explanation=None, evidence=evidence))  # fmt: skip
    return reported


def report_left_out(
    db: Database, failures: Sequence[Failure], root: str, authors: Mapping[str, str]
) -> list[ReportedFailure]:
    """Return failures of earlier runs as reports show them: without a link, as they may be of another commit."""
    return [
        ReportedFailure(**vars(failure), owners=owners, since_author=author, link=None, same_error=None,
                        same_error_runs=None, explanation=None, evidence=evidence)
        for failure, owners, author, evidence in _described(db, failures, root, authors)
    ]  # fmt: skip


def _described(
    db: Database, failures: Sequence[Failure], root: str, authors: Mapping[str, str]
) -> Iterator[tuple[Failure, list[str] | None, str | None, Evidence]]:
    """Yield each failure with its owners, the author of the commit that it fails since, and its evidence."""
    owners = read_owners(root) if failures and root else None
    for failure in failures:
        author = authors.get(failure.since_commit or "")
        yield failure, _owners_of(failure, owners), author, query.evidence_of(db, failure.key)


def _owners_of(failure: Failure, owners: Owners | None) -> list[str] | None:
    if owners is None:
        return None
    return owners.of_test(failure.task_id) if failure.kind == "TEST" else []
