"""Segments of other machines are found in folders and archives, and each is in the journal once and as a whole."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.event import Event
from pytest_swarmtask.history import retention, session
from pytest_swarmtask.history.sqlite import connect
from pytest_swarmtask.journal import artifacts, locks
from pytest_swarmtask.journal.artifacts import segment_named
from pytest_swarmtask.journal.collect import Collected, collect
from pytest_swarmtask.journal.orphans import close_orphaned_spans
from pytest_swarmtask.journal.segment_file import compress
from tests.history.made import BASE, Process, rows
from tests.lab import project_of

TRACE = "1" * 32
TESTS = {f"test_{n}": "passed" for n in range(10)}
WHOLE = [("completed", 10, 10, 0)]
"""The one run, if all of `TESTS` are there: outcome, tests, passed, crashed."""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """The journal of another machine."""
    return tmp_path / "elsewhere"


def recorded(folder: Path, tests: dict[str, str] = TESTS, route: str = "8d44887d", began: float = BASE) -> Path:
    """Record a session on another machine, which has an endpoint, and return its segment."""
    process = Process(folder, TRACE, began)
    process.write(process.session(tests))
    return process.path.rename(process.path.with_name(process.path.name.replace("-local", f"-{route}")))


def brought(journal: Path, *paths: Path) -> Collected:
    """Collect into a journal, and import what was collected."""
    found = collect(project_of(journal), [str(path) for path in paths])
    session.query_history(project_of(journal), lambda _: None, environ={}, collected=found)
    return found


def runs(journal: Path) -> list[tuple[object, ...]]:
    return rows(journal, "SELECT outcome, tests, passed, crashed FROM runs")


def names(journal: Path) -> list[str]:
    return sorted(path.name for path in journal.glob("[!.]*.jsonl*"))


def zipped(segment: Path, archive: Path, name: str = "") -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(segment, name or segment.name)
    return archive


def tarred(segment: Path, archive: Path, mode: str, form: int = tarfile.PAX_FORMAT, name: str = "") -> Path:
    with tarfile.open(archive, mode, format=form) as file:  # type: ignore[call-overload]
        file.add(segment, name or segment.name)
    return archive


# -- where segments are ------------------------------------------------------------------------------------------------

LONG = "a-long-name-of-a-folder/" * 20
FORMS: dict[str, Callable[[Path, Path], Path]] = {
    "folder": lambda segment, _: segment.parent.parent,
    "file": lambda segment, _: segment,
    "compressed file": lambda segment, _: packed(segment),
    "zip": lambda segment, into: zipped(segment, into / "a.zip"),
    "zip with folders": lambda segment, into: zipped(segment, into / "a.zip", f".taskmaster/events/{segment.name}"),
    "zip without an ending": lambda segment, into: zipped(segment, into / "artifact"),
    "zip of compressed": lambda segment, into: zipped(packed(segment), into / "a.zip"),
    "tar": lambda segment, into: tarred(segment, into / "a.tar", "w"),
    "tar.gz": lambda segment, into: tarred(segment, into / "a.tar.gz", "w:gz"),
    "tar.xz": lambda segment, into: tarred(segment, into / "a.tar.xz", "w:xz"),
    "tar.bz2": lambda segment, into: tarred(segment, into / "a.tar.bz2", "w:bz2"),
    "tar of compressed": lambda segment, into: tarred(packed(segment), into / "a.tgz", "w:gz"),
    "pax": lambda segment, into: tarred(segment, into / "a.tar", "w", tarfile.PAX_FORMAT, LONG + segment.name),
    "gnu": lambda segment, into: tarred(segment, into / "a.tar", "w", tarfile.GNU_FORMAT, LONG + segment.name),
}


def packed(segment: Path) -> Path:
    compress(str(segment))
    return segment.with_name(f"{segment.name}.gz")


@pytest.mark.parametrize("form", FORMS)
def test_where_segments_are(journal: Path, elsewhere: Path, tmp_path: Path, form: str) -> None:
    """All forms in which CI services keep artifacts are read, and a second time nothing changes."""
    segment = recorded(elsewhere / "deep")
    path = FORMS[form](segment, tmp_path)
    found = brought(journal, path)
    assert (len(found.segments), found.problems) == (1, [])
    assert runs(journal) == WHOLE
    before = [(file, file.read_bytes()) for file in sorted(journal.glob("*.jsonl"))]
    again = brought(journal, path)
    assert (again.segments, again.changed, again.problems) == (found.segments, set(), [])
    assert [(file, file.read_bytes()) for file in sorted(journal.glob("*.jsonl"))] == before
    assert runs(journal) == WHOLE


def test_it_is_never_delivered_from_here(journal: Path, elsewhere: Path) -> None:
    """A collected segment has no route to endpoints, is private, and is as old as its last event."""
    segment = recorded(elsewhere)
    os.utime(segment, (time.time(), time.time()))
    brought(journal, elsewhere)
    (path,) = journal.glob("*.jsonl")
    assert path.name == segment.name.replace("-8d44887d", "-local")
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    last = Event.decode(segment.read_bytes().splitlines()[-1]).timestamp
    assert time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(path.stat().st_mtime)) == last[:19]


def test_whole_lines_stay_in_the_segments(journal: Path, elsewhere: Path) -> None:
    recorded(elsewhere)
    brought(journal, elsewhere)
    assert rows(journal, "SELECT count(*) FROM events") == [(0,)]
    assert rows(journal, "SELECT count(*) FROM tests") == [(10,)]


# -- several copies ----------------------------------------------------------------------------------------------------

KINDS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "compressed": gzip.compress,
    "compressed and cut off": lambda content: gzip.compress(content)[:-9],
}


@pytest.mark.parametrize("close", [False, True], ids=["open", "closed"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 0), (1, 0, 1)], ids=str)
@pytest.mark.parametrize("machines", ["one", "fresh"])
def test_a_part_and_the_whole(  # noqa: PLR0913
    journal: Path, elsewhere: Path, tmp_path: Path, order: tuple[int, ...], machines: str, *, close: bool
) -> None:
    """In the end each event is there, whichever copy came first, and whoever has closed the spans of the part.

    On a fresh machine there is only the history of the one before.
    """
    whole = recorded(elsewhere)
    part = tmp_path / "part" / ".taskmaster" / "events" / whole.name
    part.parent.mkdir(parents=True)
    part.write_bytes(whole.read_bytes()[: len(whole.read_bytes()) // 2])
    if close:
        close_orphaned_spans(project_of(part.parent))
        assert b'-end"' in part.read_bytes()
    for copy in order:
        assert brought(journal, (part, whole)[copy]).problems == []
        if machines == "fresh":
            for path in journal.glob("*.jsonl"):
                path.unlink()
    assert runs(journal) == WHOLE
    assert rows(journal, "SELECT count(*), count(ended) FROM spans") == [(11, 11)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 100), min_size=1, max_size=4), form=st.sampled_from(sorted(KINDS)))
def test_copies_that_were_cut_off_anywhere(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], form: str
) -> None:
    """Copies that end at any byte, plain or compressed, are followed by the whole one, which counts."""
    root = tmp_path_factory.mktemp("project")
    journal = root / ".taskmaster" / "events"
    journal.mkdir(parents=True)
    whole = recorded(root / "whole", {f"test_{n}": "passed" for n in range(10)})
    content = whole.read_bytes()
    for number, percent in enumerate(cuts):
        part = root / str(number) / (whole.name + (".gz" if "compressed" in form else ""))
        part.parent.mkdir()
        part.write_bytes(KINDS[form](content[: len(content) * percent // 100]))
        brought(journal, part)
    assert brought(journal, whole).problems == []
    assert runs(journal) == WHOLE
    (path,) = journal.glob("*.jsonl")
    assert path.read_bytes() == content


def test_a_crashed_process_took_as_long_as_its_events(journal: Path, elsewhere: Path) -> None:
    """The time at which a service unpacked a segment says nothing about its process."""
    segment = recorded(elsewhere)
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines[:-2]))  # the last test and the session have not ended
    brought(journal, elsewhere)
    ((duration,),) = rows(journal, "SELECT duration FROM spans WHERE kind = 'TASK'")
    assert duration == 19
    assert runs(journal) == [("failed", 10, 9, 1)]


def test_another_segment_of_the_same_name(journal: Path, elsewhere: Path) -> None:
    """What is not a copy of the present segment is kept beside it, once."""
    first = recorded(elsewhere / "a")
    second = recorded(elsewhere / "b", {"other": "passed"}).rename(elsewhere / "b" / first.name)
    for _ in range(2):
        assert brought(journal, elsewhere).problems == []
    assert len(names(journal)) == 2
    assert rows(journal, "SELECT sum(tests) FROM runs") == [(11,)]
    assert second.exists()


# -- the own journal ---------------------------------------------------------------------------------------------------


def test_segments_that_were_unpacked_into_the_journal(journal: Path) -> None:
    """GitLab puts the artifacts of all jobs where they were recorded. Nobody here can deliver them."""
    routed, plain = recorded(journal), recorded(journal, {"other": "passed"}, route="local", began=BASE + 1000)
    found = brought(journal, journal)
    assert (len(found.segments), found.own, found.problems) == (2, set(), [])
    assert names(journal) == [routed.name.replace("-8d44887d", "-local"), plain.name]
    assert plain.stat().st_mtime < time.time() - 1000
    assert rows(journal, "SELECT sum(tests) FROM runs") == [(11,)]
    assert rows(journal, "SELECT count(*) FROM events") == [(0,)]


def test_what_this_machine_has_to_deliver_is_left_alone(journal: Path) -> None:
    segment = recorded(journal)
    (journal / "routes").mkdir()
    (journal / "routes" / "8d44887d.json").write_text("{}")
    found = brought(journal, journal)
    assert (found.segments, found.own, found.problems) == (set(), {segment.name}, [])
    assert names(journal) == [segment.name]


@pytest.mark.parametrize("place", ["here", "elsewhere"])
def test_a_living_writer_is_left_alone(journal: Path, elsewhere: Path, place: str) -> None:
    segment = recorded(journal if place == "here" else elsewhere)
    before = segment.read_bytes()
    with segment.open("ab") as file:
        assert locks.try_lock(file.fileno())
        found = brought(journal, segment.parent)
    assert (found.segments, segment.read_bytes()) == (set(), before)
    assert names(segment.parent) == [segment.name]
    told = [(str(segment), "its process is still writing it: collect it when that has ended")]
    assert found.problems == (told if place == "elsewhere" else [])


def test_one_collects_at_a_time(journal: Path, elsewhere: Path) -> None:
    lock = locks.open_locked(project_of(journal).collect_lock)
    assert lock is not None
    with pytest.raises(UsageError, match="another process is collecting"):
        brought(journal, elsewhere)
    locks.release(project_of(journal).collect_lock, lock)


# -- hostile and damaged files -----------------------------------------------------------------------------------------

NAME = f"20260131T101500123-{TRACE}-00f067aa0ba902b7-local.jsonl"


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        (NAME, True),
        (f"{NAME}.gz", True),
        (NAME.replace("-local", "_12-8d44887d"), True),
        (f".{NAME}", False),
        (f"{NAME}\n", False),
        (f"{NAME}.gz.gz", False),
        (NAME.replace("T", "t"), False),
        (NAME.replace("1" * 32, "G" * 32), False),
        (NAME.replace("local", "remote"), False),
        (NAME.replace("local", ".."), False),
        (NAME.replace("2026", "٢٠٢٦"), False),
    ],
)
def test_names_of_segments(name: str, *, is_one: bool) -> None:
    assert (segment_named(name) is not None) is is_one


SLIPS = (
    f"../../{NAME}",
    f"/tmp/{NAME}",
    f"a/../../../../{NAME}",
    f"..\\..\\{NAME}",
    f"C:\\{NAME}",
    "../history.sqlite",
)


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_nothing_outside_of_the_journal_is_written(journal: Path, elsewhere: Path, tmp_path: Path, form: str) -> None:
    """The folders in the names of members do not count, and members of other names are left out."""
    segment = recorded(elsewhere)
    archive = tmp_path / "slip"
    if form == "zip":
        with zipfile.ZipFile(archive, "w") as zip_file:
            for name in SLIPS:
                zip_file.write(segment, name)
    else:
        with tarfile.open(archive, "w") as tar_file:
            for name in SLIPS:
                tar_file.add(segment, name, filter=lambda info: info)
    before = {path for path in tmp_path.rglob("*") if journal not in path.parents}
    assert brought(journal, archive).problems == []
    assert {path for path in tmp_path.rglob("*") if journal not in path.parents} == before
    assert names(journal) == [NAME]


def test_links_and_devices_in_archives(journal: Path, tmp_path: Path) -> None:
    """Links, pipes and devices that are named like segments are left out, and what follows them is read."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    segment = recorded(tmp_path / "elsewhere")
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE)
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for kind in kinds:
            info = tarfile.TarInfo(NAME)
            info.type, info.linkname = kind, str(secret)
            file.addfile(info)
        file.add(segment, segment.name)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        link = zipfile.ZipInfo(NAME)
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, str(secret))
    found = brought(journal, tmp_path / "a.tar", tmp_path / "a.zip")
    assert found.problems == []
    assert names(journal) == [segment.name.replace("8d44887d", "local")]


def test_links_and_pipes_in_folders(journal: Path, tmp_path: Path) -> None:
    """They are neither followed nor waited for, whatever they are named."""
    outside = recorded(tmp_path / "outside")
    folder = tmp_path / "artifacts"
    folder.mkdir()
    (folder / outside.name).symlink_to(outside)
    (folder / "folder").symlink_to(outside.parent)
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / NAME)
    os.mkfifo(folder / "a.zip")
    found = brought(journal, folder)
    assert (found.segments, found.problems) == (set(), [])


@pytest.mark.parametrize("form", ["zip", "tar.gz", "tar.bz2", "jsonl.gz"])
def test_a_bomb(journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """A member that is too large is left out with a message. Neither the disk nor the memory is filled."""
    monkeypatch.setattr(artifacts, "MAX_SEGMENT", 4 << 20)
    zeros = tmp_path / NAME
    with zeros.open("wb") as file:
        file.truncate(64 << 20)
    if form == "zip":
        path = zipped(zeros, tmp_path / "bomb.zip")
    elif form == "jsonl.gz":
        path = tmp_path / f"{NAME}.gz"
        with zeros.open("rb") as plain, gzip.open(path, "wb", 1) as packed_file:
            shutil.copyfileobj(plain, packed_file)
    else:
        path = tarred(zeros, tmp_path / f"bomb.{form}", f"w:{form.removeprefix('tar.')}")
    tracemalloc.start()
    found = brought(journal, path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    ((place, reason),) = found.problems
    assert str(path) in place
    assert reason == "it has more than 4 MiB, which no segment has"
    assert not [file for file in journal.iterdir() if file.name.endswith((".jsonl", ".new"))]
    assert peak < 16 << 20


def test_too_much_in_all(journal: Path, elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read before there was too much stays."""
    first = recorded(elsewhere)
    monkeypatch.setattr(artifacts, "MAX_TOTAL", first.stat().st_size + 1000)
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(first, first.name)
        for number in range(3):
            file.write(first, NAME.replace("123", f"12{number}"))
    found = brought(journal, archive)
    ((_, reason),) = found.problems
    assert reason.startswith("more than")
    assert len(names(journal)) == 1


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.xz", "tar.bz2", "zip"])
def test_an_archive_that_was_cut_off(journal: Path, elsewhere: Path, tmp_path: Path, form: str) -> None:
    """What can still be read of a tar file is read; a zip file without its end cannot be read. Both are told."""
    process = Process(elsewhere, TRACE)
    process.write(process.session({f"test_{os.urandom(20).hex()}": "passed" for _ in range(4000)}))
    if form == "zip":
        archive = zipped(process.path, tmp_path / "a.zip")
    else:
        archive = tarred(process.path, tmp_path / f"a.{form}", f"w:{form.partition('.')[2]}")
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size * 9 // 10])
    intact = recorded(tmp_path / "intact", {"intact": "passed"}, began=BASE + 90_000)
    found = brought(journal, archive, intact)
    ((place, _),) = found.problems
    assert place.startswith(str(archive))
    assert rows(journal, "SELECT count(*) FROM tests WHERE test = 'intact'") == [(1,)]
    ((tests,),) = rows(journal, "SELECT sum(tests) FROM runs")
    assert (tests == 1) if form == "zip" else (1 < tests <= 4001)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    form=st.sampled_from(["zip", "tar", "tar.gz", "tar.xz", "tar.bz2"]),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=5),
)
def test_damaged_archives(tmp_path_factory: pytest.TempPathFactory, form: str, flips: list[tuple[float, int]]) -> None:
    """Whatever is in an archive, the worst that it leads to is a message."""
    root = tmp_path_factory.mktemp("damaged")
    journal = root / ".taskmaster" / "events"
    journal.mkdir(parents=True)
    segment = recorded(root / "elsewhere")
    if form == "zip":
        archive = zipped(segment, root / "a.zip")
    else:
        archive = tarred(segment, root / f"a.{form}", f"w:{form.partition('.')[2]}")
    content = bytearray(archive.read_bytes())
    for place, mask in flips:
        content[min(len(content) - 1, int(place * len(content)))] ^= mask
    archive.write_bytes(content)
    found = collect(project_of(journal), [str(archive)])
    assert found.segments or found.problems or form == "tar"
    assert not list(journal.glob("*.new"))
    assert not list(journal.glob(".*.new"))


def test_a_header_that_claims_to_be_huge(journal: Path, tmp_path: Path) -> None:
    """A long name of a gigabyte is not read into memory."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    archive = tmp_path / "a.tar"
    with archive.open("wb") as file:
        file.write(info.tobuf(tarfile.USTAR_FORMAT))
        file.truncate(1 << 28)  # less than it claims
    tracemalloc.start()
    found = brought(journal, archive)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.problems == [(str(archive), "cut off: its end is missing")]
    assert peak < 16 << 20


def test_garbage_that_is_named_like_a_segment(journal: Path, elsewhere: Path) -> None:
    """It is told, and not kept. Lines around events that are no events, and longer than any, are counted."""
    segment = recorded(elsewhere)
    content = segment.read_bytes()
    segment.write_bytes(b"x" * (3 << 20) + b"\n" + content + b"{}\n" + os.urandom(1000).replace(b"\n", b"") + b"\n")
    garbage = elsewhere / NAME
    garbage.write_bytes(os.urandom(100_000))
    empty = elsewhere / NAME.replace("123", "124")
    empty.touch()
    found = brought(journal, elsewhere)
    nothing = "it has the name of a segment, and no event in it"
    assert found.problems == [(str(garbage), nothing), (str(empty), nothing)]
    assert runs(journal) == WHOLE
    assert rows(journal, "SELECT events, foreign_lines FROM segment") == [(22, 3)]


def test_lines_of_a_newer_version(journal: Path, elsewhere: Path) -> None:
    """Events of unknown types are counted as lines that are no events, and unknown fields are no problem."""
    segment = recorded(elsewhere)
    lines = segment.read_bytes().splitlines()
    newer = [lines[0].replace(b"TASK_STARTED", b"TASK_PAUSED"), lines[0].replace(b'{"id"', b'{"new":{"a":[1]},"id"')]
    segment.write_bytes(b"\n".join([*newer, *lines, b""]))
    assert brought(journal, elsewhere).problems == []
    assert runs(journal) == WHOLE
    assert rows(journal, "SELECT events, foreign_lines FROM segment") == [(23, 1)]


# -- wrong clocks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("began", [0.0, BASE - 86_400 * 900, BASE + 86_400 * 900], ids=["1970", "past", "future"])
def test_a_clock_that_is_wrong(journal: Path, elsewhere: Path, began: float) -> None:
    """A run that was just collected stays in the history, and its process was not seen in the future."""
    other = Process(elsewhere, "2" * 32)
    other.write(other.session({"other": "passed"}))
    recorded(elsewhere, began=began)
    for _ in range(2):
        brought(journal, elsewhere)
    assert sorted(runs(journal)) == [("completed", 1, 1, 0), *WHOLE]
    assert all(path.stat().st_mtime <= time.time() for path in journal.glob("*.jsonl"))


def test_one_shard_with_a_wrong_clock(journal: Path, elsewhere: Path) -> None:
    """It does not make its run the oldest one, which a history that is too large would lose first."""
    for number in range(3):
        process = Process(elsewhere, f"{number:032x}", BASE + number * 1000)
        process.write(process.session(TESTS))
    late = Process(elsewhere, f"{1:032x}", BASE - 86_400 * 300)
    late.write(late.session({"late": "passed"}))
    brought(journal, elsewhere)
    with closing(connect(project_of(journal).history)) as db:
        assert retention.prune(db, 86_400 * 100, 1e12) == 0


@pytest.mark.long
def test_nothing_is_kept_in_memory(journal: Path, elsewhere: Path, tmp_path: Path) -> None:
    """An archive of many members takes as much memory as one of a few."""
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as file:
        for number in range(20_000):
            info = tarfile.TarInfo(f"folder/{number}.txt")
            info.size = 10
            file.addfile(info, io.BytesIO(b"0123456789"))
        file.add(recorded(elsewhere), NAME)
    tracemalloc.start()
    found = brought(journal, archive)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(found.segments), found.problems) == (1, [])
    assert peak < 8 << 20
