"""`flush` sends the pending events, and `status` shows the results of the receivers' answers."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

from pytest_swarmtask.relay import process
from pytest_swarmtask.relay.delivery.store import Store
from pytest_swarmtask.relay.survey import EndpointSurvey, survey
from tests.lab import HANG, Answer, Arrival, Lab, Receiver, closed_port, receiving, wait_until


def journal(lab: Lab, count: int, event_type: str = "TASK_STARTED", **environ: str) -> list[str]:
    """Record `count` events for the webhook without starting a relay, and return their ids."""
    return lab.record_unsent(event_type, map(str, range(count)), **environ)


def flush(lab: Lab, timeout: float = 30.0, **environ: str) -> bool:
    return process.flush(lab.project, {**lab.environ, **environ}, timeout)


def endpoint(lab: Lab, name: str = "default") -> EndpointSurvey:
    return survey(lab.project, lab.environ).endpoints[name]


def counts(lab: Lab, name: str = "default") -> tuple[int, int, int]:
    """Return the numbers of delivered, waiting and dead events."""
    found = endpoint(lab, name)
    return found.delivered, found.waiting, found.dead


def batching(lab: Lab, receiver: Receiver, **more: Any) -> None:
    lab.webhooks({"name": "hook", "url": receiver.url, "batch": True, **more})
    lab.environ["TASKMASTER_WEBHOOK_URL"] = ""


def test_everything_is_sent(lab: Lab, receiver: Receiver) -> None:
    """`flush` sends the pending events of all runs, each run in its order, and a second `flush` sends nothing."""
    first, second = journal(lab, 5), journal(lab, 3)
    assert counts(lab) == (0, 8, 0)
    assert flush(lab)
    assert [event_id for event_id in receiver.ids if event_id in first] == first
    assert [event_id for event_id in receiver.ids if event_id in second] == second
    assert flush(lab)
    assert len(receiver.arrivals) == 8
    assert counts(lab) == (8, 0, 0)


def test_nothing_to_send(lab: Lab, receiver: Receiver) -> None:
    """If no event is pending, `flush` sends nothing."""
    journal(lab, 2, TASKMASTER_WEBHOOK_URL="")
    assert flush(lab)
    assert receiver.arrivals == []


def test_progress_is_told(lab: Lab, receiver: Receiver) -> None:
    """`flush` reports its progress, up to the end."""
    journal(lab, 20)
    told: list[tuple[int, int]] = []
    assert process.flush(lab.project, lab.environ, 30, lambda *now: told.append(now))
    assert told[-1] == (20, 20)
    assert all(settled <= total for settled, total in told)


# -- answers -------------------------------------------------------------------------------------------------------


def test_ids_are_stable(lab: Lab, receiver: Receiver) -> None:
    """Each attempt for an event has the event's id as its webhook-id, and a valid signature."""
    tries: dict[str, int] = {}

    def third_time(arrival: Arrival) -> Answer:
        tries[arrival.webhook_id] = tries.get(arrival.webhook_id, 0) + 1
        return 200 if tries[arrival.webhook_id] == 3 else (500, 503)[tries[arrival.webhook_id] - 1]

    receiver.answer = third_time
    ids = journal(lab, 2)
    assert flush(lab)
    assert [arrival.webhook_id for arrival in receiver.arrivals] == [ids[0]] * 3 + [ids[1]] * 3
    assert receiver.ids == ids
    assert receiver.refused == 0


def test_ids_of_batches_are_stable(lab: Lab, receiver: Receiver) -> None:
    """A retried batch has the same webhook-id and the same events."""
    batching(lab, receiver)
    receiver.answer = lambda _: 200 if len(receiver.arrivals) > 2 else 502
    ids = journal(lab, 10)
    assert flush(lab)
    assert len({arrival.webhook_id for arrival in receiver.arrivals}) == 1
    assert [arrival.ids for arrival in receiver.arrivals] == [ids] * 3


@pytest.mark.parametrize("status", [400, 404, 405, 409, 422])
def test_refused_for_good(lab: Lab, receiver: Receiver, status: int) -> None:
    """A refused event becomes a dead letter with the reason, and all other events are delivered."""
    receiver.answer = lambda arrival: status if arrival.events[0]["task_id"] == "2" else 200
    ids = journal(lab, 5)
    assert flush(lab)
    assert receiver.ids == [*ids[:2], *ids[3:]]
    assert counts(lab) == (4, 0, 1)
    store = Store(lab.project.database)
    (letter,) = store.dead_letters()
    store.close()
    assert (letter.endpoint, letter.event_id) == ("default", ids[2])
    assert f"{status}" in letter.reason


@pytest.mark.parametrize("status", [400, 413])
@pytest.mark.parametrize("guilty", [{"0"}, {"7"}, {"19"}, {"3", "4"}], ids=lambda names: " ".join(sorted(names)))
def test_the_guilty_event_of_a_batch(lab: Lab, receiver: Receiver, status: int, guilty: set[str]) -> None:
    """A refused batch is split until only the guilty events become dead letters, and the others arrive in order."""
    batching(lab, receiver)
    receiver.answer = lambda arrival: status if guilty & {event["task_id"] for event in arrival.events} else 200
    ids = journal(lab, 20)
    assert flush(lab)
    assert receiver.ids == [event_id for number, event_id in enumerate(ids) if f"{number}" not in guilty]
    assert counts(lab, "hook") == (20 - len(guilty), 0, len(guilty))


@pytest.mark.parametrize("status", [401, 403, 407, 301, 302])
def test_stopped(lab: Lab, receiver: Receiver, status: int) -> None:
    """If a person must fix an endpoint, it gets one attempt, keeps its events, and gets them after the fix."""
    receiver.answer = lambda _: (status, {"Location": "http://127.0.0.1:9/"})
    ids = journal(lab, 5)
    assert not flush(lab)
    assert len(receiver.arrivals) == 1
    assert counts(lab) == (0, 5, 0)
    assert endpoint(lab).state[:1] == ("stopped",)
    assert f"{status}" in endpoint(lab).state.reason
    receiver.answer = lambda _: 200
    assert flush(lab)
    assert receiver.ids == ids
    assert counts(lab) == (5, 0, 0)
    assert endpoint(lab).state == ("ok", "", 0, 0.0)


def test_another_secret(lab: Lab, receiver: Receiver) -> None:
    """With a wrong secret no event is accepted or dropped, and with the right secret `flush` delivers all events."""
    ids = journal(lab, 3)
    assert not flush(lab, AUTOMATION_SECRET_KEY="whsec_" + "B" * 43 + "=")
    assert receiver.refused == 1
    assert counts(lab) == (0, 3, 0)
    assert flush(lab)
    assert receiver.ids == ids


def test_gone(lab: Lab, receiver: Receiver) -> None:
    """An endpoint that answers 410 gets nothing more, also from later runs, until a person runs `flush`."""
    receiver.answer = lambda _: 410
    ids = journal(lab, 3)
    assert not flush(lab)
    assert len(receiver.arrivals) == 1
    assert endpoint(lab).state.state == "disabled"
    lab.emit("TASK_STARTED", "later")
    lab.wait_for_end()
    assert len(receiver.arrivals) == 1
    assert counts(lab) == (0, 4, 0)
    receiver.answer = lambda _: 200
    assert flush(lab)
    assert set(receiver.ids) == {*ids, *lab.ids()}
    assert endpoint(lab).state.state == "ok"


def test_asked_to_wait(lab: Lab, receiver: Receiver) -> None:
    """The relay of a later run respects `Retry-After`, and `status` shows the time. `flush` does not wait for it."""
    receiver.answer = lambda _: (429, {"Retry-After": "600"})
    lab.emit("TASK_STARTED", "first")
    wait_until(lambda: (lab.journal / "relay" / "relay.db").exists() and endpoint(lab).state.state == "retrying")
    assert 500 < endpoint(lab).state.next_attempt - time.time() <= 600
    lab.kill()
    receiver.answer = lambda _: 200
    lab.emit("TASK_STARTED", "second")
    wait_until(lab.relays)
    wait_until(lambda: counts(lab)[1] == 2)
    time.sleep(1.0)
    assert len(receiver.arrivals) == 1, "a new process has forgotten the schedule"
    assert "next attempt in" in lab.run("status").stdout
    done = lab.run("flush")
    assert done.returncode == 0
    assert receiver.ids == lab.ids()


def test_other_endpoints_are_unharmed(lab: Lab, receiver: Receiver) -> None:
    """Endpoints that hang, refuse or are stopped do not affect another endpoint."""
    with receiving() as hanging, receiving() as stopped:
        hanging.answer = lambda _: HANG
        stopped.answer = lambda _: 401
        lab.webhooks(
            {"name": "well", "url": receiver.url},
            {"name": "hanging", "url": hanging.url, "timeout": 1},
            {"name": "stopped", "url": stopped.url},
            {"name": "refusing", "url": f"http://127.0.0.1:{closed_port()}/"},
        )
        lab.environ["TASKMASTER_WEBHOOK_URL"] = ""
        ids = journal(lab, 20)
        assert not flush(lab, 3)
        assert receiver.ids == ids
        found = survey(lab.project, lab.environ).endpoints
        assert {name: one.waiting for name, one in found.items()} == {
            "well": 0,
            "hanging": 20,
            "stopped": 20,
            "refusing": 20,
        }
        hanging.closing.set()


# -- time ----------------------------------------------------------------------------------------------------------


def test_it_gives_up_in_time(lab: Lab, receiver: Receiver) -> None:
    """If a receiver never answers, `flush` ends soon after its timeout, and no event is dropped."""
    receiver.answer = lambda _: HANG
    journal(lab, 3)
    begun = time.monotonic()
    assert not flush(lab, 0.5)
    assert time.monotonic() - begun < 10
    assert counts(lab) == (0, 3, 0)


def test_it_does_not_wait_for_the_hopeless(lab: Lab) -> None:
    """If nobody listens, `flush` gives up after a few attempts, long before a generous timeout."""
    journal(lab, 3)
    begun = time.monotonic()
    assert not flush(lab, 300, TASKMASTER_WEBHOOK_URL=f"http://127.0.0.1:{closed_port()}/")
    assert time.monotonic() - begun < 60
    assert endpoint(lab).state.state == "retrying"


def test_it_relieves_a_relay_that_lingers(lab: Lab, receiver: Receiver) -> None:
    """A relay that waits for a retry after its run has ended makes way, and `flush` delivers now."""
    receiver.answer = lambda _: (503, {"Retry-After": "600"})
    lab.record(3)
    wait_until(lambda: receiver.arrivals)
    assert lab.relays()
    receiver.answer = lambda _: 200
    done = lab.run("flush", "--timeout", "30")
    assert done.returncode == 0, done.stdout
    assert receiver.ids == lab.ids()
    lab.wait_for_end()


def test_it_waits_for_the_relay_of_a_run_under_way(lab: Lab, receiver: Receiver) -> None:
    """`flush` leaves the events of an active run to the run's relay, and waits for their delivery."""
    program = (
        "from pytest_swarmtask import *\n"
        "for n in range(50): trigger_task_event('TASK_STARTED', str(n))\n"
        "print(flush=True); input()"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", program], cwd=lab.root, env=lab.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert run.stdout is not None
    run.stdout.readline()
    done = lab.run("flush", "--timeout", "30")
    assert done.returncode == 0, done.stdout
    assert receiver.ids == lab.ids()
    run.communicate(b"\n", timeout=60)
    assert len(receiver.arrivals) == 50


def test_two_at_once(lab: Lab, receiver: Receiver) -> None:
    """Two simultaneous `flush` commands deliver every event, and none twice."""
    ids = journal(lab, 100)
    both = [
        subprocess.Popen(
            lab.command("flush", "--timeout", "60"), cwd=lab.root, env=lab.environ, stdout=subprocess.DEVNULL
        )
        for _ in range(2)
    ]
    for one in both:
        one.wait(120)
    assert receiver.ids == ids
    assert counts(lab) == (100, 0, 0)


# -- many runs -----------------------------------------------------------------------------------------------------


def test_many_runs(lab: Lab, receiver: Receiver) -> None:
    """`flush` delivers the events of many runs with different settings while few files are open."""
    batching(lab, receiver)
    lab.webhooks({"name": "hook", "url": receiver.url, "batch": True, "headers": {"x-build": "${BUILD}"}})
    ids = []
    for number in range(150):
        ids += journal(lab, 2, BUILD=f"{number}")
    few = ["sh", "-c", 'ulimit -Sn 100; exec "$@"', "sh", *lab.command("flush", "--timeout", "60")]
    done = subprocess.run(few, cwd=lab.root, env={**lab.environ, "BUILD": "now"}, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert sorted(receiver.ids) == sorted(ids)
