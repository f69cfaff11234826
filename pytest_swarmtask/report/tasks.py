"""The tasks that tests belong to, as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, BinaryIO

from pytest_swarmtask.history.query import RunFilter
from pytest_swarmtask.history.tasks import TestedTask, tested_tasks
from pytest_swarmtask.report.forms import write_json

if TYPE_CHECKING:
    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.report.forms import Form, SearchedRuns


@dataclass(frozen=True)
class TaskList:
    """The tasks that tests of the last runs belong to, by their ids."""

    tasks: list[TestedTask]


def write_tasks(db: Database, request: SearchedRuns, _: Form, out: BinaryIO) -> None:
    """Write the tasks that tests belong to."""
    found = tested_tasks(db, RunFilter(request.branch, request.since), request.last)
    write_json(asdict(TaskList(found)), out)
