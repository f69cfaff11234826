"""Follow a journal while it grows: yield each new line once, and know which runs have a living process."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.core.event import SHARED
from pytest_swarmtask.history.rows import decode
from pytest_swarmtask.journal import locks, orphans
from pytest_swarmtask.journal import segments as journals

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.journal.segments import Segment

QUIET = 600.0
"""Seconds without a word after which a run in which only other processes could go on is given up."""
_TICK = 0.1
"""Seconds for which a folder may change without its time of change changing: clocks of file systems are coarse."""
_DEAD_AFTER = 0.3
"""Seconds after which a writer that let go of its segment and holds no other is dead."""
_SHARED = f'{SHARED}","event_type":"'.encode()


class Follower:
    """Reads the new lines of runs that are running. Runs that finished before are ignored.

    Args:
        project: the project, which may not have a journal yet.
        run: the trace id of the one run to follow, finished or not. None for all runs that are running or start later.
    """

    def __init__(self, project: Project, run: str | None = None) -> None:
        self._project = project
        self._run = run
        self._listed = -1
        self._listed_at = 0.0
        self._known: set[str] | None = None
        self._followed: dict[str, tuple[str, int]] = {}
        self._let_go: dict[str, float] = {}
        self.living: set[str] = set()
        """The runs with a living process, as of the last `read`."""

    def read(self) -> Iterator[bytes]:
        """Yield the new lines: segment by segment, oldest first."""
        self._list()
        self._close_orphaned_spans()
        living = set()
        for name, (run, offset) in list(self._followed.items()):
            path = self._project.segment(name)
            live = locks.is_locked(path)  # asked before reading, so that the last words of the dead are heard
            try:
                if os.stat(path).st_size > offset:
                    for line, end in journals.read(path, offset):
                        self._followed[name] = (run, end)
                        yield line
            except OSError:
                live = False  # removed
            if live:
                living.add(run)
            else:
                del self._followed[name]
                self._let_go[name] = time.monotonic()
        self.living = living

    def _list(self) -> None:
        try:
            changed = os.stat(self._project.journal).st_mtime_ns
        except OSError:
            self._known = self._known or set()  # all that will be there is new
            return
        if changed != self._listed:
            self._listed, self._listed_at = changed, time.monotonic()
        elif time.monotonic() - self._listed_at > _TICK:
            return
        segments = [s for s in journals.segments(self._project.journal) if self._run in (None, s.trace_id)]
        if self._known is None and self._run is None:
            new: Iterable[Segment] = self._present(segments)
        else:
            new = (segment for segment in segments if segment.name not in (self._known or ()))
        self._followed.update((segment.name, (segment.trace_id, 0)) for segment in new)
        self._known = {segment.name for segment in segments}

    def _present(self, segments: list[Segment]) -> list[Segment]:
        """Return the segments of the runs that were going on when we came."""
        runs: dict[str, list[Segment]] = {}
        for segment in segments:
            runs.setdefault(segment.trace_id, []).append(segment)
        return [segment for members in runs.values() if self._is_present(members) for segment in members]

    def _is_present(self, segments: list[Segment]) -> bool:
        paths = [self._project.segment(segment.name) for segment in segments]
        return any(map(locks.is_locked, paths)) or (any(map(_is_recent, paths)) and _has_open_shared(paths))

    def _close_orphaned_spans(self) -> None:
        """End what those have left open that have died: a relay would do it, but there may be none."""
        now = time.monotonic()
        due = [name for name, at in self._let_go.items() if now - at >= _DEAD_AFTER]
        for name in due:
            del self._let_go[name]
        if due:
            orphans.close_orphaned_spans(self._project, due)


def _is_recent(path: str) -> bool:
    try:
        return time.time() - os.stat(path).st_mtime < QUIET
    except OSError:
        return False


def _has_open_shared(paths: Iterable[str]) -> bool:
    """Whether a span is open that a later process may still end, as `emit` does."""
    spans: set[str] = set()
    for path in paths:
        try:
            found = [decode(line) for line, _ in journals.read(path) if _SHARED in line]
        except OSError:
            continue  # retention has removed it meanwhile
        for event, _ in filter(None, found):
            (spans.add if event.event_type.endswith("_STARTED") else spans.discard)(event.span_id)
    return bool(spans)
