"""The last runs, as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from pytest_swarmtask.history.query import Run, RunFilter, last_runs
from pytest_swarmtask.report.content import find_run, without_keys
from pytest_swarmtask.report.forms import write_json

if TYPE_CHECKING:
    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.report.forms import Form


class RunsRequest(NamedTuple):
    """Which runs are listed.

    Attributes:
        branch: only runs on this branch.
        since: only runs that started at this timestamp or later.
        limit: the number of runs, at most.
        before: only runs before the one whose id begins so.
    """

    branch: str | None = None
    since: str | None = None
    limit: int = 20
    before: str | None = None


@dataclass(frozen=True)
class RunPage:
    """A page of the runs of a project.

    Attributes:
        runs: the runs, newest first.
        next: the parameter `before` for the next page; null at the end.
    """

    runs: list[Run]
    next: str | None


def write_runs(db: Database, request: RunsRequest, _: Form, out: BinaryIO) -> None:
    """Write the last runs.

    Raises:
        UsageError: `before` names no run, or several.
    """
    before = find_run(db, request.before) if request.before else None
    found = last_runs(db, request.limit + 1, RunFilter(request.branch, request.since), before)
    page = RunPage(found[: request.limit], found[request.limit - 1].run if len(found) > request.limit else None)
    write_json(without_keys(asdict(page)), out)
