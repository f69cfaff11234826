"""A compressed segment is the same segment: readers find its lines, whatever happens while it is compressed."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_swarmtask.journal import compression, segment_file
from pytest_swarmtask.journal.compression import DamagedSegmentError
from pytest_swarmtask.journal.segments import begins_line, read, segments
from tests.history.made import run
from tests.lab import clean_environ

TESTS = {f"tests/test_a.py::test_{n}": "passed" for n in range(3000)}
"""More than one chunk of a reader."""


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    """A segment that nobody writes to any more."""
    path = run(tmp_path / ".taskmaster" / "events", 1, TESTS).path
    path.chmod(stat.S_IRUSR)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    return path


def files(segment: Path) -> list[str]:
    return sorted(path.name for path in segment.parent.iterdir())


def lines(segment: Path, offset: int = 0) -> bytes:
    return b"".join(line + b"\n" for line, _ in read(str(segment), offset))


# -- what readers see ----------------------------------------------------------------------------------------------


def test_readers_see_the_same(segment: Path) -> None:
    """Name, lines and offsets stay, mode and time too; gzip prints the lines; the file is thirty times smaller."""
    content, listed = segment.read_bytes(), [one.name for one in segments(str(segment.parent))]
    ends = list(read(str(segment)))
    segment_file.compress(str(segment))
    assert files(segment) == [f"{segment.name}.gz"]
    packed = segment.with_name(f"{segment.name}.gz")
    state = packed.stat()
    assert (stat.S_IMODE(state.st_mode), state.st_mtime) == (stat.S_IRUSR, 1_000_000_000)
    assert segment_file.state(str(segment)) == state
    assert [one.name for one in segments(str(segment.parent))] == listed == [segment.name]
    assert list(read(str(segment))) == ends
    middle = ends[1500][1]
    assert lines(segment, middle) == content[middle:]
    assert [begins_line(str(segment), offset) for offset in (0, middle, middle + 1)] == [True, True, False]
    assert segment_file.size(str(segment)) == len(content)
    assert subprocess.run(["gzip", "-dc", packed], capture_output=True, check=True).stdout == content
    assert state.st_size * 20 < len(content)


def test_one_that_is_read_meanwhile(segment: Path) -> None:
    """A reader that has begun before a segment is compressed reads on, and one that has seen its name finds it."""
    content = segment.read_bytes()
    reader = read(str(segment))
    line, end = next(reader)
    segment_file.compress(str(segment))
    assert b"".join(one + b"\n" for one, _ in reader) == content[end:]
    assert lines(segment) == content
    assert content.startswith(line + b"\n")


def test_readers_beside_one_that_compresses(tmp_path: Path) -> None:
    """While many segments are compressed, each is always there once, with all its lines."""
    journal = tmp_path / ".taskmaster" / "events"
    whole = {run(journal, number, {"test_a": "passed"}).path.name: b"" for number in range(100)}
    whole = {name: (journal / name).read_bytes() for name in sorted(whole)}
    program = "import sys; from pytest_swarmtask.journal.segment_file import compress; [*map(compress, sys.argv[1:])]"
    paths = [str(journal / name) for name in whole]
    with subprocess.Popen([sys.executable, "-c", program, *paths], env=clean_environ()) as process:
        is_over = False
        while not is_over:
            is_over = process.poll() is not None
            listed = [segment.name for segment in segments(str(journal))]
            assert listed == list(whole)
            assert {name: lines(journal / name) for name in listed} == whole
    assert process.returncode == 0
    assert sorted(path.name for path in journal.iterdir()) == [f"{name}.gz" for name in whole]


# -- killed, and in each other's way -------------------------------------------------------------------------------

DYING = """
import itertools, json, os, signal, sys
from pytest_swarmtask.journal import segment_file, segments

path = sys.argv[1]
folder, name = os.path.split(path)
with open(path, "rb") as file:
    content = file.read()

def compress(most):
    numbers = itertools.count(1)
    def trace(frame, event, _):
        if os.path.basename(frame.f_code.co_filename) in ("compression.py", "gzip.py", "shutil.py"):
            if event == "line" and next(numbers) == most:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace
    sys.settrace(trace)
    segment_file.compress(path)

def is_whole():
    same = b"".join(line + b"\\n" for line, _ in segments.read(path)) == content
    names = [one.name for one in segments.segments(folder)]
    return same and names == [name] and segment_file.size(path) == len(content)

for line in itertools.count(1):
    segment_file.remove(path)
    with open(path, "wb") as file:
        file.write(content)
    pid = os.fork()
    if not pid:
        compress(line)
        os._exit(0)
    died = os.waitpid(pid, 0)[1]
    whole, left = is_whole(), len(os.listdir(folder))
    if os.path.exists(path):
        segment_file.compress(path)
    print(json.dumps([died, whole, is_whole(), os.listdir(folder), left]))
    if not died:
        break
"""


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_killed_at_each_line(segment: Path) -> None:
    """If a process is killed while it compresses, nothing is lost or doubled, and the next one leaves one file."""
    command = [sys.executable, "-c", DYING, str(segment)]
    done = subprocess.run(command, env=clean_environ(), capture_output=True, text=True, timeout=120, check=True)
    *killed, whole = map(json.loads, done.stdout.splitlines())
    packed = [f"{segment.name}.gz"]
    assert whole == [0, True, True, packed, 1]
    assert [found for found in killed if found[:4] != [signal.SIGKILL, True, True, packed]] == []
    assert {left for *_, left in killed} == {1, 2}, "some left the beginning of a file, or both files"


def test_retention_removes_it_meanwhile(segment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment that retention removes while it is compressed does not come back."""
    write = compression._write_compressed

    def remove_then_write(*arguments: object) -> None:
        segment_file.remove(str(segment))
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(compression, "_write_compressed", remove_then_write)
    segment_file.compress(str(segment))
    assert files(segment) == []


def test_a_disk_that_is_full(segment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the compressed file cannot be written, the plain one stays."""
    content = segment.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "no space left")))
    with pytest.raises(OSError, match="no space"):
        segment_file.compress(str(segment))
    assert segment.read_bytes() == lines(segment) == content
    assert files(segment) == [segment.name]


# -- damage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.999])
def test_one_that_was_cut(segment: Path, kept: float) -> None:
    """The lines before the end of a cut file are read, then the reader gets an error of its own."""
    content = segment.read_bytes()
    segment_file.compress(str(segment))
    packed = segment.with_name(f"{segment.name}.gz")
    packed.chmod(0o600)
    packed.write_bytes(packed.read_bytes()[: int(kept * packed.stat().st_size)])
    assert segment_file.size(str(segment)) > 0
    found: list[bytes] = []
    with pytest.raises(DamagedSegmentError, match="damaged"):
        found.extend(line for line, _ in read(str(segment)))
    assert content.startswith(b"".join(line + b"\n" for line in found))
    assert bool(found) == (kept >= 0.5)


def test_any_flipped_byte(segment: Path) -> None:
    """A changed byte is noticed, unless the lines are the same without it, as with the header's time."""
    content = segment.read_bytes()
    segment_file.compress(str(segment))
    packed = segment.with_name(f"{segment.name}.gz")
    packed.chmod(0o600)
    sound, noticed = packed.read_bytes(), set()
    last = range(len(sound) - 8, len(sound))  # checksum and length
    for position in (*range(20), *range(20, len(sound), 997), *last):
        packed.write_bytes(sound[:position] + bytes([sound[position] ^ 0x10]) + sound[position + 1 :])
        try:
            assert lines(segment) == content
        except DamagedSegmentError:
            noticed.add(position)
    assert noticed > {0, 1, *last}
