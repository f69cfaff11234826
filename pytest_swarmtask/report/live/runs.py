"""Runs while they go on: what the lines of the journal change, in memory that does not grow with the run."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_swarmtask.core.event import SHARED
from pytest_swarmtask.core.outcomes import FAILED, TEARDOWN, first_line
from pytest_swarmtask.core.timestamps import seconds_of
from pytest_swarmtask.core.trace import Clock
from pytest_swarmtask.history.rows import SpanRow, decode
from pytest_swarmtask.relay.delivery.progress import DeliveryProgress
from pytest_swarmtask.report.live.follow import QUIET, Follower

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.history.rows import Line, Metadata

LINGER = 2.0
"""Seconds without a living process and an open span after which a run is over: between the steps of a make are none."""
_MOST_ENDED = 200
"""Tasks of a run that are remembered after their end."""
_MOST_OVER = 20
"""Runs that are remembered after their end, should they go on."""


class LiveChange(NamedTuple):
    """Something worth telling.

    Attributes:
        change: ``idle``, ``run_started``, ``started``, ``ended``, ``deliveries`` or ``run_ended``.
        time: when, as in events.
        run: the run, or None where it is about none.
        facts: what there is to say, as plain data.
    """

    change: str
    time: str
    run: str | None
    facts: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return it as `watch --json` gives it; the shape is documented in docs/terminal.md."""
        return {"change": self.change, "time": self.time, "run": self.run, **self.facts}


class LiveSpan:
    """A span that is open, or was one of the last to end.

    Attributes:
        span_id: its id.
        told: what its events told so far.
        shared: whether a process may end it that is not there yet.
        tests: outcomes of the tests right below it.
        workers: who ran them.
    """

    __slots__ = ("shared", "span_id", "tests", "told", "workers")

    def __init__(self, line: Line) -> None:
        self.span_id = line.span_id
        self.told = SpanRow(line)
        self.shared = line.id.endswith(SHARED)
        self.tests: Counter[str] = Counter()
        self.workers: set[str] = set()

    @property
    def is_test(self) -> bool:
        """Whether it is a test's."""
        return self.told.kind == "TEST"

    def elapsed(self) -> float:
        """Return for how many seconds it has been open."""
        return max(0.0, time.time() - moment_of(self.told.started))


class LiveRun:
    """A run that goes on.

    Attributes:
        run: its trace id.
        started, last: timestamps of its first event, and of the last.
        seen: when there last was a sign of life, by the monotonic clock.
        spans: those that are open, and the last tasks that have ended, by id.
        tests: outcomes of all tests.
        failed: whether one of its outermost tasks has failed.
        deliveries: by endpoint, what became of its events so far.
    """

    def __init__(self, line: Line) -> None:
        self.run = line.trace_id
        self.started = self.last = line.timestamp
        self.seen = 0.0
        self.spans: dict[str, LiveSpan] = {}
        self.tests: Counter[str] = Counter()
        self.failed = False
        self.deliveries: dict[str, dict[str, Any]] = {}

    def take(self, line: Line, metadata: Metadata | None) -> Iterator[LiveChange]:
        """Take an event into account, and yield what it changes."""
        self.last = max(self.last, line.timestamp)
        span = self.spans.get(line.span_id)
        if span is None:
            span = self.spans[line.span_id] = LiveSpan(line)
            if line.event_type.endswith("_STARTED"):
                yield self._change("started", line.timestamp, _about(span))
        if metadata is not None and not line.event_type.endswith("_STARTED"):
            first = span.told.ended is None
            span.told.end(line, metadata)
            if first:
                self._end(span)
                yield self._change("ended", line.timestamp, {**_about(span), **_ending(span)})

    def _end(self, span: LiveSpan) -> None:
        told = span.told
        around = self.spans.get(told.parent or "")
        self.failed = self.failed or (around is None and bool(told.failed))
        if not span.is_test:
            self._forget()
            return
        del self.spans[span.span_id]
        outcomes = [str(told.status), *([TEARDOWN] if told.status == "failed" and told.teardown_error else [])]
        self.tests.update(outcomes)
        if around is not None:
            around.tests.update(outcomes)
            around.workers.update(filter(None, [told.worker]))

    def _forget(self) -> None:
        """Forget the first of the tasks that have ended, where there are many."""
        ended = [span_id for span_id, span in self.spans.items() if span.told.ended is not None]
        for span_id in ended[: max(0, len(ended) - _MOST_ENDED)]:
            del self.spans[span_id]

    @property
    def running(self) -> list[LiveSpan]:
        """The tests that are running, the one that has been for longest first."""
        return sorted((s for s in self.spans.values() if s.is_test), key=lambda span: span.told.started)

    def deliver(self, known: dict[str, dict[str, Any]], now: str) -> Iterator[LiveChange]:
        """Take note of what became of its events, and yield what a person should know of."""
        for endpoint, facts in known.items():
            before = self.deliveries.get(endpoint, {"dead": 0, "state": "ok"})
            if (facts["dead"], facts["state"]) != (before["dead"], before["state"]):
                yield self._change("deliveries", now, {"endpoint": endpoint, **facts})
        self.deliveries = known

    def is_over(self, *, living: bool) -> bool:
        """Tell whether nobody goes on with it: no process lives, and no span is open that another might end."""
        if living:
            self.seen = time.monotonic()
        quiet = time.monotonic() - self.seen
        return quiet >= LINGER and (quiet >= QUIET or not any(s.shared and _is_open(s) for s in self.spans.values()))

    def end(self) -> LiveChange:
        """Return how it went; what a dead process has left open, and nobody could end in its stead, has crashed."""
        left = [span for span in self.spans.values() if _is_open(span)]
        crashed = [span for span in left if not span.shared]
        self.tests["crashed"] += sum(span.is_test for span in crashed)
        self.tests["unfinished"] += sum(span.is_test for span in left) - sum(span.is_test for span in crashed)
        outcome = "failed" if self.failed or crashed else "unfinished" if left else "completed"
        facts = {
            "outcome": outcome,
            "duration": round(moment_of(self.last) - moment_of(self.started), 3),
            "tests": sum(count for word, count in self.tests.items() if word != TEARDOWN),
            "counts": {word: count for word, count in self.tests.items() if count},
            "waiting": sum(facts["waiting"] for facts in self.deliveries.values()),
            "dead": sum(facts["dead"] for facts in self.deliveries.values()),
        }
        return self._change("run_ended", self.last, facts)

    def _change(self, change: str, at: str, facts: dict[str, Any]) -> LiveChange:
        return LiveChange(change, at, self.run, facts)


def _is_open(span: LiveSpan) -> bool:
    return span.told.ended is None


def _about(span: LiveSpan) -> dict[str, Any]:
    return {"kind": span.told.kind, "task_id": span.told.name}


def _ending(span: LiveSpan) -> dict[str, Any]:
    told = span.told
    return {
        "outcome": told.status,
        "failed": bool(told.failed),
        "duration": told.duration,
        "error": told.error,
        "place": told.place,
        "worker": told.worker,
    }


def is_failed_test(change: LiveChange) -> bool:
    """Tell whether a change is a test that did not end well."""
    return change.change == "ended" and change.facts["kind"] == "TEST" and change.facts["outcome"] in FAILED


def what_is_wrong(change: LiveChange) -> str:
    """Return the first line of what is wrong, or ""."""
    return first_line(change.facts.get("error") or "") if change.facts.get("failed") else ""


def moment_of(timestamp: str) -> float:
    """Return a timestamp in seconds since the epoch; the present moment if it is not valid."""
    try:
        return seconds_of(timestamp)
    except ValueError:
        return time.time()


class Watching:
    """All runs of a journal that go on now, or one.

    Args:
        project: the project whose journal this is.
        run: the one run to watch, over or not; None for all that are present or will come.

    Attributes:
        runs: those that go on, by id.
        outcomes: of those that are over.
    """

    def __init__(self, project: Project, run: str | None = None) -> None:
        self.runs: dict[str, LiveRun] = {}
        self.outcomes: dict[str, str] = {}
        self._follower = Follower(project, run)
        self._deliveries = DeliveryProgress(project)
        self._over: dict[str, LiveRun] = {}
        self._clock = Clock()
        self._polled = False
        self._idle = False

    @property
    def done(self) -> bool:
        """Whether there was a run, and none goes on."""
        return bool(self.outcomes) and not self.runs

    @property
    def well(self) -> bool:
        """Whether all runs that are over went well."""
        return all(outcome == "completed" for outcome in self.outcomes.values())

    def poll(self) -> Iterator[LiveChange]:
        """Read what is new, and yield what it changes."""
        for content in self._follower.read():
            found = decode(content)
            if found is not None:
                yield from self._take(*found)
        self._polled = True
        deliveries = self._deliveries.read()
        for run in list(self.runs.values()):
            yield from run.deliver(deliveries.get(run.run, run.deliveries), self._clock.timestamp())
            if run.is_over(living=run.run in self._follower.living):
                yield self._end(run)
        idle = not self.runs
        if idle and not self._idle:
            yield LiveChange("idle", self._clock.timestamp(), None, {})
        self._idle = idle

    def _take(self, line: Line, metadata: Metadata | None) -> Iterator[LiveChange]:
        run = self.runs.get(line.trace_id)
        if run is None:
            run = self._over.pop(line.trace_id, None)
            if run is None:
                run = LiveRun(line)
                yield LiveChange("run_started", line.timestamp, line.trace_id, {})
            self.runs[line.trace_id] = run
        yield from run.take(line, metadata)
        age = 0.0 if self._polled else max(0.0, time.time() - moment_of(line.timestamp))
        run.seen = time.monotonic() - age

    def _end(self, run: LiveRun) -> LiveChange:
        del self.runs[run.run]
        self._over[run.run] = run
        while len(self._over) > _MOST_OVER:
            del self._over[next(iter(self._over))]
        change = run.end()
        self.outcomes[run.run] = change.facts["outcome"]
        return change
