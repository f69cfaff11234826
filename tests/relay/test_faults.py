"""Whatever a webhook does: a run ends with its own exit code within its time, and not one event is lost."""

from __future__ import annotations

import os
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_swarmtask.core.project import Project
from pytest_swarmtask.recording import relay_launcher
from pytest_swarmtask.recording.recorder import Recorder
from pytest_swarmtask.recording.settings import read_settings
from tests.lab import CLOSE, HANG, RESET, Lab, Receiver, free_port, receiving

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
    """Run a server that does not even read a request, and give its URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                if kind == "accepts and says nothing":
                    held.append(connection)
                    continue
                if kind == "resets at once":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                elif kind == "speaks nonsense":
                    connection.sendall(b"\x00\xff" * 500 + b"\r\n\r\n")
                elif kind == "promises more than it sends":
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{")
                connection.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/hook"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for connection in held:
                connection.close()


def run_suite(lab: Lab, **environ: str) -> str:
    """Run 200 tests, see that the run was its own, and return its closing line."""
    (lab.root / "test_suite.py").write_text(SUITE)
    begun = time.monotonic()
    done = lab.pytest(f"--swarmtask-drain-timeout={DRAIN}", **environ)
    assert time.monotonic() - begun < 30 + DRAIN
    assert done.returncode == 1
    assert "1 failed, 199 passed" in done.stdout
    assert done.stderr == ""
    assert len(lab.ids()) == len(set(lab.ids())) == EVENTS
    (closing,) = re.findall(r"swarmtask: \d+ events.*", done.stdout)
    return str(closing)


def flush_to_a_healthy_one(lab: Lab, receiver: Receiver) -> None:
    """Send what is left to a healthy receiver at another address, and see that each event arrives."""
    done = lab.run("flush", TASKMASTER_WEBHOOK_URL=receiver.url)
    assert done.returncode == 0, done.stdout + lab.log()
    assert set(receiver.ids) == set(lab.ids())
    assert receiver.refused == 0
    found = lab.status()["endpoints"]["default"]
    assert (found["delivered"], found["waiting"], found["dead"]) == (len(lab.ids()), 0, 0)
    assert found["state"]["state"] == "ok"


@pytest.mark.parametrize("form", FORMS)
def test_a_webhook_that(lab: Lab, receiver: Receiver, form: str) -> None:
    """A webhook that takes a request and misbehaves costs the run no more than its drain timeout, and no event."""
    receiver.answer = lambda _: FORMS[form]
    closing = run_suite(lab)
    assert f"{EVENTS} not delivered yet" in closing
    assert "swarmtask flush" in closing
    with receiving() as healthy:
        flush_to_a_healthy_one(lab, healthy)


def test_a_closed_port(lab: Lab, receiver: Receiver) -> None:
    """The same where nobody listens at all."""
    closing = run_suite(lab, TASKMASTER_WEBHOOK_URL=f"http://127.0.0.1:{free_port()}/")
    assert f"{EVENTS} not delivered yet" in closing
    flush_to_a_healthy_one(lab, receiver)


@pytest.mark.parametrize("kind", ["accepts and says nothing", "resets at once", "closes at once", "speaks nonsense"])
def test_a_server_that(lab: Lab, receiver: Receiver, kind: str) -> None:
    """A server that is not even one for HTTP takes no event, and none is lost."""
    with raw(kind) as url:
        lab.emit("TASK_STARTED", "a", TASKMASTER_WEBHOOK_URL=url)
        flush_to_a_healthy_one(lab, receiver)


def test_an_answer_that_breaks_off(lab: Lab) -> None:
    """A server that has said 200 has taken the event, whatever becomes of the rest of its answer."""
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
    """Nor is an event lost to an address that does not exist, that is none, or that must not be asked."""
    lab.emit("TASK_STARTED", "a", TASKMASTER_WEBHOOK_URL=url.format(port=free_port()))
    flush_to_a_healthy_one(lab, receiver)


def test_the_database_is_locked(lab: Lab, receiver: Receiver) -> None:
    """While somebody holds the relay's database the run ends in its time; afterwards everything is delivered."""
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


# -- where no process can be started -------------------------------------------------------------------------------


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("Resource temporarily unavailable")

    monkeypatch.setattr(relay_launcher, "_spawn", refuse)


def recorder_in(lab: Lab) -> Recorder:
    return Recorder(read_settings(Project(str(lab.root)), lab.environ), lab.environ)


def test_in_the_foreground(lab: Lab, receiver: Receiver, no_process: None) -> None:
    """Where no process can be started, what was recorded is delivered in the foreground at the end."""
    recorder = recorder_in(lab)
    for number in range(20):
        assert recorder.trigger("TASK_STARTED", f"{number}", None, {}) is not None
    assert receiver.arrivals == []
    assert recorder.drain(30)
    assert receiver.ids == lab.ids()
    assert "no relay could be started (Resource temporarily unavailable)" in (recorder.problem or "")
    recorder.close()


def test_in_the_foreground_in_time(lab: Lab, receiver: Receiver, no_process: None) -> None:
    """In the foreground, too, a webhook that hangs costs no more than the drain timeout."""
    receiver.answer = lambda _: HANG
    recorder = recorder_in(lab)
    recorder.trigger("TASK_STARTED", "a", None, {})
    begun = time.monotonic()
    assert not recorder.drain(0.5)
    assert time.monotonic() - begun < 10
    recorder.close()
    assert lab.status()["endpoints"]["default"]["waiting"] == 1


def test_a_run_in_the_foreground(lab: Lab, receiver: Receiver) -> None:
    """A pytest run where no process can be started says so once, and is delivered."""
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
    """An emitter that can start no relay says so, returns 0, and its event waits for the next who can."""
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
    """Where the relay's folder cannot be made the events are in the journal all the same, and nothing is raised."""
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
    """A suite that removes the journal under the run keeps its exit code, and is told that the events are lost."""
    (lab.root / "test_a.py").write_text("import shutil\ndef test(): shutil.rmtree('.taskmaster/events')\n")
    done = lab.pytest(f"--swarmtask-drain-timeout={DRAIN}")
    assert done.returncode == 0
    assert "was removed" in done.stdout
    assert not os.path.exists(lab.journal) or not list(Path(lab.journal).glob("*.jsonl"))
