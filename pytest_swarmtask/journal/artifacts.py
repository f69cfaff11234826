"""Finds segments in folders, zip files and tar files, as CI services keep them, and reads them in pieces.

Nothing is extracted. A member of an archive counts only if its last name is exactly that of a segment, and the folders
before it never count. Links and devices are left out. What is read is bounded, because a small archive may hold
terabytes.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol, cast

from pytest_swarmtask.core.files import only_regular
from pytest_swarmtask.core.service_errors import ArtifactError, ArtifactTooLargeError
from pytest_swarmtask.journal.segments import COMPRESSED, Segment

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterable, Iterator

    OnProblem = Callable[[str, str], None]
    """Called with a file that cannot be read, or not to its end, and with the reason."""

MAX_SEGMENT = 1 << 30
"""Bytes of one segment, 1 GiB: one process would have to record 700,000 tests to write more."""
MAX_TOTAL = 8 << 30
"""Bytes that are read in all, 8 GiB, compressed or not: less than the free space of a hosted runner."""
_CHUNK = 1 << 18
_BLOCK = 512
"""Bytes of a tar header. Contents are padded to a multiple of it."""
_MAX_EXTENSION = 1 << 16
"""Bytes of a tar extension header, which holds a long name: sixteen times the longest path of Linux."""

_SEGMENT = re.compile(r"\d{8}T\d{9}-[0-9a-f]{32}-[0-9a-f]{16}(_\d{1,10})?-(local|[0-9a-f]{8})\.jsonl", re.ASCII)
_ARCHIVE = re.compile(r".*\.(zip|tar|tgz|tar\.(gz|xz|bz2))", re.IGNORECASE | re.DOTALL)
_DAMAGE = (EOFError, ValueError, RuntimeError, struct.error, zlib.error, lzma.LZMAError, tarfile.TarError,
           zipfile.BadZipFile)  # fmt: skip
"""What the standard library raises for damaged, cut off and encrypted archives, besides `OSError`."""


class FoundSegment(NamedTuple):
    """A segment that was found.

    Attributes:
        segment: its name and the parts of it.
        origin: its path, for messages; inside of an archive, that of the archive and its own.
        archive: the archive that it is in, or an empty text.
        chunks: its lines, in pieces. They must be read before the next segment is asked for. Reading may raise
            `ArtifactError`.
    """

    segment: Segment
    origin: str
    archive: str
    chunks: Iterator[bytes]


class _Readable(Protocol):
    """A file of which `read1` returns what can be read before damage, where `read` would return nothing of it."""

    def read1(self, size: int = -1, /) -> bytes: ...


def segment_named(name: str) -> Segment | None:
    """Return the segment that a file of this name holds, compressed or not; None if it is not exactly such a name."""
    plain = name.removesuffix(COMPRESSED)
    return Segment.parse(plain) if _SEGMENT.fullmatch(plain) else None


def find_segments(paths: Iterable[str], on_problem: OnProblem) -> Iterator[FoundSegment]:
    """Yield the segments in folders, archives and files of segments.

    Args:
        paths: folders are searched with all folders in them; symbolic links in them are not followed.
        on_problem: called for what cannot be read. The search goes on behind it.
    """
    budget = _Budget()
    for path in paths:
        for file in _files(path, on_problem) if os.path.isdir(path) else (path,):
            try:
                yield from _segments_in(file, budget, on_problem)
            except ArtifactError as error:
                on_problem(file, str(error))
            if budget.left < 0:
                return


def _files(folder: str, on_problem: OnProblem) -> Iterator[str]:
    """Yield the files below a folder that are segments or archives by their names."""
    left = [folder]
    while left:
        inside = left.pop()
        try:
            with os.scandir(inside) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            on_problem(inside, error.strerror or str(error))
            continue
        left += [entry.path for entry in reversed(entries) if entry.is_dir(follow_symlinks=False)]
        for entry in entries:
            is_wanted = segment_named(entry.name) is not None or _ARCHIVE.fullmatch(entry.name)
            if is_wanted and entry.is_file(follow_symlinks=False):
                yield entry.path


def _segments_in(path: str, budget: _Budget, on_problem: OnProblem) -> Iterator[FoundSegment]:
    with _telling(), open(path, "rb", opener=only_regular) as file:
        segment = segment_named(os.path.basename(path))
        if segment is not None:
            yield FoundSegment(segment, path, "", _lines(file, path, budget))
            return
        is_zip = file.read(2) == b"PK"
        members = _zip_members(file, path, on_problem) if is_zip else _tar_members(file, budget)
        for name, content in members:
            if budget.left < 0:
                return
            segment = segment_named(name.rpartition("/")[2])
            if segment is not None:
                yield FoundSegment(segment, f"{path}: {name}", path, _lines(content, name, budget))


def _lines(file: _Readable, name: str, budget: _Budget) -> Iterator[bytes]:
    """Yield the content of a segment in pieces, decompressed."""
    left = MAX_SEGMENT
    with _telling():
        if name.endswith(COMPRESSED):
            file = gzip.GzipFile(fileobj=cast("IO[bytes]", file))
        while chunk := budget.read(file, _CHUNK):
            left -= len(chunk)
            if left < 0:
                raise ArtifactTooLargeError(f"it has more than {MAX_SEGMENT >> 20} MiB, which no segment has")
            yield chunk


class _Budget:
    """How much may be read yet.

    Attributes:
        left: the bytes; less than 0 when too much was read.
    """

    def __init__(self) -> None:
        self.left = MAX_TOTAL

    def read(self, file: _Readable, size: int) -> bytes:
        """Read from a file.

        Raises:
            ArtifactTooLargeError: more than `MAX_TOTAL` was read in all.
        """
        chunk = file.read1(size)
        self.left -= len(chunk)
        if self.left < 0:
            raise ArtifactTooLargeError(f"more than {MAX_TOTAL >> 30} GiB in all: nothing behind it was read")
        return chunk


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    """Turn the many errors of damaged archives into `ArtifactError`."""
    try:
        yield
    except OSError as error:
        raise ArtifactError(error.strerror or str(error)) from error
    except _DAMAGE as error:
        raise ArtifactError(f"damaged: {error}") from error


# -- zip ---------------------------------------------------------------------------------------------------------------


def _zip_members(file: IO[bytes], path: str, on_problem: OnProblem) -> Iterator[tuple[str, _Readable]]:
    """Yield name and content of the regular files in a zip file. One that cannot be read does not hide the others."""
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16  # 0 if the archive was not made on Unix
            if info.is_dir() or (stat.S_IFMT(mode) and not stat.S_ISREG(mode)):
                continue
            try:
                content = archive.open(info)
            except (OSError, *_DAMAGE) as error:
                on_problem(f"{path}: {info.filename}", str(error))
                continue
            with content:
                yield info.filename, cast("_Readable", content)


# -- tar ---------------------------------------------------------------------------------------------------------------
#
# `tarfile` keeps extension headers in memory whatever their length is, and takes a cut off archive for a whole one, so
# only its parser of single headers is used.


def _tar_members(file: io.BufferedReader, budget: _Budget) -> Iterator[tuple[str, _Readable]]:
    """Yield name and content of the regular files in a tar file, which may be compressed.

    Raises:
        ArtifactError: it is no tar file, or what follows cannot be read.
    """
    stream = _decompressed(file)
    long: dict[str, str] = {}
    while True:
        header = _exactly(stream, _BLOCK, budget)
        if not header.strip(b"\0"):
            return  # the end of the archive
        try:
            info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            raise ArtifactError("neither a segment nor an archive, or damaged") from None
        if info.type == tarfile.GNUTYPE_SPARSE:
            raise ArtifactError("it holds sparse files, which cannot be read here")
        content = _TarContent(stream, _size(info, long), budget)
        if info.type in _EXTENSIONS:
            long |= _extension(info.type, content, budget)
        else:
            if info.isreg():
                yield long.get("path", info.name), content
            long = {}
        if content.is_damaged:
            return  # its reader has been told
        content.skip()


_EXTENSIONS = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE)
"""Headers whose content describes the next member: a long name, or in the format pax any of its fields."""
_PAX = re.compile(rb"\d{1,5} (path|size)=([^\n]*)\n")


def _size(info: tarfile.TarInfo, long: dict[str, str]) -> int:
    """Return how many bytes follow a header. Links, folders and devices have no content, whatever their headers say."""
    if info.type in _EXTENSIONS:
        return info.size
    has_content = info.isreg() or info.type not in tarfile.SUPPORTED_TYPES
    return int(long.get("size", info.size)) if has_content else 0


def _extension(kind: bytes, content: _TarContent, budget: _Budget) -> dict[str, str]:
    """Return path and size of the next member, as far as an extension header says them."""
    text = _exactly(content, min(content.left, _MAX_EXTENSION), budget)
    if kind == tarfile.GNUTYPE_LONGNAME:
        return {"path": text.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    if kind != tarfile.XHDTYPE:
        return {}
    return {name.decode(): value.decode("utf-8", "surrogateescape") for name, value in _PAX.findall(text)}


class _TarContent:
    """The content of one member of a tar file.

    Attributes:
        left: how many bytes were not read yet.
        is_damaged: whether it cannot be read to its end.
    """

    def __init__(self, stream: _Readable, size: int, budget: _Budget) -> None:
        if size < 0:
            raise ArtifactError("damaged: a length below 0")
        self.left = size
        self.is_damaged = False
        self._stream = stream
        self._padding = -size % _BLOCK
        self._budget = budget

    def read1(self, size: int = -1, /) -> bytes:
        """Return at most so many bytes, or none at the end. Its reader counts them."""
        if not self.left:
            return b""
        self.is_damaged = True
        chunk = self._stream.read1(self.left if size < 0 else min(size, self.left))
        if not chunk:
            raise ArtifactError(_CUT_OFF)
        self.is_damaged = False
        self.left -= len(chunk)
        return chunk

    read = read1
    """For `gzip`, if the member is compressed once more."""

    def skip(self) -> None:
        """Go to the next header."""
        while self.left:
            self._budget.read(self, _CHUNK)
        _exactly(self._stream, self._padding, self._budget)


_CUT_OFF = "cut off: its end is missing"


def _exactly(stream: _Readable, size: int, budget: _Budget) -> bytes:
    data = b""
    while len(data) < size:
        chunk = budget.read(stream, size - len(data))
        if not chunk:
            raise ArtifactError(_CUT_OFF)
        data += chunk
    return data


def _decompressed(file: io.BufferedReader) -> _Readable:
    """Return the content of a file, decompressed if it begins as compressed files do."""
    file.seek(0)
    start = file.read(6)
    file.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if start.startswith(b"BZh"):
        return bz2.BZ2File(file)
    if start.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMAFile(file)
    return file
