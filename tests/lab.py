"""A project with real receivers, real commands and real relays in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import standardwebhooks

from pytest_swarmtask.core.project import Project
from pytest_swarmtask.core.timing import VARIABLE
from pytest_swarmtask.journal import locks
from pytest_swarmtask.recording.recorder import Recorder
from pytest_swarmtask.relay.survey import survey

REPOSITORY = Path(__file__).parents[1]
_OURS = ("PYTEST_", "TASKMASTER_", "AUTOMATION_", "SWARMTASK_", "WORKFLOW_", "TASKS_", "GITHUB_", "MAKE")
_NAMES = ("CI", "TRACEPARENT", "MFLAGS", "PY_COLORS", "FORCE_COLOR", "NO_COLOR", "COLUMNS", "PYTHONUNBUFFERED")


def clean_environ(**more: str) -> dict[str, str]:
    """Return the environment with `more`, and without what the present session, its make or its CI put there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS) and name not in _NAMES}
    return {**kept, **more}


def bound_by_modes() -> list[str]:
    """Return the beginning of a command that has to obey the modes of files, as root has not; else skip the test."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere, and nothing here takes that from it")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def project_of(journal: Path) -> Project:
    """Return the project of a journal's folder."""
    return Project(str(journal.parents[1]))


def read_events(root: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the events in the journal of a project: segment by segment, oldest first, in the order written."""
    segments = sorted(Path(root, ".taskmaster", "events").glob("*.jsonl"))
    return [json.loads(line) for segment in segments for line in segment.read_bytes().splitlines()]


def no_relay(recorder: Recorder) -> None:
    """Keep a recorder from starting a relay for the endpoints that it has now."""
    if recorder._deliveries is not None:
        recorder._deliveries.needs_relay = False


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw2hTwjUPD8ILP"
WAIT = 60.0
"""Seconds that a test waits for what should be there in a moment."""

Json = dict[str, Any]


class Arrival(NamedTuple):
    """One request, verified by the official library."""

    path: str
    headers: dict[str, str]
    events: list[Json]
    at: float

    @property
    def webhook_id(self) -> str:
        """The receiver's idempotency key."""
        return self.headers["webhook-id"]

    @property
    def ids(self) -> list[str]:
        """The ids of the events that it carries."""
        return [event["id"] for event in self.events]


Answer = int | tuple[int, dict[str, str]]
"""A status, perhaps with headers; `HANG`, `CLOSE` and `RESET` are no statuses."""

HANG, CLOSE, RESET = -1, -2, -3


class Receiver:
    """A live webhook on loopback that refuses what the official library does not verify.

    Attributes:
        arrivals: the requests whose signature held, in their order.
        accepted: the events of those that were answered with 2xx, in their order.
        refused: how many requests had no valid signature.
        answer: what to answer; 200 unless a test sets something else.
    """

    def __init__(self, secret: str = SECRET) -> None:
        self.arrivals: list[Arrival] = []
        self.accepted: list[Json] = []
        self.refused = 0
        self.answer: Callable[[Arrival], Answer] = lambda _: 200
        self.closing = threading.Event()
        self._webhook = standardwebhooks.Webhook(secret)
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler, bind_and_activate=False)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._server.request_queue_size = 128
        self._server.receiver = self  # type: ignore[attr-defined]

    def start(self) -> Receiver:
        self._server.server_bind()
        self._server.server_activate()
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    @property
    def ids(self) -> list[str]:
        """Ids of the accepted events."""
        return [event["id"] for event in self.accepted]

    def take(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Verify a request and decide on its answer."""
        try:
            self._webhook.verify(body, headers)
        except standardwebhooks.WebhookVerificationError:
            self.refused += 1
            return 401
        content = json.loads(body)
        events = [one.get("data", one) for one in (content if isinstance(content, list) else [content])]
        arrival = Arrival(path, headers, events, time.monotonic())
        with self._lock:
            decide = self.answer  # before anybody who waits for an arrival can put another in its place
            self.arrivals.append(arrival)
        answer = decide(arrival)
        status = answer if isinstance(answer, int) else answer[0]
        if 200 <= status < 300:
            with self._lock:
                self.accepted.extend(events)
        return answer

    def wait(self, count: int) -> list[Json]:
        """Wait until so many events were accepted, and return them."""
        wait_until(lambda: len(self.accepted) >= count, lambda: f"{count} events: {self}")
        return self.accepted

    def __repr__(self) -> str:
        return f"<{len(self.arrivals)} arrived, {len(self.accepted)} accepted, {self.refused} refused: {self.ids}>"

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    timeout = WAIT

    def do_POST(self) -> None:
        receiver: Receiver = self.server.receiver  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["content-length"]))
        answer = receiver.take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        status, headers = (answer, {}) if isinstance(answer, int) else answer
        if status < 0:
            self._misbehave(status, receiver)
            return
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()

    def _misbehave(self, how: int, receiver: Receiver) -> None:
        self.close_connection = True
        if how == HANG:
            receiver.closing.wait(WAIT)
        elif how == RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ValueError):
            pass  # the relay was killed, or we have closed the socket

    def finish(self) -> None:
        try:
            super().finish()
        except (OSError, ValueError):
            pass

    def log_message(self, *args: object) -> None: ...


@contextmanager
def receiving(secret: str = SECRET) -> Iterator[Receiver]:
    """Run a receiver."""
    receiver = Receiver(secret).start()
    try:
        yield receiver
    finally:
        receiver.close()


def free_port() -> int:
    """Return a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_until(condition: Callable[[], object], what: str | Callable[[], str] = "it", timeout: float = WAIT) -> None:
    """Wait until something holds; `what` that is, which is asked when it is too late."""
    deadline = time.monotonic() + timeout
    while not condition():
        late = time.monotonic() >= deadline
        assert not late, f"waited {timeout:g} s in vain for {what if isinstance(what, str) else what()}"
        time.sleep(0.02)


class ProjectFolder:
    """A project's folder: what is written into it, and what is recorded there.

    Attributes:
        root: the folder, which has a `.taskmaster`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / ".taskmaster").mkdir(parents=True, exist_ok=True)

    @property
    def project(self) -> Project:
        """The project, as the product names its files."""
        return Project(str(self.root))

    @property
    def journal(self) -> Path:
        """The journal's folder."""
        return Path(self.project.journal)

    def file(self, path: str, content: str | bytes, mode: int = 0o644) -> Path:
        """Write one file. Text may be indented."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else textwrap.dedent(content).encode())
        target.chmod(mode)
        return target

    def events(self) -> list[Json]:
        """Return all events in the journal: segment by segment, oldest first, in the order written."""
        return read_events(self.root)

    def segments(self) -> list[Path]:
        """Return the segments, oldest first."""
        return sorted(self.journal.glob("*.jsonl"))

    def log(self) -> str:
        """Return the relays' log."""
        path = Path(self.project.relay_log)
        return path.read_text() if path.exists() else ""

    def busy(self) -> bool:
        """Whether a relay is at work, by its lock."""
        return any(locks.is_locked(str(path)) for path in Path(self.project.relay_folder).glob("*.lock"))

    def relays(self) -> list[int]:
        """Return the process ids of this project's relays."""
        return [pid for pid, command in _processes() if str(self.root) in command and "relay.process" in command]

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill this project's relays, and wait until they are gone."""
        pids = self.relays()
        for pid in pids:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, number)
        wait_until(lambda: not any(map(_is_alive, pids)) and not self.relays(), "the relay's death")


QUICK = {
    "linger": 0.3,
    "backoff_first": 0.05,
    "notify_first": 0.2,
    "alerts_look": 0.1,
    "alerts_retry": 0.5,
    "tasks_watch": 2.0,
    "tasks_look": 0.1,
    "command_grace": 0.5,
}
"""Waiting times of relays in tests. `Timing` has those of production; a test that needs one of them names it."""


def timing(**seconds: float) -> dict[str, str]:
    """Return the variable that makes relays quick, but for these waiting times."""
    return {VARIABLE: ",".join(f"{name}={value}" for name, value in {**QUICK, **seconds}.items())}


class Lab(ProjectFolder):
    """A project whose webhook and secret are in the environment of every command that runs in it.

    Attributes:
        environ: the environment of its commands. Relays are quick, see `timing`.
    """

    def __init__(self, root: Path, **environ: str) -> None:
        super().__init__(root)
        self.environ = clean_environ(AUTOMATION_SECRET_KEY=SECRET, **{**timing(), **environ})

    def webhooks(self, *definitions: Json, **others: Any) -> None:
        """Write a configuration with these webhooks; JSON is YAML."""
        content = {"task_integration": {"webhooks": list(definitions)}, **others}
        path = self.root / ".taskmaster" / "config" / "workflow.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))

    # -- commands --------------------------------------------------------------------------------------------------

    def command(self, *arguments: str) -> list[str]:
        """Return a command of ours."""
        return [sys.executable, "-m", "pytest_swarmtask", *arguments]

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ours to its end."""
        return self._run(self.command(*arguments), environ)

    def python(self, program: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a Python program to its end."""
        return self._run([sys.executable, "-c", program], environ)

    def pytest(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a pytest session to its end."""
        options = ["-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
        return self._run([sys.executable, "-m", "pytest", *options, *arguments], environ)

    def _run(self, command: Sequence[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.root,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * WAIT,
            check=False,
        )

    def emit(self, *arguments: str, **environ: str) -> Json:
        """Emit one event without trouble, and return it."""
        done = self.run("emit", *arguments, **environ)
        assert (done.returncode, done.stderr) == (0, "")
        return self.events()[-1]

    def record(self, count: int, **environ: str) -> list[Json]:
        """Have one process record so many events, named 0, 1, 2…, and return them."""
        program = (
            "from pytest_swarmtask import AutomationIntegrator as A; h = A()\n"
            f"for n in range({count}): h.trigger_event('TASK_STARTED', str(n))"
        )
        done = self.python(program, **environ)
        assert (done.returncode, done.stderr) == (0, "")
        return self.events()[-count:] if count else []

    def status(self, **environ: str) -> Json:
        """Return what `swarmtask status` says."""
        found: Json = json.loads(self.run("status", "--json", **environ).stdout)
        return found

    # -- what is there ---------------------------------------------------------------------------------------------

    def ids(self) -> list[str]:
        """Return the ids of all that is in the journal."""
        return [event["id"] for event in self.events()]

    def wait_for_end(self) -> None:
        """Wait until no relay is at work and none is left as a process."""
        wait_until(lambda: not self.busy() and not self.relays(), lambda: f"the relay's end\n{self.log()}")

    def wait_for_settled(self) -> None:
        """Wait until all that is in the journal is delivered or refused; a relay may linger on."""

        def settled() -> bool:
            return not any(one.waiting for one in survey(self.project, self.environ).endpoints.values())

        wait_until(settled, lambda: f"delivery\n{self.log()}")


def _is_alive(pid: int) -> bool:
    """Tell whether a process may still hold a file; one that dies loses its command line before its files."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not stat.parent.is_dir() or stat.read_bytes().rpartition(b")")[2].split()[0] not in b"ZX"
    except (ProcessLookupError, FileNotFoundError):
        return False


def _processes() -> Iterator[tuple[int, str]]:
    """Yield process id and command line of everything that runs here."""
    if not os.path.isdir("/proc/self"):
        listing = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,args="], capture_output=True, text=True, check=True)
        for line in listing.stdout.splitlines():
            pid, _, command = line.strip().partition(" ")
            yield int(pid), command
        return
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):  # it has just ended
                yield int(name), _command_line(Path("/proc", name))


def _command_line(process: Path) -> str:
    """Return the command line of a process that has one; between two programs it has none for a moment."""
    deadline = time.monotonic() + 0.1
    while not (line := (process / "cmdline").read_bytes()) and time.monotonic() < deadline:
        (process / "exe").readlink()
    return line.decode(errors="replace").replace("\0", " ")
