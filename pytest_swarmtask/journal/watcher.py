"""Watches a journal's folder: which segments are new, which writers still live, and which have died."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.core.timing import DEFAULTS
from pytest_swarmtask.journal import locks
from pytest_swarmtask.journal.orphans import close_orphaned_spans
from pytest_swarmtask.journal.segments import segments

if TYPE_CHECKING:
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.core.timing import Timing
    from pytest_swarmtask.journal.segments import Segment


_RELIST = 1.0
"""Seconds after which the folder is listed whatever its modification time is, ...

The clock of files can stand still for longer than `Timing.tick`, where the host takes the processor from a virtual
machine. A segment that came meanwhile does not show in the folder's time, and would wait for ever.
"""
_SHARE = 100
"""... or this many times as long as the last listing took: listing a big folder takes a hundredth of the time."""


class SegmentWatcher:
    """Watches the segments of one journal. It is cheap enough to be asked many times a second.

    Args:
        project: the project whose journal is watched. The journal's folder need not exist yet.
        timing: `tick` and `dead_after` are used.
    """

    def __init__(self, project: Project, timing: Timing = DEFAULTS) -> None:
        self._project = project
        self._timing = timing
        self._seen: set[str] = set()
        self._changed = -1
        self._changed_at = 0.0
        self._is_listed = False
        self._relist_at = 0.0
        self._released: dict[str, float] = {}  # segment to the time at which its writer let go of it
        self._final: set[str] = set()

    def new_segments(self) -> list[Segment]:
        """Return the segments that no earlier call returned, oldest first.

        The folder is listed when its modification time has changed, once more after `Timing.tick`, and now and then.
        """
        now = time.monotonic()
        try:
            changed = os.stat(self._project.journal).st_mtime_ns
        except OSError:
            return []  # nothing is recorded yet
        if changed != self._changed:
            self._changed, self._changed_at, self._is_listed = changed, now, False
        elif self._is_listed and now < self._relist_at:
            return []
        else:
            # Only a listing that begins a tick after the change is certain to show all of it. A process that was held
            # up for longer than the tick has not made that listing yet, so it is made now, however late.
            self._is_listed = now - self._changed_at > self._timing.tick
        new = self.unseen()
        self._seen.update(segment.name for segment in new)
        self._relist_at = now + max(_RELIST, _SHARE * (time.monotonic() - now))
        return new

    def unseen(self) -> list[Segment]:
        """List the folder now, and return the segments that `new_segments` has not returned yet, but will next time."""
        found = [segment for segment in segments(self._project.journal) if segment.name not in self._seen]
        if found:
            self._relist_at = 0.0
        return found

    def is_live(self, name: str) -> bool:
        """Whether the writer of a segment still holds its lock; to be asked until the segment is final."""
        live = name not in self._released and locks.is_locked(self._project.segment(name))
        if not live:
            self._released.setdefault(name, time.monotonic())
        return live

    def is_final(self, name: str) -> bool:
        """Whether nothing more will be written to a segment: its writer has let go of it, and its spans are closed.

        Ask before reading the segment: what is read after the answer yes includes its last line.
        """
        return name in self._final

    def close_orphaned_spans(self) -> None:
        """Write the missing end events of writers that let go of a segment at least `Timing.dead_after` ago.

        Writers that still hold another segment live on, and are left alone. The segments are final then.
        """
        now = time.monotonic()
        due = {name for name, at in self._released.items() if now - at >= self._timing.dead_after}
        if due:
            close_orphaned_spans(self._project, due)
        for name in due:
            if not locks.is_locked(self._project.segment(name)):  # else another reader is writing end events
                del self._released[name]
                self._final.add(name)
