"""A living relay, or a `flush` without a run, notices silence and late deliveries without any event."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.lab import Json, receiving, wait_until
from tests.relay.alerts.world import World

HANG: Json = {"name": "hang", "kind": "silence", "events": ["BUILD_STARTED"], "unfinished": 2}
NIGHTLY: Json = {"name": "nightly", "kind": "silence", "events": ["BUILD_STARTED"], "every": 3600}


def ago(seconds: float) -> str:
    time = dt.datetime.now(dt.timezone.utc) - dt.timedelta(seconds=seconds)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_a_start_without_its_end(world: World) -> None:
    """A start without an end is reported once by a living relay, and the end resolves the alert.

    A span that ends in time is not reported.
    """
    world.watch({**HANG, "when": {"task_id": ["slow", "quick"]}})
    world.environ["TRACEPARENT"] = f"00-{'a' * 32}-{'b' * 16}-01"
    program = "from pytest_swarmtask import AutomationIntegrator as A; h = A()\n"
    world.python(f"{program}for end in ('STARTED', 'COMPLETED'): h.trigger_event(f'BUILD_{{end}}', 'quick')")
    world.emit("BUILD_STARTED", "other")
    started = world.emit("BUILD_STARTED", "slow")
    (message,) = world.told(1)
    assert message["subject"] == f"slow ({started['span_id'][:8]})"
    assert message["title"].startswith("project: slow has begun, and nothing was heard of its end for ")
    assert message["since"] == started["timestamp"]
    world.emit("BUILD_COMPLETED", "slow")
    assert [message["state"] for message in world.told(2)] == ["firing", "resolved"]


def test_a_start_without_its_end_is_noticed_without_a_run(world: World) -> None:
    """A `flush`, such as one from cron, reports a start without an end although no relay ran at the deadline."""
    world.watch({**HANG, "unfinished": 60})
    event = world.emit("BUILD_STARTED", "slow")
    world.rest()
    world.run("flush")
    assert world.told() == []
    (segment,) = world.segments()
    segment.chmod(0o600)
    segment.write_text(segment.read_text().replace(event["timestamp"], ago(120)))
    (world.journal / "history.sqlite").unlink()
    world.run("flush")
    world.run("flush")
    assert [message["text"].splitlines()[0] for message in world.told()] == [
        "slow has begun, and nothing was heard of its end for 2 minutes"
    ]


@pytest.mark.long
def test_an_expected_start_that_does_not_come(world: World) -> None:
    """A missing start is reported once, and the next start resolves the alert.

    The time counts from the last start, or from the first check if there was no start yet.
    """
    world.watch(NIGHTLY)
    world.emit("BUILD_COMPLETED", "unrelated")
    world.run("flush")
    world.run("flush")
    assert world.told() == []
    world.remembered("heard", lambda _: {"at": ago(3 * 3600)})
    world.run("flush")
    world.run("flush")
    (message,) = world.told()
    assert message["title"] == "project: nothing was heard of nightly for 3 hours"
    assert "compared: expected every 60 minutes" in message["text"]
    world.emit("BUILD_STARTED", "tonight")
    assert [message["state"] for message in world.told(2)] == ["firing", "resolved"]


@pytest.mark.long
def test_deliveries_that_are_refused_or_wait(world: World) -> None:
    """A delivery alert covers only its own webhooks, and is resolved once nothing waits any more."""
    with receiving() as board:
        board.answer = lambda _: 422
        hook = {"name": "board", "url": board.url, "events": ["TASK_*"]}
        idle = {"name": "refused", "kind": "delivery", "dead_letters": 3}
        refused = {"name": "refused-board", "kind": "delivery", "dead_letters": 2, "webhooks": ["bo*"]}
        waiting = {"name": "waiting", "kind": "delivery", "waiting": 5}
        others = {"name": "others", "kind": "delivery", "dead_letters": 1, "waiting": 100, "webhooks": ["chat"]}
        world.watch(idle, refused, waiting, others, webhooks=(hook,))
        world.record(2)
        world.handled()
        world.run("flush")
        assert world.said()[0] == ("refused-board", "firing", "board")
        assert "deliveries to board: refused for good: 2\n" in world.told()[0]["text"]
        assert "next: swarmtask replay" in world.told()[0]["text"]
        board.answer = lambda _: 503
        world.record(6)
        wait_until(lambda: ("waiting", "firing", "board") in world.said(), "what waits")
        board.answer = lambda _: 200
        world.run("flush")
        assert ("waiting", "resolved", "board") in world.said()
        assert {name for name, _, _ in world.said()} == {"refused-board", "waiting"}


def test_the_age_of_what_waits(world: World) -> None:
    with receiving() as board:
        board.answer = lambda _: 401
        late = {"name": "late", "kind": "delivery", "oldest": 0.5, "webhooks": ["board"]}
        never = {"name": "never", "kind": "delivery", "oldest": 86400}
        world.watch(late, never, webhooks=({"name": "board", "url": board.url, "events": ["TASK_*"]},))
        world.record(1)
        assert world.told(1)[0]["name"] == "late"
        assert "the oldest event has waited for " in world.told()[0]["text"]
        assert [name for name, _, _ in world.said()] == ["late"]
