"""Brings segments that other machines have recorded into a project's journal, where all readers find them.

A collected segment gets the route `LOCAL`: the machine that recorded it delivers its events. Its modification time
becomes the time of its last event, because that is when its process was last seen, see `journal.orphans`.

Of one segment there may be several copies: cut off in an upload, whole, with the end events that a reader has written
for a dead process, or without. The copy in which the process itself has written most counts.
"""

from __future__ import annotations

import contextlib
import os
import time
import zlib
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.core.errors import JournalError, UsageError
from pytest_swarmtask.core.files import PRIVATE, private_folder
from pytest_swarmtask.core.service_errors import ArtifactError, ArtifactTooLargeError
from pytest_swarmtask.core.timestamps import seconds_of
from pytest_swarmtask.journal import locks, orphans, segment_file
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.journal.artifacts import find_segments
from pytest_swarmtask.journal.decode import decode_fields
from pytest_swarmtask.journal.segments import COMPRESSED, LOCAL, SUFFIX, Segment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.journal.artifacts import FoundSegment

    _Key = tuple[str, str, str]

_CHUNK = 1 << 18


class Collected(NamedTuple):
    """What one collection has found.

    Attributes:
        segments: the names of the segments in the journal that hold what was found.
        changed: those of them that the history has to read from their beginning, as their content may be another one
            than when it read a segment of this name.
        own: how many segments this machine recorded itself. They were left alone.
        archives: how many archives had segments.
        problems: each file that could not be read, or not to its end, and why.
    """

    segments: set[str]
    changed: set[str]
    own: set[str]
    archives: set[str]
    problems: list[tuple[str, str]]

    @property
    def traces(self) -> set[str]:
        """The trace ids of the segments."""
        found = map(Segment.parse, self.segments)
        return {segment.trace_id for segment in found if segment is not None}


def collect(project: Project, paths: Iterable[str]) -> Collected:
    """Bring the segments in folders, archives and files into a project's journal.

    It may be killed anywhere, and called again: a segment appears in the journal as a whole.

    Raises:
        OSError: the journal cannot be written. What was brought until then stays.
        UsageError: another process is collecting into this journal.
    """
    private_folder(project.journal)
    lock = locks.open_locked(project.collect_lock)
    if lock is None:
        raise UsageError(f"another process is collecting into {project.journal}: try again when it has ended")
    try:
        collection = _Collection(project)
        for found in find_segments(paths, collection.report):
            collection.add(found)
        return collection.result
    finally:
        locks.release(project.collect_lock, lock)


class _Collection:
    """One call of `collect`."""

    def __init__(self, project: Project) -> None:
        self.result = Collected(set(), set(), set(), set(), [])
        self._project = project
        self._present: dict[_Key, Segment] = {}
        for segment in journals.segments(project.journal):
            if segment.route == LOCAL or self._is_own(segment):
                self._present[_key(segment)] = segment

    def report(self, file: str, reason: str) -> None:
        """Remember a problem."""
        self.result.problems.append((file, reason))

    def add(self, found: FoundSegment) -> None:
        """Bring one segment into the journal, unless its process still writes it."""
        if found.archive:
            self.result.archives.add(found.archive)
        present = self._present.get(_key(found.segment))
        if present is not None and self._is_own(present):
            self.result.own.add(present.name)
        elif not found.archive and locks.is_locked(found.origin):
            self.report(found.origin, "its process is still writing it: collect it when that has ended")
        else:
            self._bring(found)

    def _is_own(self, segment: Segment) -> bool:
        """Whether a segment of the journal was recorded on this machine, and is written or may be delivered yet."""
        path = self._project.segment(segment.name)
        has_route = segment.route != LOCAL and os.path.exists(self._project.route(segment.route))
        return has_route or locks.is_locked(path)

    def _bring(self, found: FoundSegment) -> None:
        beside = os.path.join(self._project.journal, f".{os.urandom(8).hex()}.new")
        with contextlib.ExitStack() as stack:
            stack.callback(_remove, beside)
            problem = self._copy(found, beside)
            if isinstance(problem, ArtifactTooLargeError):
                return
            copy = _examine(beside)
            if not copy.events:
                if problem is None:
                    self.report(found.origin, "it has the name of a segment, and no event in it")
                return
            os.utime(beside, (copy.seen, copy.seen))
            name = self._place(found.segment, copy)
            if not found.archive and _is_same(os.path.dirname(found.origin), self._project.journal):
                self._adopt(found, name, copy)

    def _copy(self, found: FoundSegment, into: str) -> ArtifactError | None:
        """Copy a segment, as far as it can be read. Report and return why not all of it could."""
        with open(into, "xb", opener=_private) as file:
            try:
                file.writelines(found.chunks)
            except ArtifactError as error:
                self.report(found.origin, str(error))
                return error
        return None

    def _place(self, segment: Segment, copy: _Copy) -> str:
        """Give a copy its name in the journal, unless the journal has as much of it already. Return the name."""
        name = f"{segment.created}-{segment.trace_id}-{segment.writer}-{LOCAL}{SUFFIX}"
        if _key(segment) in self._present:
            better = _is_better(copy, self._project.segment(name))
            if better is None:  # two files of one name that are not the same segment: keep both
                name = f"{segment.created}-{segment.trace_id}-{segment.writer}_{_checksum(copy.path)}-{LOCAL}{SUFFIX}"
                better = not os.path.exists(self._project.segment(name))
        else:
            better = True
            self._present[_key(segment)] = segment
        self.result.segments.add(name)
        if better:
            path = self._project.segment(name)
            os.replace(copy.path, path)
            _remove(path + COMPRESSED)
            self.result.changed.add(name)
        return name

    def _adopt(self, found: FoundSegment, name: str, copy: _Copy) -> None:
        """Make a segment that lay in the journal already one that was collected.

        GitLab unpacks the artifacts of all jobs into the folder where they were recorded. If the segment had a route,
        nobody here knows its endpoints, and it has its new name by now.
        """
        if found.segment.route != LOCAL:
            _remove(found.origin)
        elif not orphans.is_closed(found.origin):
            os.utime(found.origin, (copy.seen, copy.seen))
        self.result.changed.add(name)


def _is_same(folder: str, other: str) -> bool:
    return os.path.realpath(folder) == os.path.realpath(other)


def _key(segment: Segment) -> _Key:
    return segment.created, segment.trace_id, segment.writer


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE)


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


# -- copies of one segment ---------------------------------------------------------------------------------------------


class _Copy(NamedTuple):
    """A copy of a segment.

    Attributes:
        path: its file.
        events: how many events it has.
        own: how many bytes its process wrote. The end events behind them were written by readers.
        size: how many bytes it has.
        seen: when its process was last seen, in seconds since the epoch, and never in the future.
    """

    path: str
    events: int
    own: int
    size: int
    seen: float


def _examine(path: str) -> _Copy:
    """Examine a copy.

    Raises:
        OSError: it cannot be read to its end.
    """
    events, begin, own, last = 0, 0, None, ""
    for line, end in journals.read(path):
        with contextlib.suppress(JournalError):
            event = decode_fields(line)
            events += 1
            if not event.id.endswith(orphans.CLOSED_SUFFIX):
                last = event.timestamp
            elif own is None:
                own = begin
        begin = end
    size = segment_file.size(path)
    return _Copy(path, events, size if own is None else own, size, _seen(last))


def _seen(timestamp: str) -> float:
    now = time.time()
    try:
        return max(0.0, min(seconds_of(timestamp), now))
    except (ValueError, OverflowError):
        return now


def _is_better(copy: _Copy, path: str) -> bool | None:
    """Whether a copy of a segment says more than the one in the journal; None if it is another segment."""
    try:
        present = _examine(path)
        # Behind a line that was cut off, a reader puts a newline, which the process itself continues the line instead.
        shared = max(0, min(copy.own, present.own) - 1)
        if not _begin_alike(copy.path, path, shared):
            return None
    except OSError:
        return True  # the present one is damaged
    return (copy.own, copy.size) > (present.own, present.size)


def _begin_alike(path: str, other: str, size: int) -> bool:
    with journals.open_lines(path) as one, journals.open_lines(other) as two:
        while size > 0:
            chunk = one.read(min(size, _CHUNK))
            if not chunk or chunk != two.read(len(chunk)):
                return False
            size -= len(chunk)
    return True


def _checksum(path: str) -> int:
    checksum = 0
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum
