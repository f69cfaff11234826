"""`swarmtask watch` follows real runs: at a terminal, piped, as JSON, and when processes die."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_swarmtask.cli import tasksmk
from pytest_swarmtask.report.live.follow import QUIET, Follower
from pytest_swarmtask.report.live.runs import LINGER, LiveChange, RunWatcher
from tests.history import made
from tests.lab import REPOSITORY, closed_port, project_of
from tests.watched import Terminal, Watched, wait_for

WATCH = [sys.executable, "-m", "pytest_swarmtask", "watch"]
ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
TEXT = (REPOSITORY / "docs" / "terminal.md").read_text("utf-8")
FIELDS = {
    name: re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", fields))
    for name, fields in re.findall(r"^\| `(\w+)` \| [^|]* \| ?(.*)\|$", TEXT, re.MULTILINE)
}
"""The fields of each change according to docs/terminal.md."""
TESTS = """
import os, time
import pytest

def test_good(): pass
def test_bad(): assert 1 == 2
def test_gate():
    while not os.path.exists("open"): time.sleep(0.01)
@pytest.mark.skip
def test_left_out(): pass
"""


class Beside:
    """Runs in a project, and processes that watch them."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.root = watched.root
        self._started: list[subprocess.Popen[bytes]] = []
        watched.file("test_it.py", TESTS)

    def start(self, *command: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start a command in the project."""
        pipe = subprocess.PIPE
        environ = self.watched.environ(**environ)
        done = subprocess.Popen(command, cwd=self.root, env=environ, stdout=pipe, stderr=pipe, start_new_session=True)
        self._started.append(done)
        return done

    def session(self, *arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start a pytest session, and wait until its test waits for `open`."""
        session = self.start(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, **environ)
        count = self._gates()
        wait_for(lambda: self._gates() > count)
        return session

    def _gates(self) -> int:
        starts = (event for event in self.watched.events() if event["event_type"] == "TEST_STARTED")
        return sum(event["task_id"].endswith("test_gate") for event in starts)

    def watch(self, *arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start `watch`, and wait for its first line."""
        watch = self.start(*WATCH, *arguments, **environ)
        assert watch.stdout is not None
        assert watch.stdout.readline(), watch.communicate(timeout=60)
        return watch

    def open(self) -> None:
        """Let the sessions continue."""
        self.watched.file("open", "")

    def stop(self) -> None:
        """Stop all processes that still run."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=60)
        self.watched.kill()


@pytest.fixture
def beside(watched: Watched) -> Iterator[Beside]:
    """A project with a failing test, and a test that waits until it may continue."""
    found = Beside(watched)
    yield found
    found.stop()


def changes_of(output: bytes) -> list[dict[str, Any]]:
    """Return the changes that `--json` printed."""
    return [json.loads(line) for line in output.splitlines()]


# -- at a terminal -------------------------------------------------------------------------------------------------


def test_a_live_picture(beside: Beside, terminal: Callable[..., Terminal]) -> None:
    """`watch` says that it waits for a run, shows running and failed tests, and ends with the outcome of the run."""
    watch = terminal(*WATCH, "--until-done")
    watch.until(b"nothing is running here: waiting for a run")
    beside.session()
    watch.until(b"test_it.py::test_bad")
    watch.until(b"assert 1 == 2")
    watch.until(b"running")
    watch.until(b"test_it.py::test_gate")
    watch.until(b"1 failed\x1b")
    beside.open()
    assert watch.end() == 1
    end = ESCAPE.sub(b"", watch.shown).replace(b"\r", b"")
    (run,) = {event["trace_id"] for event in beside.watched.events()}
    assert re.search(rb"run failed +[0-9.]+ s +4 tests: 2 passed, 1 failed, 1 skipped\n", end)
    assert f"swarmtask report --run {run[:12]}".encode() in end
    assert b"\x1b[2J" not in watch.shown, "it clears the screen, which flickers"
    assert watch.shown.rindex(b"\x1b[?25h") > watch.shown.rindex(b"\x1b[?25l"), "the cursor is not back"


def test_nothing_moves_where_nothing_changes(beside: Beside, terminal: Callable[..., Terminal]) -> None:
    """`watch` only redraws its picture when it changes, so it draws nothing while nothing runs."""
    watch = terminal(*WATCH)
    watch.until(b"waiting for a run")
    time.sleep(1)
    watch.type(b"\x03")
    assert watch.end() == 0, "Ctrl-C is the way to end it"
    assert watch.shown.count(b"waiting for a run") <= 3, "once as the first, once in the picture, once as the last"
    assert not (beside.root / ".taskmaster" / "events").exists(), "looking has left something behind"


@pytest.mark.slow
@pytest.mark.parametrize(("columns", "environ"), [(28, {}), (80, {"NO_COLOR": "1", "PYTHONIOENCODING": "ascii"})])
def test_small_and_plain_terminals(
    beside: Beside, terminal: Callable[..., Terminal], columns: int, environ: dict[str, str]
) -> None:
    """No line is wider than the terminal, and a plain terminal gets no colours and only ASCII."""
    beside.session()
    watch = terminal(*WATCH, "--until-done", columns=columns, rows=8, **environ)
    watch.until(b" s  test_it.py" if environ else b" s  \x1b[0m\x1b[39mtest_it.py")  # truncated, not wrapped
    beside.open()
    assert watch.end() == 1
    lines = ESCAPE.sub(b"", watch.shown).decode().replace("\r", "\n").splitlines()
    assert max(map(len, lines)) <= columns
    assert "run failed" in "\n".join(lines)
    if environ:
        assert not re.search(rb"\x1b\[[0-9;]*3[0-7]m", watch.shown)
        assert watch.shown.isascii()


def test_killed_by_term(beside: Beside, terminal: Callable[..., Terminal]) -> None:
    """SIGTERM leaves the terminal with a visible cursor."""
    del beside
    watch = terminal(*WATCH)
    watch.until(b"\x1b[?25l")
    watch.until(b"waiting for a run")
    os.kill(watch.pid, signal.SIGTERM)
    assert watch.end() == 128 + signal.SIGTERM
    assert watch.shown.rindex(b"\x1b[?25h") > watch.shown.rindex(b"\x1b[?25l")


# -- as lines and as JSON ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dumb", [False, True], ids=["piped", "dumb"])
def test_one_line_for_each_change(beside: Beside, terminal: Callable[..., Terminal], *, dumb: bool) -> None:
    """If it cannot draw, `watch` prints a line for each start, end and failure, and none for passing tests."""
    if dumb:
        at = terminal(*WATCH, "--until-done", TERM="dumb")
        at.until(b"waiting for a run")
    else:
        piped = beside.watch("--until-done")
    beside.open()
    assert beside.start(sys.executable, "-m", "pytest").wait(timeout=60) == 1
    output = (at.end(), at.shown)[1] if dumb else piped.communicate(timeout=60)[0]
    assert b"\x1b" not in output
    told = [re.sub(r"^[0-9:]{8}  (?:[0-9a-f]{12}  )?", "", line) for line in output.decode().splitlines()]
    told = [re.sub(r"[0-9.]+ m?s\b", "S", line) for line in told]
    assert told[dumb:] == [
        "run started",
        "task pytest_run  started",
        "test test_it.py::test_bad  failed  S  assert 1 == 2",
        "task pytest_run  failed  S  tests failed",
        "run failed  S  4 tests: 2 passed, 1 failed, 1 skipped",
    ]


def test_json_tells_what_the_journal_holds(beside: Beside) -> None:
    """`--json` prints each start and end once, and its counts equal those of the session."""
    watch = beside.watch("--json", "--until-done")
    session = beside.session()
    beside.open()
    assert (session.wait(timeout=60), watch.wait(timeout=60)) == (1, 1)
    told = changes_of(watch.communicate(timeout=60)[0])
    events = beside.watched.events()
    assert [change["change"] for change in told if change["change"] not in ("started", "ended")] == [
        "run_started",
        "run_ended",
    ]
    for change in told:
        assert list(change)[3:] == FIELDS[change["change"]]
    for word in ("started", "ended"):
        names = Counter(change["task_id"] for change in told if change["change"] == word)
        assert names == Counter(e["task_id"] for e in events if e["event_type"].endswith("_STARTED"))
    assert told[-1]["counts"] == {k: v for k, v in events[-1]["metadata"]["counts"].items() if v}
    assert (told[-1]["tests"], told[-1]["outcome"], told[-1]["waiting"]) == (4, "failed", 0)


def test_well_is_zero(beside: Beside) -> None:
    """`--until-done` exits with 0 if the whole run succeeded, including make and everything it started."""
    makefile = (
        f"include {tasksmk.installed()}\nci:\n\t@$(call task-run,ci,$(MAKE) a)\na:\n\t@$(call task-run,a,sleep 0.3)\n"
    )
    beside.watched.file("Makefile", makefile)
    watch = beside.watch("--until-done")
    assert beside.start("make", "ci", TASKS_PYTHON=sys.executable).wait(timeout=60) == 0
    output = watch.communicate(timeout=60)[0].decode()
    assert watch.returncode == 0, output
    assert [line.split("  ", 2)[-1] for line in output.splitlines() if "task" in line][:2] == [
        "task ci  started",
        "task a  started",
    ]
    assert re.search(r"run completed  [0-9.]+ s$", output.strip())


@pytest.mark.slow
def test_several_runs_at_once(beside: Beside, terminal: Callable[..., Terminal]) -> None:
    """Simultaneous runs are shown together, and `watch` ends with the last; `--run` shows only one run."""
    beside.session()
    beside.session("-k", "gate")
    runs = list(dict.fromkeys(event["trace_id"] for event in beside.watched.events()))
    both = terminal(*WATCH, "--until-done")
    alone = beside.watch("--until-done", "--run", runs[1][:8].upper())
    for run in runs:
        both.until(f"run \x1b[1m{run[:12]}".encode())
    beside.open()
    assert (both.end(), alone.wait(timeout=60)) == (1, 0), "one of both failed; the one alone went well"
    assert ESCAPE.sub(b"", both.shown).count(b"swarmtask report --run") == 2
    assert runs[0][:12].encode() not in alone.communicate(timeout=60)[0]


def test_a_killed_session_is_over(beside: Beside) -> None:
    """A run whose process was killed is reported as crashed and does not stay running."""
    watch = beside.watch("--json", "--until-done")
    session = beside.session()
    session.kill()
    assert watch.wait(timeout=60) == 1
    told = changes_of(watch.communicate(timeout=60)[0])
    assert [c["outcome"] for c in told if c["change"] == "ended" and "gate" in c["task_id"]] == ["crashed"]
    assert told[-1]["counts"] == {"passed": 1, "failed": 1, "crashed": 1}


def test_a_run_between_two_looks(tmp_path: Path) -> None:
    """A run that ends between two polls is reported, even if it is the first in its journal."""
    journal = tmp_path / ".taskmaster" / "events"
    follower = Follower(project_of(journal))
    assert not list(follower.read())
    for number in range(2):
        made.run(journal, number, {"test_a": "passed"})
        assert len(list(follower.read())) == 4


def test_what_waits_for_delivery(beside: Beside) -> None:
    """Failing deliveries are reported, and at the end the number of pending events."""
    url = f"http://127.0.0.1:{closed_port()}/"
    watch = beside.watch("--json", "--until-done")
    session = beside.session("--swarmtask-drain-timeout=0", TASKMASTER_WEBHOOK_URL=url)
    beside.open()
    session.wait(timeout=60)
    watch.wait(timeout=60)
    told = changes_of(watch.communicate(timeout=60)[0])
    trouble = [(c["endpoint"], c["state"]) for c in told if c["change"] == "deliveries"]
    assert trouble == [("default", "retrying")]
    assert [list(c)[3:] for c in told if c["change"] == "deliveries"] == [FIELDS["deliveries"]]
    assert told[-1]["waiting"] == len(beside.watched.events())


@pytest.mark.parametrize(
    ("run", "words"), [("abc", "no run in the journal begins with 'abc'; the last ones are 0000"), ("0", "several")]
)
def test_a_run_that_is_not_there(beside: Beside, run: str, words: str) -> None:
    """An unknown or ambiguous run is a usage error whose message lists the existing runs."""
    for number in (1, 2):
        made.Process(beside.root / ".taskmaster" / "events", f"{number:032x}").write([])
    watch = beside.start(*WATCH, "--run", run)
    _, errors = watch.communicate(timeout=60)
    assert (watch.returncode, words in errors.decode()) == (2, True), errors


# -- limits of the watcher -----------------------------------------------------------------------------------------


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """The folder of a journal."""
    return tmp_path / ".taskmaster" / "events"


def names(changes: Iterator[LiveChange]) -> list[str]:
    """Return the names of the changes."""
    return [change.change for change in changes]


def test_a_line_is_read_once(journal: Path) -> None:
    """Each line is read once, and the removal of a segment during reading is no problem."""
    process = made.Process(journal, "1" * 32)
    process.write(process.session({"t.py::test_a": "passed"}))
    with process.path.open("ab") as held:
        lock(held.fileno())
        follower = Follower(project_of(journal))
        assert len(list(follower.read())) == 4
        assert follower.living == {"1" * 32}
        assert list(follower.read()) == []
        process.write([process.event("TASK_STARTED", "more", "a" * 16)])
        held.write(b'{"id": "half a line')
        held.flush()
        assert len(list(follower.read())) == 1
    process.path.unlink()
    assert list(follower.read()) == []
    assert follower.living == set()


def lock(fd: int) -> None:
    """Lock a segment as its live writer does."""
    from pytest_swarmtask.journal.locks import try_lock

    assert try_lock(fd)


def test_old_runs_are_left_alone(journal: Path) -> None:
    """Runs that ended before `watch` started are not reported, unless the user asks for them by id."""
    process = made.Process(journal, "1" * 32)
    process.write(process.session({"t.py::test_a": "failed"}))
    assert names(RunWatcher(project_of(journal)).poll()) == ["idle"]
    assert "run_ended" in names(RunWatcher(project_of(journal), "1" * 32).poll()), "but it is where it was asked for"


def test_memory_does_not_grow_with_the_run(journal: Path) -> None:
    """Of a run with thousands of spans, the watcher keeps only the last tasks and the number of its tests."""
    process = made.Process(journal, "1" * 32, time.time())
    session = process.ids.span()
    events = [process.event("TASK_STARTED", "all", session)]
    for number in range(1000):
        for kind, ending in (("TEST", "PASSED"), ("TASK", "COMPLETED")):
            span = process.ids.span()
            events += [process.event(f"{kind}_{word}", f"{number}", span, session) for word in ("STARTED", ending)]
    process.write(events)
    watcher = RunWatcher(project_of(journal), "1" * 32)
    assert sum(1 for _ in watcher.poll()) == len(events) + 1
    (run,) = watcher.runs.values()
    assert len(run.spans) <= 201
    assert run.tests == {"passed": 1000}


def test_a_span_that_others_end_keeps_a_run_going(journal: Path) -> None:
    """An open span of `emit` keeps its run going without a live process, but not forever."""
    process = made.Process(journal, "1" * 32, time.time())
    start = process.event("TASK_STARTED", "deploy", process.ids.span())
    start.id += "-s"
    process.write([start])
    watcher = RunWatcher(project_of(journal))
    assert names(watcher.poll()) == ["run_started", "started"]
    (run,) = watcher.runs.values()
    run.seen -= LINGER
    assert names(watcher.poll()) == []
    run.seen -= QUIET
    (end, _) = watcher.poll()
    assert (end.facts["outcome"], watcher.all_succeeded) == ("unfinished", False)


def test_a_run_that_goes_on_is_not_told_as_another(journal: Path) -> None:
    """A run that pauses between two steps of make continues with its old counts and is not reported as a new run."""
    watcher = RunWatcher(project_of(journal), "1" * 32)
    for count in (1, 2):
        process = made.Process(journal, "1" * 32, time.time() + count)
        process.write(process.session({"t.py::test_a": "passed"}))
        told = list(watcher.poll())
        assert ("run_started" in names(iter(told))) is (count == 1)
        if watcher.runs:
            watcher.runs["1" * 32].seen -= LINGER
            told += list(watcher.poll())
        (end,) = [change for change in told if change.change == "run_ended"]
        assert end.facts["counts"] == {"passed": count}


def test_nobody_can_end_it(journal: Path) -> None:
    """An open span of a dead process counts as crashed even if its end event cannot be written."""
    process = made.Process(journal, "1" * 32, time.time())
    process.write(process.session({"t.py::test_a": "passed"})[:2])
    process.path.chmod(0o400)  # as if a reader had closed it, and a power cut had taken the end events
    watcher = RunWatcher(project_of(journal), "1" * 32)
    list(watcher.poll())
    if watcher.runs:
        watcher.runs["1" * 32].seen -= LINGER
        list(watcher.poll())
    assert watcher.outcomes == {"1" * 32: "failed"}
