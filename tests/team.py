"""A real `swarmtask serve` for tests, and senders that sign for it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pytest_swarmtask.core.event import Event
from pytest_swarmtask.core.trace import Clock, Ids
from pytest_swarmtask.wire import signing
from tests.lab import clean_environ, wait_until

SECRET = signing.new_secret()
OTHER = signing.new_secret()


class Server:
    """A server process on loopback.

    Args:
        folder: the folder where it runs.
        database: the address of its database; a SQLite file of its own if it is empty.
        arguments: more options.
        environ: more variables.
    """

    def __init__(self, folder: Path, database: str = "", arguments: Sequence[str] = (), **environ: str) -> None:
        (folder / ".taskmaster").mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self._command = [sys.executable, "-m", "pytest_swarmtask", "serve", f"--port={self.port}", *arguments]
        self._environ = clean_environ(**{"AUTOMATION_SECRET_KEY": SECRET, "SWARMTASK_DATABASE": database, **environ})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def hook(self) -> str:
        """Where webhooks go."""
        return f"{self.url}/hook"

    @property
    def log(self) -> str:
        """What it has written to standard error."""
        return (self.folder / "log").read_text("utf-8")

    def start(self) -> Server:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log, (self.folder / "out").open("ab") as out:
            self._process = subprocess.Popen(
                self._command, cwd=self.folder, env=self._environ, stdin=subprocess.DEVNULL, stdout=out, stderr=log
            )
        wait_until(lambda: self._answers() or self._has_ended(), lambda: f"the server: {self.log}")
        assert not self._has_ended(), self.log
        return self

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send it a signal, wait for its end, and return its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(30)

    def close(self) -> None:
        """End it, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _answers(self) -> bool:
        try:
            return self.get("/healthz")[0] == 200
        except OSError:
            return False

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of an answer."""
        return self.request("GET", path, b"", headers)

    def request(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request, and return status, headers and body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def json(self, path: str, **headers: str) -> Any:
        """Return the object that an address answers with."""
        status, _, body = self.get(path, **headers)
        assert status == 200, body
        return json.loads(body)

    def post(self, body: bytes, secrets: str | Sequence[str] = SECRET, **headers: str) -> tuple[int, str]:
        """Send a signed webhook, and return status and text of the answer."""
        status, _, text = self.request("POST", "/hook", body, {**signed(body, secrets), **headers})
        return status, text.decode()

    def send(self, events: Iterable[Event]) -> None:
        """Send events in one batch, as a relay does."""
        status, text = self.post(batch(events))
        assert (status, text) == (204, "")

    def refreshed(self, project: str, condition: Any) -> Any:
        """Wait until the last run of a project meets a condition, and return the run."""
        path = f"/api/v1/projects/{project}/runs?limit=1"
        wait_until(lambda: (runs := self.json(path)["runs"]) and condition(runs[0]), lambda: str(self.json(path)))
        return self.json(path)["runs"][0]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def signed(body: bytes, secrets: str | Sequence[str] = SECRET, at: float | None = None) -> dict[str, str]:
    """Return the headers of a webhook, signed at a time."""
    keys = [signing.decode_secret(secret) for secret in ([secrets] if isinstance(secrets, str) else secrets)]
    timestamp, name = int(time.time() if at is None else at), f"msg_{os.urandom(8).hex()}"
    return {
        "content-type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signing.sign(keys, name, timestamp, body),
    }


def batch(events: Iterable[Event]) -> bytes:
    """Return plain events as one body."""
    return json.dumps([{name: getattr(event, name) for name in Event.__slots__} for event in events]).encode()


def session(source: str = "shop", trace: str = "a" * 32, **tests: str) -> list[Event]:
    """Return the events of a pytest session whose tests have these outcomes."""
    ids, clock = Ids(), Clock()
    root = ids.span()

    def event(event_type: str, task: str, span: str, parent: str | None, **metadata: Any) -> Event:
        status = event_type.partition("_")[2].lower()
        return Event(ids.event(), event_type, task, status, clock.timestamp(), source, trace, span, parent, metadata)

    events = [event("TASK_STARTED", "pytest_run", root, None, action="session", branch="main", variant="py")]
    for test, outcome in tests.items():
        span = ids.span()
        events.append(event("TEST_STARTED", test, span, root))
        kind = "TEST_FAILED" if outcome == "failed" else "TEST_PASSED"
        more = {"error": f"{test} is wrong"} if outcome == "failed" else {}
        events.append(event(kind, test, span, root, outcome=outcome, duration=0.5, **more))
    ending = "TASK_FAILED" if "failed" in tests.values() else "TASK_COMPLETED"
    events.append(event(ending, "pytest_run", root, None, action="session", duration=1.0, tests=len(tests)))
    return events
