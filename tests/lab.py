"""A project for tests with real receivers, real commands and real relays."""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import shutil
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any, NamedTuple, TypeVar

import pytest
import standardwebhooks

from pytest_swarmtask.core.errors import JournalError
from pytest_swarmtask.core.event import Event
from pytest_swarmtask.core.project import CI_VARIABLES, Project
from pytest_swarmtask.core.timing import VARIABLE
from pytest_swarmtask.journal import locks
from pytest_swarmtask.recording.recorder import Recorder
from pytest_swarmtask.recording.settings import read_settings
from pytest_swarmtask.relay.survey import survey

_T = TypeVar("_T")

REPOSITORY = Path(__file__).parents[1]
_OURS = ("PYTEST_", "TASKMASTER_", "AUTOMATION_", "SWARMTASK_", "WORKFLOW_", "TASKS_", "GITHUB_", "MAKE")
_OTHERS = ("TRACEPARENT", "MFLAGS", "PY_COLORS", "FORCE_COLOR", "NO_COLOR", "COLUMNS", "PYTHONUNBUFFERED",
           "TOX_ENV_NAME", "NOX_CURRENT_SESSION")  # fmt: skip
_NAMES = (*CI_VARIABLES, *_OTHERS)


GITHUB_JOB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "o/r",
    "GITHUB_RUN_ID": "7",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_JOB": "test",
}
"""What GitHub tells a job of its run."""


def clean_environ(**more: str) -> dict[str, str]:
    """Return the environment plus `more`, without the variables that the present session, its make or its CI set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS) and name not in _NAMES}
    return {**kept, **more}


def run_process(
    command: Sequence[str | bytes], folder: Path, environ: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder to its end, without input, and return its output as text."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * WAIT,
        check=False,
    )


def bound_by_modes() -> list[str]:
    """Return a prefix that makes a command obey file modes, also as root. Skip the test if that is impossible."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere, and nothing here takes that from it")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def project_of(journal: Path) -> Project:
    """Return the project of a journal's folder."""
    return Project(str(journal.parents[1]))


def read_events(root: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the events in a project's journal: oldest segment first, in the order written."""
    segments = sorted(Path(root, ".taskmaster", "events").glob("*.jsonl"))
    return [json.loads(line) for segment in segments for line in segment.read_bytes().splitlines()]


def is_event(line: bytes) -> bool:
    """Whether a line of a journal is an event."""
    try:
        Event.decode(line)
    except JournalError:
        return False
    return True


def once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], _T]) -> _T:
    """Return what `build` makes in an empty folder. All xdist workers share what the first of them has built."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return build(factory.mktemp(name))
    shared = factory.getbasetemp().parent
    built = shared / f"{name}.pickle"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            folder = shared / name
            folder.mkdir()
            built.write_bytes(pickle.dumps(build(folder)))
    found: _T = pickle.loads(built.read_bytes())
    return found


def no_relay(recorder: Recorder) -> None:
    """Keep a recorder from starting a relay for its present endpoints."""
    if recorder._deliveries is not None:
        recorder._deliveries.needs_relay = False


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw2hTwjUPD8ILP"
WAIT = 60.0
"""Seconds that a test waits for something that normally takes a moment."""

Json = dict[str, Any]


class Arrival(NamedTuple):
    """One request, verified by the official library."""

    path: str
    headers: dict[str, str]
    events: list[Json]
    at: float

    @property
    def webhook_id(self) -> str:
        """The id by which the receiver recognizes a repeated request."""
        return self.headers["webhook-id"]

    @property
    def ids(self) -> list[str]:
        """The ids of the events in the request."""
        return [event["id"] for event in self.events]


Answer = int | tuple[int, dict[str, str]] | tuple[int, dict[str, str], bytes]
"""An HTTP status, optionally with headers and a body, or `HANG`, `CLOSE` or `RESET`."""

HANG, CLOSE, RESET = -1, -2, -3


class Receiver:
    """A live webhook on loopback. It refuses each request that the official library cannot verify.
    Attributes:
        arrivals: the requests with a valid signature, in order of arrival.
        accepted: the events of the requests that were answered with 2xx, in order.
        refused: the number of requests without a valid signature.
        answer: returns the answer to a request. The default is 200.
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
        """The URL of the webhook."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    @property
    def ids(self) -> list[str]:
        """The ids of the accepted events."""
        return [event["id"] for event in self.accepted]

    def take(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Verify a request and return the answer to it."""
        try:
            self._webhook.verify(body, headers)
        except standardwebhooks.WebhookVerificationError:
            self.refused += 1
            return 401
        content = json.loads(body)
        events = [one.get("data", one) for one in (content if isinstance(content, list) else [content])]
        arrival = Arrival(path, headers, events, time.monotonic())
        with self._lock:
            decide = self.answer  # before a test that waits for an arrival can replace it
            self.arrivals.append(arrival)
        answer = decide(arrival)
        status = answer if isinstance(answer, int) else answer[0]
        if 200 <= status < 300:
            with self._lock:
                self.accepted.extend(events)
        return answer

    def wait(self, count: int) -> list[Json]:
        """Wait until `count` events were accepted, and return the accepted events."""
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
        status, headers, content = (answer, {}, b"") if isinstance(answer, int) else (*answer, b"")[:3]
        if status < 0:
            self._misbehave(status, receiver)
            return
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
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
            pass  # the relay was killed, or the receiver has closed the socket

    def finish(self) -> None:
        try:
            super().finish()
        except (OSError, ValueError):
            pass

    def log_message(self, *args: object) -> None: ...


@contextmanager
def receiving(secret: str = SECRET) -> Iterator[Receiver]:
    """Run a receiver for the duration of the context."""
    receiver = Receiver(secret).start()
    try:
        yield receiver
    finally:
        receiver.close()


class Listener(ThreadingTCPServer):
    """A server on a free port that calls a function for each connection, in a thread for each.

    A thread must not be in `accept` while its socket is closed. It would stay there with the number of the socket's
    descriptor, and a process that is stopped and continued repeats the call: by then the number may be that of another
    test's receiver, which loses a connection. This server waits in `select`, and `close` ends its thread first.

    Attributes:
        port: the port.
        connections: the number of connections so far.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, serve: Callable[[socket.socket], object]) -> None:
        super().__init__(("127.0.0.1", 0), BaseRequestHandler)
        self.port = int(self.server_address[1])
        self.connections = 0
        self._serve = serve
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Count a connection, and start its thread."""
        self.connections += 1
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection. The function closes it, because some must be reset or cut off."""
        self._serve(request)

    def close(self) -> None:
        """Wait until no thread accepts connections, and close the listening socket."""
        self.shutdown()
        self.server_close()


_closed: list[socket.socket] = []


def closed_port() -> int:
    """Return a port on which nobody listens. It stays bound as long as this process lives.

    A port that is only free now may be that of another test's receiver a moment later, which then gets our events.
    """
    _closed.append(socket.socket())
    _closed[-1].bind(("127.0.0.1", 0))
    return int(_closed[-1].getsockname()[1])


def wait_until(condition: Callable[[], object], what: str | Callable[[], str] = "it", timeout: float = WAIT) -> None:
    """Wait until a condition is true.
    `what` describes it in the error after a timeout; a callable is called only then.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        late = time.monotonic() >= deadline
        assert not late, f"waited {timeout:g} s in vain for {what if isinstance(what, str) else what()}"
        time.sleep(0.02)


class ProjectFolder:
    """A project's folder, with methods to write its files and to read its recorded events.
    Attributes:
        root: the folder. It contains `.taskmaster`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / ".taskmaster").mkdir(parents=True, exist_ok=True)

    @property
    def project(self) -> Project:
        """The `Project` of the package, which names the project's files."""
        return Project(str(self.root))

    @property
    def journal(self) -> Path:
        """The folder of the journal."""
        return Path(self.project.journal)

    def file(self, path: str, content: str | bytes, mode: int = 0o644) -> Path:
        """Write one file. The text may be indented."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else textwrap.dedent(content).encode())
        target.chmod(mode)
        return target

    def events(self) -> list[Json]:
        """Return all events in the journal: oldest segment first, in the order written."""
        return read_events(self.root)

    def segments(self) -> list[Path]:
        """Return the paths of the segments, oldest first."""
        return sorted(self.journal.glob("*.jsonl"))

    def log(self) -> str:
        """Return the text of the relay log."""
        path = Path(self.project.relay_log)
        return path.read_text() if path.exists() else ""

    def busy(self) -> bool:
        """Whether a relay is running, according to its lock."""
        return any(locks.is_held(str(path)) for path in Path(self.project.relay_folder).glob("*.lock"))

    def relays(self) -> list[int]:
        """Return the process ids of this project's relays."""
        return [pid for pid, command in _processes() if str(self.root) in command and "run_relay" in command]

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill this project's relays, and wait until they are gone."""
        pids = self.relays()
        for pid in pids:
            with suppress(ProcessLookupError):  # the process has just ended
                os.kill(pid, number)
        wait_until(lambda: not any(map(_is_alive, pids)) and not self.relays(), "the relay's death")


UNRELATED = [f"-pno:{name}" for name in ("hypothesispytest", "pytest_cov", "anyio", "time_machine")]
"""Options that disable unrelated plugins. Loading them would take most of the time of a short session."""

QUICK = (
    "linger=0.3,backoff_first=0.05,notify_first=0.2,notify_claim=12,alerts_look=0.1,alerts_retry=0.5,"
    "tasks_watch=2,tasks_look=0.1,command_grace=0.5"
)
"""Waiting times of relays in tests. `Timing` has those of production; a test that needs them sets `VARIABLE` itself."""


class Lab(ProjectFolder):
    """A project whose commands have the webhook and the secret in their environment.
    Attributes:
        environ: the environment of the project's commands. Relays are quick, see `QUICK`.
    """

    def __init__(self, root: Path, **environ: str) -> None:
        super().__init__(root)
        self.environ = clean_environ(AUTOMATION_SECRET_KEY=SECRET, **{VARIABLE: QUICK, **environ})

    def webhooks(self, *definitions: Json, **others: Any) -> None:
        """Write a configuration with these webhooks. It is written as JSON, which is valid YAML."""
        content = {"task_integration": {"webhooks": list(definitions)}, **others}
        path = self.root / ".taskmaster" / "config" / "workflow.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))

    def record_unsent(self, event_type: str, task_ids: Iterable[str], **environ: str) -> list[str]:
        """Record events in this process without starting a relay, and return their ids."""
        whole = {**self.environ, **environ}
        recorder = Recorder(read_settings(self.project, whole), whole)
        no_relay(recorder)
        events = [recorder.trigger(event_type, task_id, None, {}) for task_id in task_ids]
        recorder.close()
        return [event.id for event in events if event is not None]

    # -- commands --------------------------------------------------------------------------------------------------

    def command(self, *arguments: str) -> list[str]:
        """Return a `swarmtask` command."""
        return [sys.executable, "-m", "pytest_swarmtask", *arguments]

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a `swarmtask` command to its end."""
        return self._run(self.command(*arguments), environ)

    def python(self, program: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a Python program to its end."""
        return self._run([sys.executable, "-c", program], environ)

    def pytest(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a pytest session to its end."""
        options = ["-q", "-p", "no:cacheprovider", *UNRELATED]
        return self._run([sys.executable, "-m", "pytest", *options, *arguments], environ)

    def _run(self, command: Sequence[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return run_process(command, self.root, {**self.environ, **environ})

    def emit(self, *arguments: str, **environ: str) -> Json:
        """Emit one event, check that there was no error, and return the event."""
        done = self.run("emit", *arguments, **environ)
        assert (done.returncode, done.stderr) == (0, "")
        return self.events()[-1]

    def record(self, count: int, **environ: str) -> list[Json]:
        """Record `count` events in one process, named 0, 1, 2…, and return them."""
        program = (
            "from pytest_swarmtask import AutomationIntegrator as A; h = A()\n"
            f"for n in range({count}): h.trigger_event('TASK_STARTED', str(n))"
        )
        done = self.python(program, **environ)
        assert (done.returncode, done.stderr) == (0, "")
        return self.events()[-count:] if count else []

    def status(self, **environ: str) -> Json:
        """Return the output of `swarmtask status --json`."""
        found: Json = json.loads(self.run("status", "--json", **environ).stdout)
        return found

    # -- state of the project --------------------------------------------------------------------------------------

    def ids(self) -> list[str]:
        """Return the ids of all events in the journal."""
        return [event["id"] for event in self.events()]

    def wait_for_end(self) -> None:
        """Wait until no relay is running and no relay process is left."""
        wait_until(lambda: not self.busy() and not self.relays(), lambda: f"the relay's end\n{self.log()}")

    def wait_for_settled(self) -> None:
        """Wait until all events in the journal are delivered or refused. A relay may still be running."""

        def settled() -> bool:
            return not any(one.waiting for one in survey(self.project, self.environ).endpoints.values())

        wait_until(settled, lambda: f"delivery\n{self.log()}")


def is_process(pid: int) -> bool:
    """Whether there is a process of this id; also one that has died and that nobody has waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _is_alive(pid: int) -> bool:
    """Whether a process may still have open files.
    A dying process loses its command line before it closes its files.
    """
    stat = Path(f"/proc/{pid}/stat")
    try:
        return is_process(pid) and (
            not stat.parent.is_dir() or stat.read_bytes().rpartition(b")")[2].split()[0] not in b"ZX"
        )
    except (ProcessLookupError, FileNotFoundError):
        return False


def _processes() -> Iterator[tuple[int, str]]:
    """Yield the process id and the command line of each running process."""
    if not os.path.isdir("/proc/self"):
        listing = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,args="], capture_output=True, text=True, check=True)
        for line in listing.stdout.splitlines():
            pid, _, command = line.strip().partition(" ")
            yield int(pid), command
        return
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):  # the process has just ended
                yield int(name), _command_line(Path("/proc", name))


def _command_line(process: Path) -> str:
    """Return the command line of a process. During an exec the command line is empty for a moment, so read it again."""
    deadline = time.monotonic() + 0.1
    while not (line := (process / "cmdline").read_bytes()) and time.monotonic() < deadline:
        (process / "exe").readlink()
    return line.decode(errors="replace").replace("\0", " ")
