"""How long a server takes for each of its pages and questions, and how that grows with the history.

Run with ``python -m benchmarks.pages [results…]``. Each run of the history has the results of `TESTS` tests, so a
larger history has more runs. The answers are warm: each was asked for before.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from benchmarks.measure import Row
from benchmarks.place import Place
from pytest_swarmtask.core.event import Event
from pytest_swarmtask.core.trace import Clock, Ids, new_trace_id
from pytest_swarmtask.history.keys import Keys
from pytest_swarmtask.history.rows import Batch
from pytest_swarmtask.history.runs import refresh
from pytest_swarmtask.history.store import open_store
from pytest_swarmtask.history.write import write_batch
from tests.postgres import NEWEST, Cluster, programs
from tests.team import Server

TESTS = 5_000
"""Tests of a run."""
BAR = 300
"""Milliseconds of an answer, at most, with 5,000,000 results."""
_APART = 3600.0
"""Seconds between two runs."""
_BRANCHES = ("main", "main", "main", "feature/login", "feature/search")
_FAILING, _FLAKY = 20, 100
"""Tests that fail since some runs, and tests that fail now and then."""
_TRIES = 5


def run(number: int, began: float, dice: random.Random) -> Iterator[bytes]:
    """Yield the lines of a run; of its tests only the ends, which have all that the history asks for."""
    ids, clock, trace, source = Ids(), Clock(), new_trace_id(), "shop"
    root, branch = ids.span(), _BRANCHES[number % len(_BRANCHES)]
    about = {"action": "session", "variant": "cpython-3.13-linux", "branch": branch, "commit": f"{number:040}"}

    def event(event_type: str, task: str, span: str, after: float, facts: Mapping[str, object]) -> bytes:
        status = event_type.partition("_")[2].lower()
        at, parent = clock.timestamp(began + after), None if span == root else root
        return Event(ids.event(), event_type, task, status, at, source, trace, span, parent, dict(facts)).encode()

    yield event("TASK_STARTED", "pytest_run", root, 0, about)
    for test in range(TESTS):
        name = f"tests/unit/part_{test // 1000}/test_module_{test // 50}.py::TestCase::test_{test}"
        facts: dict[str, object] = {"duration": round(0.01 + test % 97 / 1000, 3), "phase": "call", "attempt": 1}
        is_broken = test < _FAILING and number % 100 > 90 - test
        fails = is_broken or (test < _FLAKY and dice.random() < 0.05)
        if fails:
            error = f"AssertionError: assert {test} == {test + 1}"
            facts |= {"outcome": "failed", "error": error, "exception": "AssertionError", "location": "test.py:12"}
            facts |= {"fingerprint": f"{test % 7:016x}", "traceback": f"def test():\n>   assert\nE   {error}\n" * 5}
        else:
            facts["outcome"] = "passed"
        kind = "TEST_FAILED" if fails else "TEST_PASSED"
        yield event(kind, name, ids.span(), 1 + test / 100, facts)
    ended: dict[str, object] = {"tests": TESTS, "duration": TESTS / 100, "coverage_percent": 80 + number % 10}
    yield event("TASK_FAILED", "pytest_run", root, 2 + TESTS / 100, {**about, **ended})


def fill(address: str, results: int) -> None:
    """Make a history of so many results."""
    store = open_store(address, 1)
    runs, dice, keys = results // TESTS, random.Random(7), Keys()  # noqa: S311 - the same history each time
    first = time.time() - runs * _APART
    with store.writing("shop") as db:
        for number in range(runs):
            batch = Batch()
            for line in run(number, first + number * _APART, dice):
                batch.add(line.rstrip(b"\n"), keep_line=False)
            with db.transaction():
                write_batch(db, batch, keys)
            refresh(db)
            if sys.stderr.isatty():
                print(f"\r{number + 1} of {runs} runs", end="", file=sys.stderr)
    store.close()


def questions(server: Server) -> dict[str, str]:
    """Return the addresses of all pages, and of the questions of the API that have no page."""
    runs = server.json("/api/v1/projects/shop/runs?limit=3&branch=main")["runs"]
    newest, before = runs[0]["run"], runs[1]["run"]
    test = quote("tests/unit/part_0/test_module_0.py::TestCase::test_3")
    return {
        "projects": "/",
        "runs": "/p/shop/",
        "runs of a branch": "/p/shop/?branch=main",
        "a run": f"/p/shop/runs/{newest}",
        "a run compared": f"/p/shop/runs/{newest}?compare={before}",
        "failures": "/p/shop/failures",
        "flaky": "/p/shop/flaky",
        "slowest": "/p/shop/slowest",
        "tests": "/p/shop/tests",
        "tests with a text": "/p/shop/tests?text=test_12",
        "a test": f"/p/shop/test?name={test}",
        "api: report": "/api/v1/projects/shop/report",
        "api: status": "/api/v1/projects/shop/status",
        "api: comparison": f"/api/v1/projects/shop/comparison?compare={before}",
    }


def asked(server: Server) -> dict[str, float]:
    """Return the milliseconds of each answer."""
    found = {}
    for what, path in questions(server).items():
        seconds = []
        for _ in range(_TRIES + 1):
            began = time.perf_counter()
            status, _headers, body = server.get(path)
            seconds.append(time.perf_counter() - began)
            if status != 200:
                raise RuntimeError(f"{path} was answered with {status}: {body[:300]!r}")
        found[what] = statistics.median(seconds[1:]) * 1000
    return found


def measure(folder: Path, address: str, results: int) -> dict[str, float]:
    """Fill a history, and return the milliseconds of each answer of a server on it."""
    folder.mkdir()
    fill(address, results)
    server = Server(folder, address).start()
    try:
        return asked(server)
    finally:
        server.close()


def pages(place: Place) -> Iterator[Row]:
    """Answers of a server on both engines: a history of ten times as many results beside one of one time."""
    cluster = Cluster(programs(NEWEST), "fsync=off")
    small, large = (4 * TESTS, 40 * TESTS) if place.quick else (10 * TESTS, 100 * TESTS)
    try:
        for engine in ("SQLite", "PostgreSQL"):
            found = [measure(place.folder / f"{engine}-{size}", _address(cluster, place.folder, engine, size), size)
                     for size in (small, large)]  # fmt: skip
            for what, slow in found[1].items():
                against = f"{small:,} results: {found[0][what]:.0f} ms"
                yield Row("pages", f"{engine}, {large:,} results: {what}", against, [slow / found[0][what]], "",
                          f"{slow:.0f} ms")  # fmt: skip
    finally:
        cluster.remove()


def _address(cluster: Cluster, folder: Path, engine: str, results: int) -> str:
    if engine == "SQLite":
        return str(folder / f"{results}.sqlite")
    return cluster.url(cluster.new_database())


def show(sizes: Sequence[int], found: Sequence[dict[str, float]]) -> None:
    """Print a table of milliseconds."""
    print(f"| answer, ms | {' | '.join(f'{size:,}' for size in sizes)} |\n|{' --- |' * (len(sizes) + 1)}")
    for what in found[0]:
        print(f"| {what} | {' | '.join(f'{each[what]:.0f}' for each in found)} |")


def main() -> None:
    """Print the milliseconds of each answer for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="*", type=int, default=[100 * TESTS], help="results in the history")
    parser.add_argument("--engine", choices=("SQLite", "PostgreSQL"), default="PostgreSQL")
    options = parser.parse_args()
    print(f"{options.engine}, {os.cpu_count()} cores, {TESTS:,} tests in a run; the bar is {BAR} ms")
    with tempfile.TemporaryDirectory(prefix="bench-pages-") as name:
        folder = Path(name)
        cluster = Cluster(programs(NEWEST), "fsync=off")
        try:
            found = [measure(folder / f"server-{size}", _address(cluster, folder, options.engine, size), size)
                     for size in options.results]  # fmt: skip
        finally:
            cluster.remove()
    show(options.results, found)


if __name__ == "__main__":
    main()
