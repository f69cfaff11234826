"""Failures grouped by their cause, as a report shows them: what they share is said once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.report.phrases import rerun_of, same_error_in_runs, whose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_swarmtask.report.failures import ReportedFailure


class FailureGroup(NamedTuple):
    """The failures of a run with one fingerprint. A failure without a fingerprint is a group of its own.

    Attributes:
        positions: where they are among the failures.
        error: the message of the first one, or an empty text.
        whose: the verdict in words, if it is the same for all; else an empty text.
        same_error: in how many other runs the error was; or an empty text.
        rerun: the command that runs their tests again, or an empty text.
    """

    positions: list[int]
    error: str
    whose: str
    same_error: str
    rerun: str


def by_cause(failures: Sequence[ReportedFailure]) -> list[FailureGroup]:
    """Return failures by their causes, in the order of the first of each."""
    positions: dict[str | int, list[int]] = {}
    for position, failure in enumerate(failures):
        positions.setdefault(failure.evidence.fingerprint or position, []).append(position)
    return [_group(failures, group) for group in positions.values()]


def _group(failures: Sequence[ReportedFailure], positions: list[int]) -> FailureGroup:
    group = [failures[position] for position in positions]
    owners = {whose(failure) for failure in group}
    same = owners.pop() if len(owners) == 1 else ""
    return FailureGroup(positions, group[0].error or "", same, same_error_in_runs(group[0]), rerun_of(group))
