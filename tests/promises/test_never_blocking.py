"""The watched work never waits for a network, a lock of another process, a handler or a relay.

There is one exception: the wait for delivery at the end of a session. Ctrl-C ends this wait.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from pytest_swarmtask.core.project import Project
from pytest_swarmtask.journal import locks
from pytest_swarmtask.recording.recorder import Recorder
from pytest_swarmtask.recording.settings import read_settings
from tests.lab import HANG, Lab, Receiver, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="locks and signals are those of POSIX")


# -- locks ---------------------------------------------------------------------------------------------------------


@contextmanager
def everything_locked(lab: Lab) -> Iterator[None]:
    """Hold the locks of all folders and files of the journal, and a transaction of the relay's database."""
    with ExitStack() as held:
        for path in [lab.journal, *lab.journal.rglob("*")]:
            if ".db" not in path.name:
                fd = os.open(path, os.O_RDONLY)
                held.callback(os.close, fd)
                assert locks.try_lock(fd), path
        db = sqlite3.connect(lab.journal / "relay" / "relay.db", isolation_level=None)
        held.callback(db.close)
        db.execute("BEGIN EXCLUSIVE")
        yield


EMITTING = """
from pytest_swarmtask import AutomationIntegrator
integrator = AutomationIntegrator()
for n in range(50):
    assert integrator.trigger_event("TASK_STARTED", str(n))
    assert integrator.trigger_event("TASK_COMPLETED", str(n))
"""


def test_locks_of_others(lab: Lab, receiver: Receiver) -> None:
    """Events are recorded as usual while another process holds every lock and the relay's database.

    Python code, `emit`, `run` and a pytest session record them. They are delivered afterwards.
    """
    (lab.root / "test_it.py").write_text("def test_a(): pass\n")
    traced = {"TRACEPARENT": f"00-{'a' * 32}-{'b' * 16}-01"}  # within a surrounding run, spans are kept in files
    assert lab.run("emit", "TASK_STARTED", "opened", **traced).returncode == 0
    receiver.wait(1)
    lab.wait_for_end()
    (lab.journal / "relay" / "0000.lock").touch()
    before = len(lab.ids())
    with everything_locked(lab):
        assert lab.python(EMITTING).returncode == 0
        assert lab.run("emit", "TASK_COMPLETED", "opened", **traced).returncode == 0
        assert lab.run("run", "--", "sh", "-c", "exit 3").returncode == 3
        done = lab.pytest("--swarmtask-drain-timeout=0.1")
        assert done.returncode == 0
        assert "4 events" in done.stdout
        assert len(lab.ids()) == before + 100 + 1 + 2 + 4
    assert lab.run("flush").returncode == 0, lab.log()
    assert set(receiver.ids) == set(lab.ids())


# -- the network ---------------------------------------------------------------------------------------------------

NO_NETWORK = """
import sys
seen = []
sys.addaudithook(lambda name, args: seen.append(name) if name.startswith(("socket.", "sqlite3.")) else None)
"""


def test_no_socket_is_opened(lab: Lab, receiver: Receiver) -> None:
    """A watched process opens no socket, looks up no name and opens no database, even if a webhook hangs.

    This holds for a session, for `trigger_event`, for the registration of a webhook, and for the end of the session.
    """
    receiver.answer = lambda _: HANG
    (lab.root / "conftest.py").write_text(
        f"{NO_NETWORK}\ndef pytest_unconfigure(): print('audit:', seen, file=sys.__stdout__)\n"
    )
    (lab.root / "test_it.py").write_text(
        "from pytest_swarmtask import AutomationIntegrator\n"
        "def test_a():\n"
        "    with AutomationIntegrator() as integrator:\n"
        "        integrator.register_webhook('https://no-such-host.invalid/', name='other')\n"
        "        assert integrator.trigger_event('TASK_STARTED')\n"
    )
    done = lab.pytest("-p", "no:rerunfailures", "--swarmtask-drain-timeout=0.1")  # rerunfailures listens on a port
    assert done.returncode == 0, done.stdout
    assert "audit: []" in done.stdout


WAITS = """
import json, os, time
from pytest_swarmtask.recording.relay_launcher import RelayLauncher

waits, slept, ended = [], [], []
real_wait, real_sleep = RelayLauncher.wait, time.sleep

def wait(self, owed, timeout, environ):
    waits.append([timeout, len(ended)])
    time.sleep = real_sleep
    try:
        return real_wait(self, owed, timeout, environ)
    finally:
        time.sleep = sleep

def sleep(seconds):
    slept.append(seconds)
    real_sleep(seconds)

RelayLauncher.wait, time.sleep = wait, sleep

def pytest_runtest_logfinish():
    ended.append(1)

def pytest_unconfigure(config):
    with open(f"waits-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}", "w") as file:
        json.dump({"waits": waits, "slept": slept}, file)
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_it_waits_once_and_only_at_the_end(lab: Lab, receiver: Receiver, workers: int) -> None:
    """If a webhook hangs, a session waits only after its last test, for at most `drain_timeout` in all.

    Between tests it never sleeps. The workers of xdist do not wait at all.
    """
    receiver.answer = lambda _: HANG
    (lab.root / "conftest.py").write_text(WAITS)
    (lab.root / "test_it.py").write_text(
        "import pytest\nfrom pytest_swarmtask import trigger_task_event\n"
        "@pytest.mark.task('5.2')\n@pytest.mark.parametrize('n', range(30))\n"
        "def test_a(n):\n    trigger_task_event('TASK_STARTED', str(n))\n    assert n % 7\n"
    )
    parallel = ["-n", str(workers)] if workers else []
    done = lab.pytest("--swarmtask-drain-timeout=0.25", *parallel)
    assert done.returncode == 1
    wait_until(lambda: receiver.arrivals, "an attempt of the relay")
    found = {path.name.removeprefix("waits-"): json.loads(path.read_text()) for path in lab.root.glob("waits-*")}
    waits = found["main"].pop("waits")
    assert {after for _, after in waits} == {30}
    assert 0 < sum(timeout for timeout, _ in waits) <= 0.25
    assert found.pop("main") == {"slept": []}
    assert found == {f"gw{n}": {"waits": [], "slept": []} for n in range(workers)}


# -- a relay that is stuck -----------------------------------------------------------------------------------------


def test_emitters_under_a_stuck_relay(lab: Lab, receiver: Receiver) -> None:
    """Emitters do not wait for a stopped relay that holds all its locks.

    A thread that waits gives up the processor, which the system counts. A thread that is only slow does not.
    """
    receiver.answer = lambda _: HANG
    lab.emit("TASK_STARTED", "first")
    wait_until(lambda: receiver.arrivals)
    (relay,) = lab.relays()
    os.kill(relay, signal.SIGSTOP)
    settings = read_settings(Project(str(lab.root)), lab.environ)
    try:
        for _ in range(5):
            assert lab.run("emit", "TASK_STARTED").returncode == 0
        before = waits()
        for _ in range(100):
            emitter = Recorder(settings, lab.environ)  # as each process of an emitter makes one, and ends it
            emitter.trigger("TASK_STARTED", None, None, {})
            emitter.close()
            assert (emitter.lost, emitter.problem) == (0, None)
        waited_at_starts = waits() - before
        recorder = Recorder(settings, lab.environ)
        before = waits()
        for number in range(3000):
            recorder.trigger("TASK_STARTED", f"{number}", None, {})
        waited = waits() - before
        recorder.close()
        assert lab.relays() == [relay]
    finally:
        os.kill(relay, signal.SIGCONT)
    assert waited_at_starts < 50  # a wait at each start would be 100; the disk and other threads cause a few
    assert waited < 300  # a wait for each event would be 3,000
    assert len(lab.ids()) == 1 + 5 + 100 + 3000
    assert recorder.lost == 0


def waits() -> int:
    """Return how often this thread has given up the processor to wait for something, since it began."""
    return resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)).ru_nvcsw


# -- Ctrl-C --------------------------------------------------------------------------------------------------------

LONG = 1000.0


def waiting_session(lab: Lab) -> subprocess.Popen[str]:
    """Start a session, and return it once it waits for a hanging webhook."""
    (lab.root / "test_it.py").write_text("def test_a(): pass\n")
    options = ["-q", "-p", "no:cacheprovider", f"--swarmtask-drain-timeout={LONG}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options],
        cwd=lab.root,
        env=lab.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: list((lab.journal / "relay").glob("*.hurry")), "the wait for delivery")
    return process


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_while_it_waits(lab: Lab, receiver: Receiver, times: int) -> None:
    """Ctrl-C ends the wait and keeps the exit code, a second Ctrl-C ends pytest at once, and no event is lost."""
    receiver.answer = lambda _: HANG
    process = waiting_session(lab)
    for _ in range(times):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.05)
    output, errors = process.communicate(timeout=LONG / 10)
    if times == 1:
        assert (process.returncode, errors) == (0, "")
        assert "1 passed" in output
    lab.kill()
    receiver.answer = lambda _: 200
    assert lab.run("flush").returncode == 0
    assert set(receiver.ids) == set(lab.ids())
    assert len(lab.ids()) >= 3


def test_ctrl_c_twice_in_flush(lab: Lab, receiver: Receiver) -> None:
    """Ctrl-C ends `swarmtask flush` without a traceback, and a second Ctrl-C changes nothing."""
    receiver.answer = lambda _: HANG
    lab.emit("TASK_STARTED", "a")
    lab.kill()
    seen = len(receiver.arrivals)
    process = subprocess.Popen(
        lab.command("flush", f"--timeout={LONG}"),
        cwd=lab.root,
        env=lab.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: len(receiver.arrivals) > seen)
    for _ in range(2):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    _, errors = process.communicate(timeout=LONG / 10)
    assert process.returncode != 0
    assert "Traceback" not in errors
