"""Whatever a webhook does, a run ends in time with its own exit code, and no event is lost."""

from __future__ import annotations

import os
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pytest_swarmtask.core.project import Project
from pytest_swarmtask.recording import relay_launcher
from pytest_swarmtask.recording.recorder import Recorder
from pytest_swarmtask.recording.settings import read_settings
from tests.lab import CLOSE, HANG, RESET, WAIT, Lab, Listener, Receiver, closed_port, receiving

pytestmark = pytest.mark.slow

TESTS = 200
EVENTS = 2 * TESTS + 2
DRAIN = 1.0
SUITE = """
import pytest

@pytest.mark.parametrize("n", range(200))
def test(n):
    assert n != 7
"""

FORMS = {"hangs": HANG, "resets": RESET, "closes": CLOSE, "answers 500": 500}


@contextmanager
def raw(kind: str) -> Iterator[str]:
    """Run a server that does not read requests properly, and return its URL."""
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if kind == "accepts and says nothing":
                over.wait(WAIT)
            elif kind == "resets at once":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif kind == "speaks nonsense":
                connection.sendall(b"\x00\xff" * 500 + b"\r\n\r\n")
            elif kind == "promises more than it sends":
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{")

    listener = Listener(serve)
    try:
        yield f"http://127.0.0.1:{listener.port}/hook"
    finally:
        listener.close()
        over.set()


def run_suite(lab: Lab, **environ: str) -> str:
    """Run 200 tests, check that the run is not affected, and return its closing line with the line below it."""
    (lab.root / "test_suite.py").write_text(SUITE)
    begun = time.monotonic()
    done = lab.pytest(f"--swarmtask-drain-timeout={DRAIN}", **environ)
    assert time.monotonic() - begun < 30 + DRAIN
    assert done.returncode == 1
    assert "1 failed, 199 passed" in done.stdout
    assert done.stderr == ""
    assert len(lab.ids()) == len(set(lab.ids())) == EVENTS
    (closing,) = re.findall(r"swarmtask: \d+ events.*\n.*", done.stdout)
    return str(closing)


def flush_to_a_healthy_one(lab: Lab, receiver: Receiver) -> None:
    """Send the pending events to a healthy receiver at another address, and check that each event arrives."""
    done = lab.run("flush", TASKMASTER_WEBHOOK_URL=receiver.url)
    assert done.returncode == 0, done.stdout + lab.log()
    assert set(receiver.ids) == set(lab.ids())
    assert receiver.refused == 0
    found = lab.status()["endpoints"]["default"]
    assert (found["delivered"], found["waiting"], found["dead"]) == (len(lab.ids()), 0, 0)
    assert found["state"]["state"] == "ok"


@pytest.mark.parametrize("form", FORMS)
def test_a_webhook_that(lab: Lab, receiver: Receiver, form: str) -> None:
    """A misbehaving webhook costs the run at most its drain timeout, and no event."""
    receiver.answer = lambda _: FORMS[form]
    closing = run_suite(lab)
    assert f"{EVENTS} not delivered yet" in closing
    assert "swarmtask flush" in closing
    with receiving() as healthy:
        flush_to_a_healthy_one(lab, healthy)


def test_a_refused_signature(lab: Lab, receiver: Receiver) -> None:
    """No advice leads in a circle: the signature has to be put right before `flush` can help."""
    receiver.answer = lambda _: 401
    lab.file("test_a.py", "def test(): pass")
    done = lab.pytest("--swarmtask-drain-timeout=30")
    line, below = re.search(r"^(-+ swarmtask: .*)\n(.*)$", done.stdout, re.MULTILINE).groups()  # type: ignore[union-attr]
    assert "4 not delivered yet" in line
    assert len(line) <= 80
    assert re.fullmatch(r"swarmtask: default: .* 401 Unauthorized: .*; then send them with: swarmtask flush", below)
    shown = lab.run("status")
    assert shown.returncode == 1
    assert "\n           then send waiting events with: swarmtask flush\n" in shown.stdout


def test_a_closed_port(lab: Lab, receiver: Receiver) -> None:
    """A closed port costs the run at most its drain timeout, and no event."""
    closing = run_suite(lab, TASKMASTER_WEBHOOK_URL=f"http://127.0.0.1:{closed_port()}/")
    assert f"{EVENTS} not delivered yet" in closing
    flush_to_a_healthy_one(lab, receiver)


@pytest.mark.parametrize("kind", ["accepts and says nothing", "resets at once", "closes at once", "speaks nonsense"])
def test_a_server_that(lab: Lab, receiver: Receiver, kind: str) -> None:
    """A server that does not speak HTTP accepts no event, and no event is lost."""
    with raw(kind) as url:
        lab.emit("TASK_STARTED", "a", TASKMASTER_WEBHOOK_URL=url)
        flush_to_a_healthy_one(lab, receiver)


def test_an_answer_that_breaks_off(lab: Lab) -> None:
    """A server that answers 200 has accepted the event, even if the rest of its answer is missing."""
    with raw("promises more than it sends") as url:
        lab.emit("TASK_STARTED", "a", TASKMASTER_WEBHOOK_URL=url)
        lab.wait_for_end()
    assert lab.status()["endpoints"]["default"]["delivered"] == 1


@pytest.mark.parametrize(
    "url",
    ["http://no-such-host.invalid/", "nonsense", "http://169.254.169.254/latest", "https://127.0.0.1:{port}/"],
    ids=["does not exist", "is no URL", "is a metadata service", "refuses TLS"],
)
def test_an_address_that(lab: Lab, receiver: Receiver, url: str) -> None:
    """No event is lost if the address does not exist, is invalid, or is forbidden."""
    lab.emit("TASK_STARTED", "a", TASKMASTER_WEBHOOK_URL=url.format(port=closed_port()))
    flush_to_a_healthy_one(lab, receiver)


def test_the_database_is_locked(lab: Lab, receiver: Receiver) -> None:
    """A run ends in time while the relay's database is locked, and its events are delivered afterwards."""
    import sqlite3

    lab.emit("TASK_STARTED", "first")
    receiver.wait(1)
    lab.wait_for_end()
    db = sqlite3.connect(lab.journal / "relay" / "relay.db", isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    (lab.root / "test_a.py").write_text("def test(): pass")
    done = lab.pytest(f"--swarmtask-drain-timeout={DRAIN}")
    assert done.returncode == 0
    db.execute("ROLLBACK")
    db.close()
    assert lab.run("flush").returncode == 0
    assert set(receiver.ids) == set(lab.ids())


# -- no process can be started -------------------------------------------------------------------------------------


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("Resource temporarily unavailable")

    monkeypatch.setattr(relay_launcher, "_spawn", refuse)


def recorder_in(lab: Lab) -> Recorder:
    return Recorder(read_settings(Project(str(lab.root)), lab.environ), lab.environ)


def test_in_the_foreground(lab: Lab, receiver: Receiver, no_process: None) -> None:
    """If no process can be started, the events are delivered in the foreground at the end."""
    recorder = recorder_in(lab)
    for number in range(20):
        assert recorder.trigger("TASK_STARTED", f"{number}", None, {}) is not None
    assert receiver.arrivals == []
    assert recorder.drain(30)
    assert receiver.ids == lab.ids()
    assert "no relay could be started (Resource temporarily unavailable)" in (recorder.problem or "")
    recorder.close()


def test_in_the_foreground_in_time(lab: Lab, receiver: Receiver, no_process: None) -> None:
    """In the foreground, too, a hanging webhook costs at most the drain timeout."""
    receiver.answer = lambda _: HANG
    recorder = recorder_in(lab)
    recorder.trigger("TASK_STARTED", "a", None, {})
    begun = time.monotonic()
    assert not recorder.drain(0.5)
    assert time.monotonic() - begun < 10
    recorder.close()
    assert lab.status()["endpoints"]["default"]["waiting"] == 1


def test_a_run_in_the_foreground(lab: Lab, receiver: Receiver) -> None:
    """A pytest run that cannot start a process says so once, and its events are delivered."""
    (lab.root / "conftest.py").write_text(
        "from pytest_swarmtask.recording import relay_launcher\n"
        "def refuse(*_): raise OSError('no more processes')\n"
        "relay_launcher._spawn = refuse\n"
    )
    (lab.root / "test_a.py").write_text("def test(): pass")
    done = lab.pytest("--swarmtask-drain-timeout=20")
    assert done.returncode == 0
    assert done.stdout.count("no more processes") == 1
    assert "4 events delivered" in done.stdout
    assert receiver.ids == lab.ids()
    assert lab.relays() == []


def test_no_shell(lab: Lab, receiver: Receiver) -> None:
    """An emitter that cannot start a relay says so and returns 0, and the next emitter's relay delivers its event."""
    program = (
        "import os, sys\n"
        "def refuse(*_, **__): raise OSError('no more processes')\n"
        "os.posix_spawn = refuse\n"
        "from pytest_swarmtask.emit import main\n"
        "sys.exit(main(['TASK_STARTED', 'first']))\n"
    )
    done = lab.python(program)
    assert done.returncode == 0
    assert done.stderr.count("no more processes") == 1
    assert lab.relays() == []
    lab.emit("TASK_STARTED", "second")
    receiver.wait(2)
    assert sorted(receiver.ids) == sorted(lab.ids())


def test_a_relay_folder_that_cannot_be_made(lab: Lab) -> None:
    """If the relay's folder cannot be created, the events are still in the journal, and nothing is raised."""
    lab.journal.mkdir(mode=0o700)
    (lab.journal / "relay").write_text("in the way")
    (lab.root / "test_a.py").write_text("def test(): pass")
    done = lab.pytest(f"--swarmtask-drain-timeout={DRAIN}")
    assert done.returncode == 0
    assert "4 not delivered yet" in done.stdout
    assert len(lab.ids()) == 4
    (lab.journal / "relay").unlink()
    assert lab.run("flush").returncode == 0


def test_a_vanished_journal(lab: Lab) -> None:
    """A suite that removes the journal keeps its exit code, and the run reports that the events are lost."""
    (lab.root / "test_a.py").write_text("import shutil\ndef test(): shutil.rmtree('.taskmaster/events')\n")
    done = lab.pytest(f"--swarmtask-drain-timeout={DRAIN}")
    assert done.returncode == 0
    assert "was removed" in done.stdout
    assert not os.path.exists(lab.journal) or not list(Path(lab.journal).glob("*.jsonl"))
