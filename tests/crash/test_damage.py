"""Intact events in damaged files are delivered, damaged lines are skipped and counted, nothing raises or hangs.

With ``KILLS`` set, as for the kill loop, the tests try every length and many more flipped bits.
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_swarmtask.core.errors import JournalError
from pytest_swarmtask.core.event import Event
from pytest_swarmtask.relay import process
from pytest_swarmtask.relay.delivery.routes import Routes
from pytest_swarmtask.relay.delivery.store import Store
from pytest_swarmtask.relay.survey import survey
from tests.crash.mortals import endings, session
from tests.lab import Lab, Receiver, closed_port, is_event, wait_until

pytestmark = pytest.mark.long

LONG = "KILLS" in os.environ
SUITE = "import pytest\n@pytest.mark.task('5.2')\ndef test(): pass"


def recorded(lab: Lab, receiver: Receiver) -> Path:
    """Record a small session, and return its segment after all its events were delivered."""
    lab.environ["TASKMASTER_WEBHOOK_URL"] = ""
    lab.webhooks({"name": "hook", "url": receiver.url, "batch": True, "max_events": 200, "format": "plain"})
    (lab.root / "test_it.py").write_text(SUITE)
    assert lab._run(session(), {}).returncode == 0
    receiver.wait(6)
    lab.wait_for_end()
    (segment,) = lab.segments()
    return segment


def copies(segment: Path, contents: Iterator[bytes]) -> list[tuple[Path, bytes]]:
    """Write segments with these contents under other processes' names; return each path with its contents."""
    stamp, trace_id, writer, route = segment.stem.split("-")
    made = []
    for number, content in enumerate(contents):
        other = f"{number:016x}"
        path = segment.with_name(f"{stamp}-{trace_id}-{other}-{route}.jsonl")
        made.append((path, content.replace(writer.encode(), other.encode())))
        path.write_bytes(made[-1][1])
    return made


def events_of(path: Path) -> list[Event]:
    """Return the readable events of a segment, without a last line that has no newline."""
    found = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        with suppress(JournalError):
            found.append(Event.decode(line))
    return found


def flushed(lab: Lab) -> None:
    done = lab.run("flush")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "Traceback" not in lab.log()


def test_cut_off_at_any_length(lab: Lab, receiver: Receiver) -> None:
    """At whatever byte a segment is cut off, each whole line is delivered, and each open span is closed once."""
    segment = recorded(lab, receiver)
    whole = segment.read_bytes()
    ends = {n + more for n, byte in enumerate(whole) if byte == 10 for more in (0, 1, 2)}
    lengths = range(len(whole)) if LONG else sorted({*range(0, len(whole), 97), *ends} - {len(whole), len(whole) + 1})
    made = copies(segment, (whole[:length] for length in lengths))
    flushed(lab)
    assert {segment, *(path for path, _ in made)} == set(lab.segments())
    journaled = [event for path in lab.segments() for event in events_of(path)]
    assert sorted(event["id"] for event in receiver.accepted) == sorted(event.id for event in journaled)
    torn = 0
    for path, content in made:
        events = [event.to_dict() for event in events_of(path)]
        before, newline, rest = content.rpartition(b"\n")
        lacks_newline_only = is_event(rest)
        torn += bool(rest) and not lacks_newline_only
        whole = content if lacks_newline_only else before + newline
        assert path.read_bytes().startswith(content)
        assert b"".join(event.encode() for event in events_of(path)).startswith(whole)
        starts = [event["span_id"] for event in events if event["event_type"].endswith("_STARTED")]
        assert endings(events) == dict.fromkeys(starts, 1)
    found = lab.status()
    assert (found["foreign"], found["torn"], found["endpoints"]["hook"]["waiting"]) == (torn, 0, 0)


def flips(content: bytes, count: int, choose: random.Random) -> Iterator[bytes]:
    for _ in range(count):
        damaged = bytearray(content)
        for _ in range(choose.choice([1, 1, 1, 2, 8])):
            damaged[choose.randrange(len(damaged))] ^= 1 << choose.randrange(8)
        yield bytes(damaged)


def test_flipped_bits_in_segments(lab: Lab, receiver: Receiver) -> None:
    """A damaged line loses at most itself and one neighbour; all other events are delivered unchanged."""
    segment = recorded(lab, receiver)
    whole = segment.read_bytes()
    made = copies(segment, flips(whole, 3000 if LONG else 100, random.Random(1)))
    flushed(lab)
    arrived = {event["id"] for event in receiver.accepted}
    for path, content in made:
        writer = path.stem.split("-")[2]
        intact = set(whole.replace(segment.stem.split("-")[2].encode(), writer.encode()).split(b"\n")[:-1])
        assert {Event.decode(line).id for line in content.split(b"\n")[:-1] if line in intact} <= arrived
    assert {event.id for path in lab.segments() for event in events_of(path)} == arrived
    found = lab.status()
    damaged = sum(path.read_bytes().count(b"\n") - len(events_of(path)) for path, _ in made)
    assert found["foreign"] == damaged > 0
    assert found["endpoints"]["hook"]["waiting"] == 0


@pytest.fixture
def half(lab: Lab, receiver: Receiver) -> set[str]:
    """Deliver one run and leave another pending after a dead letter; return the ids of the delivered events."""
    lab.record(12)
    delivered = {event["id"] for event in receiver.wait(12)}
    wait_until(lambda: lab.status()["endpoints"]["default"]["delivered"] == 12)
    lab.kill()
    receiver.answer = lambda arrival: 400 if arrival.events[0]["task_id"] == "0" else 500
    lab.record(4)
    wait_until(lambda: len(receiver.arrivals) >= 14)
    lab.kill()
    wait_until(lambda: not lab.busy())
    receiver.answer = lambda arrival: 400 if arrival.events[0]["task_id"] == "0" else 200
    Store(lab.project.database).close()  # the killed relay left its write-ahead log behind
    assert lab.status()["endpoints"]["default"]["dead"] == 1
    return delivered


def settles(lab: Lab, receiver: Receiver, delivered: set[str]) -> None:
    """Check that a flush skips no event, except refused ones: their dead letters exist only in the database."""
    receiver.accepted.clear()
    process.flush(lab.project, lab.environ, timeout=30)
    assert survey(lab.project, lab.environ).endpoints["default"].waiting == 0
    refused = {event["id"] for event in lab.events() if event["task_id"] == "0"}
    assert set(lab.ids()) - refused <= delivered | set(receiver.ids)


def test_flipped_bits_in_the_database(lab: Lab, receiver: Receiver, half: set[str]) -> None:
    """Damaged cursors and states lose no event; at worst events are delivered again."""
    path = Path(lab.project.database)
    whole = path.read_bytes()
    places = [place for place, byte in enumerate(whole) if byte and place != 18]  # byte 18 is SQLite's write version
    choose = random.Random(2)
    newer = 0
    for place in places[::2] if LONG else choose.sample(places, 12):
        for other in path.parent.glob("relay.db*"):
            other.unlink()
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << choose.randrange(8)]) + whole[place + 1 :])
        try:
            settles(lab, receiver, half)
        except sqlite3.OperationalError as error:
            assert "newer version" in str(error)  # noqa: PT017 - most damages raise nothing
            newer += 1
    assert newer <= 4


DAMAGES = {
    "no line begins there": "UPDATE cursors SET offset = offset - 7",
    "behind the end": "UPDATE cursors SET offset = offset * 100",
    "no number": "UPDATE cursors SET offset = 'x', lines = x'ff'",
    "below zero": "UPDATE cursors SET offset = -5, lines = -1, skipped = -1",
    "sums are wrong": "UPDATE cursors SET lines = lines + 256",
    "unknown state": "UPDATE endpoints SET state = 'okk'",
    "failures below zero": "UPDATE endpoints SET failures = -9",
    "never": "UPDATE endpoints SET next_attempt = 1e300",
    "texts that are none": "UPDATE endpoints SET reason = CAST(x'ff' AS TEXT), state = CAST(x'fe' AS TEXT)",
    "an endpoint of bytes": "UPDATE dead_letters SET endpoint = CAST(endpoint AS BLOB)",
    "an id of bytes": "UPDATE dead_letters SET event_id = CAST(event_id AS BLOB)",
    "a line of text": "UPDATE dead_letters SET line = CAST(line AS TEXT)",
    "a reason of bytes": "UPDATE dead_letters SET reason = CAST(reason AS BLOB)",
    "at no time": "UPDATE dead_letters SET at = 'x'",
    "dropped no number of times": "INSERT INTO dropped VALUES ('default', 'w', 'purged', 'x')",
    "nameless": "UPDATE cursors SET segment = CAST(x'ff' AS TEXT) || segment",
}


def test_what_sqlite_takes_for_sound(lab: Lab, receiver: Receiver, half: set[str]) -> None:
    """If SQLite accepts a damaged database with impossible values, all events are delivered again."""
    path = Path(lab.project.database)
    whole = path.read_bytes()
    for damage in DAMAGES.values():
        path.write_bytes(whole)
        db = sqlite3.connect(path)
        with db:
            db.execute(damage)
        db.close()
        settles(lab, receiver, half)
        assert receiver.accepted, damage


def test_flipped_bits_in_a_route(lab: Lab, receiver: Receiver) -> None:
    """Events with a damaged route go to no other endpoint: they stay pending until the next run fixes the route."""
    url = f"http://127.0.0.1:{closed_port()}/"
    lab.record(2, TASKMASTER_WEBHOOK_URL=url)
    lab.kill()
    (path,) = (lab.journal / "routes").glob("*.json")
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in range(0, 8, 1 if LONG else 3):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            assert Routes(lab.project, lab.environ).endpoints(path.stem) == [f"route {path.stem}"]
    assert lab.run("flush").returncode == 1
    assert lab.status()["endpoints"][f"route {path.stem}"]["waiting"] == 2
    lab.emit("TASK_STARTED", "next", TASKMASTER_WEBHOOK_URL=url)
    assert path.read_bytes() == whole
    lab.kill()
    assert lab.run("flush").returncode == 0
    assert set(receiver.ids) == set(lab.ids())


def test_a_request_of_the_dead(lab: Lab, receiver: Receiver) -> None:
    """A yield request left by a killed reader does not make a later relay stop early."""
    receiver.answer = lambda _: 500
    lab.record(3)
    wait_until(lambda: receiver.arrivals)
    lab.kill()
    receiver.answer = lambda _: 200
    (key,) = {path.stem for path in (lab.journal / "relay").glob("*.json")}
    Path(lab.project.yield_request(key)).touch()
    wait_until(lambda: not lab.busy())
    assert process.serve(lab.project, key, lab.environ, timeout=30)
    assert set(receiver.ids) == set(lab.ids())
