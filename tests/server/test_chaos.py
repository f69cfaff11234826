"""Shards of a CI run report to two servers on one PostgreSQL, while all of these are killed, and nothing is lost.

Each request is sent twice, to both servers. One shard has a clock that is a day wrong.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg
import pytest

from pytest_swarmtask.journal.segments import read, segments
from tests.lab import UNRELATED, Lab, wait_until
from tests.postgres import NEWEST, Cluster, programs
from tests.team import SECRET, Server

SUITE = """
import time
import pytest

@pytest.mark.parametrize("n", range({tests}))
def test_it(n):
    time.sleep(0.01)
    if n % 10 == 3:
        pytest.skip("not today")
    assert n % 10 != 7, f"{{n}} is wrong"
"""
WRONG_CLOCK = Path(__file__).parents[1] / "data" / "wrong_clock"
SERVICE = {"GITLAB_CI": "true", "CI_PIPELINE_ID": "7", "CI_SERVER_URL": "https://gitlab.com"}
DAY = {2: 86_400, 3: -86_400}
"""Seconds by which the clocks of some shards are ahead."""


class Balancer:
    """Sends each request to all servers. The answer is that of the last one, or 502 if one of them gave none."""

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers
        self.requests = 0
        balancer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = balancer.forward(body, dict(self.headers.items()))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def forward(self, body: bytes, headers: dict[str, str]) -> int:
        """Send a request to all servers, each time another one first."""
        self.requests += 1
        turn = self.requests % len(self.servers)
        return max(_answer(server, body, headers) for server in (*self.servers[turn:], *self.servers[:turn]))

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _answer(server: Server, body: bytes, headers: dict[str, str]) -> int:
    try:
        return server.request("POST", "/hook", body, headers)[0]
    except (OSError, http.client.HTTPException):
        return 502


class Shard:
    """One machine of the run, with its own checkout of the project and its own clock."""

    def __init__(self, folder: Path, number: int, of: int, url: str, suite: str) -> None:
        job = {"CI_JOB_ID": str(number), "CI_JOB_NAME": f"test {number}/{of}"}
        job |= {"CI_NODE_INDEX": str(number), "CI_NODE_TOTAL": str(of), **SERVICE}
        clock = {"PYTHONPATH": str(WRONG_CLOCK), "TEST_CLOCK_AHEAD": str(DAY[number])} if number in DAY else {}
        self.lab = Lab(folder / str(number) / "shop", TASKMASTER_WEBHOOK_URL=url, **job, **clock)
        self.lab.environ["AUTOMATION_SECRET_KEY"] = SECRET
        if number % 2:  # the others send each event by itself, as TASKMASTER_WEBHOOK_URL alone does
            del self.lab.environ["TASKMASTER_WEBHOOK_URL"]
            self.lab.webhooks({"name": "team", "url": url, "batch": True, "max_age": 0.2})
        self.lab.file(f"test_shard_{number}.py", suite)
        self.xml = self.lab.root / "junit.xml"
        options = ["-q", "-p", "no:cacheprovider", *UNRELATED, f"--junitxml={self.xml}"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options],
            cwd=self.lab.root,
            env=self.lab.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def junit(self) -> Counter[str]:
        """Return how many tests JUnit's file has of each outcome."""
        found = Counter[str]()
        for case in ET.parse(self.xml).iter("testcase"):
            tags = {child.tag for child in case}
            found["failed" if "failure" in tags else "skipped" if "skipped" in tags else "passed"] += 1
        return found

    def journaled(self) -> list[str]:
        """Return the ids of all events in the journal, also in segments that are compressed by now."""
        project = self.lab.project
        names = [segment.name for segment in segments(project.journal)]
        return [json.loads(line)["id"] for name in names for line, _ in read(project.segment(name))]

    def deliver(self) -> None:
        """Deliver what waits."""

        def is_delivered() -> bool:
            return self.lab.run("flush", "--timeout", "20").returncode == 0

        wait_until(is_delivered, lambda: f"delivery: {self.lab.run('status').stdout}", timeout=120)


@contextlib.contextmanager
def team(folder: Path) -> Iterator[tuple[Cluster, list[Server], Balancer]]:
    """Run PostgreSQL, which flushes to the disk as in production, two servers and the balancer before them."""
    cluster = Cluster(programs(NEWEST))
    servers = [Server(folder / name, cluster.url()).start() for name in ("one", "two")]
    balancer = Balancer(servers)
    try:
        yield cluster, servers, balancer
    finally:
        balancer.close()
        for server in servers:
            server.close()
        cluster.remove()


@pytest.mark.parametrize(
    ("shards", "tests"),
    [pytest.param(3, 40, id="short", marks=pytest.mark.slow), pytest.param(12, 60, id="whole", marks=pytest.mark.long)],
)
def test_nothing_is_lost(tmp_path: Path, shards: int, tests: int) -> None:
    with team(tmp_path) as (cluster, servers, balancer):
        suite = SUITE.format(tests=tests)
        machines = [Shard(tmp_path, number, shards, balancer.url, suite) for number in range(1, shards + 1)]
        seen = balancer.requests
        for victim in (servers[0], cluster, servers[1]):
            wait_until(lambda seen=seen: balancer.requests > seen + 2 * shards)  # type: ignore[misc]
            if isinstance(victim, Server):
                victim.kill()
            else:
                victim.stop("immediate")
            seen = balancer.requests
            wait_until(lambda seen=seen: balancer.requests > seen)  # type: ignore[misc] # somebody has noticed
            seen = balancer.requests  # read while nothing can be delivered, so that more must follow
            victim.start()
        codes = [machine.process.wait(300) for machine in machines]
        assert codes == [1] * shards
        for machine in machines:
            machine.deliver()
        check(cluster, servers, machines)


def check(cluster: Cluster, servers: list[Server], machines: list[Shard]) -> None:
    journaled = [name for machine in machines for name in machine.journaled()]
    with psycopg.connect(cluster.url(), options="-c search_path=swarmtask") as connection:
        stored = [name for (name,) in connection.execute("SELECT id FROM events")]
    assert sorted(stored) == sorted(journaled)
    junit = sum((machine.junit() for machine in machines), Counter[str]())
    for server in servers:
        run = server.refreshed("shop", lambda run: run["ended"] is not None and run["tests"] == junit.total())
        assert run["counts"] == dict(junit)
        assert len(server.json("/api/v1/projects/shop/runs")["runs"]) == 1
    for machine in machines:
        (endpoint,) = machine.lab.status()["endpoints"].values()
        assert (endpoint["waiting"], endpoint["dead"]) == (0, 0)
