"""How good the verdict on flakiness is: precision and recall on simulated histories in which the truth is known.

The rows of each history are inserted directly, and then computed as after every import: nothing of the verdict itself
is simulated.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from benchmarks.measure import Row
from benchmarks.place import Place
from pytest_swarmtask.history.runs import refresh
from pytest_swarmtask.history.sqlite import SqliteDatabase, connect

TESTS = 10_000
RUNS = 100
_FLAKY = 500
_RATES = (0.005, 0.3)
"""The lowest and the highest probability of a flaky test to fail; they are distributed evenly by their logarithm."""
BANDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.3)
_BROKEN = 1_000
"""Tests that one commit breaks and a later one mends."""
_BROKEN_TWICE = 100
_BROKEN_LEG = 200
"""Tests that always fail under one of two variants."""
_ALIKE = 40
"""Tests that fail with one fingerprint in one run, each in a run of its own."""
_MEAN_BREAK = 4
"""Runs that a break lasts, on average."""
_OUTAGE = 0.4
"""The probability of a test to fail in the outage."""
_LEGS = ("cpython-3.12-linux", "cpython-3.13-linux")
_RUN = "INSERT INTO run (project, trace_id, branch, \"commit\", dirty) VALUES (1, ?, 'main', ?, 0)"
_SESSION = """
INSERT INTO span (run, span_id, kind, task, started, ended, status, tests, partial)
VALUES (?, 'session', 'TASK', ?, ?, ?, 'completed', ?, 0)
"""
_SPAN = """
INSERT INTO span (run, span_id, parent, kind, task, started, ended, status, failed, attempt, error)
VALUES (?, ?, 'session', 'TEST', ?, ?, ?, ?, ?, ?, ?)
"""
_EVIDENCE = "INSERT INTO evidence (span, fingerprint) SELECT id, error FROM span WHERE run = ? AND error IS NOT NULL"
_START = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)
_REPEATED_IN = 10
"""One in so many runs repeats the tests that fail, or is the second one of its commit, where a history has these."""
KINDS = ("one run a commit", "reruns in every 10th run", "every 10th commit run twice")
"""The histories."""


class Result(NamedTuple):
    """How a test ends in a run: whether it fails, the message, and whether it is repeated until it passes."""

    failed: bool
    why: str | None = None
    repeated: bool = False


_GOOD = Result(failed=False)


@dataclass
class Test:
    """A test with its truth.

    Attributes:
        name: its node id.
        variant: its variant.
        kind: what it is: ``flaky``, ``broken``, ``broken twice``, ``broken leg`` or ``sound``.
        rate: the probability that it fails by chance.
        breaks: the runs in which a commit has broken it.
    """

    __test__ = False
    name: str
    variant: str
    kind: str
    rate: float = 0.0
    breaks: frozenset[int] = field(default_factory=frozenset)


class History:
    """A simulated history on one branch, with an outage, and with a run in which one cause fails many tests.

    Args:
        seed: of the random numbers.
        kind: one of `KINDS`.
    """

    def __init__(self, seed: int, kind: str) -> None:
        self._random = random.Random(seed)  # noqa: S311 - the same history each time
        self._has_reruns = kind == KINDS[1]
        again = [number for number in range(RUNS) if number % _REPEATED_IN == 0] if kind == KINDS[2] else []
        self.commits = sorted([*range(RUNS), *again])
        self.tests = list(self._made())
        self._random.shuffle(self.tests)
        self._outage, self._alike = self._random.sample(range(RUNS), 2)

    def _made(self) -> Iterator[Test]:
        low, high = _RATES
        for number in range(TESTS):
            name, leg = f"tests/test_{number // 50}.py::test_{number}", _LEGS[number % 2]
            if number < _FLAKY:
                yield Test(name, leg, "flaky", low * (high / low) ** self._random.random())
            elif number < _FLAKY + _BROKEN:
                yield Test(name, leg, "broken", breaks=self._break())
            elif number < _FLAKY + _BROKEN + _BROKEN_TWICE:
                yield Test(name, leg, "broken twice", breaks=self._break() | self._break())
            elif number < _FLAKY + _BROKEN + _BROKEN_TWICE + _BROKEN_LEG:
                yield Test(name, _LEGS[0], "sound")
                yield Test(name, _LEGS[1], "broken leg", breaks=frozenset(range(RUNS)))
            else:
                yield Test(name, leg, "sound")

    def _break(self) -> frozenset[int]:
        first = self._random.randrange(RUNS)
        length = 1
        while self._random.random() > 1 / _MEAN_BREAK:
            length += 1
        return frozenset(range(first, min(first + length, RUNS)))

    def results(self, commit: int) -> Iterator[tuple[Test, Result]]:
        """Yield the results of a run on a commit."""
        alike = set(self._random.sample(range(len(self.tests)), _ALIKE)) if commit == self._alike else set()
        for index, test in enumerate(self.tests):
            yield test, Result(failed=True, why="one cause") if index in alike else self._result(commit, test)

    def _result(self, commit: int, test: Test) -> Result:
        if commit in test.breaks:
            return Result(failed=True, why=f"{test.name} is broken")
        if commit == self._outage and self._random.random() < _OUTAGE:
            return Result(failed=True, why=f"{test.name} has no network")
        if self._random.random() < test.rate:
            is_repeated = self._has_reruns and commit % _REPEATED_IN == 0 and self._random.random() > test.rate
            return Result(not is_repeated, f"{test.name} fails by chance", is_repeated)
        return _GOOD


def write(db: SqliteDatabase, history: History) -> None:
    """Insert the rows that an import would insert, without their events, and compute what an import computes."""
    with db.transaction():
        tasks = [(test.name, test.variant) for test in history.tests]
        db.executemany("INSERT INTO task (project, kind, name, variant) VALUES (1, 'TEST', ?, ?)", tasks)
        keys = {(name, variant): key for key, name, variant in db.execute("SELECT id, name, variant FROM task")}
        db.execute("INSERT INTO task (project, kind, name) VALUES (1, 'TASK', 'pytest_run')")
        session = db.execute("SELECT max(id) FROM task").fetchone()[0]
        for number, commit in enumerate(history.commits):
            at = f"{_START + dt.timedelta(hours=number):%Y-%m-%dT%H:%M:%S}.000Z"
            run = db.execute(_RUN, (f"{number:032x}", f"{commit:040x}")).lastrowid
            db.execute(_SESSION, (run, session, at, at, len(history.tests)))
            db.executemany(_SPAN, _rows(history, commit, keys, run, at))
            db.execute(_EVIDENCE, (run,))
    refresh(db)


def _rows(
    history: History, commit: int, keys: dict[tuple[str, str], int], run: int | None, at: str
) -> Iterator[tuple[object, ...]]:
    for number, (test, result) in enumerate(history.results(commit)):
        status, attempt = "failed" if result.failed else "passed", 2 if result.repeated else 1
        key = keys[test.name, test.variant]
        yield run, f"{number:016x}", key, at, at, status, result.failed, attempt, result.why


class Score(NamedTuple):
    """What the verdict found in a history: tests by their truth, in numbers of tests and of those found flaky."""

    tests: Counter[str]
    found: Counter[str]

    @property
    def recall(self) -> float:
        """The share of flaky tests that are found."""
        return self.found["flaky"] / self.tests["flaky"]

    def precision(self, *without: str) -> float:
        """Return the share of the tests found that are flaky, as if there were no tests of some kinds."""
        wrong = sum(
            self.found[kind] for kind in ("broken", "broken twice", "broken leg", "sound") if kind not in without
        )
        return self.found["flaky"] / max(1, self.found["flaky"] + wrong)


def band(rate: float) -> str:
    """Return the band of a flaky test."""
    low, high = next(pair for pair in pairwise(BANDS) if rate <= pair[1])
    return f"{low * 100:g} to {high * 100:g} %"


def measured(kind: str) -> Score:
    """Simulate a history, and compare what the view `flaky` shows with the truth."""
    history = History(1, kind)
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(connect(f"{folder}/history.sqlite")) as db:
        write(db, history)
        flaky = set(db.execute("SELECT test, variant FROM flaky"))
    score = Score(Counter(), Counter())
    for test in history.tests:
        names = (test.kind, band(test.rate)) if test.rate else (test.kind,)
        score.tests.update(names)
        score.found.update(names if (test.name, test.variant) in flaky else ())
    return score


def flakiness(_: Place) -> Iterator[Row]:
    """How good the verdict on flakiness is: precision and recall on simulated histories."""
    for kind in KINDS:
        score = measured(kind)
        twice = f"{score.found['broken twice']} of {score.tests['broken twice']} tests broken twice are taken for flaky"
        precision = score.precision("broken twice")
        yield Row("flakiness", f"{kind}: precision", "tests found", [precision], "1.0", twice)
        yield Row("flakiness", f"{kind}: recall", f"{score.tests['flaky']} flaky tests", [score.recall], "0.7")
        for low, high in pairwise(BANDS):
            name = band(high)
            share = score.found[name] / score.tests[name]
            bar = "1.0" if low >= 0.1 else "0.97" if low >= 0.05 else ""
            yield Row("flakiness", f"{kind}: recall, {name}", f"{score.tests[name]} flaky tests", [share], bar)
