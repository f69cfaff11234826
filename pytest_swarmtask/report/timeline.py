"""The timeline of a run: one lane for each make target and session, and one lane of tests for each xdist worker.

Positions are in units. From the start of the run to its end there are `WIDTH` of them. Tests that are too short to be
seen are merged into one mark, so that the number of marks does not grow with the number of tests.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.core.outcomes import kind_of, name_in
from pytest_swarmtask.core.text import plural
from pytest_swarmtask.core.timestamps import seconds_of
from pytest_swarmtask.report.phrases import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.query import Run

WIDTH = 1000
MOST_LANES = 60
"""Lanes that are shown, in the order of their starts. More would push the rest of the page out of reach."""
_CELL = 2
"""Units of the narrowest mark, about two pixels on a wide screen. Short tests in one cell are merged into one mark."""
_WORST_FIRST = ("bad", "open", "skip", "good")
"""The kinds of outcomes (`kind_of`). A merged mark has the worst kind of its tests, so that no failure is hidden."""
_DEEPEST = 6
"""Levels of indentation that the style sheet has; deeper lanes are indented like these."""


class Step(NamedTuple):
    """A span of a run; `start` and `end` are seconds since the start of the run, `end` is None while it is open."""

    span_id: str
    parent: str | None
    kind: str
    name: str
    start: float
    end: float | None
    outcome: str
    failed: bool
    worker: str | None


class Mark(NamedTuple):
    """One bar in a lane: its position and width in units, the kind of its outcome (`kind_of`), and its description."""

    x: float
    width: float
    kind: str
    text: str


@dataclass(frozen=True)
class Lane:
    """One line of the timeline.

    Attributes:
        name: the task id of its span. For tests, the name of their worker or ``tests``.
        depth: the number of spans around it, at most six.
        kind: the kind of its outcome (`kind_of`).
        text: outcome and duration, or the number of tests, in words.
        marks: its bars, from left to right.
        of_tests: whether the marks are tests. Otherwise there is one mark, of a span that contains others.
    """

    name: str
    depth: int
    kind: str
    text: str
    marks: list[Mark]
    of_tests: bool = False


@dataclass(frozen=True)
class Timeline:
    """A run as lanes.

    Attributes:
        seconds: the duration of the run.
        lanes: the first `MOST_LANES` lanes, from top to bottom.
        left_out: the number of further lanes.
    """

    seconds: float
    lanes: list[Lane]
    left_out: int


# A crashed span's end event is written late, so the end follows from the duration if that is known.
_STEPS = """
SELECT span_id, parent, span.kind, task.name, started, CASE WHEN duration IS NULL THEN ended END,
       CASE WHEN ended IS NOT NULL THEN duration END, coalesce(status, 'unfinished'), failed, worker
FROM span JOIN task ON task.id = span.task WHERE run = ? ORDER BY started, span.id
"""


def run_timeline(db: Database, run: Run) -> Timeline:
    """Return the timeline of a run."""
    steps = list(_steps(db, run))
    took = max((step.end or step.start for step in steps), default=0.0)
    lanes = list(_Lanes(steps, took).lanes())
    return Timeline(took, lanes[:MOST_LANES], max(0, len(lanes) - MOST_LANES))


def _steps(db: Database, run: Run) -> Iterator[Step]:
    try:
        began = seconds_of(run.started)
    except ValueError:  # a damaged line was its first
        return
    rows = db.execute(_STEPS, (run.key,))
    for span_id, parent, kind, name, started, ended, duration, outcome, failed, worker in rows:
        try:
            start = seconds_of(started) - began
            end = start + duration if duration is not None else None if ended is None else seconds_of(ended) - began
        except ValueError:  # a damaged line
            continue
        yield Step(span_id, parent, kind, name, start, end, outcome, bool(failed), worker)


class _Lanes:
    """Puts the spans of a run into lanes: each span above the spans that it contains."""

    def __init__(self, steps: Sequence[Step], took: float) -> None:
        self._took = took
        self._scale = WIDTH / (took or 1.0)
        self._tests: dict[str | None, dict[str, list[Step]]] = {}
        self._below: dict[str | None, list[Step]] = {}
        tests = {step.span_id: step.parent for step in steps if step.kind == "TEST"}
        others = {step.span_id for step in steps if step.kind != "TEST"}
        for step in steps:
            # A test has no lane of its own, so a span that a test has started is put beside the test.
            parent = tests.get(step.parent or "", step.parent)
            around = parent if parent in others else None  # the parent may be missing, if its process has crashed
            if step.kind == "TEST":
                self._tests.setdefault(around, {}).setdefault(step.worker or "tests", []).append(step)
            else:
                self._below.setdefault(around, []).append(step)

    def lanes(self) -> Iterator[Lane]:
        """Yield the lanes from top to bottom."""
        yield from self._of_tests(None, 0)
        waiting = [(step, 0) for step in reversed(self._below.get(None, ()))]
        while waiting:
            step, depth = waiting.pop()
            yield self._of_step(step, min(depth, _DEEPEST))
            yield from self._of_tests(step.span_id, min(depth + 1, _DEEPEST))
            waiting += [(below, depth + 1) for below in reversed(self._below.get(step.span_id, ()))]

    def _of_step(self, step: Step, depth: int) -> Lane:
        kind = "bad" if step.failed else "open" if step.end is None else "good"
        took = "" if step.end is None else f", {format_duration(max(0.0, step.end - step.start))}"
        mark = self._mark([step], kind, f"{step.name}: {step.outcome}{took}")
        return Lane(step.name, depth, kind, f"{step.outcome}{took}", [mark])

    def _of_tests(self, parent: str | None, depth: int) -> Iterator[Lane]:
        for worker, tests in sorted(self._tests.get(parent, {}).items(), key=lambda item: (len(item[0]), item[0])):
            kinds = Counter(kind_of(test.outcome) for test in tests)
            bad = f", {kinds['bad']} failed" if kinds["bad"] else ""
            number = f"{plural(len(tests), 'test')}{bad}"
            kind = "bad" if kinds["bad"] else "open" if kinds["open"] else "good"
            yield Lane(worker, depth, kind, number, sorted(self._marks(tests)), of_tests=True)

    def _marks(self, tests: Iterable[Step]) -> Iterator[Mark]:
        cells: dict[int, list[Step]] = {}
        for test in tests:
            if (self._end(test) - test.start) * self._scale > 2 * _CELL:
                took = format_duration(self._end(test) - test.start)
                yield self._mark([test], kind_of(test.outcome), f"{name_in(test.name)}: {test.outcome}, {took}")
            else:
                cells.setdefault(int(test.start * self._scale / _CELL), []).append(test)
        for cell in sorted(cells):
            yield self._merged(cells[cell])

    def _merged(self, tests: list[Step]) -> Mark:
        kind = _worst(kind_of(test.outcome) for test in tests)
        worst = [test for test in tests if kind_of(test.outcome) == kind]
        others = f" and {len(tests) - 1} more" if len(tests) > 1 else ""
        return self._mark(tests, kind, f"{name_in(worst[0].name)}: {worst[0].outcome}{others}")

    def _mark(self, steps: Sequence[Step], kind: str, text: str) -> Mark:
        start, end = steps[0].start, max(map(self._end, steps))
        x = min(start * self._scale, WIDTH - _CELL)  # a short test at the very end is still seen
        return Mark(round(x, 1), round(max((end - start) * self._scale, _CELL), 1), kind, text)

    def _end(self, step: Step) -> float:
        """Return the end of a span. An open span lasts until the end of the run; no span ends before its start."""
        return self._took if step.end is None else max(step.end, step.start)


def _worst(kinds: Iterable[str]) -> str:
    found = set(kinds)
    return next(kind for kind in _WORST_FIRST if kind in found)
