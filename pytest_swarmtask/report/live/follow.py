"""Follow a journal while it grows: yield each new line once, and know which runs have a living process."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.core.event import SHARED
from pytest_swarmtask.history.rows import decode
from pytest_swarmtask.journal import locks, segment_file
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.journal.watcher import SegmentWatcher

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.journal.segments import Segment

QUIET = 600.0
"""Seconds without an event after which `watch` gives up a run that has an open span but no living process. Until then,
a later call of `emit` may end the span, as docs/terminal.md says."""
_SHARED = f'{SHARED}","event_type":"'.encode()
"""The end of the id in a line of `emit` and the key after it. A search for it is faster than decoding each line."""


class Follower:
    """Reads the new lines of runs that are running. Runs that finished before are ignored.

    Args:
        project: the project, which may not have a journal yet.
        run: the trace id of the one run to follow, finished or not. None for all runs that are running or start later.
    """

    def __init__(self, project: Project, run: str | None = None) -> None:
        self._project = project
        self._run = run
        self._watcher = SegmentWatcher(project)
        self._is_first_look = True
        self._followed: dict[str, tuple[str, int]] = {}
        self.living: set[str] = set()
        """The trace ids of runs with a living process, as of the last `read`."""

    def read(self) -> Iterator[bytes]:
        """Yield the new lines, segment by segment, the oldest segment first."""
        self._add_new_segments()
        self._watcher.close_orphaned_spans()
        living = set()
        for name, (run, offset) in list(self._followed.items()):
            # Asked first, so that the last lines of a dead process are read.
            final = self._watcher.is_final(name)
            live = not final and self._watcher.is_live(name)
            with contextlib.suppress(OSError):  # the segment was removed, so next time it is not live
                path = self._project.segment(name)
                if segment_file.size(path) > offset:
                    for line, end in journals.read(path, offset):
                        self._followed[name] = (run, end)
                        yield line
            if final:
                del self._followed[name]
            elif live:
                living.add(run)
        self.living = living

    def _add_new_segments(self) -> None:
        new = [segment for segment in self._watcher.new_segments() if self._run in (None, segment.trace_id)]
        if self._is_first_look and self._run is None:
            new = self._of_present_runs(new)
        self._is_first_look = False
        self._followed.update((segment.name, (segment.trace_id, 0)) for segment in new)

    def _of_present_runs(self, segments: list[Segment]) -> list[Segment]:
        """Return the segments of the runs that are running when `watch` begins."""
        runs: dict[str, list[Segment]] = {}
        for segment in segments:
            runs.setdefault(segment.trace_id, []).append(segment)
        return [segment for members in runs.values() if self._is_present(members) for segment in members]

    def _is_present(self, segments: list[Segment]) -> bool:
        paths = [self._project.segment(segment.name) for segment in segments]
        return any(map(locks.is_locked, paths)) or (any(map(_is_recent, paths)) and _has_open_shared(paths))


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
