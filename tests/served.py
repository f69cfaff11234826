"""A real `swarmtask serve` process, fed through signed webhooks."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.parse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

from pytest_swarmtask.core.event import Event
from pytest_swarmtask.plugins.sink import PendingEvent
from pytest_swarmtask.wire import formats
from tests.lab import ProjectFolder, clean_environ, wait_until
from tests.team import SECRET, signed

_AT_ONCE = 200
"""Events in one request."""


class Answer(NamedTuple):
    """What the server has answered; the names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    text: str


class Served:
    """A running server.

    Attributes:
        url: its address, without a slash at its end.
        path: the path of that address: the prefix of all pages.
        host: its host and port.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urllib.parse.urlsplit(url)
        self.path = parts.path
        self.host = str(parts.netloc)

    def send(self, events: Iterable[Event], source: str | None = None) -> None:
        """Send events as a relay does, and check that they were taken. `source` is a name of their project."""
        lines = [_from(event, source).encode().rstrip(b"\n") for event in events]
        for at in range(0, len(lines), _AT_ONCE):
            records = [
                PendingEvent(line, Event.decode(line), "made", len(line) + 1) for line in lines[at : at + _AT_ONCE]
            ]
            body = formats.by_name("cloudevents").body(records, batch=True)
            answer = self.post(body)
            while answer.status == 503:  # a relay tries again, too
                answer = self.post(body)
            assert answer.status == 204, answer.text

    def post(self, body: bytes) -> Answer:
        """Send a signed request."""
        headers = {**signed(body), "content-type": formats.CLOUDEVENT_BATCH}
        return self._ask("POST", "/hook", headers, body)

    def push(self, project: ProjectFolder, source: str | None = None) -> None:
        """Send all events in the journal of a project."""
        lines = (line for path in project.segments() for line in path.read_bytes().splitlines(keepends=True))
        self.send([Event.decode(line) for line in lines], source)

    def get(self, path: str, **headers: str) -> Answer:
        """Ask for a path below the address, as a browser does."""
        return self._ask("GET", path, {"Accept": "text/html", **headers}, None)

    def settle(self) -> None:
        """Wait until the totals of all runs are computed: until the upkeep has begun and ended once from now."""
        for _ in range(2):  # the first round may have begun before
            self._next_round()

    def _next_round(self) -> None:
        seen = self._rounds()
        wait_until(lambda: self._rounds() != seen, "the totals of the runs")

    def _rounds(self) -> str:
        """Return a number that grows with each round of the upkeep."""
        found = re.search(r"^swarmtask_refresh_seconds_total (\S+)", self.get("/metrics").text, re.MULTILINE)
        assert found
        return found[1]

    def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        connection = HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, self.path + path, body, headers)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read().decode())
        finally:
            connection.close()


def _from(event: Event, source: str | None) -> Event:
    if source is not None:
        event.source = source
    return event


@contextmanager
def serving(folder: Path, *options: str, **environ: str) -> Iterator[Served]:
    """Run a server on a free port during the block. Its history is a file in the folder, unless an option names one."""
    command = [sys.executable, "-m", "pytest_swarmtask", "serve", "--port", "0", "--root", str(folder), *options]
    (folder / ".taskmaster").mkdir(parents=True, exist_ok=True)
    with (
        open(folder / "serve.log", "wb") as log,
        subprocess.Popen(
            command,
            cwd=folder,
            env=clean_environ(AUTOMATION_SECRET_KEY=SECRET, **environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        ) as server,
    ):
        try:
            assert server.stdout is not None
            first = server.stdout.readline().decode()
            found = re.match(r"(http://\S+)/ shows the runs", first)
            assert found, first + (folder / "serve.log").read_text(errors="replace")
            yield Served(found[1])
        finally:
            server.terminate()
            server.communicate(timeout=60)


def log_of(folder: Path) -> str:
    """Return what the server of a folder has logged."""
    return (folder / "serve.log").read_text(errors="replace")
