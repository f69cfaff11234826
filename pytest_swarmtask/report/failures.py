"""What reports say about a failure in addition to the history: the owners of its test, and a link to its code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_swarmtask.history.owners import read_owners
from pytest_swarmtask.history.query import Failure
from pytest_swarmtask.report.source_links import linker

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class ReportedFailure(Failure):
    """A failure as reports show it.

    Attributes:
        owners: the owners of the test's file in `CODEOWNERS`, empty if it has none; None if there is no such file.
        link: the address of `place` on the site of the repository, at the commit of the run; None if it is unknown.
    """

    owners: list[str] | None
    link: str | None


def report_failures(failures: Sequence[Failure], root: str, commit: str | None) -> list[ReportedFailure]:
    """Return failures as reports show them.

    Args:
        failures: the failures.
        root: the project's folder.
        commit: the commit that links lead to; None for no links.
    """
    owners = read_owners(root) if failures else None
    link = linker(root, commit)
    return [
        ReportedFailure(
            **vars(failure),
            owners=None if owners is None else owners.of_test(failure.task_id) if failure.kind == "TEST" else [],
            link=link(failure.place),
        )
        for failure in failures
    ]
