"""The sink accepts the right events, applies them in the right order, and reports trouble."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from pytest_swarmtask.config.workflow import StatusMap
from pytest_swarmtask.core.event import EVENT_TYPES, Event
from pytest_swarmtask.core.timing import Timing
from pytest_swarmtask.plugins.sink import Delivered, PendingEvent, Retry, Stopped
from pytest_swarmtask.relay.tasks import lock as locks
from pytest_swarmtask.relay.tasks.sink import TaskManagerSink
from tests.relay.tasks.board import Board, task


def record(event_type: str, task_id: str | None, second: int = 0, **metadata: Any) -> PendingEvent:
    """Return an event at a given second of a fixed minute."""
    at = f"2026-05-05T10:00:{second:02}.000Z"
    event = Event(f"e-{second}", event_type, task_id, "s", at, "app", 32 * "a", 16 * "b", None, metadata)
    return PendingEvent(event.encode().rstrip(), event, "segment", 0)


@pytest.fixture
def sink(board: Board) -> TaskManagerSink:
    """The sink of a board with tasks 1 and 2."""
    board.write(task(1), task(2))
    return TaskManagerSink("task:sync", board.file(), StatusMap())


def test_it_takes_what_changes_a_status(board: Board) -> None:
    """The sink accepts only events that change a status: neither test events nor events mapped to `unchanged`."""
    sink = TaskManagerSink("task:sync", board.file(), StatusMap(build_started="unchanged"))
    taken = {kind for kind in EVENT_TYPES if sink.accepts(kind)}
    assert taken == {kind for kind in EVENT_TYPES if not kind.startswith("TEST_")} - {"BUILD_STARTED"}


def test_later_events_win_in_whatever_order_they_come(sink: TaskManagerSink, board: Board) -> None:
    """Later events win in any order of arrival, since the segments of several processes are read in turn."""
    assert sink.send([record("TASK_COMPLETED", "1", 5), record("TASK_STARTED", "1", 3)]) == Delivered()
    sink.send([record("TASK_STARTED", "1", 4), record("TASK_STARTED", "2", 9)])
    assert board.statuses() == {"1": "done", "2": "in-progress"}
    sink.send([record("TASK_STARTED", "1", 6)])
    assert board.statuses()["1"] == "in-progress"


def test_what_was_right_already_counts_as_said(sink: TaskManagerSink, board: Board) -> None:
    """An event that changes nothing still wins against an earlier event that arrives later."""
    board.write(task(1, "done"))
    sink.send([record("TASK_COMPLETED", "1", 5)])
    sink.send([record("TASK_STARTED", "1", 4)])
    assert board.statuses() == {"1": "done"}


def test_partial_runs(sink: TaskManagerSink, board: Board) -> None:
    """A partial run cannot begin or complete a task, but can fail it."""
    board.write(task(1, "review"))
    sink.send([record("TASK_STARTED", "1", 1, partial=True), record("TASK_COMPLETED", "1", 2, partial=True)])
    assert board.statuses() == {"1": "review"}
    sink.send([record("TASK_FAILED", "1", 3, partial=True)])
    assert board.statuses() == {"1": "pending"}


def test_an_unknown_mark_is_reported_once(sink: TaskManagerSink, caplog: pytest.LogCaptureFixture) -> None:
    """An unknown mark is reported once, and an unknown task id without a mark never."""
    for second in range(3):
        marked = record("TASK_STARTED", "7", second, workflow="pytest", action="task")
        sink.send([marked, record("TASK_STARTED", "make_test", second), record("TASK_STARTED", None, second)])
    messages = [entry.getMessage() for entry in caplog.records if entry.levelno >= logging.WARNING]
    assert messages == ["task:sync: tests are marked with task 7, which does not exist"]


def test_a_lock_that_is_held_is_tried_again(
    sink: TaskManagerSink, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_PATIENCE", 0.1)
    lock = Path(f"{board.path}.lock")
    lock.mkdir()
    assert isinstance(sink.send([record("TASK_COMPLETED", "1")]), Retry)
    lock.rmdir()
    assert sink.send([record("TASK_COMPLETED", "1")]) == Delivered()
    assert board.statuses()["1"] == "done"


def test_what_nobody_has_thought_of(sink: TaskManagerSink, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception stops only this sink, with a reason."""

    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sink._manager, "set_status", fail)
    assert sink.send([record("TASK_COMPLETED", "1")]) == Stopped("unexpected ZeroDivisionError, see the relay's log")


def test_it_looks_after_what_it_has_set_and_then_rests(sink: TaskManagerSink, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sink watches its changes for a while, and then lets the relay end."""
    assert sink.run_pending() == float("inf")
    sink.send([record("TASK_COMPLETED", "1")])
    assert sink.run_pending() < 1
    monkeypatch.setattr(sink, "_timing", Timing(tasks_watch=0.0))
    assert sink.run_pending() == float("inf")
