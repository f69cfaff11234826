"""Events that come in any order, in any batches and more than once make the same history: a server gets them so."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from pytest_swarmtask.core.event import Event
from pytest_swarmtask.history.keys import Keys
from pytest_swarmtask.history.rows import Batch
from pytest_swarmtask.history.runs import refresh
from pytest_swarmtask.history.write import write_batch
from tests.history.made import BASE, SQLITE, Process, content, opened
from tests.postgres import NEWEST


def story(journal: Path) -> list[Event]:
    """Return the events of two attempts at a CI run, of a shard that crashed, and of a make with a session in it."""
    events = []
    for attempt in (1, 2):
        process = Process(journal, f"{attempt:032x}", BASE + 100 * attempt)
        facts = {"ci_run": "ci/7", "ci_job": "test", "ci_job_run": str(attempt), "variant": "3.12", "branch": "main"}
        events += process.session({"test_a": "failed" if attempt == 1 else "passed", "test_b": "passed"}, **facts)
    crashed = Process(journal, f"{1:032x}", BASE + 150)
    session, test = crashed.ids.span(), crashed.ids.span()
    facts = {"ci_run": "ci/7", "ci_job": "test", "shard": "2/2", "ci_job_run": "1", "variant": "3.12"}
    events.append(crashed.event("TASK_STARTED", "pytest_run", session, None, action="session", **facts))
    events.append(crashed.event("TEST_STARTED", "test_c", test, session))
    seen = events[-1].timestamp
    events.append(
        crashed.event("TEST_FAILED", "test_c", test, session, outcome="crashed", last_seen=seen, traceback="…")
    )
    events.append(crashed.event("TASK_FAILED", "pytest_run", session, None, action="session", last_seen=seen, tests=1))
    make = Process(journal, f"{9:032x}", BASE + 900)
    outer, inner, task = (make.ids.span() for _ in range(3))
    events.append(make.event("TASK_STARTED", "make_test", outer, None, command=["make", "test"]))
    events.append(make.event("TASK_STARTED", "pytest_run", inner, outer, action="session", variant="3.13", tests=1))
    events.append(make.event("TASK_STARTED", "5.2", task, inner))
    ids = make.ids.span()
    events.append(make.event("TEST_STARTED", "test_a", ids, inner))
    events.append(make.event("TEST_PASSED", "test_a", ids, inner, outcome="passed", duration=0.25, attempt=2))
    events.append(make.event("TASK_COMPLETED", "5.2", task, inner))
    events.append(make.event("TASK_COMPLETED", "pytest_run", inner, outer, action="session", duration=1.0, tests=1))
    events.append(make.event("TASK_COMPLETED", "make_test", outer, None))
    return events


def told(root: Path, batches: Iterable[Iterable[Event]], *, eagerly: bool) -> list[object]:
    """Write batches of events into an empty history, and return what its views show."""
    journal = root / ".taskmaster" / "events"
    journal.mkdir(parents=True)
    with opened(journal) as db:
        keys = Keys()
        for events in batches:
            batch = Batch()
            for event in events:
                assert batch.add(event.encode().rstrip(b"\n"))
            with db.transaction():
                write_batch(db, batch, keys)
            if eagerly:
                refresh(db)
        refresh(db)
    return content(journal)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("engine", [SQLITE, NEWEST], indirect=True)
@pytest.mark.parametrize("seed", range(12))
def test_shuffled(tmp_path: Path, seed: int) -> None:
    events = story(tmp_path / "story")
    expected = told(tmp_path / "straight", [events], eagerly=False)
    order = random.Random(seed)
    shuffled = [*events, *order.sample(events, 9)]
    order.shuffle(shuffled)
    sizes = (1, 3, 12)[seed % 3]
    batches = [shuffled[start : start + sizes] for start in range(0, len(shuffled), sizes)]
    assert told(tmp_path / "shuffled", batches, eagerly=seed % 2 == 0) == expected
