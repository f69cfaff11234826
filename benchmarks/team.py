"""How many events a second a server takes: signed HTTP in batches, into PostgreSQL and SQLite.

Run with ``python -m benchmarks.team [events]``. Clients, servers and PostgreSQL share the machine. The reference is
psycopg alone: COPY of the same lines into a temporary table, and INSERT with the same conflict clause.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from pytest_swarmtask.core.event import Event
from pytest_swarmtask.core.trace import Clock, Ids, new_trace_id
from tests.postgres import NEWEST, Cluster, programs
from tests.team import Server, signed

BATCH = 100
RELAYS = 50
TESTS = 5_000


class Load(NamedTuple):
    """What clients measured: events a second, and the seconds of the answers."""

    rate: float
    answers: list[float]

    @property
    def p99(self) -> float:
        """The 99th percentile of the answers, in milliseconds."""
        return statistics.quantiles(self.answers, n=100)[98] * 1000


def session(tests: int, source: str) -> Iterator[bytes]:
    """Yield the lines of a pytest session, as the plugin writes them."""
    ids, clock, trace = Ids(), Clock(), new_trace_id()
    root, now = ids.span(), clock.now()
    about = {"action": "session", "variant": "cpython-3.13-linux", "branch": "main", "commit": trace}
    started = Event(ids.event(), "TASK_STARTED", "pytest_run", "started", "", source, trace, root, None, about)
    started.timestamp = clock.timestamp(now)
    yield started.encode().rstrip(b"\n")
    for number in range(tests):
        span, name = ids.span(), f"tests/unit/test_module_{number // 50}.py::TestCase::test_{number}"
        for event_type, status in (("TEST_STARTED", "started"), ("TEST_PASSED", "passed")):
            now += 0.0005
            at = clock.timestamp(now)
            facts: dict[str, Any] = {"timestamp": at, "workflow": "pytest", "action": "test"}
            if status == "passed":
                facts |= {"success": True, "duration": 0.0123, "test_type": "pytest", "specific_test": name}
                facts |= {"test_passed": True, "outcome": "passed", "phase": "call", "worker": "gw1", "attempt": 1}
            event = Event(ids.event(), event_type, name, status, at, source, trace, span, root, facts)
            yield event.encode().rstrip(b"\n")


def bodies(lines: Sequence[bytes]) -> list[bytes]:
    """Return batches as a relay makes them: CloudEvents with the lines as their data."""
    head = b'{"specversion":"1.0","id":"%d","source":"shop","type":"dev.swarmtask.test.passed","data":'
    events = [b"%b%b}" % (head % number, line) for number, line in enumerate(lines)]
    return [b"[%b]" % b",".join(events[start : start + BATCH]) for start in range(0, len(events), BATCH)]


def post(port: int, requests: Sequence[bytes]) -> list[float]:
    """Send requests over one connection, as a relay does, and return the seconds of the answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    answers = []
    for body in requests:
        began = time.perf_counter()
        connection.request("POST", "/hook", body, signed(body))
        answer = connection.getresponse()
        answer.read()
        if answer.status != 204:
            raise RuntimeError(f"the server answered {answer.status}")
        answers.append(time.perf_counter() - began)
    connection.close()
    return answers


def _client(
    ports: Sequence[int], shares: Sequence[Sequence[bytes]], results: multiprocessing.Queue[list[float]]
) -> None:
    with ThreadPoolExecutor(len(shares)) as pool:
        found = list(pool.map(post, [ports[n % len(ports)] for n in range(len(shares))], shares))
    results.put([seconds for one in found for seconds in one])


def load(ports: Sequence[int], shares: Sequence[Sequence[bytes]], events: int) -> Load:
    """Send everything at once, each share over a connection of its own, from another process."""
    results: multiprocessing.Queue[list[float]] = multiprocessing.Queue()
    process = multiprocessing.Process(target=_client, args=(ports, shares, results))
    began = time.perf_counter()
    process.start()
    answers = results.get()
    took = time.perf_counter() - began
    process.join()
    return Load(events / took, answers)


def bare(url: str, lines: Sequence[bytes], size: int) -> float:
    """Return the events a second of psycopg alone, in transactions of `size` lines with nine typed columns."""
    columns = "run, event_id, started, ended, status, failed, duration, worker, attempt, line"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("""CREATE TABLE bare (run BIGINT, event_id TEXT, started TIMESTAMPTZ, ended TIMESTAMPTZ,
            status TEXT, failed INTEGER, duration DOUBLE PRECISION, worker TEXT, attempt BIGINT, line TEXT,
            UNIQUE (run, event_id))""")
        connection.execute("CREATE INDEX ON bare (status, started)")
        connection.execute("CREATE INDEX ON bare (run) WHERE failed = 1")
        connection.execute("CREATE TEMPORARY TABLE new AS SELECT * FROM bare WITH NO DATA")
        began = time.perf_counter()
        for start in range(0, len(lines), size):
            with connection.transaction(), connection.cursor() as cursor:
                with cursor.copy(f"COPY new ({columns}) FROM STDIN".encode()) as copy:
                    for number, line in enumerate(lines[start : start + size], start):
                        at = "2026-01-31T10:15:00.123Z"
                        copy.write_row((1, f"e-{number}", at, at, "passed", 0, 0.0123, "gw1", 1, line.decode()))
                cursor.execute("INSERT INTO bare SELECT * FROM new ON CONFLICT DO NOTHING")
                cursor.execute("TRUNCATE new")
        took = time.perf_counter() - began
        connection.execute("DROP TABLE bare")
    return len(lines) / took


def servers(folder: Path, database: str, number: int) -> list[Server]:
    """Start servers on one database."""
    return [Server(folder / f"server-{n}", database).start() for n in range(number)]


def measure(folder: Path, database: str, number: int, events: int) -> Load:
    """Measure some servers: `RELAYS` relays at once, each with its own shard of a run."""
    running = servers(folder, database, number)
    try:
        shares = [bodies(list(session(events // RELAYS // 2, "shop"))) for _ in range(RELAYS)]
        total = sum(body.count(b'"specversion"') for share in shares for body in share)
        return load([server.port for server in running], shares, total)
    finally:
        for server in running:
            server.close()


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", nargs="?", type=int, default=200_000)
    events = parser.parse_args().events
    print(f"{os.cpu_count()} cores, {events} events in batches of {BATCH} from {RELAYS} relays")
    with tempfile.TemporaryDirectory(prefix="bench-team-") as name:
        folder = Path(name)
        cluster = Cluster(programs(NEWEST))
        try:
            lines = list(session(events // 2, "shop"))
            reference = bare(cluster.url(), lines, 1000)
            print(f"psycopg alone, COPY and INSERT on conflict: {reference:,.0f} events/s")
            for number in (2, 1):
                found = measure(folder / str(number), cluster.url(cluster.new_database()), number, events)
                ratio = found.rate / reference
                print(
                    f"{number} on PostgreSQL: {found.rate:,.0f} events/s, {ratio:.2f} of that; p99 {found.p99:.0f} ms"
                )
            found = measure(folder / "sqlite", "", 1, events)
            print(f"1 on SQLite: {found.rate:,.0f} events/s; p99 {found.p99:.0f} ms")
        finally:
            cluster.remove()


if __name__ == "__main__":
    main()
