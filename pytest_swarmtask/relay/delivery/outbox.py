"""The outbox of one endpoint: the events that must be delivered to it, in order, and its cursors."""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from collections import deque
from itertools import accumulate, groupby, islice
from operator import attrgetter
from typing import TYPE_CHECKING

from msgspec import Struct

from pytest_swarmtask.core.errors import JournalError
from pytest_swarmtask.core.timing import DEFAULTS
from pytest_swarmtask.journal import segment_file, segments
from pytest_swarmtask.journal.decode import decode_fields
from pytest_swarmtask.plugins.sink import PendingEvent
from pytest_swarmtask.relay.delivery.store import REJECTED, DeadLetter, Dropped, Position, writer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_swarmtask.core.timing import Timing
    from pytest_swarmtask.relay.delivery.store import Store

_BUFFER = 500
"""Events that are read ahead, unless a batch needs more. The lines that were read with the last one come on top."""

_SAVE_COUNT = 500
"""Settled events after which the cursors are saved, because a transaction for each event costs too much."""


class _QueuedEvent(Struct, gc=False):
    """An event in the buffer.

    Attributes:
        record: the event.
        lines: how many lines of its segment are settled once it is.
    """

    record: PendingEvent
    lines: int


class _SegmentReader:
    """How far one segment is read and settled.

    Attributes:
        path: of its file.
        name: of the segment.
        settled: the cursor.
        offset, lines: how much was read, in bytes and lines; never less than is settled.
        waiting: how many of its events are in the buffer.
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
    """Reads events ahead, returns them in order, and keeps the cursors. Used by one thread.

    Cursors are saved after some events or a moment, not after each event. So a relay that is killed delivers a few
    events again; receivers recognise them by their ids.

    Args:
        endpoint: whose cursors.
        accepts: whether the endpoint wants events of a type.
        store: where the cursors are.
        timing: `save_cursors` is used.

    Attributes:
        since: since when an event waits in the outbox, by the monotonic clock; 0 if none does.
    """

    def __init__(self, endpoint: str, accepts: Callable[[str], bool], store: Store, timing: Timing = DEFAULTS) -> None:
        self._endpoint = endpoint
        self._accepts = accepts
        self._store = store
        self._save_after = timing.save_cursors
        self._segments: dict[str, _SegmentReader] = {}
        self._turns: deque[_SegmentReader] = deque()
        self._cursors: dict[str, Position] = {}
        self._buffer: deque[_QueuedEvent] = deque()
        self._letters: list[DeadLetter] = []
        self._rejected: list[Dropped] = []
        self._dirty: dict[str, Position] = {}
        self._capacity = _BUFFER
        self._unsaved = 0
        self._saved_at = 0.0
        self.since = 0.0

    def add(self, path: str) -> None:
        """Add one more segment; one that was added before is not added again."""
        name = os.path.basename(path)
        if name not in self._segments:
            reader = self._segments[name] = _SegmentReader(path, self._settled(path, name))
            self._turns.append(reader)
            self._cursors[name] = reader.settled

    def _settled(self, path: str, name: str) -> Position:
        """Return the cursor of a segment.

        A cursor that does not point to the beginning of a line is damaged. Then the segment is delivered again from
        its beginning, because events may arrive twice but must not be lost.
        """
        position = self._store.position(self._endpoint, name)
        try:
            return position if segments.begins_line(path, position.offset) else Position()
        except OSError:
            return position  # removed, or unreadable for now

    def read_ahead(self, wanted: int) -> int:
        """Fill the buffer if it has less than `wanted` events; return how many it has then.

        It is filled only when it runs low: reading the journal costs the same for one line as for hundreds.
        """
        if len(self._buffer) < wanted:
            self._capacity = max(_BUFFER, wanted)
            # In turn, from where the last call has stopped: there may be many thousand segments.
            for _ in range(len(self._turns)):
                self._read(self._turns[0])
                self._turns.rotate(-1)
                if len(self._buffer) >= self._capacity:
                    break
        if self._buffer and not self.since:
            self.since = time.monotonic()
        return len(self._buffer)

    def next_batch(self, count: int, size: int) -> list[PendingEvent]:
        """Return the next events: at most `count` and about `size` bytes, but at least one, if there is one.

        They stay in the outbox until they are settled.
        """
        batch = [queued.record for queued in islice(self._buffer, count)]
        fitting = bisect_right(list(accumulate(len(record.line) for record in batch)), size)
        return batch[: max(1, fitting)]

    def settle(self, records: Sequence[PendingEvent], refused: str | None = None, rejected: int = 0) -> None:
        """Remove the first events from the outbox: they were delivered, or refused for a reason as dead letters.

        Args:
            records: the events.
            refused: why they become dead letters; None if they were delivered.
            rejected: how many of the delivered ones the receiver did not take. Nobody knows which.
        """
        settled = [self._buffer.popleft() for _ in records]
        for segment, some in groupby(settled, attrgetter("record.segment")):
            self._settle_in_segment(self._segments[segment], list(some), is_dead=refused is not None)
        if refused is not None:
            self._letters += [
                DeadLetter(self._endpoint, record.fields.id, record.line, refused, time.time()) for record in records
            ]
        self._rejected += [
            Dropped(self._endpoint, writer_of(record.fields.id), REJECTED, 1) for record in records[:rejected]
        ]
        self.since = time.monotonic() if self._buffer else 0.0
        self._unsaved += len(records)
        # A dead letter is saved at once, in one transaction with its cursor: it must not be lost if we are killed.
        if (
            self._letters
            or self._rejected
            or self._unsaved >= _SAVE_COUNT
            or time.monotonic() - self._saved_at > self._save_after
        ):
            self.save()

    def _settle_in_segment(self, reader: _SegmentReader, settled: Sequence[_QueuedEvent], *, is_dead: bool) -> None:
        """Move the cursor of a segment over its next events, once for all of them."""
        last, count, old = settled[-1], len(settled), reader.settled
        delivered, dead = (0, count) if is_dead else (count, 0)
        skipped = last.lines - old.lines - count
        self._set_cursor(
            reader,
            Position(last.record.end, last.lines, old.delivered + delivered, old.dead + dead, old.skipped + skipped),
        )
        reader.waiting -= count
        self._settle_skipped(reader)

    def save(self) -> None:
        """Save the cursors and dead letters in the database."""
        if self._dirty or self._letters:
            self._store.settle(self._endpoint, self._dirty, self._letters, self._rejected)
            self._dirty, self._letters, self._rejected = {}, [], []
        self._unsaved = 0
        self._saved_at = time.monotonic()

    def positions(self) -> Mapping[str, Position]:
        """Return the cursor of each segment, by name; always the present one, for other threads to look at."""
        return self._cursors

    def _read(self, reader: _SegmentReader) -> None:
        try:
            if segment_file.size(reader.path) <= reader.offset:
                return
            for lines in segments.read_parts(reader.path, reader.offset):
                self._queue(reader, lines)
                if len(self._buffer) >= self._capacity:
                    break
        except OSError:
            return  # removed, or unreadable for now
        self._settle_skipped(reader)

    def _queue(self, reader: _SegmentReader, lines: Sequence[tuple[bytes, int]]) -> None:
        before = len(self._buffer)
        for number, (line, end) in enumerate(lines, reader.lines + 1):
            try:
                fields = decode_fields(line)
            except JournalError:
                continue  # torn or foreign: it is skipped, and counted with the skipped lines
            if self._accepts(fields.event_type):
                self._buffer.append(_QueuedEvent(PendingEvent(line, fields, reader.name, end), number))
        reader.waiting += len(self._buffer) - before
        reader.lines += len(lines)
        reader.offset = lines[-1][1]

    def _settle_skipped(self, reader: _SegmentReader) -> None:
        """Move the cursor over lines that need no delivery, if no event before them is still in the buffer."""
        old = reader.settled
        if not reader.waiting and reader.offset > old.offset:
            skipped = old.skipped + reader.lines - old.lines
            self._set_cursor(reader, old._replace(offset=reader.offset, lines=reader.lines, skipped=skipped))

    def _set_cursor(self, reader: _SegmentReader, position: Position) -> None:
        reader.settled = self._cursors[reader.name] = position
        self._dirty[reader.name] = position
