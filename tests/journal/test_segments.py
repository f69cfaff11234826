"""The journal: written events stay whole, whatever happens to the writer."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pytest_swarmtask.core.errors import JournalError
from pytest_swarmtask.core.event import Event
from pytest_swarmtask.core.files import private_folder, replace_file
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.core.trace import Clock, Ids, new_trace_id
from pytest_swarmtask.journal import locks
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.journal.segments import Journal, Segment, read, segments
from pytest_swarmtask.recording.recorder import Recorder
from pytest_swarmtask.recording.settings import read_settings
from tests.lab import clean_environ, no_relay, read_events


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = make(tmp_path)
    yield made
    made.close()


def make(root: Path) -> Recorder:
    return Recorder(read_settings(Project(str(root)), {}), {})


def write(recorder: Recorder, task_id: str = "a", **metadata: object) -> bool:
    return recorder.trigger("TASK_STARTED", task_id, None, metadata) is not None


def owe(recorder: Recorder) -> None:
    """Make the events written from now on pending for a webhook, without a relay that would deliver them."""
    recorder.register_webhook({"name": "hook", "url": "https://example.com"}, [])
    no_relay(recorder)


def folder(root: Path) -> Path:
    return root / ".taskmaster" / "events"


def files(root: Path) -> list[Path]:
    return [folder(root) / segment.name for segment in segments(str(folder(root)))]


def task_ids(root: Path) -> list[str]:
    return [event["task_id"] for event in read_events(root)]


def in_child(act: Callable[[], object]) -> int:
    """Fork, act in the child, and return its exit code; the child exits without the parent's clean-up."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# -- writing -------------------------------------------------------------------------------------------------------


def test_nothing_is_made_before_the_first_event(tmp_path: Path) -> None:
    """A recorder that records nothing leaves no file in a project."""
    make(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_one_write_for_each_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each event is written to the segment as a whole line in one write, and a process has one segment."""
    written: list[bytes] = []
    real = os.write

    def counted(fd: int, data: bytes) -> int:
        written.append(data)
        return real(fd, data)

    monkeypatch.setattr(os, "write", counted)
    recorder = make(tmp_path)
    for number in range(20):
        assert write(recorder, f"{number}")
    recorder.close()
    lines = [data for data in written if data.startswith(b"{")]
    (segment,) = files(tmp_path)
    assert b"".join(lines) == segment.read_bytes()
    assert len(lines) == 20
    assert all(data.endswith(b"}\n") for data in lines)


def test_the_name_of_a_segment(tmp_path: Path, recorder: Recorder) -> None:
    """The name of a segment contains its start time, run, writer and route, and can be parsed again."""
    write(recorder)
    (segment,) = segments(str(folder(tmp_path)))
    (event,) = read_events(tmp_path)
    assert segment.trace_id == recorder.trace_id == event["trace_id"]
    assert event["id"].startswith(f"{segment.writer}-")
    assert segment.route == "local"
    begun = datetime.strptime(segment.created + "000+0000", "%Y%m%dT%H%M%S%f%z")
    assert abs(begun - datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00"))) < timedelta(seconds=5)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".jsonl",
        "a.jsonl",
        "a-b-c-d.jsonl",
        ".20260131-" + "a" * 32 + "-b-local.jsonl",
        "config.json",
        f"a-{'b' * 32}-c-d.json",
    ],
)
def test_other_files_are_no_segments(name: str) -> None:
    """Other files in the folder do not count as segments."""
    assert Segment.parse(name) is None


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_private_under_any_umask(tmp_path: Path, mask: int) -> None:
    """Folders are 0700 and files 0600 under any umask, and the folder tells git to ignore it."""
    before = os.umask(mask)
    try:
        recorder = make(tmp_path)
        owe(recorder)
        assert write(recorder)
        recorder.close()
    finally:
        os.umask(before)
    found = [folder(tmp_path), *folder(tmp_path).rglob("*")]
    assert {path.name for path in found} >= {".gitignore", "routes"}
    assert {oct(path.stat().st_mode & 0o777) for path in found if path.is_dir()} == {"0o700"}
    assert {oct(path.stat().st_mode & 0o777) for path in found if path.is_file()} == {"0o600"}
    assert (folder(tmp_path) / ".gitignore").read_text() == "*\n"


def test_git_does_not_see_it(tmp_path: Path) -> None:
    """The journal does not appear in `git status`."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    recorder = make(tmp_path)
    write(recorder)
    recorder.close()
    status = subprocess.run(["git", "status", "--porcelain", "-uall"], cwd=tmp_path, check=True, capture_output=True)
    assert status.stdout == b""


def test_a_writer_holds_its_segment(tmp_path: Path) -> None:
    """A segment is locked from its creation until it is closed, so readers know that its writer is alive."""
    recorder = make(tmp_path)
    write(recorder)
    (segment,) = files(tmp_path)
    assert locks.is_locked(str(segment))
    recorder.close()
    assert not locks.is_locked(str(segment))


def test_after_closing_another_segment_begins(tmp_path: Path, recorder: Recorder) -> None:
    """An event after the close is not lost: it begins another segment of the same run and writer."""
    write(recorder, "first")
    recorder.close()
    write(recorder, "second")
    assert len(files(tmp_path)) == 2
    assert task_ids(tmp_path) == ["first", "second"]


# -- threads and processes -----------------------------------------------------------------------------------------


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    """Sixteen threads write 200 events each: there is one segment, and it contains every line whole and once."""
    recorder = make(tmp_path)
    ready = threading.Barrier(16)

    def work(thread: int) -> None:
        ready.wait()
        for number in range(200):
            assert write(recorder, f"{thread}-{number}", filler="x" * (number * 7))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (segment,) = files(tmp_path)
    events = [Event.decode(line) for line, _ in read(str(segment))]
    assert sorted(event.task_id or "" for event in events) == sorted(f"{t}-{n}" for t in range(16) for n in range(200))
    assert len({event.id for event in events}) == len(events) == recorder.count == 3200
    recorder.close()


@pytest.mark.parametrize("attempt", range(10))
def test_threads_begin_one_segment(tmp_path: Path, attempt: int) -> None:
    """Threads whose first events come at the same moment share one segment, and no extra file stays open."""
    recorder = make(tmp_path)
    owe(recorder)
    ready = threading.Barrier(8)

    def first() -> None:
        ready.wait()
        write(recorder)

    threads = [threading.Thread(target=first) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close()
    (segment,) = files(tmp_path)
    assert not locks.is_locked(str(segment))


def test_a_forked_child_has_its_own_segment(tmp_path: Path) -> None:
    """A child forked without exec writes its own segment with its own ids, and the parent's segment stays locked."""
    from pytest_swarmtask.recording import recorder as recorders

    recorder = recorders.get_recorder(Project(str(tmp_path)))
    write(recorder, "parent before")
    (segment,) = files(tmp_path)

    assert in_child(lambda: write(recorder, "child") or os._exit(3)) == 0
    assert locks.is_locked(str(segment)), "the child's end has let go of the parent's lock"
    write(recorder, "parent after")
    recorder.close()
    del recorders._recorders[Project(str(tmp_path))]

    assert len(files(tmp_path)) == 2
    assert [Event.decode(line).task_id for line, _ in read(str(segment))] == ["parent before", "parent after"]
    events = read_events(tmp_path)
    assert sorted(event["task_id"] for event in events) == ["child", "parent after", "parent before"]
    assert len({event["id"] for event in events}) == 3
    assert len({event["trace_id"] for event in events}) == 1


def test_a_forked_child_owes_only_its_own(tmp_path: Path) -> None:
    """A forked child does not wait for the delivery of its parent's events."""
    from pytest_swarmtask.recording import recorder as recorders

    recorder = recorders.get_recorder(Project(str(tmp_path)))
    owe(recorder)
    write(recorder, "parent")
    assert recorder.has_pending
    assert in_child(lambda: os._exit(5 if recorder.has_pending else 0)) == 0
    recorder.close()
    del recorders._recorders[Project(str(tmp_path))]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_signal_while_a_segment_begins(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """If a signal handler writes while the first segment is created, both events are in that segment."""
    create = journals._create_locked

    def interrupted(path: str) -> int:
        monkeypatch.setattr(journals, "_create_locked", create)
        if moment == "before":
            signal.raise_signal(signal.SIGUSR1)
        fd = create(path)
        if moment == "after":
            signal.raise_signal(signal.SIGUSR1)
        return fd

    monkeypatch.setattr(journals, "_create_locked", interrupted)
    former = signal.signal(signal.SIGUSR1, lambda *_: write(recorder, "signal"))
    try:
        write(recorder, "main")
    finally:
        signal.signal(signal.SIGUSR1, former)
    write(recorder, "later")
    assert task_ids(tmp_path) == ["signal", "main", "later"]
    assert len(segments(recorder.settings.project.journal)) == 1
    recorder.close()
    assert not locks.is_locked(
        os.path.join(recorder.settings.project.journal, segments(recorder.settings.project.journal)[0].name)
    )


def test_a_fork_while_a_thread_writes(tmp_path: Path) -> None:
    """A child that is forked while another thread is writing can write at once."""
    from pytest_swarmtask.recording import recorder as recorders

    recorder = recorders.get_recorder(Project(str(tmp_path)))
    stop = threading.Event()

    def chatter() -> None:
        while not stop.is_set():
            write(recorder, "thread")

    thread = threading.Thread(target=chatter)
    thread.start()

    def child() -> None:
        signal.alarm(20)  # kills a child that waits for its own lock
        write(recorder, "child")

    try:
        codes = [in_child(child) for _ in range(25)]
    finally:
        stop.set()
        thread.join()
    recorder.close()
    del recorders._recorders[Project(str(tmp_path))]
    assert codes == [0] * 25
    assert task_ids(tmp_path).count("child") == 25


def _work(root: str, name: str) -> None:
    made = make(Path(root))
    for number in range(20):
        made.trigger("TASK_STARTED", f"{name}-{number}", None, {})


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_multiprocessing(tmp_path: Path, method: str) -> None:
    """With every start method, processes write at once to a segment each, and no event is lost or doubled."""
    context = multiprocessing.get_context(method)
    workers = [context.Process(target=_work, args=(str(tmp_path), f"{n}")) for n in range(3)]  # type: ignore[attr-defined]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert len(files(tmp_path)) == 3
    assert sorted(task_ids(tmp_path)) == sorted(f"{n}-{i}" for n in range(3) for i in range(20))


def test_what_is_written_survives_a_kill(tmp_path: Path) -> None:
    """After SIGKILL the journal contains every event whose call returned, and readers know that the writer is dead."""
    program = (
        "from pytest_swarmtask import AutomationIntegrator as A\n"
        "import itertools\n"
        "integrator = A()\n"
        "for n in itertools.count():\n"
        "    integrator.trigger_event('TASK_STARTED', str(n)); print(n, flush=True)\n"
    )
    (tmp_path / ".taskmaster").mkdir()
    writer = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, env=clean_environ(), stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    for _ in range(50):
        writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    said = 49 + len([line for line in writer.communicate()[0].splitlines() if line])
    (segment,) = files(tmp_path)
    found = [Event.decode(line).task_id for line, _ in read(str(segment))]
    assert found == [str(n) for n in range(len(found))]
    assert len(found) > said
    assert not locks.is_locked(str(segment))


# -- failing surroundings ------------------------------------------------------------------------------------------


def test_a_suite_that_closes_our_file(tmp_path: Path, recorder: Recorder) -> None:
    """If a suite closes our descriptor, the next event begins another segment, and both segments must be delivered."""
    owe(recorder)
    write(recorder, "before")
    assert recorder._journal._fd is not None
    os.close(recorder._journal._fd)
    assert write(recorder, "after")
    assert task_ids(tmp_path) == ["before", "after"]
    sizes = {path.name: path.stat().st_size for path in files(tmp_path)}
    assert recorder._journal.pending() == sizes
    assert recorder.lost == 0


def test_closing_what_somebody_has_closed(tmp_path: Path) -> None:
    """If a suite closes our descriptor, closing the journal neither raises nor counts a loss."""
    recorder = make(tmp_path)
    write(recorder)
    assert recorder._journal._fd is not None
    os.close(recorder._journal._fd)
    recorder.close()
    assert (recorder.lost, recorder.count, recorder.problem) == (0, 1, None)


def test_our_descriptor_is_out_of_reach(recorder: Recorder) -> None:
    """Our descriptor has a high number, so a suite that closes and opens low ones does not touch it."""
    write(recorder)
    assert recorder._journal._fd is not None
    assert recorder._journal._fd >= 900
    assert not os.get_inheritable(recorder._journal._fd)


def limited(size: int, act: Callable[[], None]) -> int:
    """Act in a forked child whose files cannot grow beyond `size` bytes."""

    def child() -> None:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        act()

    return in_child(child)


def raise_limit() -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def test_a_full_disk(tmp_path: Path) -> None:
    """On a full disk an event is counted as lost, with the reason, and nothing is raised."""

    def child() -> None:
        recorder = make(tmp_path)
        kept = [write(recorder, f"{n}") for n in range(20)]
        assert 0 < sum(kept) < 20
        assert (recorder.count, recorder.lost) == (sum(kept), 20 - sum(kept))
        assert "events could not be written to" in (recorder.problem or "")
        recorder.close()

    assert limited(2000, child) == 0
    (segment,) = files(tmp_path)
    assert segment.stat().st_size == 2000, "the last line should be torn, or this proves nothing"
    whole = list(read(str(segment)))
    assert [Event.decode(line).task_id for line, _ in whole] == [str(n) for n in range(len(whole))]


def test_after_a_torn_line_a_fresh_one(tmp_path: Path) -> None:
    """When a full disk has space again, the next event starts on a fresh line, so only the torn one is lost."""

    def child() -> None:
        recorder = make(tmp_path)
        assert write(recorder, "first")
        assert not write(recorder, "torn", filler="x" * 2000)
        raise_limit()
        assert write(recorder, "second")
        assert write(recorder, "third")
        assert (recorder.count, recorder.lost) == (3, 1)
        recorder.close()

    assert limited(1000, child) == 0
    (segment,) = files(tmp_path)
    lines = [line for line, _ in read(str(segment))]
    with pytest.raises(JournalError):
        Event.decode(lines.pop(1))
    assert [Event.decode(line).task_id for line in lines] == ["first", "second", "third"]


def test_a_torn_end_is_not_waited_for(tmp_path: Path) -> None:
    """Only whole lines must be delivered, so nothing waits for the delivery of a torn line."""

    def child() -> None:
        recorder = make(tmp_path)
        owe(recorder)
        assert write(recorder, "first")
        (segment,) = files(tmp_path)
        whole = segment.stat().st_size
        assert not write(recorder, "torn", filler="x" * 2000)
        assert segment.stat().st_size > whole
        assert recorder._journal.pending() == {segment.name: whole}
        raise_limit()
        assert write(recorder, "second")
        assert recorder._journal.pending() == {segment.name: segment.stat().st_size}

    assert limited(1000, child) == 0


def test_a_folder_that_cannot_be_written_to() -> None:
    """In a read-only checkout nothing is raised, and the loss is counted."""
    with tempfile.TemporaryDirectory() as root:  # a folder that other users can reach
        os.chmod(root, 0o555)

        def child() -> None:
            if os.geteuid() == 0:
                os.setuid(65534)  # root may write anywhere
            recorder = make(Path(root))
            assert not write(recorder)
            assert (recorder.count, recorder.lost) == (0, 1)
            assert "Permission denied" in (recorder.problem or "")
            recorder.close()

        assert in_child(child) == 0
        assert os.listdir(root) == []


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    """If a file is in the place of the journal's folder, nothing is raised, and the loss and its reason are kept."""
    (tmp_path / ".taskmaster").write_text("in the way")
    recorder = make(tmp_path)
    owe(recorder)
    assert [write(recorder), write(recorder)] == [False, False]
    assert (recorder.count, recorder.lost) == (0, 2)
    assert str(tmp_path / ".taskmaster") in (recorder.problem or "")
    recorder.close()


def test_a_folder_that_vanishes(tmp_path: Path) -> None:
    """A journal that is removed under a running writer is a reported loss, not an exception."""
    recorder = make(tmp_path)
    write(recorder)
    shutil.rmtree(folder(tmp_path))
    assert write(recorder)
    recorder.close()
    assert recorder.lost == 2
    assert "was removed" in (recorder.problem or "")
    assert write(recorder), "a later event should begin a new journal"
    assert len(read_events(tmp_path)) == 1
    recorder.close()


def test_no_descriptors_left(tmp_path: Path) -> None:
    """If there is no descriptor left for the segment, the event counts as lost, and the next event is written."""

    def child() -> None:
        recorder = make(tmp_path)
        private_folder(str(folder(tmp_path)))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        assert not write(recorder)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert write(recorder)
        assert (recorder.count, recorder.lost) == (1, 1)
        recorder.close()

    assert in_child(child) == 0


def test_half_of_a_file_is_never_put_in_place(tmp_path: Path) -> None:
    """If a new file does not fit on the disk, the old one stays unchanged, and no temporary file is left."""
    path = tmp_path / "file"
    path.write_bytes(b"as it was")

    def child() -> None:
        with pytest.raises(OSError, match=r".") as caught:
            replace_file(str(path), b"x" * 5000)
        assert caught.value.errno in (errno.ENOSPC, errno.EFBIG)

    assert limited(1000, child) == 0
    assert path.read_bytes() == b"as it was"
    assert list(tmp_path.iterdir()) == [path]


# -- reading -------------------------------------------------------------------------------------------------------


def test_every_truncation(tmp_path: Path) -> None:
    """A segment that is cut off at any byte gives exactly its whole lines, with their end offsets."""
    recorder = make(tmp_path)
    for number in range(3):
        write(recorder, f"täsk {number}")
    recorder.close()
    (segment,) = files(tmp_path)
    whole = segment.read_bytes()
    ends = [position + 1 for position, byte in enumerate(whole) if byte == ord("\n")]
    cut = tmp_path / "cut.jsonl"
    for length in range(len(whole) + 1):
        cut.write_bytes(whole[:length])
        found = list(read(str(cut)))
        assert [end for _, end in found] == [end for end in ends if end <= length]
        assert all(whole[end - len(line) - 1 : end] == line + b"\n" for line, end in found)


def test_reading_on(tmp_path: Path) -> None:
    """A reader can continue from the end of any line and gets the same remaining lines."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\n\ntwo\nthree\ntorn")
    everything = list(read(str(path)))
    assert [line for line, _ in everything] == [b"one", b"", b"two", b"three"]
    for position, (_, end) in enumerate(everything):
        assert list(read(str(path), end)) == everything[position + 1 :]


def test_a_long_foreign_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A foreign line longer than any event is returned truncated; the lines after it and all offsets are right."""
    monkeypatch.setattr(journals, "MAX_LINE", 1000)
    monkeypatch.setattr(journals, "_CHUNK", 300)
    path = tmp_path / "a.jsonl"
    content = b"first\n" + b"x" * 10_000 + b"\nlast\n"
    path.write_bytes(content)
    found = list(read(str(path)))
    assert [line for line, _ in found][::2] == [b"first", b"last"]
    assert len(found[1][0]) < 1500
    assert [end for _, end in found] == [6, 10_007, len(content)]


def test_lines_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size of the reads does not change the lines."""
    path = tmp_path / "a.jsonl"
    content = b"\n".join(b"x" * n for n in range(30)) + b"\n"
    path.write_bytes(content)
    expected = list(read(str(path)))
    for chunk in (1, 2, 3, 7, 29, 30, 31, 1000):
        monkeypatch.setattr(journals, "_CHUNK", chunk)
        assert list(read(str(path))) == expected


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 29, 1000])
@pytest.mark.parametrize("end", [b"", b"torn", b"\n"])
def test_counting_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, end: bytes) -> None:
    """Lines are counted as they are read: from any offset, also where the last one has no end or is empty."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join(b"x" * n for n in range(20)) + b"\n" + end)
    everything = list(read(str(path)))
    monkeypatch.setattr(journals, "_CHUNK", chunk)
    for position, offset in enumerate([0, *(end for _, end in everything)]):
        counted = list(journals.count_lines(str(path), offset))
        assert sum(lines for lines, _ in counted) == len(everything) - position
        assert [end for _, end in counted][-1:] == [end for _, end in everything[position:]][-1:]


def test_no_journal_has_no_segments(tmp_path: Path) -> None:
    """A missing folder, or a file in its place, has no segments."""
    assert segments(str(tmp_path / "none")) == []
    (tmp_path / "file").touch()
    assert segments(str(tmp_path / "file")) == []


def test_each_segment_has_a_name_of_its_own(tmp_path: Path) -> None:
    """One writer can begin many segments in one millisecond, and each gets its own name and is found again."""
    writer = Journal(str(tmp_path), new_trace_id(), Ids(), Clock())
    begun = []
    for _ in range(30):
        writer.append(b"{}\n")
        begun.append(writer.segment)
        writer.close()
    assert len(set(begun)) == 30
    assert {segment.name for segment in segments(str(tmp_path))} == set(begun)
