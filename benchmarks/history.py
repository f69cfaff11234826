"""The cost of the history: time and peak memory of importing a million events, and of reports on them.

Run with ``python -m benchmarks.history [events [runs]]``. Each step runs in a process of its
own, so that its peak is its own.
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
_APART = 21_600.0
"""Seconds between two runs."""
_TRACE, _WRITER, _SPANS, _HOUR = "TRACE-MARK", "WRITER-MARK", "SPAN-MARK", "HOUR-MARK"
_NO_DURATION = 0.123456789
_DURATION = str(_NO_DURATION).encode()
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
    """Runs of one suite in the plugin's format: mostly passing, with some failing, slow and flaky tests.

    The lines of each test are made once, with marks in them that each run replaces. So ten million lines take a minute.
    """

    def __init__(self, journal: Path, tests: int, runs: int = RUNS) -> None:
        self._journal = journal
        self._runs = runs
        self._random = random.Random(1)  # noqa: S311 - the same journal each time
        self._clock = Clock()
        self._tests = [_lines_of_test(number) for number in range(tests)]

    def write(self, number: int) -> int:
        """Write the segment of one run and return its number of events."""
        ids, trace_id = Ids(), new_trace_id()
        stamp = self._clock.timestamp(self._clock.now() - (self._runs - number) * _APART)
        name = f"{stamp.translate(str.maketrans('', '', '-:.Z'))}-{trace_id}-{ids.writer}-local.jsonl"
        content = b"".join([self._start(number), *map(self._chosen, self._tests), self._end()])
        marks = {_TRACE: trace_id, _WRITER: ids.writer, _SPANS: ids.writer[:8], _HOUR: stamp[:13]}
        for mark, text in marks.items():
            content = content.replace(mark.encode(), text.encode())
        path = self._journal / name
        path.write_bytes(content)
        path.chmod(0o400)  # as readers leave the segment of a process that has ended, when they have looked at it once
        return 2 * len(self._tests) + 2

    def _start(self, number: int) -> bytes:
        facts = {"variant": "cpython-3.11-linux", "branch": "main", "commit": f"{number // 3:040}"}
        return _line("TASK_STARTED", "pytest_run", 0, None, 0, action="session", **facts)

    def _end(self) -> bytes:
        seconds = len(self._tests) / 100
        return _line("TASK_FAILED", "pytest_run", 0, None, seconds, action="session", exit_code=1, duration=seconds)

    def _chosen(self, lines: dict[str, bytes]) -> bytes:
        chance = self._random.random()
        outcome = "failed" if chance < 0.001 else "skipped" if chance < 0.02 else "passed"
        return lines[outcome].replace(_DURATION, b"%.9f" % self._random.expovariate(50), 1)


def _lines_of_test(number: int) -> dict[str, bytes]:
    """Return the lines of the start and of the end of a test, by its outcome."""
    name = f"tests/unit/test_module_{number // 50}.py::TestCase{number // 10 % 5}::test_{number}"
    start = _line("TEST_STARTED", name, number + 1, 0, number / 100, action="test", specific_test=name)
    lines = {}
    for outcome in ("passed", "failed", "skipped"):
        ending = {"success": outcome == "passed", "duration": _NO_DURATION, "specific_test": name}
        ending |= {"test_passed": outcome == "passed", "outcome": outcome, "phase": "call", "attempt": 1}
        if outcome == "failed":
            error = f"AssertionError: assert 401 == 200 in {name}\n  where 401 = <Response>"
            ending |= {"error": error, "location": "t.py:14"}
        lines[outcome] = start + _line(EVENT_OF[outcome], name, number + 1, 0, number / 100, action="test", **ending)
    return lines


def _line(event_type: str, task: str, span: int, parent: int | None, second: float, **metadata: object) -> bytes:
    """Return the line of an event, with marks for what differs from run to run."""
    at = f"{_HOUR}:{int(second) // 60:02}:{second % 60:06.3f}Z"
    status = event_type.partition("_")[2].lower()
    about = {"timestamp": at, "workflow": "pytest", "test_type": "pytest", **metadata}
    spans = [None if number is None else f"{_SPANS}{number:08x}" for number in (span, parent)]
    event_id = f"{_WRITER}-{2 * span + (not event_type.endswith('_STARTED'))}"
    return Event(event_id, event_type, task, status, at, "bench", _TRACE, str(spans[0]), spans[1], about).encode()


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


def steps(folder: Path, wanted: int, runs: int = RUNS) -> tuple[int, list[Step]]:
    """Write a journal of about this many events; return their number and the cost of each step, the import first."""
    journal = folder / ".taskmaster" / "events"
    journal.mkdir(parents=True)
    suite = Suite(journal, wanted // runs // 2, runs)
    events = sum(suite.write(number) for number in range(runs))
    page = str(folder / "report.html")
    commands = {"report": [], "report --html": [page], "report --json": [], "tests ::test_7": []}
    return events, [
        measure("ingest", "-c", _INGEST, str(folder)),
        *(
            measure(name, "-m", "pytest_swarmtask", *name.split(), *more, "--root", str(folder))
            for name, more in commands.items()
        ),
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
    parser.add_argument("runs", nargs="?", type=int, default=RUNS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="history-") as folder:
        events, taken = steps(Path(folder), options.events, options.runs)
    print(f"{events:,} events in {options.runs} runs\n\n| step | seconds | peak MB |\n| --- | --- | --- |")
    for step in taken:
        print(f"| {step.name} | {step.seconds:.2f} | {step.megabytes:.0f} |")


if __name__ == "__main__":
    main()
