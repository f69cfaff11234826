"""Without a terminal, a signal reaches the command once, and the end of the command is awaited and recorded."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from pytest_swarmtask.journal.locks import is_locked
from tests.lab import is_process
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
    """Disable coverage in child processes, because it handles signals and starts slowly."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


def begun(watched: Watched, *arguments: str, **environ: str) -> subprocess.Popen[bytes]:
    """Start a command that writes a file `ready`, and return when the file exists."""
    process = watched.begin(*arguments, **environ)
    wait_for((watched.root / "ready").exists)
    return process


def finished(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of the process and return its exit code."""
    process.communicate(timeout=PATIENCE)
    return process.returncode


@pytest.mark.parametrize("options", [[], ["--tail", "0"]], ids=["with tail", "without"])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"])
def test_it_kills_the_command(watched: Watched, name: str, options: list[str]) -> None:
    """A signal to `swarmtask run` kills the command. The exit code is 128 plus its number, and the event names it."""
    process = begun(watched, *options, "--", "sh", "-c", "ulimit -c 0; : >ready; exec sleep 60")
    number = getattr(signal, name)
    process.send_signal(number)
    assert finished(process) == 128 + number
    assert watched.end()["metadata"].items() >= {"signal": name, "exit_code": 128 + number}.items()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_command_handles_it(watched: Watched, name: str) -> None:
    """A command that handles a signal gets it once, and `swarmtask run` waits for the command's end."""
    watched.file("count.py", COUNT.format(name=name, count=1))
    process = begun(watched, "--", sys.executable, "count.py")
    process.send_signal(getattr(signal, name))
    assert finished(process) == 41
    assert watched.end()["metadata"]["exit_code"] == 41


def test_many_signals(watched: Watched) -> None:
    """Each of several signals, sent one after the other, is forwarded."""
    watched.file("count.py", COUNT.format(name="SIGTERM", count=10))
    process = begun(watched, "--", sys.executable, "count.py")
    seen = watched.root / "seen"
    sent = 0

    def are_seen() -> bool:
        return seen.stat().st_size == sent

    while sent < 10:
        process.send_signal(signal.SIGTERM)
        sent += 1
        wait_for(are_seen)  # a pending signal would absorb the next one
    assert finished(process) == 50


@pytest.mark.skipif(shutil.which("setsid") is None, reason="setsid is a program of Linux")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_to_the_group(watched: Watched, name: str) -> None:
    """A signal to the whole process group reaches a command in a session of its own once, as docs/scripts.md says."""
    watched.file("count.py", COUNT.format(name=name, count=1))
    process = begun(watched, "--", "setsid", sys.executable, "count.py")
    os.killpg(process.pid, getattr(signal, name))
    assert finished(process) == 41
    assert watched.end()["metadata"]["exit_code"] == 41


def test_while_output_is_blocked(watched: Watched) -> None:
    """A signal is forwarded also while nobody reads the command's standard error."""
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
    """A signal that is ignored at the start, as with `nohup`, is ignored by the command and by `swarmtask run`."""
    report = f"import signal; print(int(signal.getsignal(signal.{name})))"
    script = f"trap '' {name[3:]}; swarmtask run -- '{sys.executable}' -c '{report}'"
    assert watched.shell(script).stdout == b"1\n"
    script = f"trap '' {name[3:]}; swarmtask run -- sh -c 'kill -{name[3:]} $PPID; sleep 0.3; exit 6'"
    assert watched.shell(script).returncode == 6


def test_the_command_starts_with_default_signals(watched: Watched) -> None:
    """The command starts with the same signal settings as if a shell had started it."""
    handled = "[n for n in signal.Signals if signal.getsignal(n) != signal.SIG_DFL]"
    report = f"import signal; print({handled}, signal.pthread_sigmask(0, []))"
    without_us = watched.plain(sys.executable, "-c", report).stdout
    assert watched.run("--", sys.executable, "-c", report).stdout == without_us
    # Python ignores SIGPIPE in every program, so a Python program cannot report that signal.
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
    """A signal during the import of the module ends the process, even if Python would swallow the exception."""
    done = watched.plain(sys.executable, "-c", IMPORT)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")
    assert not (watched.root / "begun").exists()


def ended_by(number: int, process: subprocess.Popen[bytes]) -> int:
    """Send a signal and return the exit code. Send it again if Python reports that it swallowed the first one."""
    process.send_signal(number)
    try:
        process.communicate(timeout=5)
    except subprocess.TimeoutExpired as slow:
        if b"Exception ignored in" in (slow.stderr or b""):
            process.send_signal(number)
    return finished(process)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_at_any_moment(watched: Watched, name: str) -> None:
    """After a signal at any moment, the command is not left running, and each start event has its end event.
    Before the command is started, the signal ends the process as it ends any Python program that is starting.
    """
    number = getattr(signal, name)
    for delay in range(24):
        process = watched.begin("--", "sh", "-c", "echo $$ >pid; exec sleep 60")
        time.sleep(delay * 0.006)
        code = ended_by(number, process)
        pid = watched.root / "pid"
        if pid.exists() and pid.read_text():
            assert code == 128 + number
            assert not is_process(int(pid.read_text()))
            pid.unlink()
        else:
            assert code
    spans: dict[str, list[Event]] = {}
    for event in watched.events():
        spans.setdefault(event["span_id"], []).append(event)
    for start, end in spans.values():
        assert (start["event_type"], end["event_type"]) == ("TASK_STARTED", "TASK_FAILED")


def test_the_command_is_killed(watched: Watched) -> None:
    """If the command is killed with `kill -9`, the end event is recorded at once."""
    process = begun(watched, "--", "sh", "-c", "echo dying >&2; echo $$ >pid; : >ready; exec sleep 60")
    os.kill(int((watched.root / "pid").read_text()), signal.SIGKILL)
    assert finished(process) == 137
    metadata = watched.end()["metadata"]
    assert (metadata["signal"], metadata["stderr_tail"]) == ("SIGKILL", "dying")


def test_stopped_and_continued(watched: Watched) -> None:
    """A command that is stopped and continued is awaited to its end."""
    process = begun(watched, "--", "sh", "-c", "echo $$ >pid; : >ready; sleep 0.5; exit 7")
    pid = int((watched.root / "pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1)
    assert process.poll() is None
    os.kill(pid, signal.SIGCONT)
    assert finished(process) == 7


def test_we_are_killed(watched: Watched) -> None:
    """If `swarmtask run` is killed, the start event has no end, and its segment is unlocked for the next reader."""
    process = begun(watched, "--", "sh", "-c", "echo $$ >pid; : >ready; exec sleep 60")
    process.kill()
    process.wait(PATIENCE)
    os.kill(int((watched.root / "pid").read_text()), signal.SIGKILL)
    process.communicate()
    assert [event["event_type"] for event in watched.events()] == ["TASK_STARTED"]
    (segment,) = (watched.root / ".taskmaster" / "events").glob("*.jsonl")
    assert not is_locked(str(segment))


def test_sigchld_ignored(watched: Watched) -> None:
    """The exit code is right even if SIGCHLD is ignored at the start."""
    program = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execvp(sys.argv[1], sys.argv[1:])"
    )
    done = watched.plain(sys.executable, "-c", program, *watched.command, "--", "sh", "-c", "exit 8")
    assert done.returncode == 8
    assert watched.end()["metadata"]["exit_code"] == 8


def test_children_that_we_inherit(watched: Watched) -> None:
    """A child process from before the start, as after a shell's `exec`, is not mistaken for the command."""
    script = "sleep 0.2 & exec swarmtask run -- sh -c 'sleep 0.6; exit 9'"
    assert watched.shell(script).returncode == 9
