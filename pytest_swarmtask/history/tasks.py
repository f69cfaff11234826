"""The tasks that tests belong to (`@pytest.mark.task`), with the last results of both."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_swarmtask.history.query import last_runs

if TYPE_CHECKING:
    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.query import RunFilter

_TESTS = """
WITH result AS (
    SELECT span.id, task.name, task.variant, span.tasks, span.status, span.started, span.run,
           row_number() OVER (PARTITION BY span.task ORDER BY span.started DESC, span.id DESC) AS place
    FROM span JOIN task ON task.id = span.task
    WHERE span.run IN (SELECT CAST(value AS BIGINT) FROM json_each(?)) AND span.tasks IS NOT NULL
      AND span.superseded = 0
)
SELECT name, variant, tasks, result.status, result.started, run.trace_id FROM result JOIN run ON run.id = result.run
WHERE place = 1 ORDER BY name, variant
"""
_TASKS = """
WITH result AS (
    SELECT task.name, span.status, span.started, span.run,
           row_number() OVER (PARTITION BY task.name ORDER BY span.started DESC, span.id DESC) AS place
    FROM span JOIN task ON task.id = span.task
    WHERE span.run IN (SELECT CAST(value AS BIGINT) FROM json_each(?)) AND span.kind = 'TASK'
      AND task.name IN (SELECT value FROM json_each(?))
)
SELECT name, result.status, result.started, run.trace_id FROM result JOIN run ON run.id = result.run WHERE place = 1
"""


@dataclass(frozen=True)
class TestOfTask:
    """The last result of a test that belongs to a task.

    Attributes:
        test: its node id.
        variant: its variant, or an empty text.
        outcome: how it ended; None if it has not.
        started: when it started.
        run: the trace id of its run.
    """

    __test__ = False  # pytest would collect it for its name where a test module imports it

    test: str
    variant: str
    outcome: str | None
    started: str
    run: str


@dataclass(frozen=True)
class TestedTask:
    """A task that tests belong to.

    Attributes:
        task: its id in the task manager.
        outcome: how its last event says that it ended, such as ``completed``; None if it goes on, or has no event.
        started: when it started the last time; None if it has no event.
        run: the trace id of that run.
        tests: the last result of each of its tests.
    """

    __test__ = False

    task: str
    outcome: str | None
    started: str | None
    run: str | None
    tests: list[TestOfTask]


def tested_tasks(db: Database, runs: RunFilter, last: int) -> list[TestedTask]:
    """Return the tasks that tests of the last runs belong to, by their ids; `last` is the number of runs."""
    keys = json.dumps([run.key for run in last_runs(db, last, runs._replace(with_tests=True))])
    tests: defaultdict[str, list[TestOfTask]] = defaultdict(list)
    for name, variant, tasks, *result in db.execute(_TESTS, (keys,)):
        for task in tasks.splitlines():
            tests[task].append(TestOfTask(name, variant, *result))
    results = {name: result for name, *result in db.execute(_TASKS, (keys, json.dumps(list(tests))))}
    found = []
    for task in sorted(tests, key=_order):
        outcome, started, run = results.get(task, (None, None, None))
        found.append(TestedTask(task, outcome, started, run, tests[task]))
    return found


def _order(task: str) -> list[tuple[int, str]]:
    """Return a key by which ``5.10`` comes after ``5.9``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in task.split(".")]
