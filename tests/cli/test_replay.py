"""`swarmtask replay` lists the events that a webhook refused, and sends them again once the webhook is fixed."""

from __future__ import annotations

import json
import sqlite3

import pytest

from tests.lab import Lab, Receiver, closed_port, receiving, wait_until


def counts(lab: Lab) -> tuple[int, int, int]:
    found = lab.status()["endpoints"]["default"]
    return found["delivered"], found["waiting"], found["dead"]


@pytest.fixture
def refused(lab: Lab, receiver: Receiver) -> list[str]:
    """Let a webhook refuse events 1 and 3 of five permanently; return their ids."""
    receiver.answer = lambda arrival: 422 if arrival.events[0]["task_id"] in ("1", "3") else 200
    events = lab.record(5)
    wait_until(lambda: counts(lab) == (3, 0, 2))
    lab.kill()
    return [event["id"] for event in events if event["task_id"] in ("1", "3")]


@pytest.mark.slow
def test_the_round_trip(lab: Lab, receiver: Receiver, refused: list[str]) -> None:
    """A refused event is listed, is refused once more, and finally reaches the fixed webhook with the same id."""
    assert counts(lab) == (3, 0, 2)
    assert "with: swarmtask replay" in lab.run("status").stdout
    listed = lab.run("replay")
    assert listed.returncode == 0
    assert [line.split(": ")[1] for line in listed.stdout.splitlines()[:-1]] == refused
    assert "TASK_STARTED 1" in listed.stdout
    assert "422" in listed.stdout
    assert listed.stdout.splitlines()[-1] == "send them again with: swarmtask replay --all, or --id ID"

    again = lab.run("replay", "--all")
    assert again.returncode == 1
    assert again.stdout.endswith("0 of 2 delivered\n")
    assert "422" in again.stdout
    assert counts(lab) == (3, 0, 2)

    receiver.answer = lambda _: 200
    done = lab.run("replay", "--all")
    assert (done.returncode, done.stdout) == (0, "2 of 2 delivered\n")
    assert [arrival.webhook_id for arrival in receiver.arrivals[-2:]] == refused
    bodies = {event["id"]: event for event in lab.events()}
    assert all(event == bodies[event["id"]] for event in receiver.accepted)
    assert sorted(receiver.ids) == sorted(lab.ids())
    assert counts(lab) == (5, 0, 0)
    assert lab.run("replay").stdout == "there are no dead letters\n"


def test_one_of_them(lab: Lab, receiver: Receiver, refused: list[str]) -> None:
    """`replay` with an id sends only the dead letter with that id."""
    receiver.answer = lambda _: 200
    assert lab.run("replay", "--endpoint", "default", "--id", refused[1]).stdout == "1 of 1 delivered\n"
    assert receiver.ids[-1] == refused[1]
    assert [letter["id"] for letter in json.loads(lab.run("replay", "--json").stdout)] == refused[:1]


def test_json(lab: Lab, refused: list[str]) -> None:
    """`--json` lists every known fact of a dead letter: webhook, reason, time, and event."""
    letters = json.loads(lab.run("replay", "--json").stdout)
    assert [letter["id"] for letter in letters] == refused
    assert {letter["endpoint"] for letter in letters} == {"default"}
    assert all("422" in letter["reason"] for letter in letters)
    by_id = {event["id"]: event for event in lab.events()}
    assert [letter["event"] for letter in letters] == [by_id[name] for name in refused]
    assert json.loads(lab.run("replay", "--json", "--endpoint", "other").stdout) == []


def test_trouble_stops_the_rest(lab: Lab, refused: list[str]) -> None:
    """If the webhook cannot be reached, `replay` stops after one attempt and keeps the dead letters."""
    done = lab.run("replay", "--all", TASKMASTER_WEBHOOK_URL=f"http://127.0.0.1:{closed_port()}/")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 2
    assert "cannot connect" in done.stdout
    assert counts(lab)[2] == 2


def test_another_address(lab: Lab, receiver: Receiver, refused: list[str]) -> None:
    """An endpoint is identified by its name: `replay` sends dead letters to its current URL."""
    with receiving() as other:
        assert lab.run("replay", "--all", TASKMASTER_WEBHOOK_URL=other.url).returncode == 0
        assert other.ids == refused


def test_an_unknown_id(lab: Lab, refused: list[str]) -> None:
    """An id that is not a dead letter's is a usage error, and nothing is sent."""
    done = lab.run("replay", "--id", "nonsense", "--id", refused[0])
    assert done.returncode == 2
    assert "--id: found nonsense, expected ids of dead letters: see swarmtask replay" in done.stderr
    assert counts(lab)[2] == 2


def test_a_damaged_letter(lab: Lab, receiver: Receiver, refused: list[str]) -> None:
    """A dead letter that is no longer a valid event is reported as damaged, and the others are sent."""
    db = sqlite3.connect(lab.journal / "relay" / "relay.db")
    with db:
        db.execute("UPDATE dead_letters SET line = x'00ff' WHERE event_id = ?", (refused[0],))
    db.close()
    receiver.answer = lambda _: 200
    assert refused[0] in lab.run("replay").stdout
    done = lab.run("replay", "--all")
    assert done.returncode == 1
    assert "it is damaged" in done.stdout
    assert receiver.ids[-1] == refused[1]


def test_nothing_recorded(lab: Lab) -> None:
    """A project without a journal has no dead letters."""
    done = lab.run("replay", "--all")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 of 0 delivered\n", "")
