"""The journal: a private folder of append-only JSON Lines files, called segments, one for each writing process.

Each line is one event that will be delivered. The name of a segment consists of the time when it was begun, the run,
the writer, and the route, which names the endpoints that its events must be delivered to::

    20260131T101500123-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-local.jsonl

A living writer holds the lock of its segment, so that readers can tell a dead process from a slow one.

Old segments are compressed, see `journal.segment_file`: ``….jsonl.gz``. They are known by the name without ``.gz``.
"""

from __future__ import annotations

import errno
import itertools
import os
import sys

from pytest_swarmtask.core.files import only_regular, private_folder
from pytest_swarmtask.journal import locks

if sys.platform != "win32":
    import fcntl  # at the top, because nothing can be imported while the interpreter ends

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from typing import IO

    from pytest_swarmtask.core.trace import Clock, Ids

SUFFIX = ".jsonl"
COMPRESSED = ".gz"
"""What the file of a compressed segment has after the segment's name."""
LOCAL = "local"
"""The route of a segment that is not delivered to any endpoint."""

_HIGH_FD = 900
"""The lowest number that our file gets: above those that programs use, below 1024, the usual limit of open files."""
_CHUNK = 1 << 16
"""Bytes that are read from a segment at once: 64 KiB, a hundred events, or one of the longest. Four times as many no
longer stay in the processor's cache until they are decoded, which costs the relay a tenth of its time."""
MAX_LINE = 1 << 20
"""Bytes of a line that may be an event. Writers cut events to 64 KiB (`MAX_EVENT`), so a longer line is damage."""


class Segment:
    """The parts of a segment's name.

    Attributes:
        name: the whole name.
        created: when it was begun, UTC, as digits that sort.
        trace_id: the run.
        writer: the writing process. A process that begins another segment appends ``_`` and a number.
        route: the name of the file that lists the endpoints; `LOCAL` if there are none.
    """

    __slots__ = ("created", "name", "route", "trace_id", "writer")

    def __init__(self, name: str, created: str, trace_id: str, writer: str, route: str) -> None:
        self.name = name
        self.created = created
        self.trace_id = trace_id
        self.writer = writer
        self.route = route

    @property
    def process(self) -> tuple[str, str]:
        """Run and process: the same for all segments that one process wrote for one run."""
        return self.trace_id, self.writer.partition("_")[0]

    @classmethod
    def parse(cls, name: str) -> Segment | None:
        """Return the parts of a file name, or None if it is not that of a segment."""
        parts = name[: -len(SUFFIX)].split("-") if name.endswith(SUFFIX) else []
        if len(parts) != 4 or len(parts[1]) != 32 or name.startswith("."):
            return None
        return cls(name, *parts)


def route_of(content: bytes) -> str:
    """Return the name of a route, which is the checksum of its file: readers so find out if the file is damaged."""
    import zlib  # only with endpoints, see `core.files.checksum`

    return f"{zlib.crc32(content):08x}"


def segments(folder: str) -> list[Segment]:
    """Return the segments in a journal's folder, oldest first; none if there is no folder."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    # A set, because a segment has two files for a moment when it is compressed.
    found = (Segment.parse(name) for name in sorted({name.removesuffix(COMPRESSED) for name in names}))
    return [segment for segment in found if segment is not None]


def open_lines(path: str) -> AbstractContextManager[IO[bytes]]:
    """Open a segment to read its lines, whether it is compressed or not.

    Raises:
        OSError: the segment cannot be read.
    """
    try:
        return open(path, "rb", opener=only_regular)
    except FileNotFoundError:
        # Imported here, because the watched process, which reads no segments, need not load gzip.
        from pytest_swarmtask.journal.compression import open_compressed

        return open_compressed(path + COMPRESSED)


def read(path: str, offset: int = 0) -> Iterator[tuple[bytes, int]]:
    """Yield each complete line of a segment from an offset on, and the offset of its end.

    Lines have no newline. A last line without its newline is still being written, or torn, and is not yielded. A line
    that is too long to be an event is yielded cut, so that readers count it as damaged.

    Raises:
        OSError: the segment cannot be read.
    """
    for lines in read_parts(path, offset):
        yield from lines


def read_parts(path: str, offset: int = 0) -> Iterator[list[tuple[bytes, int]]]:
    """Yield what `read` yields, in lists: the lines that are in the memory together.

    Raises:
        OSError: the segment cannot be read.
    """
    with open_lines(path) as file:
        file.seek(offset)
        rest = b""
        skipping = 0
        while chunk := file.read(_CHUNK):
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            if lines:
                offset += skipping
                skipping = 0
                yield [(line, offset := offset + len(line) + 1) for line in lines]
            if len(rest) > MAX_LINE:  # not an event, so its length is enough: memory stays bounded
                skipping += len(rest) - 1
                rest = rest[:1]


def count_lines(path: str, offset: int = 0) -> Iterator[tuple[int, int]]:
    """Count the complete lines of a segment from an offset on: in a tenth of the time of `read`, as none is copied.

    Yields:
        The number of lines that end in the next part of the segment, and the offset of the end of the last one.

    Raises:
        OSError: the segment cannot be read.
    """
    with open_lines(path) as file:
        file.seek(offset)
        while chunk := file.read(_CHUNK):
            lines = chunk.count(b"\n")
            if lines:
                yield lines, offset + chunk.rfind(b"\n") + 1
            offset += len(chunk)


def begins_line(path: str, offset: int) -> bool:
    """Whether a line of a segment begins at an offset, or can begin there when more is written.

    Raises:
        OSError: the segment cannot be read.
    """
    if offset == 0:
        return True
    with open_lines(path) as file:
        file.seek(offset - 1)
        return file.read(1) == b"\n"


class Journal:
    """Writes the segments of this process. Used by one thread at a time.

    Args:
        folder: the journal's folder, which is made for the first line.
        trace_id: the run.
        ids: gives the writer's name.
        clock: gives the time in the names of segments.

    Attributes:
        folder: the journal's folder.
        route: the route of the present segment.
        held: how many callers have open spans in this process. While there are any, one of its segments stays locked.
        segment: name of the present segment, or None before the first line.
        written: bytes of the present segment up to the end of its last whole line.
    """

    __slots__ = (
        "_clock",
        "_ended",
        "_fd",
        "_former",
        "_ids",
        "_numbers",
        "_present",
        "_torn",
        "_trace_id",
        "_write",
        "folder",
        "held",
        "route",
        "segment",
        "written",
    )

    def __init__(self, folder: str, trace_id: str, ids: Ids, clock: Clock) -> None:
        self.folder = folder
        self.route = LOCAL
        self.held = 0
        self.segment: str | None = None
        self.written = 0
        self._trace_id = trace_id
        self._ids = ids
        self._clock = clock
        self._ended: dict[str, int] = {}
        self._fd: int | None = None
        self._former: int | None = None
        self._numbers = itertools.count()
        self._present: dict[str, tuple[int, str]] = {}
        self._torn = 0  # bytes of a line that could not be written whole
        self._write = os.write  # a test suite may patch `os` later

    def append(self, line: bytes) -> None:
        """Append one line with one write, so that a killed process leaves the whole line or none of it.

        Rarely it leaves a part: Linux may kill a process within a write, between two pages of the file. Readers end
        such a line, and skip it.

        Raises:
            OSError: the line could not be written whole, and is lost. The next line begins after a newline.
        """
        fd = self._fd
        if fd is None:
            fd = self._open()
        content = b"\n" + line if self._torn else line
        try:
            count = self._write(fd, content)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            self.close()  # a test suite closed every file that it could find, ours too
            content = line
            count = self._write(self._open(), content)
        if count != len(content):
            self._torn += count
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.written += self._torn + count
        self._torn = 0

    def reroute(self, route: str) -> None:
        """Write to a new segment of another route from now on. What was written before keeps its route."""
        if route != self.route:
            if self.held and self._fd is not None:
                self._former, self._fd = self._fd, None  # its lock shows that we live, until there is another segment
            self._leave()
            self.route = route

    def close(self) -> None:
        """End the present segment; the next line begins another."""
        self._close_former()
        _close(self._fd)
        self._leave()

    def _close_former(self) -> None:
        former, self._former = self._former, None
        _close(former)

    def _leave(self) -> None:
        self._ended = self.pending()
        self._present.clear()
        self._fd = self.segment = None
        self.written = self._torn = 0

    def forked(self) -> None:
        """Begin anew as a child of a fork: what was written belongs to the parent, whose own descriptor stays open."""
        self.close()
        self.held = 0
        self._ended = {}

    def pending(self) -> dict[str, int]:
        """Return the segments of this process that have a route to endpoints, with their sizes in bytes."""
        if self.segment is None or self.route == LOCAL:
            return self._ended
        return {**self._ended, self.segment: self.written}

    def exists(self) -> bool:
        """Whether the present segment is still in the folder, where readers find it."""
        return self.segment is None or os.path.exists(os.path.join(self.folder, self.segment))

    def _open(self) -> int:
        private_folder(self.folder)
        stamp = self._clock.timestamp().translate({ord(c): None for c in "-:.Z"})
        number = next(self._numbers)
        again = f"_{number}" if number else ""  # two segments of a writer may begin in one millisecond
        name = f"{stamp}-{self._trace_id}-{self._ids.writer}{again}-{self.route}{SUFFIX}"
        path = os.path.join(self.folder, name)
        opened = (_create_locked(path), name)
        # The handler of a signal may have opened a segment in the meantime. `setdefault` lets the first one win, in one
        # step that no signal can interrupt; the other file, still empty, goes.
        present = self._present.setdefault("segment", opened)
        if present is opened:
            self._close_former()
        else:
            os.close(opened[0])
            os.unlink(path)
        self._fd, self.segment = present
        return present[0]


def _close(fd: int | None) -> None:
    if fd is not None:
        try:
            os.close(fd)
        except OSError:
            pass  # a test suite has closed it


def _create_locked(path: str) -> int:
    """Create a segment that is locked before readers can see it, else they would take its writer for dead."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
    if sys.platform == "win32":  # an open file cannot be renamed there, so readers may see it unlocked for a moment
        fd = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o600)
        locks.try_lock(fd)
        return fd
    hidden = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.new")
    fd = _out_of_reach(os.open(hidden, flags, 0o600))
    locks.try_lock(fd)
    os.rename(hidden, path)
    return fd


def _out_of_reach(fd: int) -> int:
    """Move a descriptor to a high number.

    A test suite may close descriptors that it does not know, and then open files of its own. With a low number, one of
    these files could get our number, and our events.
    """
    if sys.platform == "win32":
        return fd
    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH_FD)
    except OSError:  # the limit of open files is lower, as on macOS
        return fd
    os.close(fd)
    return high
