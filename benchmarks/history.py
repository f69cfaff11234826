"""The cost of the history: time and peak memory of importing a million events, and of reports on them.

Run with ``python benchmarks/history.py [events]``. Each step runs in a process of its own, so that its peak is its own.
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from pytest_swarmtask.core.event import Event
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.core.trace import Clock, Ids, new_trace_id
from pytest_swarmtask.history.ingest import ingest
from pytest_swarmtask.history.retention import drop_events
from pytest_swarmtask.history.sqlite import connect
from pytest_swarmtask.sources.pytest.outcome import EVENT_OF

RUNS = 25
_DAY = 86400.0
_INGEST = (
    "import sys; from pytest_swarmtask.core.project import Project; "
    "from pytest_swarmtask.history.sqlite import connect; "
    "from pytest_swarmtask.history.ingest import ingest; "
    "project = Project(sys.argv[1]); print(ingest(connect(project.history), project).events)"
)


class Step(NamedTuple):
    """The cost of a step: seconds, and megabytes at its peak."""

    name: str
    seconds: float
    megabytes: float


class Suite:
    """Runs of one suite in the plugin's format: mostly passing, with some failing, slow and flaky tests."""

    def __init__(self, journal: Path, tests: int) -> None:
        self._journal = journal
        self._names = [f"tests/unit/test_module_{n // 50}.py::TestCase{n // 10 % 5}::test_{n}" for n in range(tests)]
        self._random = random.Random(1)  # noqa: S311 - the same journal each time
        self._clock = Clock()

    def write(self, number: int) -> int:
        """Write the segment of one run and return its number of events."""
        ids, trace_id = Ids(), new_trace_id()
        now = self._clock.now() - (RUNS - number) * _DAY / 4
        session = ids.span()
        name = f"{self._clock.timestamp(now).translate(str.maketrans('', '', '-:.Z'))}-{trace_id}-{ids.writer}-local"
        with (self._journal / f"{name}.jsonl").open("wb") as file:

            def put(event_type: str, task: str, span: str, parent: str | None, **metadata: object) -> None:
                at = self._clock.timestamp(now)
                status = event_type.partition("_")[2].lower()
                about = {"timestamp": at, "workflow": "pytest", "test_type": "pytest", **metadata}
                file.write(
                    Event(ids.event(), event_type, task, status, at, "bench", trace_id, span, parent, about).encode()
                )

            put(
                "TASK_STARTED",
                "pytest_run",
                session,
                None,
                action="session",
                variant="cpython-3.11-linux",
                branch="main",
                commit=f"{number // 3:040}",
            )
            for test in self._names:
                span, outcome = ids.span(), self._outcome()
                put("TEST_STARTED", test, span, session, action="test", specific_test=test)
                ending = {
                    "success": outcome == "passed",
                    "duration": self._random.expovariate(50),
                    "specific_test": test,
                }
                ending |= {"test_passed": outcome == "passed", "outcome": outcome, "phase": "call", "attempt": 1}
                if outcome == "failed":
                    ending |= {
                        "error": f"AssertionError: assert 401 == 200 in {test}\n  where 401 = <Response>",
                        "location": "t.py:14",
                    }
                put(EVENT_OF[outcome], test, span, session, action="test", **ending)
                now += 0.01
            put(
                "TASK_FAILED",
                "pytest_run",
                session,
                None,
                action="session",
                exit_code=1,
                duration=len(self._names) / 100,
            )
        return 2 * len(self._names) + 2

    def _outcome(self) -> str:
        chance = self._random.random()
        return "failed" if chance < 0.001 else "skipped" if chance < 0.02 else "passed"


def measure(name: str, *command: str) -> Step:
    """Run a command and return its cost.

    Raises:
        RuntimeError: it failed.
    """
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return Step(name, time.perf_counter() - began, usage.ru_maxrss / (1 << (20 if sys.platform == "darwin" else 10)))


def steps(folder: Path, wanted: int) -> tuple[int, list[Step]]:
    """Write a journal of about this many events; return their number and the cost of each step, the import first."""
    journal = folder / ".taskmaster" / "events"
    journal.mkdir(parents=True)
    suite = Suite(journal, wanted // RUNS // 2)
    events = sum(suite.write(number) for number in range(RUNS))
    names = ("report", "report --json", "tests ::test_7")
    return events, [
        measure("ingest", "-c", _INGEST, str(folder)),
        *(measure(name, "-m", "pytest_swarmtask", *name.split(), "--root", str(folder)) for name in names),
    ]


def bytes_per_result(folder: Path, tests: int) -> tuple[float, float]:
    """Return how many bytes of a history one result of a test takes: with the raw lines, and after they are gone."""
    journal = folder / ".taskmaster" / "events"
    journal.mkdir(parents=True)
    suite = Suite(journal, tests)
    for number in range(RUNS):
        suite.write(number)
    project = Project(str(folder))
    with closing(connect(project.history)) as db:
        ingest(db, project)
        whole = _size(db, project.history)
        while drop_events(db, 1.0):
            pass
        return whole / (RUNS * tests), _size(db, project.history) / (RUNS * tests)


def _size(db: sqlite3.Connection, path: str) -> int:
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return Path(path).stat().st_size


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", nargs="?", type=int, default=1_000_000)
    with tempfile.TemporaryDirectory(prefix="history-") as folder:
        events, taken = steps(Path(folder), parser.parse_args().events)
    print(f"{events:,} events in {RUNS} runs\n\n| step | seconds | peak MB |\n| --- | --- | --- |")
    for step in taken:
        print(f"| {step.name} | {step.seconds:.2f} | {step.megabytes:.0f} |")


if __name__ == "__main__":
    main()
