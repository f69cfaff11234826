"""The journal: a private folder of append-only JSON Lines files, one for each writing process.

A line in it is a promise of delivery. The name of a segment says when it was begun, which run it
belongs to, who writes it, and what it is owed to (its route)::

    20260131T101500123-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-local.jsonl

A living writer holds the lock of its segment, so readers know the dead from the slow.
"""

from __future__ import annotations

import errno
import itertools
import os
import sys
import zlib

from pytest_swarmtask.core.files import private_folder
from pytest_swarmtask.journal import locks

if sys.platform != "win32":
    import fcntl  # not where it is used: nothing can be imported while the interpreter ends

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_swarmtask.core.trace import Clock, Ids

SUFFIX = ".jsonl"
LOCAL = "local"
"""The route of a segment that is owed to nobody."""

_HIGH_FD = 900
_CHUNK = 1 << 18
MAX_LINE = 1 << 20
"""No writer of ours makes a line this long (an event is capped far below it), so a longer one is not an event."""


class Segment:
    """The name of a segment, taken apart.

    Attributes:
        created: when it was begun, as digits that sort.
        trace_id: the run.
        writer: who writes it; a process that begins another segment appends ``_`` and a number.
        route: what it is owed to.
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
        """What the segments of one process in one run have in common."""
        return self.trace_id, self.writer.partition("_")[0]

    @classmethod
    def parse(cls, name: str) -> Segment | None:
        """Return the parts of a file name, or None where it is not a segment's."""
        parts = name[: -len(SUFFIX)].split("-") if name.endswith(SUFFIX) else []
        if len(parts) != 4 or len(parts[1]) != 32 or name.startswith("."):
            return None
        return cls(name, *parts)


def route_of(content: bytes) -> str:
    """Return the name of the route whose file has this content, which so vouches for it."""
    return f"{zlib.crc32(content):08x}"


def segments(folder: str) -> list[Segment]:
    """Return the segments of a journal, oldest first; none where there is no journal."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = (Segment.parse(name) for name in sorted(names))
    return [segment for segment in found if segment is not None]


def read(path: str, offset: int = 0) -> Iterator[tuple[bytes, int]]:
    """Yield each complete line of a segment from `offset` on, without its newline, and where it ends.

    A last line without its newline is still being written, or torn: it is not yielded. A line too
    long to be an event is yielded cut, to be counted as foreign.
    """
    with open(path, "rb") as file:
        file.seek(offset)
        rest = b""
        skipping = 0
        while chunk := file.read(_CHUNK):
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            for line in lines:
                offset += len(line) + 1 + skipping
                skipping = 0
                yield line, offset
            if len(rest) > MAX_LINE:  # keep memory flat on a file that is not ours
                skipping += len(rest) - 1
                rest = rest[:1]


def begins_line(path: str, offset: int) -> bool:
    """Tell whether a line begins at this offset of a segment, or may begin there once more is written.

    Raises:
        OSError: the segment cannot be read.
    """
    if offset == 0:
        return True
    with open(path, "rb") as file:
        file.seek(offset - 1)
        return file.read(1) == b"\n"


class Journal:
    """The writing end: the segment of this process. Used by one thread at a time.

    Attributes:
        held: how many have spans open in it; while there are any, some segment of this process is locked.
        written: bytes of the present segment up to the end of its last whole line.
        segment: name of the present segment, or None before the first line.
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
        self._write = os.write  # a suite may patch `os` later

    def append(self, line: bytes) -> None:
        """Append one line with one write.

        Raises:
            OSError: it could not be written whole. The line is lost; the next one starts on a fresh line.
        """
        fd = self._open() if self._fd is None else self._fd
        content = b"\n" + line if self._torn else line
        try:
            count = self._write(fd, content)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            self.close()  # the suite closed every file it could find, ours too
            content = line
            count = self._write(self._open(), content)
        if count != len(content):
            self._torn += count
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.written += self._torn + count
        self._torn = 0

    def reroute(self, route: str) -> None:
        """Owe what comes from now on to another route: in a new segment, so that what was written stays as it was."""
        if route != self.route:
            if self.held and self._fd is not None:
                self._former, self._fd = self._fd, None  # its lock is our sign of life until there is another
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
        """Begin anew as a child of a fork: what was written is the parent's, whose file stays open."""
        self.close()
        self.held = 0
        self._ended = {}

    def pending(self) -> dict[str, int]:
        """Return the segments of this process that have a route to endpoints, with their sizes in bytes."""
        if self.segment is None or self.route == LOCAL:
            return self._ended
        return {**self._ended, self.segment: self.written}

    def exists(self) -> bool:
        """Tell whether what was written can still be found by a reader."""
        return self.segment is None or os.path.exists(os.path.join(self.folder, self.segment))

    def _open(self) -> int:
        private_folder(self.folder)
        stamp = self._clock.timestamp().translate({ord(c): None for c in "-:.Z"})
        number = next(self._numbers)
        again = f"_{number}" if number else ""  # two segments of one writer may begin in one millisecond
        name = f"{stamp}-{self._trace_id}-{self._ids.writer}{again}-{self.route}{SUFFIX}"
        path = os.path.join(self.folder, name)
        opened = (_create_locked(path), name)
        # The handler of a signal may have come here too in the meantime: whoever is first, in one step, has begun it.
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
            pass  # somebody else has closed it


def _create_locked(path: str) -> int:
    """Create a segment whose lock is held from the moment that others can see it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
    if sys.platform == "win32":  # where an open file cannot be renamed
        fd = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o600)
        locks.try_lock(fd)
        return fd
    hidden = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.new")
    fd = _out_of_reach(os.open(hidden, flags, 0o600))
    locks.try_lock(fd)
    os.rename(hidden, path)
    return fd


def _out_of_reach(fd: int) -> int:
    """Move a descriptor to a high number: a suite that closes what it does not know must not get ours reused."""
    if sys.platform == "win32":
        return fd
    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH_FD)
    except OSError:  # the limit of open files is lower
        return fd
    os.close(fd)
    return high
