"""Real servers of teams, `swarmtask serve`, and journals that are sent to them as signed webhooks."""

from __future__ import annotations

import atexit
import functools
import http.client
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import standardwebhooks

from pytest_swarmtask.core.project import Project
from pytest_swarmtask.history.runs import refresh
from pytest_swarmtask.history.store import open_store
from pytest_swarmtask.journal.orphans import close_orphaned_spans
from pytest_swarmtask.journal.segments import read, segments
from tests import postgres
from tests.history.made import SQLITE
from tests.lab import SECRET, WAIT, Json, clean_environ

ENGINE_VARIABLE = "SWARMTASK_TEST_SERVER"
"""The variable that makes `tests.shop.swarmtask` ask a server: ``sqlite``, or a major version of PostgreSQL."""
_MOST_EVENTS = 500
_names = itertools.count()


class Reply:
    """What a server has answered.
    Attributes:
        status: the status.
        headers: the headers, with names in lower case.
        text: the body.
    """

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        self.text = answer.read().decode()

    def json(self) -> Json:
        """Return the object in the body."""
        found: Json = json.loads(self.text)
        return found


class Team:
    """A running server.
    Attributes:
        url: its address, without a slash at its end.
        database: the address of its database.
    """

    def __init__(self, folder: Path, database: str, *options: str, **environ: str) -> None:
        self.database = database
        (folder / ".taskmaster").mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pytest_swarmtask", "serve", "--port", "0", "--root", str(folder)]
        self._process = subprocess.Popen(
            [*command, "--database", database, *options],
            cwd=folder,
            env=clean_environ(AUTOMATION_SECRET_KEY=SECRET, **environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=(folder / "server.log").open("wb"),
            encoding="utf-8",
        )
        assert self._process.stdout is not None
        found = re.match(r"(http://\S+)/ shows the runs", self._process.stdout.readline())
        assert found is not None, (folder / "server.log").read_text()
        self.url = found[1]

    def stop(self) -> None:
        """Stop the server, and wait for its end."""
        self._process.terminate()
        self._process.communicate(timeout=WAIT)

    def get(self, path: str, headers: dict[str, str] | None = None, **parameters: object) -> Reply:
        """Ask the API for a path below its base."""
        query = f"?{urlencode(parameters)}" if parameters else ""
        return self.request("GET", f"/api/v1{path}{query}", b"", headers or {})

    def request(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        """Send a request."""
        parts = urlsplit(self.url)
        with closing(http.client.HTTPConnection(parts.netloc, timeout=WAIT)) as connection:
            connection.request(method, f"{parts.path}{path}", body, headers)
            return Reply(connection.getresponse())

    def push(self, root: Path, project: str) -> str:
        """Send the whole journal of a folder as signed webhooks, and return the address of its page.
        The totals of its runs are computed before this returns.
        """
        local = Project(str(root))
        close_orphaned_spans(local)  # which a relay does before it sends
        events = [
            {**event, "source": project}
            for segment in segments(local.journal)
            for line, _ in read(local.segment(segment.name))
            if (event := _event(line)) is not None
        ]
        for start in range(0, len(events), _MOST_EVENTS):
            self.send(events[start : start + _MOST_EVENTS])
        self.refresh(project)
        return f"{self.url}/p/{project}/"

    def send(self, events: Sequence[Json]) -> None:
        """Send events in one signed request."""
        body, name, now = json.dumps(events), f"msg_{time.time_ns()}", datetime.now(timezone.utc)
        headers = {
            "content-type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": standardwebhooks.Webhook(SECRET).sign(name, now, body),
        }
        reply = self.request("POST", "/hook", body.encode(), headers)
        assert reply.status == 204, reply.text

    def refresh(self, project: str) -> None:
        """Compute the totals of runs now. The server does it after a second or so."""
        with closing(open_store(self.database, 1)) as store, store.writing(project) as db:
            refresh(db)


def _event(line: bytes) -> Json | None:
    """Return the event of a line, or None if the line is none, or not one that a relay would send."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "event_type" in found else None


@contextmanager
def serving(folder: Path, engine: str, *options: str, **environ: str) -> Iterator[Team]:
    """Run a server with an empty database for the duration of the context."""
    team = Team(folder, new_database(folder, engine), *options, **environ)
    try:
        yield team
    finally:
        team.stop()


def new_database(folder: Path, engine: str) -> str:
    """Return the address of an empty database."""
    return str(folder / "server" / "history.sqlite") if engine == SQLITE else postgres.new_history(engine)


@functools.cache
def team(engine: str) -> Team:
    """Return the server of this test process, which is started when it is asked for first."""
    folder = Path(tempfile.mkdtemp(prefix="swarmtask-team-"))
    made = Team(folder, new_database(folder, engine))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(made.stop)
    return made


def from_a_server(root: Path) -> list[str]:
    """Return the options with which a command asks a server that has the whole journal of a folder.
    There are none if `ENGINE_VARIABLE` is not set.
    """
    engine = os.environ.get(ENGINE_VARIABLE)
    return ["--from", team(engine).push(root, f"made-{next(_names)}")] if engine else []
