"""Signals that are meant for the command reach it, once, and its end is waited for and told. No terminal is around."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from pytest_swarmtask.journal.locks import is_locked
from tests.watched import PATIENCE, Event, Watched, wait_for

COUNT = """
import signal, sys, time
seen = open("seen", "ab", buffering=0)
signal.signal(signal.{name}, lambda number, frame: seen.write(b"x"))
open("ready", "w").close()
deadline = time.monotonic() + 20
while seen.tell() < {count} and time.monotonic() < deadline:
    time.sleep(0.02)
time.sleep(0.5)  # for what comes too much
sys.exit(40 + seen.tell())
"""


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coverage handles signals of its own in each process that it measures, and takes its time to start."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


def begun(watched: Watched, *arguments: str, **environ: str) -> subprocess.Popen[bytes]:
    """Start a command that writes a file `ready`, and return when it has."""
    process = watched.begin(*arguments, **environ)
    wait_for((watched.root / "ready").exists)
    return process


def finished(process: subprocess.Popen[bytes]) -> int:
    """Return the exit code."""
    process.communicate(timeout=PATIENCE)
    return process.returncode


@pytest.mark.parametrize("options", [[], ["--tail", "0"]], ids=["with tail", "without"])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"])
def test_it_kills_the_command(watched: Watched, name: str, options: list[str]) -> None:
    """A signal to us ends the command; we end as it has: 128 and the number, and the event names the signal."""
    process = begun(watched, *options, "--", "sh", "-c", "ulimit -c 0; : >ready; exec sleep 60")
    number = getattr(signal, name)
    process.send_signal(number)
    assert finished(process) == 128 + number
    assert watched.end()["metadata"].items() >= {"signal": name, "exit_code": 128 + number}.items()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_command_handles_it(watched: Watched, name: str) -> None:
    """A command that handles a signal gets it once, and ends as it likes; we stay until then."""
    watched.file("count.py", COUNT.format(name=name, count=1))
    process = begun(watched, "--", sys.executable, "count.py")
    process.send_signal(getattr(signal, name))
    assert finished(process) == 41
    assert watched.end()["metadata"]["exit_code"] == 41


def test_many_signals(watched: Watched) -> None:
    """Each of many signals, one after another, is forwarded."""
    watched.file("count.py", COUNT.format(name="SIGTERM", count=10))
    process = begun(watched, "--", sys.executable, "count.py")
    seen = watched.root / "seen"
    sent = 0

    def are_seen() -> bool:
        return seen.stat().st_size == sent

    while sent < 10:
        process.send_signal(signal.SIGTERM)
        sent += 1
        wait_for(are_seen)  # one that still waits would swallow the next
    assert finished(process) == 50


def test_while_output_is_blocked(watched: Watched) -> None:
    """A signal is forwarded also while nobody takes the command's error output."""
    program = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: (open('got', 'w').close(), sys.exit(5)))\n"
        "open('ready', 'w').close()\n"
        "while True: sys.stderr.write('x' * 4096)"
    )
    process = begun(watched, "--", sys.executable, "-c", program)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    wait_for((watched.root / "got").exists)
    assert finished(process) == 5


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP", "SIGTERM", "SIGQUIT"])
def test_ignored_stays_ignored(watched: Watched, name: str) -> None:
    """A signal that is ignored where we are started, as `nohup` does, is ignored by the command, too, and by us."""
    report = f"import signal; print(int(signal.getsignal(signal.{name})))"
    script = f"trap '' {name[3:]}; swarmtask run -- '{sys.executable}' -c '{report}'"
    assert watched.shell(script).stdout == b"1\n"
    script = f"trap '' {name[3:]}; swarmtask run -- sh -c 'kill -{name[3:]} $PPID; sleep 0.3; exit 6'"
    assert watched.shell(script).returncode == 6


def test_the_command_starts_with_default_signals(watched: Watched) -> None:
    """Nothing that Python or we do to signals is handed on: the command is as if started by a shell."""
    handled = "[n for n in signal.Signals if signal.getsignal(n) != signal.SIG_DFL]"
    report = f"import signal; print({handled}, signal.pthread_sigmask(0, []))"
    without_us = watched.plain(sys.executable, "-c", report).stdout
    assert watched.run("--", sys.executable, "-c", report).stdout == without_us
    # What Python itself ignores in every program cannot be seen from Python.
    assert watched.shell("swarmtask run -- yes | head -n 1").stdout == b"y\n"
    assert watched.end("yes")["metadata"]["signal"] == "SIGPIPE"


IMPORT = """
import os, signal, sys, weakref

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "pytest_swarmtask.sources.command.run":
            finder = Finder()
            ref = weakref.ref(finder, lambda _: (os.kill(os.getpid(), signal.SIGINT), os.getpid()))
            del finder

sys.meta_path.insert(0, Finder())
from pytest_swarmtask.cli.main import main
sys.exit(main(["run", "--", "touch", "begun"]))
"""


def test_while_it_is_loaded(watched: Watched) -> None:
    """Also where Python would lose it: in what it calls back while it imports, no exception gets through."""
    done = watched.plain(sys.executable, "-c", IMPORT)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")
    assert not (watched.root / "begun").exists()


def ended_by(number: int, process: subprocess.Popen[bytes]) -> int:
    """Send a signal and return the exit code; send it again if Python says that it has lost it before we began."""
    process.send_signal(number)
    try:
        process.communicate(timeout=5)
    except subprocess.TimeoutExpired as slow:
        if b"Exception ignored in" in (slow.stderr or b""):
            process.send_signal(number)
    return finished(process)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_at_any_moment(watched: Watched, name: str) -> None:
    """Whenever a signal comes, nothing runs on without us, and each start that is journaled has its end.

    Before the command is watched the signal ends us as it ends any Python program that has not begun.
    """
    number = getattr(signal, name)
    for delay in range(24):
        process = watched.begin("--", "sh", "-c", "echo $$ >pid; exec sleep 60")
        time.sleep(delay * 0.006)
        code = ended_by(number, process)
        pid = watched.root / "pid"
        if pid.exists() and pid.read_text():
            assert code == 128 + number
            assert not alive(int(pid.read_text()))
            pid.unlink()
        else:
            assert code
    spans: dict[str, list[Event]] = {}
    for event in watched.events():
        spans.setdefault(event["span_id"], []).append(event)
    for start, end in spans.values():
        assert (start["event_type"], end["event_type"]) == ("TASK_STARTED", "TASK_FAILED")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_command_is_killed(watched: Watched) -> None:
    """`kill -9` of the command is told at once."""
    process = begun(watched, "--", "sh", "-c", "echo dying >&2; echo $$ >pid; : >ready; exec sleep 60")
    os.kill(int((watched.root / "pid").read_text()), signal.SIGKILL)
    assert finished(process) == 137
    metadata = watched.end()["metadata"]
    assert (metadata["signal"], metadata["stderr_tail"]) == ("SIGKILL", "dying")


def test_stopped_and_continued(watched: Watched) -> None:
    """A command that is stopped and continued is waited for; stopping is no end."""
    process = begun(watched, "--", "sh", "-c", "echo $$ >pid; : >ready; sleep 0.5; exit 7")
    pid = int((watched.root / "pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1)
    assert process.poll() is None
    os.kill(pid, signal.SIGCONT)
    assert finished(process) == 7


def test_we_are_killed(watched: Watched) -> None:
    """`kill -9` of us leaves a start without an end in a segment that nobody holds: the next reader knows."""
    process = begun(watched, "--", "sh", "-c", "echo $$ >pid; : >ready; exec sleep 60")
    process.kill()
    process.wait(PATIENCE)
    os.kill(int((watched.root / "pid").read_text()), signal.SIGKILL)
    process.communicate()
    assert [event["event_type"] for event in watched.events()] == ["TASK_STARTED"]
    (segment,) = (watched.root / ".taskmaster" / "events").glob("*.jsonl")
    assert not is_locked(str(segment))


def test_sigchld_ignored(watched: Watched) -> None:
    """Started where the ends of children are ignored, we still see the command's."""
    program = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execvp(sys.argv[1], sys.argv[1:])"
    )
    done = watched.plain(sys.executable, "-c", program, *watched.command, "--", "sh", "-c", "exit 8")
    assert done.returncode == 8
    assert watched.end()["metadata"]["exit_code"] == 8


def test_children_that_we_inherit(watched: Watched) -> None:
    """A child that was there before us, as after a shell's `exec`, is not taken for the command."""
    script = "sleep 0.2 & exec swarmtask run -- sh -c 'sleep 0.6; exit 9'"
    assert watched.shell(script).returncode == 9
