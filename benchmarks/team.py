"""How many events a second servers take: signed HTTP in batches, into PostgreSQL and SQLite.

Run with ``python -m benchmarks.team [events]``, or as the section `team` of `make bench`. Clients, servers and
PostgreSQL share the machine. The reference is psycopg alone, which writes the same rows in the same run: see `bare`.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import multiprocessing
import os
import re
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import psycopg

from benchmarks.measure import Row
from benchmarks.place import Place
from pytest_swarmtask.core.event import Event
from pytest_swarmtask.core.trace import Clock, Ids, new_trace_id
from pytest_swarmtask.history.database import choose_or_add_project
from pytest_swarmtask.history.keys import Keys
from pytest_swarmtask.history.postgres import PostgresDatabase, configure_writer
from pytest_swarmtask.history.rows import Batch
from pytest_swarmtask.history.store import open_store
from pytest_swarmtask.history.write import write_batch
from tests.postgres import NEWEST, Cluster, programs
from tests.team import Server, signed

BATCH = 100
"""Events in a request, as relays send them."""
RELAYS = 50
"""Relays that send at once. Each is a shard of every CI run."""
TESTS = 400
"""Tests of a shard, so a run has 20,000."""
TRANSACTION = 10
"""Requests that the reference writes in one transaction: about as many as servers do."""
RETENTION = 30 * 86400.0
_INSERT = re.compile(r"\s*INSERT INTO (?P<table>event|span) \((?P<columns>[^)]+)\)[^)]+\)(?P<rest>.*)", re.DOTALL)
_Write = tuple[str, str, str, Sequence[Sequence[Any]]]
"""Table, columns, conflict clause and rows."""


class Load(NamedTuple):
    """What clients measured: events a second, and the seconds of the answers."""

    rate: float
    answers: list[float]

    @property
    def p99(self) -> float:
        """The 99th percentile of the answers, in milliseconds."""
        return statistics.quantiles(self.answers, n=100)[98] * 1000


def session(shard: int, run: int, source: str = "shop") -> Iterator[bytes]:
    """Yield the lines of a pytest session, one shard of a CI run, as the plugin writes them."""
    ids, clock, trace = Ids(), Clock(), new_trace_id()
    root, now = ids.span(), clock.now()
    about = {"action": "session", "variant": "cpython-3.13-linux", "branch": "main", "commit": f"{run:040}"}
    about |= {"ci_run": f"https://ci.example/o/r/{run}", "ci_job": "test", "shard": f"{shard}", "ci_job_run": "1"}

    def event(event_type: str, task: str, span: str, facts: dict[str, Any]) -> bytes:
        at, parent = clock.timestamp(now), None if span == root else root
        status = event_type.partition("_")[2].lower()
        made = Event(ids.event(), event_type, task, status, at, source, trace, span, parent, {"timestamp": at, **facts})
        return made.encode().rstrip(b"\n")

    yield event("TASK_STARTED", "pytest_run", root, about)
    for number in range(TESTS):
        span, name = ids.span(), f"tests/shard_{shard}/test_module_{number // 50}.py::TestCase::test_{number}"
        facts = {"workflow": "pytest", "action": "test"}
        now += 0.0005
        yield event("TEST_STARTED", name, span, facts)
        ended = {"success": True, "duration": 0.0123, "test_type": "pytest", "specific_test": name}
        ended |= {"test_passed": True, "outcome": "passed", "phase": "call", "worker": "gw1", "attempt": 1}
        now += 0.0005
        yield event("TEST_PASSED", name, span, facts | ended)
    yield event("TASK_COMPLETED", "pytest_run", root, about | {"tests": TESTS, "duration": 0.5})


def requests_of(events: int) -> list[list[list[bytes]]]:
    """Return for each relay its requests, each with its lines: the shard of one CI run after the other."""
    runs = max(1, events // (RELAYS * (2 * TESTS + 2)))
    relays = []
    for shard in range(RELAYS):
        lines = [line for run in range(runs) for line in session(shard, run)]
        relays.append([lines[start : start + BATCH] for start in range(0, len(lines), BATCH)])
    return relays


def body(lines: Sequence[bytes]) -> bytes:
    """Return a batch as a relay makes it: CloudEvents with the lines as their data."""
    head = b'{"specversion":"1.0","id":"%d","source":"shop","type":"dev.swarmtask.test.passed","data":'
    return b"[%b]" % b",".join(b"%b%b}" % (head % number, line) for number, line in enumerate(lines))


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


class _Kept(PostgresDatabase):
    """Keeps what an import writes into the tables of events and spans, by transaction."""

    transactions: ClassVar[list[list[_Write]]] = []

    def executemany(self, statement: str, rows: Sequence[Sequence[Any]], /) -> None:
        """Keep the rows, and write them."""
        found = _INSERT.fullmatch(statement)
        if found and rows:
            self.transactions[-1].append((found["table"], found["columns"], found["rest"], rows))
        super().executemany(statement, rows)


@contextlib.contextmanager
def connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect to a database that is as a server has made it."""
    store = open_store(url, 1)
    store.drop_old_lines(RETENTION)
    store.close()
    with psycopg.connect(url, autocommit=True) as connection:
        configure_writer(connection)
        yield connection


def rows_of(url: str, relays: Sequence[Sequence[Sequence[bytes]]]) -> list[list[_Write]]:
    """Return the rows that a server writes for requests, by transaction."""
    keys = Keys()
    in_turn = [request for each in itertools.zip_longest(*relays) for request in each if request]
    _Kept.transactions.clear()
    with connected(url) as connection:
        db = _Kept(connection, 0)
        choose_or_add_project(db, "shop")
        for start in range(0, len(in_turn), TRANSACTION):
            batch = Batch()
            for line in itertools.chain(*in_turn[start : start + TRANSACTION]):
                batch.add(line)
            _Kept.transactions.append([])
            with db.transaction():
                write_batch(db, batch, keys)
    return list(_Kept.transactions)


def bare(url: str, transactions: Sequence[Sequence[_Write]]) -> float:
    """Return the seconds of psycopg alone for the same rows: COPY into a temporary table, and INSERT on conflict.

    The tables are those of a server, with their indexes. The rows are made beforehand, and nothing else is written.
    """
    with connected(url) as connection:
        for table in ("event", "span"):
            made = f"CREATE TEMPORARY TABLE copied_{table} AS SELECT * FROM {table} WITH NO DATA"
            connection.execute(made.encode())
        began = time.perf_counter()
        for transaction in transactions:
            with connection.transaction(), connection.cursor() as cursor:
                for table, columns, conflict, rows in transaction:
                    with cursor.copy(f"COPY copied_{table} ({columns}) FROM STDIN".encode()) as copy:
                        for row in rows:
                            copy.write_row(row)
                    insert = f"INSERT INTO {table} ({columns}) SELECT {columns} FROM copied_{table} {conflict}"
                    cursor.execute(insert.encode())
                    cursor.execute(f"TRUNCATE copied_{table}".encode())
        return time.perf_counter() - began


def servers(folder: Path, database: str, number: int) -> list[Server]:
    """Start servers on one database."""
    return [Server(folder / f"server-{n}", database).start() for n in range(number)]


def measure(folder: Path, database: str, number: int, relays: Sequence[Sequence[Sequence[bytes]]]) -> Load:
    """Measure some servers, with all relays at once."""
    running = servers(folder, database, number)
    try:
        shares = [[body(lines) for lines in requests] for requests in relays]
        return load([server.port for server in running], shares, count(relays))
    finally:
        for server in running:
            server.close()


def count(relays: Sequence[Sequence[Sequence[bytes]]]) -> int:
    """Return the number of events of all requests."""
    return sum(len(lines) for requests in relays for lines in requests)


def team(place: Place) -> Iterator[Row]:
    """Two servers on PostgreSQL and one on SQLite, beside psycopg alone."""
    yield from rows(place.folder, 40_000 if place.quick else 200_000, place.turns(3))


def rows(folder: Path, events: int, turns: int) -> Iterator[Row]:
    """Measure each in turn, and return what was found."""
    relays = requests_of(events)
    total = count(relays)
    cluster = Cluster(programs(NEWEST))
    alone: list[float] = []
    found: dict[str, list[Load]] = {"two servers on PostgreSQL": [], "one on PostgreSQL": [], "one on SQLite": []}
    try:
        written = rows_of(cluster.url(cluster.new_database()), relays)
        for turn in range(turns):
            alone.append(total / bare(cluster.url(cluster.new_database()), written))
            for what, loads in found.items():
                database = cluster.url(cluster.new_database()) if "PostgreSQL" in what else ""
                number = 2 if what.startswith("two") else 1
                loads.append(measure(folder / f"{what}-{turn}".replace(" ", "-"), database, number, relays))
    finally:
        cluster.remove()
    against = f"psycopg alone, COPY and INSERT on conflict ({statistics.median(alone):,.0f}/s)"
    for what, loads in found.items():
        rate = statistics.median(load.rate for load in loads)
        p99 = statistics.median(load.p99 for load in loads)
        told = f"{rate:,.0f}/s; an answer of {RELAYS} relays at once: p99 {p99:.0f} ms"
        bar = "0.6 or more, 20,000/s" if what.startswith("two") else ""
        ratios = [load.rate / other for load, other in zip(loads, alone, strict=True)]
        yield Row("team", f"{what}: events a second", against, ratios, bar, told)


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", nargs="?", type=int, default=200_000)
    parser.add_argument("turns", nargs="?", type=int, default=1)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, {options.events} events in batches of {BATCH} from {RELAYS} relays")
    with tempfile.TemporaryDirectory(prefix="bench-team-") as name:
        for row in rows(Path(name), options.events, options.turns):
            print(f"{row.what}: {row.added}; {row.median:.2f} of {row.against}")


if __name__ == "__main__":
    main()
