"""The spans of a process that dies without an end event are closed as failed, once each, and no other span is."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_swarmtask.core.event import Event
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.journal import locks, orphans
from tests.crash.mortals import DIE, WAITING, endings, ends, kill, of, session, started, told, wait_for_events
from tests.lab import WAIT, Json, Lab, Receiver, receiving, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

IN_FLIGHT = (
    WAITING
    + """
@pytest.mark.task("5.2")
def test_before(): pass

@pytest.mark.task("5.2")
def test_in_flight(): wait_for("go")
"""
)
DEATHS = [
    ("TEST_FAILED", "test_it.py::test_in_flight"),
    ("TASK_FAILED", "5.2"),
    ("TASK_FAILED", "pytest_run"),
]


def suite(lab: Lab, text: str = IN_FLIGHT) -> None:
    (lab.root / "test_it.py").write_text(text)


def died(lab: Lab, text: str = IN_FLIGHT, *arguments: str) -> None:
    """Run a session that is killed in its second test."""
    suite(lab, text)
    with started(lab, session(*arguments)) as process:
        wait_for_events(lab, "TEST_STARTED", 2)
        kill(process)


@pytest.fixture(scope="module")
def grave(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal whose only session was killed."""
    lab = Lab(tmp_path_factory.mktemp("grave"))
    died(lab)
    return lab.journal


@pytest.fixture
def dead(lone: Lab, grave: Path) -> Lab:
    """A project whose only session was killed, and whose journal nobody has read since."""
    shutil.copytree(grave, lone.journal)
    return lone


@pytest.mark.parametrize(
    ("how", "reader"), [("SIGKILL", "status"), ("os._exit", "flush"), ("segfault", "doctor"), ("abort", "status")]
)
def test_whatever_kills_a_session(lone: Lab, how: str, reader: str) -> None:
    """However a session dies, the next reader closes its running tests, its tasks and the session itself."""
    text = IN_FLIGHT.replace('wait_for("go")', f"\n    import ctypes\n    time.sleep(0.05)\n    {DIE[how]}")
    suite(lone, text)
    dead = lone._run(session("-p", "no:faulthandler"), {})
    assert "passed" not in dead.stdout
    before = lone.events()
    assert [event["event_type"] for event in before[-2:]] == ["TEST_PASSED", "TEST_STARTED"]

    lone.run(reader)
    assert lone.events()[: len(before)] == before
    crashed, task, whole = lone.events()[len(before) :]
    assert told([crashed, task, whole]) == DEATHS
    starts = {event["task_id"]: event for event in before if event["event_type"].endswith("STARTED")}
    for end in (crashed, task, whole):
        start = starts[end["task_id"]]
        same = ("span_id", "parent_span_id", "trace_id", "source")
        assert [end[name] for name in same] == [start[name] for name in same]
        assert end["status"] == "failed"
        assert not end["metadata"]["success"]
        assert "killed or crashed" in end["metadata"]["error"]
        assert end["metadata"]["duration"] >= 0
        assert before[-1]["timestamp"] <= end["metadata"]["last_seen"] <= end["timestamp"]
    assert (
        crashed["metadata"] | {"outcome": "crashed", "test_passed": False, "specific_test": crashed["task_id"]}
        == (crashed["metadata"])
    )
    assert whole["metadata"]["counts"] == {"crashed": 1, "passed": 1}
    assert whole["metadata"]["tests"] == 2
    assert "exit_code" not in whole["metadata"]
    assert "pid" not in whole["metadata"]
    assert len(whole["metadata"]["reason"]) > 5


NO_MEMORY = """
import os, pytest, resource
from pytest_swarmtask import trigger_task_event

held = []

@pytest.mark.parametrize("n", range(10))
def test_a(n):
    if n == 5:
        pages = int(open("/proc/self/statm").read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 24), -1))
        piece = 1 << 22
        while piece > 16:
            try:
                held.append(bytes(piece))
            except MemoryError:
                piece //= 2
    os.write(2, ((trigger_task_event("TASK_STARTED", str(n)) or "none") + "\\n").encode())
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="limits of memory are those of Linux")
def test_lack_of_memory(lone: Lab) -> None:
    """A session that runs out of memory keeps all promised events, and each of its spans ends once.

    Running out of memory usually kills the session.
    """
    suite(lone, NO_MEMORY)
    done = lone._run(session("-s"), {})
    lone.run("status")
    events = lone.events()
    promised = [line for line in done.stderr.splitlines() if line.endswith("-s")]
    assert 5 <= len(promised) <= 10
    assert set(promised) <= {event["id"] for event in events}
    starts = [event["span_id"] for event in events if event["event_type"].endswith("_STARTED")]
    kept = [event["span_id"] for event in events if event["id"] in promised]
    assert endings(events) == dict.fromkeys(set(starts) - set(kept), 1)
    last, task = told(events)[-1]
    assert task == "pytest_run"
    assert last == "TASK_FAILED" or not done.returncode


def test_it_is_told_once(dead: Lab) -> None:
    """However often the journal is read, a crash is recorded once, in the file of the dead process, read-only then."""
    segments = dead.segments()
    for reader in ("status", "flush", "doctor"):
        dead.run(reader)
    assert told(ends(dead)) == DEATHS
    assert dead.segments() == segments
    assert {path.stat().st_mode & 0o777 for path in segments} == {0o400}
    assert dead.status()["events"] == len(dead.events()) == 8


def test_the_relay_tells_at_once(lab: Lab, receiver: Receiver) -> None:
    """The relay reports a crash without any reader; every end event arrives, and the session's arrives last."""
    died(lab)
    receiver.wait(8)
    lab.wait_for_end()
    assert told(receiver.accepted)[-3:] == DEATHS
    assert sorted(set(receiver.ids)) == sorted(lab.ids())
    assert lab.run("flush").returncode == 0
    assert told(ends(lab)) == DEATHS


def test_the_next_relay_tells(lab: Lab, receiver: Receiver) -> None:
    """If the relay was killed too, after it delivered everything, the next relay reports the session's crash."""
    suite(lab)
    with started(lab, session()) as process:
        wait_for_events(lab, "TEST_STARTED", 2)
        receiver.wait(5)
        time.sleep(0.3)  # the relay saves its cursors only from time to time
        os.kill(process.pid, signal.SIGSTOP)
        lab.kill()
        kill(process)
    assert not ends(lab)
    lab.emit("BUILD_STARTED", "next")
    wait_until(lambda: set(DEATHS) <= set(told(receiver.accepted)), "the deaths")


def test_xdist_controller(lab: Lab, receiver: Receiver) -> None:
    """If the controller of xdist dies, every running test is closed, on whichever worker it ran."""
    suite(lab, WAITING + "@pytest.mark.parametrize('n', range(6))\ndef test(n): wait_for('go')")
    with started(lab, session("-n2", "-p", "xdist")) as process:
        starts = wait_for_events(lab, "TEST_STARTED", 2)
        kill(process)
        receiver.wait(6)
    lab.wait_for_end()
    assert sorted(told(ends(lab))) == sorted(
        [*(("TEST_FAILED", start["task_id"]) for start in starts), ("TASK_FAILED", "pytest_run")]
    )
    assert told(ends(lab))[-1] == ("TASK_FAILED", "pytest_run")
    assert ends(lab)[-1]["metadata"]["counts"] == {"crashed": 2}


@pytest.mark.parametrize("kind", ["task", "build", "deployment", "test"])
def test_run(lone: Lab, kind: str) -> None:
    """A killed `swarmtask run` is closed with its own kind and command, even while its command still runs."""
    program = "import time; print('up', flush=True); time.sleep(60)"
    with started(lone, lone.command("run", "--kind", kind, "--", sys.executable, "-c", program)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        kill(process)
        lone.status()
    (start,) = of(lone, f"{kind.upper()}_STARTED")
    (end,) = ends(lone)
    assert end["event_type"] == f"{kind.upper()}_FAILED"
    assert end["metadata"]["command"] == start["metadata"]["command"]
    assert end["metadata"].get("outcome") == ("crashed" if kind == "test" else None)


# -- processes that are still alive ------------------------------------------------------------------------------------


def test_the_suspended_are_innocent(lab: Lab, receiver: Receiver) -> None:
    """A stopped process is not dead for relays and readers; it resumes and ends normally."""
    suite(lab)
    with started(lab, session()) as process:
        wait_for_events(lab, "TEST_STARTED", 2)
        receiver.wait(5)
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(1.5)  # enough for the relay to look dozens of times
        lab.status()
        assert not ends(lab)
        assert lab.busy()
        (lab.root / "go").touch()
        os.kill(process.pid, signal.SIGCONT)
        assert process.wait(WAIT) == 0
    receiver.wait(8)
    lab.status()
    assert not ends(lab)
    assert told(lab.events())[-1] == ("TASK_COMPLETED", "pytest_run")


STILL_THERE = {
    "a webhook is registered": """
    from pytest_swarmtask import AutomationIntegrator
    AutomationIntegrator().register_webhook("http://127.0.0.1:9/")""",
    "a session inside ends": """
    pathlib.Path("inner").mkdir()
    pathlib.Path("inner/test_inner.py").write_text("def test_inner(): pass")
    assert pytest.main(["-q", "-p", "swarmtask", "-p", "no:cacheprovider", "inner"]) == 0""",
    "the emitter is called": """
    from pytest_swarmtask import emit
    emit.main(["TASK_STARTED", "x"])""",
}


@pytest.mark.long
@pytest.mark.parametrize("what", STILL_THERE)
def test_the_living_are_innocent(lone: Lab, what: str) -> None:
    """A session is alive as long as its process is, even if its segment ends in the middle of a test."""
    suite(lone, f"{WAITING}\ndef test():{STILL_THERE[what]}\n    pathlib.Path('there').touch()\n    wait_for('go')")
    with started(lone, session("-p", "no:logging")) as process:
        wait_until((lone.root / "there").exists)
        lone.status()
        assert not ends(lone)
        (lone.root / "go").touch()
        assert process.wait(WAIT) == 0
    lone.status()
    assert not ends(lone)
    assert told(lone.events())[-1] == ("TASK_COMPLETED", "pytest_run")


def test_ends_go_where_the_living_would_have_sent_them(lone: Lab) -> None:
    """If a webhook was registered during a session, the end events of the crashed session are delivered to it."""
    with receiving() as hook:
        registered = f"""
    from pytest_swarmtask import AutomationIntegrator
    AutomationIntegrator().register_webhook({hook.url!r})
    AutomationIntegrator().trigger_event("BUILD_STARTED", "b")
    wait_for("go")"""
        suite(lone, f"{WAITING}\ndef test_one(): pass\ndef test_two():{registered}")
        with started(lone, session()) as process:
            wait_for_events(lone, "BUILD_STARTED", 1)
            kill(process)
        assert lone.run("flush").returncode == 0
        hook.wait(3)
    assert told(hook.accepted) == [
        ("BUILD_STARTED", "b"),
        ("TEST_FAILED", "test_it.py::test_two"),
        ("TASK_FAILED", "pytest_run"),
    ]


def test_what_others_may_end_stays_open(lone: Lab) -> None:
    """Spans begun by the emitter or `trigger_event` stay open, because another process may still end them."""
    lone.emit("DEPLOYMENT_STARTED", "prod")
    lone.python("import pytest_swarmtask as p, os; p.trigger_task_event('TASK_STARTED', 't'); os._exit(1)")
    trigger = "import pytest_swarmtask; pytest_swarmtask.trigger_task_event('BUILD_STARTED', 'b'); "
    died(lone, IN_FLIGHT.replace('wait_for("go")', f'\n    {trigger}wait_for("go")'))
    lone.status()
    assert told(ends(lone)) == DEATHS


def test_a_child_is_no_sign_of_life(lone: Lab) -> None:
    """Child processes, forked or started, do not keep a killed session alive."""
    text = f"{WAITING}\ndef test_one(): pass\ndef test_two():\n    import subprocess\n"
    text += "    subprocess.Popen(['sleep', '60'])\n    pid = os.fork()\n"
    text += "    pathlib.Path('child').touch()\n    wait_for('go')\n    if not pid: os._exit(0)"
    suite(lone, text)
    with started(lone, session("-W", "ignore")) as process:
        wait_for_events(lone, "TEST_STARTED", 2)
        wait_until((lone.root / "child").exists)
        kill(process)
        lone.status()
        assert told(ends(lone)) == [("TEST_FAILED", "test_it.py::test_two"), ("TASK_FAILED", "pytest_run")]
        (lone.root / "go").touch()


def test_pids_do_not_matter(dead: Lab) -> None:
    """A crashed process counts as dead even if another process has its pid now."""
    (segment,) = dead.segments()
    segment.write_bytes(re.sub(rb'"pid":\d+', b'"pid":%d' % os.getpid(), segment.read_bytes()))
    dead.status()
    assert told(ends(dead)) == DEATHS


# -- readers -----------------------------------------------------------------------------------------------------------

READER = (
    "from pytest_swarmtask.core.project import Project; "
    "from pytest_swarmtask.journal.orphans import close_orphaned_spans; "
)


def open_tasks(lab: Lab, count: int, writer: str = "ab" * 8) -> Path:
    """Write the segment of a dead process with this number of open tasks, each inside the one before up to ten deep."""
    trace = f"{int(writer, 16):032x}"
    path = lab.journal / f"20260131T101500858-{trace}-{writer}-local.jsonl"
    metadata = {"workflow": "x", "action": "run", "success": False}
    with path.open("wb") as file:
        for n in range(1, count + 1):
            parent = f"{n - 1:016x}" if n % 10 != 1 else None
            ids = (trace, f"{n:016x}", parent)
            start = Event(
                f"{writer}-{n}", "TASK_STARTED", f"t{n}", "started", "2026-01-31T10:15:00.858Z", "s", *ids, metadata
            )
            file.write(start.encode())
    return path


def test_readers_at_once(dead: Lab) -> None:
    """If many readers find a crash at the same moment, it is recorded once."""
    program = READER + (
        "import os, sys, time\nprint(flush=True)\nwhile not os.path.exists('start'): pass\n"
        "close_orphaned_spans(Project(os.getcwd()))"
    )
    command = [sys.executable, "-c", program]
    readers = [subprocess.Popen(command, cwd=dead.root, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    for reader in readers:
        assert reader.stdout is not None
        reader.stdout.readline()
    (dead.root / "start").touch()
    for reader in readers:
        reader.communicate(timeout=WAIT)
        assert reader.returncode == 0
    assert told(ends(dead)) == DEATHS
    assert len(dead.segments()) == 1


def test_a_reader_is_killed_before_it_says_that_it_is_done(dead: Lab) -> None:
    """If a reader is killed when it has written the end events, the next reader writes none."""
    reader = dead.python(
        READER + "import os, signal\nos.chmod = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "close_orphaned_spans(Project(os.getcwd()))"
    )
    assert reader.returncode == -signal.SIGKILL
    for _ in range(2):
        assert told(ends(dead)) == DEATHS
        assert dead.status()["events"] == 8


def intact(segment: Path) -> list[Json]:
    """Return the events of a segment without torn lines."""
    return [json.loads(line) for line in segment.read_bytes().splitlines() if line.endswith(b"}}")]


TOO_LONG = """
import os, resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (%d, %d))
while True:
    close_orphaned_spans(Project(os.getcwd()))
"""


def test_a_reader_is_killed_while_it_writes(dead: Lab) -> None:
    """At whatever byte a reader is killed by a signal, each span ends once, and all agree when the process died."""
    (segment,) = dead.segments()
    before = segment.read_bytes()
    times = segment.stat().st_atime, segment.stat().st_mtime
    orphans.close_orphaned_spans(dead.project)
    whole = segment.read_bytes()
    (last_seen,) = {end["metadata"]["last_seen"] for end in ends(dead)}
    first = whole.index(b"\n", len(before)) + 1
    for limit in sorted({*range(len(before), len(whole), 199), first}):
        segment.chmod(0o600)
        segment.write_bytes(before)
        os.utime(segment, times)
        reader = dead.python(READER + TOO_LONG % (limit, limit))
        assert reader.returncode == -signal.SIGXFSZ
        assert segment.stat().st_size == limit
        os.utime(segment, (times[0], times[1] + 3600))
        orphans.close_orphaned_spans(dead.project)
        *_, last = events = intact(segment)
        assert told(events)[5:] == DEATHS
        assert last["metadata"]["counts"] == {"crashed": 1, "passed": 1}
        assert segment.read_bytes().count(b"\n") - 8 in (0, 1), "a line that the killed reader has torn"
        if limit >= first:
            assert {event["metadata"]["last_seen"] for event in events[5:]} == {last_seen}


def copy_grave(grave: Path, lab: Lab, choose: random.Random, count: int) -> None:
    """Add copies of the segment of a session that was killed, each as that of another process."""
    (segment,) = grave.glob("*.jsonl")
    stamp, trace_id, writer, route = segment.stem.split("-")
    lab.journal.mkdir(parents=True, exist_ok=True)
    for _ in range(count):
        other = f"{choose.getrandbits(64):016x}"
        copy = lab.journal / f"{stamp}-{trace_id}-{other}-{route}.jsonl"
        copy.write_bytes(segment.read_bytes().replace(writer.encode(), other.encode()))


STOPPING = """
import os, signal, sys
ran = 0

def count(_, event, __):
    global ran
    ran += event == "line"
    if ran == %d:
        print("in the middle", flush=True)
        signal.pause()
    return count

def find_first(frame, *_):
    if frame.f_code.co_name == "_close":
        sys.settrace(count)
        return count

sys.settrace(find_first)
close_orphaned_spans(Project(os.getcwd()))
print(ran)
"""
"""A reader that stops when it runs this line of all lines from the first dead process on, or else tells their number.

A reader is done within milliseconds, so a test cannot kill it in the middle by a clock.
"""


def test_readers_are_killed_at_any_moment(lone: Lab, grave: Path) -> None:
    """While readers are killed again and again, each span of many dead processes ends once, and no file is added."""
    choose = random.Random(28)
    copy_grave(grave, lone, choose, 12)
    lines = int(lone.python(READER + STOPPING % -1).stdout)
    for _ in range(8):
        for path in choose.sample(lone.segments(), 6):
            path.chmod(0o600)  # as if its reader had been killed before it could say that it is done
        copy_grave(grave, lone, choose, 12)
        # The two close at most half of the new dead processes. So both find enough to do, however fast the other is.
        commands = [[sys.executable, "-c", READER + STOPPING % choose.randint(1, lines // 4)] for _ in range(2)]
        with started(lone, commands[0]) as first, started(lone, commands[1]) as second:
            for reader in (first, second):
                assert reader.stdout is not None
                assert reader.stdout.readline() == "in the middle\n"
            kill(first)
            assert lone.python(READER + "import os; close_orphaned_spans(Project(os.getcwd()))").returncode == 0
            kill(second)
    orphans.close_orphaned_spans(lone.project)
    assert len(lone.segments()) == 9 * 12
    for path in lone.segments():
        assert told(intact(path))[5:] == DEATHS


def test_a_mode_that_does_not_hold(dead: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where segments cannot become read-only, they are read again, and end events are written once."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "chmod", refuse)
    for _ in range(2):
        orphans.close_orphaned_spans(dead.project)
    assert told(ends(dead)) == DEATHS


def test_end_events_in_a_segment_of_their_own(dead: Lab) -> None:
    """Earlier versions wrote the end events into a further segment. These spans have ended."""
    (segment,) = dead.segments()
    before = segment.read_bytes()
    orphans.close_orphaned_spans(dead.project)
    told_by_us = segment.read_bytes()[len(before) :]
    segment.chmod(0o600)
    segment.write_bytes(before)
    writer = segment.stem.split("-")[2]
    further = segment.with_name(segment.name.replace(writer, f"{writer}_end"))
    further.write_bytes(re.sub(rb'{"id":"\w+-(\d+)-end"', rb'{"id":"%b_end-\1"' % writer.encode(), told_by_us))
    for _ in range(2):
        assert dead.status()["events"] == 8
    assert dead.segments() == sorted([segment, further])
    assert told(dead.events())[-3:] == DEATHS
    assert not ends(dead)


def test_ends_for_a_receiver_that_had_everything(lab: Lab, receiver: Receiver) -> None:
    """End events that a reader appends to a segment that was delivered are waiting, and are delivered."""
    suite(lab)
    with started(lab, session()) as process:
        wait_for_events(lab, "TEST_STARTED", 2)
        receiver.wait(5)
        wait_until(lambda: lab.status()["endpoints"]["default"]["delivered"] == 5)
        os.kill(process.pid, signal.SIGSTOP)
        lab.kill()
        kill(process)
    assert lab.status()["endpoints"]["default"]["waiting"] == 3
    assert lab.run("flush").returncode == 0
    assert told(receiver.accepted)[-3:] == DEATHS
    assert sorted(receiver.ids) == sorted(lab.ids())


COUNTED = """
import collections, os, sys
opened = collections.Counter()

def count(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".jsonl"):
        opened[arguments[0]] += 1
    assert event not in ("os.rename", "os.link")

os.fsync = None
sys.addaudithook(count)
for _ in range(2):
    opened.clear()
    close_orphaned_spans(Project(os.getcwd()))
    print(len(opened), max(opened.values(), default=0))
"""


def test_the_work_for_the_dead_is_bounded(lone: Lab) -> None:
    """Each dead process costs a few openings of its file, no other file and no flush to the disk; later, nothing."""
    lone.journal.mkdir(parents=True)
    for number in range(300):
        open_tasks(lone, 1, f"{number:016x}")
    done = lone.python(READER + COUNTED)
    (touched, most), again = (map(int, line.split()) for line in done.stdout.splitlines())
    assert (touched, list(again)) == (300, [0, 0])
    assert most <= 16, "each counts twice if it has an opener"
    assert len(lone.segments()) == len(ends(lone)) == 300


LITTLE_MEMORY = """
import os, resource
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (80 << 20), -1))
close_orphaned_spans(Project(os.getcwd()))
"""


@pytest.mark.long
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="limits of memory are those of Linux")
def test_many_open_spans_need_little_memory(lone: Lab) -> None:
    """200,000 open tasks of a dead process, 70 MB of events, are closed within 80 MB of memory, inner ones first."""
    lone.journal.mkdir(parents=True)
    segment = open_tasks(lone, 200_000)
    done = lone.python(READER + LITTLE_MEMORY)
    assert (done.returncode, done.stderr) == (0, "")
    with segment.open("rb") as file:
        spans = [line.split(b'"span_id":"')[1][:16] for line in file]
    assert len(spans) == 400_000
    assert spans[:200_000] == spans[200_000:-1] + spans[-1:] or sorted(spans[:200_000]) == sorted(spans[200_000:])


def test_where_locks_are_unknown_nobody_is_dead(dead: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without locks no process counts as dead, because nothing proves it."""
    monkeypatch.setattr(locks, "_lock", lambda *_, **__: None)
    orphans.close_orphaned_spans(dead.project)
    assert not ends(dead)


def test_a_journal_of_another_user_is_left_alone(dead: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal of another user is not written to, because its owner could not read the new file."""
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(dead.journal).st_uid + 1)
    orphans.close_orphaned_spans(dead.project)
    assert not ends(dead)


# -- missing and damaged events ----------------------------------------------------------------------------------------


def test_a_damaged_end_is_no_death(lone: Lab) -> None:
    """A test with an unreadable end event does not count as crashed if its session has ended."""
    suite(lone, "def test_one(): pass\ndef test_two(): pass")
    assert lone._run(session(), {}).returncode == 0
    (segment,) = lone.segments()
    lines = segment.read_bytes().splitlines(keepends=True)
    (end, *_) = [n for n, line in enumerate(lines) if b"TEST_PASSED" in line]
    segment.write_bytes(b"".join([*lines[:end], b"\0\xff" * 50 + b"\n", *lines[end + 1 :]]))
    assert lone.status()["foreign"] == 1
    assert len(lone.segments()) == 1


def test_an_end_that_lacks_only_its_newline(dead: Lab) -> None:
    """If the last line of a dead process is a whole event without its newline, the event counts."""
    (segment,) = dead.segments()
    *lines, last = segment.read_bytes().splitlines(keepends=True)
    end = re.sub(rb"(_STARTED|started)", lambda found: b"_PASSED" if found[0][:1] == b"_" else b"completed", last)
    segment.write_bytes(b"".join([*lines, last, end.replace(b'{"id":"', b'{"id":"x')[:-1]]))
    dead.status()
    assert told(dead.events())[-3:] == [("TEST_PASSED", "test_it.py::test_in_flight"), *DEATHS[1:]]
    assert dead.status()["foreign"] == 0


def test_a_torn_line_takes_no_other_with_it(dead: Lab) -> None:
    """If the last line of a dead process is torn, the end events begin on a new line."""
    (segment,) = dead.segments()
    segment.write_bytes(segment.read_bytes() + b'{"id":"torn')
    assert dead.status()["foreign"] == 1
    assert segment.read_bytes().splitlines()[5] == b'{"id":"torn'
    assert [json.loads(line)["task_id"] for line in segment.read_bytes().splitlines()[6:]] == [t for _, t in DEATHS]


def test_a_session_whose_end_was_lost_is_ended(lone: Lab) -> None:
    """A session whose end event was lost is closed as failed, because its real outcome is unknown."""
    suite(lone, "def test_one(): pass")
    lone._run(session(), {})
    (segment,) = lone.segments()
    segment.write_bytes(b"".join(segment.read_bytes().splitlines(keepends=True)[:-1]))
    lone.status()
    assert told(ends(lone)) == [("TASK_FAILED", "pytest_run")]
    assert ends(lone)[0]["metadata"]["counts"] == {"passed": 1}


def test_the_end_of_a_start_as_long_as_can_be(tmp_path: Path) -> None:
    """An end event stays within the size limit, although it repeats the facts of a start event of maximum size."""
    ids = ("ab" * 16, "cd" * 8)
    metadata = {"workflow": "pytest", "action": "test", "long": "x" * (16 * 1024 - 400)}
    start = Event("w-1", "TEST_STARTED", "t", "started", "2026-01-31T10:15:00.858Z", "s", *ids, None, metadata)
    journal = tmp_path / ".taskmaster" / "events"
    journal.mkdir(parents=True)
    path = journal / f"20260131T101500858-{ids[0]}-w-local.jsonl"
    path.write_bytes(start.encode())
    orphans.close_orphaned_spans(Project(str(tmp_path)))
    _, end = path.read_bytes().splitlines()
    assert len(end) < 16 * 1024
    assert Event.decode(end).metadata["action"] == "test"
