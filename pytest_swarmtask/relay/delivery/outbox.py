"""The outbox of one endpoint: the events that are owed to it, read from the journal in order, and its cursors."""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.core.errors import JournalError
from pytest_swarmtask.core.timing import DEFAULTS
from pytest_swarmtask.journal import segments
from pytest_swarmtask.journal.decode import decode
from pytest_swarmtask.plugins.sink import PendingEvent
from pytest_swarmtask.relay.delivery.store import DeadLetter, Position

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_swarmtask.core.timing import Timing
    from pytest_swarmtask.relay.delivery.store import Store

_BUFFER = 500
_LAZY_COUNT = 100


class _QueuedEvent(NamedTuple):
    """A record in the buffer, and how many lines of its segment are settled once it is."""

    record: PendingEvent
    lines: int


class _SegmentReader:
    """One segment on its way.

    Attributes:
        settled: what may be forgotten.
        offset, lines: how much has been read.
        waiting: how many of its records are in the buffer.
    """

    __slots__ = ("lines", "name", "offset", "path", "settled", "waiting")

    def __init__(self, path: str, settled: Position) -> None:
        self.path = path
        self.name = os.path.basename(path)
        self.settled = settled
        self.offset = settled.offset
        self.lines = settled.lines
        self.waiting = 0


class Outbox:
    """Reads ahead a little, hands out records in order, and keeps the cursors.

    Used by one thread. Cursors are kept after some events or a moment rather than after each: a relay that is
    killed delivers a few events again, which is what the event's id is for.
    """

    def __init__(self, endpoint: str, accepts: Callable[[str], bool], store: Store, timing: Timing = DEFAULTS) -> None:
        self._endpoint = endpoint
        self._accepts = accepts
        self._store = store
        self._save_after = timing.save_cursors
        self._segments: dict[str, _SegmentReader] = {}
        self._buffer: deque[_QueuedEvent] = deque()
        self._letters: list[DeadLetter] = []
        self._dirty: dict[str, Position] = {}
        self._most = _BUFFER
        self._unkept = 0
        self._kept_at = 0.0
        self.since = 0.0

    def add(self, path: str) -> None:
        """Owe one more segment."""
        name = os.path.basename(path)
        if name not in self._segments:
            self._segments[name] = _SegmentReader(path, self._settled(path, name))

    def _settled(self, path: str, name: str) -> Position:
        """Return how far a segment is; a cursor that points nowhere is damaged, and everything is delivered again."""
        position = self._store.position(self._endpoint, name)
        try:
            return position if segments.begins_line(path, position.offset) else Position()
        except OSError:
            return position  # removed, or unreadable for now

    def read_ahead(self, wanted: int) -> int:
        """See to it that `wanted` records are in the buffer if there are so many; return how many are.

        It is filled anew only when it runs low: reading the journal costs the same for one line as for hundreds.
        """
        if len(self._buffer) < wanted:
            self._most = max(_BUFFER, wanted)
            for reading in list(self._segments.values()):
                self._read(reading)
        if self._buffer and not self.since:
            self.since = time.monotonic()
        return len(self._buffer)

    def next_batch(self, count: int, size: int) -> list[PendingEvent]:
        """Return the next records, at most `count` and about `size` bytes, at least one. They stay in the outbox."""
        batch: list[PendingEvent] = []
        for record, _ in self._buffer:
            size -= len(record.line)
            if len(batch) == count or (batch and size < 0):
                break
            batch.append(record)
        return batch

    def settle(self, records: Sequence[PendingEvent], refused: str | None = None) -> None:
        """Take the first records out: delivered, or dead letters for the reason given."""
        for record in records:
            entry = self._buffer.popleft()
            reading = self._segments[record.segment]
            delivered, dead = (1, 0) if refused is None else (0, 1)
            old = reading.settled
            skipped = entry.lines - old.lines - 1
            self._move(
                reading,
                Position(record.end, entry.lines, old.delivered + delivered, old.dead + dead, old.skipped + skipped),
            )
            reading.waiting -= 1
            self._skip_to_here(reading)
            if refused is not None:
                letter = DeadLetter(self._endpoint, record.event.id, record.line, refused, time.time())
                self._letters.append(letter)
        self.since = time.monotonic() if self._buffer else 0.0
        self._unkept += len(records)
        if self._letters or self._unkept >= _LAZY_COUNT or time.monotonic() - self._kept_at > self._save_after:
            self.save()

    def save(self) -> None:
        """Write the cursors and dead letters down."""
        if self._dirty or self._letters:
            self._store.settle(self._endpoint, self._dirty, self._letters)
            self._dirty, self._letters = {}, []
        self._unkept = 0
        self._kept_at = time.monotonic()

    def positions(self) -> dict[str, Position]:
        """Return how far each segment is."""
        return {name: reading.settled for name, reading in list(self._segments.items())}

    def _read(self, reading: _SegmentReader) -> None:
        try:
            if os.stat(reading.path).st_size <= reading.offset:
                return
            for line, end in segments.read(reading.path, reading.offset):
                reading.offset = end
                reading.lines += 1
                self._put(reading, line, end)
                if len(self._buffer) >= self._most:
                    break
        except OSError:
            return  # removed, or unreadable for now
        self._skip_to_here(reading)

    def _put(self, reading: _SegmentReader, line: bytes, end: int) -> None:
        try:
            event = decode(line)
        except JournalError:
            return  # torn or foreign: skipped, and counted as such
        if self._accepts(event.event_type):
            self._buffer.append(_QueuedEvent(PendingEvent(line, event, reading.name, end), reading.lines))
            reading.waiting += 1

    def _skip_to_here(self, reading: _SegmentReader) -> None:
        """Settle the lines that were read and are for nobody, once no record stands before them in the buffer."""
        old = reading.settled
        if not reading.waiting and reading.offset > old.offset:
            skipped = old.skipped + reading.lines - old.lines
            self._move(reading, old._replace(offset=reading.offset, lines=reading.lines, skipped=skipped))

    def _move(self, reading: _SegmentReader, position: Position) -> None:
        reading.settled = position
        self._dirty[reading.name] = position
