"""An alert is sent once, repeated after a while, respects quiet hours and limits, and is never dropped silently."""

from __future__ import annotations

import contextlib
import sqlite3
import time

import pytest

from tests.lab import WAIT, wait_until
from tests.relay.alerts.world import BROKEN, World


def test_what_still_holds_is_told_again_after_a_while_and_not_before(world: World) -> None:
    """A lasting failure is reported again only after the time in `repeat`, also by another relay."""
    world.watch({**BROKEN, "repeat": 600})
    world.fail()
    world.told(1)
    world.rest()
    world.fail()
    world.handled()
    assert len(world.told()) == 1
    world.rest()
    world.set_back("firing", "told", 601)
    world.fail()
    world.told(2)
    assert world.status()["alerts_firing"][0]["times"] == 3


def test_what_is_well_again_is_told_only_of_what_was_told(world: World) -> None:
    """A resolution is reported once and only for a reported alert; with `resolved: false` it is silent."""
    world.watch(
        BROKEN, {**BROKEN, "name": "quietly", "resolved": False, "message": "{{name}}: {{task_id}} <{{since}}>"}
    )
    world.emit("TASK_COMPLETED", "build")
    event = world.fail()
    world.told(2)
    world.rest()
    world.emit("TASK_COMPLETED", "build")
    world.emit("TASK_COMPLETED", "build")
    world.told(3)
    world.handled()
    assert world.said() == [
        ("broken", "firing", "build"),
        ("quietly", "firing", "build"),
        ("broken", "resolved", "build"),
    ]
    assert world.told()[1]["text"] == f"quietly: build <{event['timestamp']}>"
    assert world.status()["alerts_firing"] == []


def around_now(first: float, last: float) -> str:
    """Return a range of local hours, given in seconds from now."""
    return "-".join(time.strftime("%H:%M", time.localtime(time.time() + offset)) for offset in (first, last))


@pytest.mark.long
def test_quiet_hours(world: World) -> None:
    """During quiet hours only critical alerts are sent, and the others follow later if they are still active.

    The next run or `flush` after the quiet hours sends them.
    """
    alerts = [BROKEN, {**BROKEN, "name": "worst", "severity": "critical"}]
    world.watch(*alerts, quiet_hours=around_now(-7200, 7200))
    world.fail("build")
    world.fail("passing")
    world.told(2)
    world.emit("TASK_COMPLETED", "passing")
    world.told(3)
    world.handled()
    assert [name for name, _, _ in world.said()] == ["worst"] * 3
    world.kill()
    world.watch(*alerts, quiet_hours=around_now(7200, 10800))
    world.run("flush")
    assert world.said()[3:] == [("broken", "firing", "build")]
    world.run("flush")
    assert len(world.told()) == 4


@pytest.mark.long
def test_too_much_for_an_hour_is_summed_up(world: World) -> None:
    """The last message that is allowed in an hour sums up the rest, and later messages wait for the next hour.

    This holds for all relays of the hour together.
    """
    world.watch(BROKEN, chat={"most": 3})
    world.failures(8)
    world.run("flush")
    assert [name for name, _, _ in world.said()] == ["broken", "broken", "summary"]
    summary = world.told()[2]
    assert summary["title"] == "6 more messages, summed up"
    assert "- project: task 7 failed" in summary["text"].splitlines()
    world.fail("one more")
    world.handled()
    world.run("flush")
    assert len(world.told()) == 3
    world.set_back("notify", "hour", 3601)
    world.run("flush")
    assert world.said()[3:] == [("broken", "firing", "one more")]


@pytest.mark.long
def test_a_notifier_that_fails_is_tried_a_few_times(world: World) -> None:
    """After five failed attempts a message counts as failed in `status`, and the next message is sent as usual."""
    world.receiver.answer = lambda _: 500
    world.watch(BROKEN)
    world.fail()
    wait_until(lambda: world.receiver.arrivals, "the first attempt")
    world.rest()
    for _ in range(5):
        world.run("flush")
    assert len(world.receiver.arrivals) == 5
    done = world.run("status", "--json")
    world.receiver.answer = lambda _: 200
    failed = world.status()["notifications_failed"]
    assert failed["chat"]["failed"] == 1, done.stdout
    assert "500" in failed["chat"]["reason"]
    assert "not told   chat: 1 message failed" in world.run("status").stdout
    world.fail("another")
    assert [message["subject"] for message in world.told(1)] == ["another"]


def test_what_a_relay_has_not_told_yet_another_tells(world: World) -> None:
    """If a relay is killed while a message waits for its next attempt, another relay sends the message."""
    world.receiver.answer = lambda _: 503
    world.watch(BROKEN)
    world.fail()
    wait_until(lambda: world.receiver.arrivals, "the first attempt")
    world.rest()  # a relay that is killed before it has stored the alert would send the alert twice
    world.receiver.answer = lambda _: 200
    world.set_back("notify", "due", WAIT)
    world.run("flush")
    assert world.said() == [("broken", "firing", "build")]


def test_a_refusal_is_not_repeated(world: World) -> None:
    world.receiver.answer = lambda _: 404
    world.watch(BROKEN)
    world.fail()
    world.wait_for_log("not told: project: build failed: out of luck")
    assert len(world.receiver.arrivals) == 1


@pytest.mark.parametrize("environ", [{"WORKFLOW_ENVIRONMENT": "prod"}, {}])
def test_each_environment_holds_for_itself(world: World, environ: dict[str, str]) -> None:
    world.watch({**BROKEN, "when": {"environment": "prod"}})
    world.fail(**environ)
    world.handled()
    assert len(world.told()) == len(environ)


@pytest.mark.long
def test_what_is_not_found_again_for_a_month_is_forgotten(world: World) -> None:
    """An alert that is not found again for a month is closed without a message, such as one about a deleted test."""
    world.watch(BROKEN)
    world.fail()
    world.told(1)
    world.rest()
    assert world.status()["alerts_firing"]
    with contextlib.closing(sqlite3.connect(world.project.database)) as db, db:
        db.execute("UPDATE memory SET changed = changed - 31 * 86400 WHERE scope = 'firing'")
    world.run("flush")
    assert (world.status()["alerts_firing"], len(world.told())) == ([], 1)
