"""The outbox returns each pending event once and in order, and knows its position."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_swarmtask.core.event import Event
from pytest_swarmtask.journal import segments
from pytest_swarmtask.relay.delivery import outbox as outboxes
from pytest_swarmtask.relay.delivery.outbox import Outbox
from pytest_swarmtask.relay.delivery.store import Position, Store

MANY = 10_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(str(tmp_path / "relay.db"))
    yield made
    made.close()


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    return tmp_path / "20260131T101500123-aaaa-bbbb-cccc.jsonl"


def line(number: int, event_type: str = "TASK_STARTED", **metadata: object) -> bytes:
    event = Event(
        f"w-{number}", event_type, f"{number}", "s", "2024-01-15T10:30:00.000Z", "x", "t", "s", None, metadata
    )
    return event.encode()


def lines(*numbers: int, event_type: str = "TASK_STARTED") -> bytes:
    return b"".join(line(number, event_type) for number in numbers)


def everything(_: str) -> bool:
    return True


def only(*globs: str) -> Callable[[str], bool]:
    return lambda event_type: any(fnmatchcase(event_type, glob) for glob in globs)


def outbox_of(store: Store, *paths: Path, accepts: Callable[[str], bool] = everything) -> Outbox:
    outbox = Outbox("hook", accepts, store)
    for path in paths:
        outbox.add(str(path))
    return outbox


def drain(outbox: Outbox, count: int = 3) -> list[str]:
    """Take all pending events in batches, and return their task ids in order."""
    out: list[str] = []
    while outbox.read_ahead(count):
        batch = outbox.next_batch(count, 10**9)
        out += [record.event.task_id or "" for record in batch]
        outbox.settle(batch)
    return out


def test_in_order(store: Store, segment: Path) -> None:
    """Events come out in the order of the segment, each with its line and the end of the line."""
    segment.write_bytes(lines(*range(20)))
    outbox = outbox_of(store, segment)
    assert outbox.read_ahead(1) > 0
    first, second = outbox.next_batch(2, 10**9)
    assert (first.line, first.end) == (line(0)[:-1], len(line(0)))
    assert (second.line, second.end, second.segment) == (line(1)[:-1], len(lines(0, 1)), segment.name)
    assert drain(outbox) == [f"{n}" for n in range(20)]
    assert outbox.positions() == {segment.name: Position(segment.stat().st_size, 20, 20, 0, 0)}


def test_what_was_taken_stays_until_it_is_settled(store: Store, segment: Path) -> None:
    """An event that was taken but not settled is returned again."""
    segment.write_bytes(lines(0, 1, 2))
    outbox = outbox_of(store, segment)
    outbox.read_ahead(3)
    assert outbox.next_batch(2, 10**9) == outbox.next_batch(2, 10**9)
    assert outbox.positions()[segment.name] == Position()


def test_it_goes_on_where_it_stopped(store: Store, segment: Path) -> None:
    """A later process continues after the saved position, and continues the counts."""
    segment.write_bytes(lines(*range(5)))
    outbox = outbox_of(store, segment)
    outbox.read_ahead(2)
    outbox.settle(outbox.next_batch(2, 10**9))
    outbox.save()
    later = outbox_of(store, segment)
    assert drain(later) == ["2", "3", "4"]
    assert later.positions()[segment.name] == Position(segment.stat().st_size, 5, 5, 0, 0)


def test_it_follows(store: Store, segment: Path) -> None:
    """Later lines come out later, and half a line comes out once it is complete."""
    segment.write_bytes(lines(0) + line(1)[:20])
    outbox = outbox_of(store, segment)
    assert drain(outbox) == ["0"]
    with segment.open("ab") as file:
        file.write(line(1)[20:] + lines(2))
    assert drain(outbox) == ["1", "2"]


def test_bounds_of_a_batch(store: Store, segment: Path) -> None:
    """A batch respects its limits of events and bytes, but always holds at least one event."""
    segment.write_bytes(lines(*range(8)) + line(8, x="y" * 5000) + lines(9))
    outbox = outbox_of(store, segment)
    outbox.read_ahead(10)
    size = len(line(0))
    assert len(outbox.next_batch(4, MANY)) == 4
    assert len(outbox.next_batch(100, 3 * size)) == 3
    assert len(outbox.next_batch(100, 1)) == 1
    outbox.settle(outbox.next_batch(8, MANY))
    assert len(outbox.next_batch(100, 1000)) == 1


def test_a_batch_of_many(store: Store, segment: Path) -> None:
    """An endpoint that accepts more events than are usually read ahead gets that many."""
    segment.write_bytes(lines(*range(1500)))
    outbox = outbox_of(store, segment)
    assert outbox.read_ahead(1200) >= 1200
    assert len(outbox.next_batch(1200, 10**9)) == 1200


def test_refused_for_good(store: Store, segment: Path) -> None:
    """A refused event becomes a dead letter, with its reason and line, in the same step that moves the cursor."""
    segment.write_bytes(lines(0, 1, 2))
    outbox = outbox_of(store, segment)
    outbox.read_ahead(3)
    outbox.settle(outbox.next_batch(1, 10**9))
    outbox.settle(outbox.next_batch(1, 10**9), refused="it answered 404")
    (letter,) = store.dead_letters()
    assert (letter.endpoint, letter.event_id, letter.line, letter.reason) == (
        "hook",
        "w-1",
        line(1)[:-1],
        "it answered 404",
    )
    assert store.position("hook", segment.name) == Position(len(lines(0, 1)), 2, 1, 1, 0)
    assert drain(outbox) == ["2"]


def test_foreign_lines_are_skipped(store: Store, segment: Path) -> None:
    """Lines that are not events are skipped and counted, wherever they are."""
    segment.write_bytes(b"garbage\n\n" + lines(0) + b'{"event_type": []}\n' + lines(1) + b"\xff\xfe\n")
    outbox = outbox_of(store, segment)
    assert drain(outbox) == ["0", "1"]
    assert outbox.positions()[segment.name] == Position(segment.stat().st_size, 6, 2, 0, 4)


MIXES = {
    "first": ("TASK_STARTED", "TEST_STARTED", "TEST_PASSED"),
    "last": ("TEST_STARTED", "TEST_PASSED", "TASK_COMPLETED"),
    "middle": ("TEST_STARTED", "TASK_FAILED", "TEST_PASSED"),
    "none": ("TEST_STARTED", "TEST_PASSED"),
    "around": ("TASK_STARTED", "TEST_STARTED", "TEST_PASSED", "TASK_COMPLETED"),
}


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("count", [1, 2, 100])
def test_what_is_not_for_the_endpoint(store: Store, segment: Path, mix: str, count: int) -> None:
    """Events that the filter excludes delay nothing: wherever they are, the segment is settled to its end."""
    types = MIXES[mix]
    segment.write_bytes(b"".join(line(number, event_type) for number, event_type in enumerate(types)))
    outbox = outbox_of(store, segment, accepts=only("TASK_*"))
    wanted = [f"{n}" for n, event_type in enumerate(types) if event_type.startswith("TASK_")]
    assert drain(outbox, count) == wanted
    expected = Position(segment.stat().st_size, len(types), len(wanted), 0, len(types) - len(wanted))
    assert outbox.positions()[segment.name] == expected
    outbox.save()
    assert store.position("hook", segment.name) == expected


def test_several_segments(store: Store, tmp_path: Path) -> None:
    """Each segment keeps its order and has its own cursor, and no segment is starved."""
    paths = [tmp_path / f"{n}.jsonl" for n in range(3)]
    for number, path in enumerate(paths):
        path.write_bytes(lines(*range(number * 1000, number * 1000 + 700)))
    outbox = outbox_of(store, *paths)
    out = [int(task_id) for task_id in drain(outbox, 50)]
    assert sorted(out) == [n * 1000 + i for n in range(3) for i in range(700)]
    for number in range(3):
        own = [n for n in out if n // 1000 == number]
        assert own == sorted(own)
    assert {name: position.delivered for name, position in outbox.positions().items()} == {
        path.name: 700 for path in paths
    }


def test_a_segment_that_is_gone(store: Store, tmp_path: Path, segment: Path) -> None:
    """A removed segment delays no other segment."""
    segment.write_bytes(lines(0))
    assert drain(outbox_of(store, tmp_path / "gone.jsonl", segment)) == ["0"]


def test_added_twice(store: Store, segment: Path) -> None:
    """A segment that is added twice is delivered once."""
    segment.write_bytes(lines(0))
    assert drain(outbox_of(store, segment, segment)) == ["0"]


def test_memory_is_bounded(store: Store, segment: Path) -> None:
    """The outbox holds only a part of a long segment in memory."""
    segment.write_bytes(lines(*range(5000)))
    outbox = outbox_of(store, segment)
    assert outbox.read_ahead(1) <= 1000
    assert len(drain(outbox, 100)) == 5000


def test_age_of_what_waits(store: Store, segment: Path) -> None:
    """The outbox knows since when an event has been waiting, and whether none waits."""
    segment.write_bytes(lines(0, 1))
    outbox = outbox_of(store, segment)
    assert outbox.since == 0.0
    outbox.read_ahead(2)
    begun = outbox.since
    assert begun > 0.0
    outbox.read_ahead(2)
    assert outbox.since == begun
    outbox.settle(outbox.next_batch(2, 10**9))
    assert outbox.since == 0.0


LINES = st.sampled_from([b"garbage\n", b"\n", b"TASK", b"TEST"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    st.lists(st.lists(LINES, max_size=12), min_size=1, max_size=3),
    st.integers(1, 5),
    st.integers(2, 6),
    st.sampled_from([50, 500, 5000]),
    st.integers(0, 2**32),
)
def test_any_mix_any_interruption(  # noqa: PLR0913, PLR0917 - each is varied
    tmp_path: Path, contents: list[list[bytes]], count: int, ahead: int, chunk: int, seed: int
) -> None:
    """Each wanted event comes out at least once, whatever the segments contain and wherever the relay is killed.

    This holds for any read-ahead and any size of reads. Other lines are counted. In the end every segment is settled to
    its last byte.
    """
    luck = random.Random(seed)
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    paths, wanted = [], []
    for number, content in enumerate(contents):
        paths.append(folder / f"{number}.jsonl")
        whole = b""
        for position, kind in enumerate(content):
            name = number * 100 + position
            whole += line(name, f"{kind.decode()}_FAILED") if kind.isalpha() and kind.isupper() else kind
            wanted += [f"{name}"] if kind == b"TASK" else []
        paths[-1].write_bytes(whole)
    out: list[str] = []
    before = outboxes._BUFFER, segments._CHUNK
    outboxes._BUFFER, segments._CHUNK = ahead, chunk
    try:
        store = Store(str(folder / "relay.db"))
        outbox = outbox_of(store, *paths, accepts=only("TASK_*"))
        while outbox.read_ahead(count):
            batch = outbox.next_batch(count, 10**9)
            out += [record.event.task_id or "" for record in batch]
            outbox.settle(batch)
            if luck.random() < 0.3:
                outbox.save()
            if luck.random() < 0.2:  # the relay is killed
                outbox = outbox_of(store, *paths, accepts=only("TASK_*"))
        outbox.save()
        positions = {path.name: store.position("hook", path.name) for path in paths}
        store.close()
    finally:
        outboxes._BUFFER, segments._CHUNK = before
    assert set(out) == set(wanted)
    for path, content in zip(paths, contents, strict=True):
        assert positions[path.name].offset == path.stat().st_size
        assert positions[path.name].lines == len(content)
        assert positions[path.name].delivered == content.count(b"TASK")
        assert positions[path.name].skipped == len(content) - content.count(b"TASK")


def test_many_segments_are_read_in_turn(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of looks at files is in proportion to the number of segments, and the buffer stays small."""
    paths = [tmp_path / f"20260131T101500123-aaaa-{number:04}-cccc.jsonl" for number in range(3000)]
    for number, path in enumerate(paths):
        path.write_bytes(lines(2 * number, 2 * number + 1))
    outbox = outbox_of(store, *paths)
    looks: list[str] = []
    waiting: list[int] = []
    stat = os.stat

    def look(path: str) -> os.stat_result:
        looks.append(path)
        return stat(path)

    monkeypatch.setattr(os, "stat", look)
    out = []
    while waiting[-1:] != [0]:
        waiting.append(outbox.read_ahead(100))
        batch = outbox.next_batch(100, 10**9)
        out += [int(record.event.task_id or "") for record in batch]
        outbox.settle(batch)
    assert sorted(out) == list(range(6000))
    assert max(waiting) <= 600
    assert len(looks) <= 3 * len(paths)
