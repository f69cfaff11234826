"""Compressed files of the journal.

The format is gzip, because `zcat`, DuckDB and others read it. The last four bytes of a file hold the length of its
lines.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import shutil
import stat
import sys
import zlib
from typing import IO, TYPE_CHECKING, cast

from pytest_swarmtask.core.files import PRIVATE, only_regular

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEVEL = 8
"""Makes the events of a real suite 22 times smaller, those of a thousand like tests 28 to 37 times: the more names and
times vary, the less. Level 9 gains nothing and is half as fast; with level 6 they are an eighth larger."""
_CHUNK = 1 << 20
_LENGTH = 4
"""Bytes at the end of a file that hold the length of its lines."""
MAX_LENGTH = (1 << 8 * _LENGTH) - 1
"""The longest file that may be compressed: the end of a compressed one could not hold a greater length."""


class DamagedSegmentError(OSError):
    """A compressed segment is damaged, so what follows the damage cannot be read."""


def length(path: str) -> int:
    """Return how many bytes the lines of a compressed file have, at least one.

    Raises:
        OSError: there is no such file, or it cannot be read.
    """
    with open(path, "rb", opener=only_regular) as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - _LENGTH))
        return int.from_bytes(file.read(), "little") or 1  # an empty file is damaged, which its reader finds out


@contextlib.contextmanager
def open_compressed(path: str) -> Iterator[IO[bytes]]:
    """Open a compressed file to read its lines.

    Raises:
        DamagedSegmentError: what the block reads is damaged.
        OSError: there is no such file, or it cannot be read.
    """
    with open(path, "rb", opener=only_regular) as raw, gzip.GzipFile(fileobj=raw) as file:
        if not os.fstat(raw.fileno()).st_size:  # gzip takes an empty file for a whole one without lines
            raise DamagedSegmentError(errno.EIO, "damaged: it is empty", path)
        try:
            yield cast("IO[bytes]", file)  # it has all of `IO` that readers use
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DamagedSegmentError(errno.EIO, f"damaged: {error}", path) from error


def compress(path: str, into: str) -> None:
    """Replace a file by a compressed one in the same folder. Only one process may do so at a time.

    The plain file is removed when the compressed one is whole and on the disk. A process that is killed before that
    leaves both. Then the plain one counts, and the next call compresses it again.

    Raises:
        OSError: it cannot be compressed. The plain file is still there, unless another process has removed it.
    """
    folder, name = os.path.split(into)
    beside = os.path.join(folder, f".{name}.new")
    with open(path, "rb", opener=only_regular) as plain:
        try:
            _write_compressed(plain, beside)
            os.replace(beside, into)
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(beside)  # the disk may be full
            raise
    _sync_folder(folder)
    try:
        os.unlink(path)
    except FileNotFoundError:  # retention has removed the segment meanwhile
        os.unlink(into)


def _write_compressed(plain: IO[bytes], path: str) -> None:
    """Write a compressed file that has the mode and the times of the plain one: retention looks at its age."""
    like = os.fstat(plain.fileno())
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # left behind by a process that was killed
    with open(path, "xb", opener=_private) as file:
        with gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed:
            shutil.copyfileobj(plain, packed, _CHUNK)
        file.flush()
        os.fsync(file.fileno())
    os.utime(path, ns=(like.st_atime_ns, like.st_mtime_ns))
    os.chmod(path, stat.S_IMODE(like.st_mode))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE)


def _sync_folder(folder: str) -> None:
    """Put a new name on the disk, so that a power cut does not lose it when the old one is gone."""
    if sys.platform == "win32":  # folders cannot be opened there
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
