"""A delivery carries each event to its sink, and acts on each result of the sink."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pytest_swarmtask.core.event import Event
from pytest_swarmtask.plugins.sink import Delivered, Disabled, PendingEvent, Rejected, Retry, SendResult, Split, Stopped
from pytest_swarmtask.relay.delivery.store import EndpointState, Store
from pytest_swarmtask.relay.delivery.worker import Delivery
from tests.lab import wait_until

NAMES = [f"{number}" for number in range(1000)]


class Scripted:
    """A sink that remembers its events, and returns the results that a test chooses."""

    name = "scripted"

    def __init__(self, judge: Callable[[list[str]], SendResult] = lambda _: Delivered(), max_events: int = 1) -> None:
        self.judge = judge
        self.max_events = max_events
        self.max_bytes = 1_000_000
        self.max_age = 0.0
        self.sent: list[list[str]] = []
        self.delivered: list[str] = []
        self.times: list[float] = []
        self.closed = False

    def run_pending(self) -> float:
        return float("inf")

    def accepts(self, event_type: str) -> bool:
        return event_type.startswith("TASK_")

    def send(self, records: Sequence[PendingEvent]) -> SendResult:
        names = [record.event.task_id or "" for record in records]
        self.sent.append(names)
        self.times.append(time.monotonic())
        verdict = self.judge(names)
        if isinstance(verdict, Delivered):
            self.delivered += names
        return verdict

    def close(self) -> None:
        self.closed = True


class Bench:
    """A segment, a database, and deliveries of the segment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.segment = folder / "a.jsonl"
        self.written = 0
        self.started: list[Delivery] = []

    def write(self, count: int, event_type: str = "TASK_STARTED") -> None:
        with self.segment.open("ab") as file:
            for name in NAMES[self.written : self.written + count]:
                file.write(
                    Event(
                        f"w-{name}", event_type, name, "s", "2024-01-15T10:30:00.000Z", "x", "t", "s", None, {}
                    ).encode()
                )
        self.written += count

    def deliver(self, sink: Scripted, *, eager: bool = False) -> Delivery:
        delivery = Delivery("hook", sink, str(self.folder / "relay.db"), eager=eager)
        delivery.add(str(self.segment))
        self.started.append(delivery)
        delivery.start()
        return delivery

    def settled(self, delivery: Delivery) -> bool:
        return delivery.position("a.jsonl").offset == self.segment.stat().st_size

    def finish(self, delivery: Delivery) -> None:
        """Wait until every event is settled, then end the delivery."""
        wait_until(lambda: self.settled(delivery), lambda: f"{delivery.position('a.jsonl')} {delivery.state}")
        self.end(delivery)

    def end(self, delivery: Delivery) -> None:
        delivery.stop()
        assert delivery.join(30)

    def state(self) -> EndpointState:
        store = Store(str(self.folder / "relay.db"))
        try:
            return store.state("hook")
        finally:
            store.close()

    def dead(self) -> list[tuple[str, str]]:
        store = Store(str(self.folder / "relay.db"))
        try:
            return [(letter.event_id, letter.reason) for letter in store.dead_letters()]
        finally:
            store.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for delivery in made.started:
        made.end(delivery)


def test_each_once_in_order(bench: Bench) -> None:
    """Events written before and during a delivery are sent once, in order, and the sink is closed at the end."""
    sink = Scripted()
    bench.write(20)
    delivery = bench.deliver(sink)
    for _ in range(5):
        bench.write(10)
        delivery.poke(hurry=False)
    bench.finish(delivery)
    assert sink.delivered == NAMES[:70]
    assert sink.closed
    assert not delivery.busy


def test_a_later_one_goes_on(bench: Bench) -> None:
    """A later process continues after the last delivered event, and sends nothing twice."""
    bench.write(10)
    first, second = Scripted(), Scripted()
    bench.finish(bench.deliver(first))
    bench.write(5)
    bench.finish(bench.deliver(second))
    assert (first.delivered, second.delivered) == (NAMES[:10], NAMES[10:15])


def test_it_rests(bench: Bench) -> None:
    """A delivery is idle once every event is sent."""
    bench.write(3)
    delivery = bench.deliver(Scripted())
    wait_until(lambda: not delivery.busy)
    assert bench.settled(delivery)
    delivery.poke(hurry=False)
    wait_until(lambda: not delivery.busy)


# -- batches -------------------------------------------------------------------------------------------------------


def batching(
    judge: Callable[[list[str]], SendResult] = lambda _: Delivered(), size: int = 10, age: float = 0.0
) -> Scripted:
    sink = Scripted(judge, size)
    sink.max_age = age
    return sink


def test_batches_by_count(bench: Bench) -> None:
    """A full batch is sent at once, and a partial batch as soon as somebody waits for it."""
    sink = batching(age=3600.0)
    bench.write(25)
    delivery = bench.deliver(sink)
    wait_until(lambda: len(sink.sent) == 2)
    assert [len(batch) for batch in sink.sent] == [10, 10]
    delivery.poke(hurry=True)
    bench.finish(delivery)
    assert [len(batch) for batch in sink.sent] == [10, 10, 5]
    assert sink.delivered == NAMES[:25]


def test_batches_by_bytes(bench: Bench) -> None:
    """A batch is full once it reaches its size in bytes, and a full batch is sent at once."""
    sink = batching(size=100, age=3600.0)
    bench.write(10)
    sink.max_bytes = 3 * (bench.segment.stat().st_size // 10)
    delivery = bench.deliver(sink)
    wait_until(lambda: len(sink.sent) == 3)
    assert [len(batch) for batch in sink.sent] == [3, 3, 3]
    delivery.poke(hurry=True)
    bench.finish(delivery)
    assert sink.delivered == NAMES[:10]


def test_batches_by_age(bench: Bench) -> None:
    """A partial batch is sent once its first event has reached the maximum age, not earlier."""
    sink = batching(age=0.5)
    begun = time.monotonic()
    bench.write(3)
    bench.finish(bench.deliver(sink))
    assert [len(batch) for batch in sink.sent] == [3]
    assert sink.times[0] - begun >= 0.5


# -- send results --------------------------------------------------------------------------------------------------


def test_retry(bench: Bench) -> None:
    """After a failure the same event is retried after a wait, and later events are sent after it."""
    answers = [Retry("refused"), Retry("refused")]
    sink = Scripted(lambda _: answers.pop(0) if answers else Delivered())
    bench.write(3)
    bench.finish(bench.deliver(sink))
    assert sink.sent == [["0"], ["0"], ["0"], ["1"], ["2"]]
    assert sink.times[1] - sink.times[0] >= 0.25
    assert sink.times[2] - sink.times[1] >= 0.5
    assert bench.state() == EndpointState()


def test_retry_after(bench: Bench) -> None:
    """A delivery waits as long as its receiver asks."""
    answers = [Retry("too many", 1.0)]
    sink = Scripted(lambda _: answers.pop(0) if answers else Delivered())
    bench.write(1)
    bench.finish(bench.deliver(sink))
    assert sink.times[1] - sink.times[0] >= 1.0


def test_the_schedule_outlives_the_process(bench: Bench) -> None:
    """Another process knows the failures and keeps the scheduled wait, unless a person asks for an attempt now."""
    bench.write(1)
    sink = Scripted(lambda _: Retry("too many", 600.0))
    first = bench.deliver(sink)
    wait_until(lambda: bench.state().state == "retrying")
    bench.end(first)
    state = bench.state()
    assert (state.reason, state.failures) == ("too many", 1)
    assert 500 < state.next_attempt - time.time() <= 600
    patient = Scripted()
    second = bench.deliver(patient)
    wait_until(lambda: second.state.state == "retrying")
    time.sleep(0.3)
    assert patient.sent == []
    bench.end(second)
    eager = Scripted()
    bench.finish(bench.deliver(eager, eager=True))
    assert eager.delivered == ["0"]
    assert bench.state() == EndpointState()


@pytest.mark.parametrize("jump", [-86400 * 365, 86400 * 365])
def test_the_clock_is_set(bench: Bench, monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    """A jump of the clock by a year does not change the wait for an endpoint."""
    real = time.time
    answers = [Retry("refused")]

    def judge(_: list[str]) -> SendResult:
        if not answers:
            return Delivered()
        monkeypatch.setattr(time, "time", lambda: real() + jump)
        return answers.pop()

    sink = Scripted(judge)
    bench.write(1)
    bench.finish(bench.deliver(sink))
    assert 0.25 <= sink.times[1] - sink.times[0] < 30


def test_a_schedule_from_the_future(bench: Bench) -> None:
    """If the clock was set back by years after a retry was scheduled, the wait is at most an hour."""
    store = Store(str(bench.folder / "relay.db"))
    store.set_state("hook", EndpointState("retrying", "refused", 1, time.time() + 10**9))
    store.close()
    bench.write(1)
    delivery = bench.deliver(Scripted())
    wait_until(lambda: delivery.state.state == "retrying")
    assert delivery._due - time.monotonic() <= 3600


def test_refused_for_good(bench: Bench) -> None:
    """A refused event becomes a dead letter with the reason, and all other events are delivered."""
    sink = Scripted(lambda names: Rejected("it answered 404") if names == ["1"] else Delivered())
    bench.write(3)
    delivery = bench.deliver(sink)
    bench.finish(delivery)
    assert sink.delivered == ["0", "2"]
    assert bench.dead() == [("w-1", "it answered 404")]
    assert delivery.position("a.jsonl")[1:] == (3, 2, 1, 0)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10, 16])
@pytest.mark.parametrize(
    "guilty", [{"0"}, {"5"}, {"9"}, {"4", "5"}, {"0", "9"}, set(NAMES[:10])], ids=lambda names: "+".join(sorted(names))
)
def test_a_batch_that_is_refused(bench: Bench, count: int, guilty: set[str]) -> None:
    """A refused batch is split until only the guilty events become dead letters.

    All other events are delivered in order. Later batches are sent whole again.
    """

    def judge(names: list[str]) -> SendResult:
        return Split("it answered 400") if guilty.intersection(names) else Delivered()

    sink = batching(judge, count)
    bench.write(10)
    delivery = bench.deliver(sink)
    wait_until(lambda: bench.settled(delivery))
    assert sink.delivered == [name for name in NAMES[:10] if name not in guilty]
    # The cursor moves before the dead letter of the last event is on the disk.
    wait_until(lambda: {event_id for event_id, _ in bench.dead()} == {f"w-{name}" for name in guilty})
    before = len(sink.sent)
    bench.write(3 * count)
    delivery.poke(hurry=True)
    bench.finish(delivery)
    assert max(len(batch) for batch in sink.sent[before:]) == count


def test_too_large_together(bench: Bench) -> None:
    """A batch that is too large is sent in parts, and no event becomes a dead letter."""
    sink = batching(lambda names: Split("it answered 413") if len(names) > 3 else Delivered(), 10)
    bench.write(40)
    bench.finish(bench.deliver(sink))
    assert sink.delivered == NAMES[:40]
    assert bench.dead() == []


@pytest.mark.parametrize(
    ("verdict", "state"), [(Stopped("it answered 401"), "stopped"), (Disabled("it answered 410"), "disabled")]
)
def test_no_more_attempts(bench: Bench, verdict: Stopped | Disabled, state: str) -> None:
    """A stopped or disabled endpoint gets nothing more, keeps its events and the reason, and is idle."""
    sink = Scripted(lambda names: verdict if names == ["2"] else Delivered())
    bench.write(5)
    delivery = bench.deliver(sink)
    wait_until(lambda: not delivery.busy)
    bench.write(5)
    delivery.poke(hurry=True)
    wait_until(lambda: not delivery.busy)
    assert sink.sent == [["0"], ["1"], ["2"]]
    assert (delivery.state.state, delivery.trying) == (state, False)
    assert bench.state()[:2] == (state, verdict.reason)
    assert bench.dead() == []
    bench.end(delivery)
    later = Scripted()
    bench.finish(bench.deliver(later, eager=True))
    assert later.delivered == NAMES[2:10]
    assert bench.state() == EndpointState()


def test_stopped_is_tried_once_in_each_run(bench: Bench) -> None:
    """Each run tries a stopped endpoint once, to find out whether a person has fixed the cause."""
    bench.write(3)
    for _ in range(2):
        sink = Scripted(lambda _: Stopped("it answered 401"))
        delivery = bench.deliver(sink)
        wait_until(lambda delivery=delivery: not delivery.busy)  # type: ignore[misc]
        assert sink.sent == [["0"]]
        bench.end(delivery)
    bench.finish(bench.deliver(Scripted()))
    assert bench.state() == EndpointState()


def test_disabled_is_not_tried_again(bench: Bench) -> None:
    """Later runs do not try a disabled endpoint."""
    bench.write(1)
    delivery = bench.deliver(Scripted(lambda _: Disabled("it answered 410")))
    wait_until(lambda: not delivery.busy)
    bench.end(delivery)
    sink = Scripted()
    later = bench.deliver(sink)
    wait_until(lambda: not later.busy)
    assert sink.sent == []
    assert not later.trying


def test_another_endpoint_hangs(bench: Bench) -> None:
    """A hanging endpoint delays no other endpoint."""
    release = threading.Event()

    def hang(_: list[str]) -> SendResult:
        release.wait(60)
        return Delivered()

    hanging, well = Scripted(hang), Scripted()
    bench.write(50)
    stuck = Delivery("stuck", hanging, str(bench.folder / "relay.db"), eager=False)
    stuck.add(str(bench.segment))
    stuck.start()
    wait_until(lambda: hanging.sent)
    bench.finish(bench.deliver(well))
    assert well.delivered == NAMES[:50]
    assert stuck.busy
    stuck.stop()
    release.set()
    stuck.join(30)


# -- the database --------------------------------------------------------------------------------------------------


def test_a_database_of_a_newer_version(bench: Bench) -> None:
    """With a database of a newer version, a delivery sends nothing, gives the reason, and blocks nobody."""
    Store(str(bench.folder / "relay.db")).close()
    db = sqlite3.connect(str(bench.folder / "relay.db"))
    db.execute("PRAGMA user_version = 99")
    db.close()
    bench.write(1)
    sink = Scripted()
    delivery = bench.deliver(sink)
    delivery.join(30)
    assert "newer version" in delivery.state.reason
    assert not delivery.trying
    assert sink.sent == []
    delivery.poke(hurry=True)
    assert not delivery.busy


def test_a_sink_that_breaks_its_word(bench: Bench) -> None:
    """A sink that raises ends its own delivery with the reason, and blocks nobody."""

    def broken(_: list[str]) -> SendResult:
        raise ZeroDivisionError

    bench.write(1)
    delivery = bench.deliver(Scripted(broken))
    delivery.join(30)
    assert "ZeroDivisionError" in delivery.state.reason
    delivery.poke(hurry=True)
    assert (delivery.trying, delivery.busy) == (False, False)


def test_a_segment_with_foreign_lines(bench: Bench) -> None:
    """Lines that are not events do not end a delivery."""
    bench.segment.write_bytes(b'{"event_type": {}}\n' + os.urandom(500).replace(b"\n", b"") + b"\n[]\n")
    bench.write(2)
    sink = Scripted()
    bench.finish(bench.deliver(sink))
    assert sink.delivered == ["0", "1"]
