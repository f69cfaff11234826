"""The file of a segment, as readers see it: plain, or compressed once nobody writes to it any more.

A compressed segment is the same segment. It keeps its name, with an ending that only this package's readers leave out,
and offsets in it count the bytes of its lines, not those of its file.
"""

from __future__ import annotations

import contextlib
import os

from pytest_swarmtask.journal import compression, locks
from pytest_swarmtask.journal.segments import COMPRESSED


def size(path: str) -> int:
    """Return how many bytes the lines of a segment have.

    Raises:
        OSError: there is no such segment, or it cannot be read.
    """
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return compression.length(path + COMPRESSED)


def state(path: str) -> os.stat_result:
    """Return size and times of the file of a segment.

    Raises:
        OSError: there is no such segment.
    """
    try:
        return os.stat(path)
    except FileNotFoundError:
        return os.stat(path + COMPRESSED)


def is_compressed(path: str) -> bool:
    """Whether a segment is compressed; also if its plain file is still there, as a process was killed at the end."""
    return os.path.exists(path + COMPRESSED)


def has_no_writer(path: str) -> bool:
    """Whether certainly no process writes to a segment: never known where the file system has no locks."""
    return locks.is_free(path) or is_compressed(path)


def remove(path: str) -> None:
    """Remove a segment."""
    for file in (path, path + COMPRESSED):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file)


def compress(path: str) -> None:
    """Compress a segment to which nobody writes. Only one process of a project may do so at a time.

    Raises:
        OSError: it cannot be compressed, and is still there, unless another process has removed it.
    """
    compression.compress(path, path + COMPRESSED)
