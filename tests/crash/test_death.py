"""The spans of a process that dies without an end event are closed as failed, once each, and no other span is."""

from __future__ import annotations

import os
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
from pytest_swarmtask.journal.segments import Segment
from tests.crash.mortals import DIE, WAITING, endings, ends, kill, of, session, started, told, wait_for_events
from tests.lab import WAIT, Lab, Receiver, receiving, wait_until

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
        assert before[-1]["timestamp"][:-5] <= end["metadata"]["last_seen"] <= end["timestamp"]
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
    """However often the journal is read, a crash is recorded once, in a file as private as the others."""
    for reader in ("status", "flush", "doctor"):
        dead.run(reader)
    assert told(ends(dead)) == DEATHS
    assert {path.stat().st_mode & 0o777 for path in dead.segments()} == {0o600}
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


@pytest.mark.slow
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
    assert len(dead.segments()) == 2
    assert not list(dead.journal.glob(".*.new"))


def test_who_is_first_holds(tmp_path: Path) -> None:
    """A reader never replaces the end events of another reader, because they may already have been delivered."""
    path = str(tmp_path / "ends")
    for content in (b"first", b"second"):
        orphans._create_whole(path, content)
    assert Path(path).read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["ends"]


@pytest.mark.parametrize("moment", ["os.fsync", "os.link", "os.unlink"])
def test_a_reader_is_killed_in_the_middle(dead: Lab, moment: str) -> None:
    """A reader that is killed midway leaves no partial file, and the next reader finishes the work."""
    reader = dead.python(
        READER + f"import os, signal\n{moment} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "close_orphaned_spans(Project(os.getcwd()))"
    )
    assert reader.returncode == -signal.SIGKILL
    assert told(ends(dead)) == (DEATHS if moment == "os.unlink" else [])
    dead.status()
    assert told(ends(dead)) == DEATHS
    assert dead.status()["events"] == 8


def test_a_file_system_without_links(dead: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """End events are also written on a file system without hard links."""

    def refuse(*_: str) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    for _ in range(2):
        orphans.close_orphaned_spans(dead.project)
    assert told(ends(dead)) == DEATHS


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
    segment = Segment("", "20260131T101500858", ids[0], "w", "local")
    journal = tmp_path / ".taskmaster" / "events"
    journal.mkdir(parents=True)
    (journal / f"{segment.created}-{ids[0]}-w-local.jsonl").write_bytes(start.encode())
    orphans.close_orphaned_spans(Project(str(tmp_path)))
    (end,) = (journal / f"{segment.created}-{ids[0]}-w_end-local.jsonl").read_bytes().splitlines()
    assert len(end) < 16 * 1024
    assert Event.decode(end).metadata["action"] == "test"
