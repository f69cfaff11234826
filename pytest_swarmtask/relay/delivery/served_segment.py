"""One segment that a relay serves, and the deliveries of its events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_swarmtask.journal import segment_file
from pytest_swarmtask.journal import segments as journals

if TYPE_CHECKING:
    from pytest_swarmtask.journal.segments import Segment
    from pytest_swarmtask.relay.delivery.worker import Delivery


class ServedSegment:
    """A segment whose events a relay delivers.

    Attributes:
        path: of its file.
        segment: its name, taken apart.
        deliveries: to the endpoints that its events must be delivered to.
        size: bytes of its whole lines, as far as they were counted.
        lines: how many lines these are.
        is_live: whether its writer still held its lock at the last look.
        is_final: whether it will not grow any more.
    """

    __slots__ = ("deliveries", "is_final", "is_live", "lines", "path", "segment", "size")

    def __init__(self, path: str, segment: Segment, deliveries: list[Delivery]) -> None:
        self.path = path
        self.segment = segment
        self.deliveries = deliveries
        self.size = 0
        self.lines = 0
        self.is_live = True
        self.is_final = False

    def grow(self) -> bool:
        """Count the lines that were added since the last call; return whether there are any."""
        try:
            if segment_file.size(self.path) <= self.size:
                return False
            before = self.size
            for lines, end in journals.count_lines(self.path, self.size):
                self.size = end
                self.lines += lines
        except OSError:
            return False  # removed, or unreadable for now
        return self.size > before

    def unfinished(self) -> list[Delivery]:
        """Return the deliveries that have not settled all of its lines."""
        name = self.segment.name
        return [delivery for delivery in self.deliveries if delivery.position(name).offset < self.size]
