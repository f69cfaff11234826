"""Runs while they are running: each journal line becomes a change. Memory does not grow with the length of a run."""

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
"""Seconds with no living process and no open span before a run counts as finished. It must exceed the gap between two
recipe lines of a make, which run one after the other in processes of their own."""
_MOST_ENDED = 200
"""Ended tasks of a run that are remembered, because the tree shows the last of them."""
_MOST_ENDED_RUNS = 20
"""Finished runs that are remembered. A run that goes on later continues with the numbers that it had."""


class LiveChange(NamedTuple):
    """A change that `watch` shows.

    Attributes:
        change: ``idle``, ``run_started``, ``started``, ``ended``, ``deliveries`` or ``run_ended``.
        time: its timestamp, as in events.
        run: the trace id of its run; None if no run is running.
        facts: further fields, which depend on `change`. docs/terminal.md documents them.
    """

    change: str
    time: str
    run: str | None
    facts: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return the object of `watch --json`. docs/terminal.md documents its fields."""
        return {"change": self.change, "time": self.time, "run": self.run, **self.facts}


class LiveSpan:
    """An open span, or one of the tasks that ended last.

    Attributes:
        span_id: its id.
        row: what its events say so far.
        shared: whether another process may end it, as a later call of `emit`.
        tests: the numbers of ended tests directly below it, by outcome.
        workers: the xdist workers of these tests.
    """

    __slots__ = ("row", "shared", "span_id", "tests", "workers")

    def __init__(self, line: Line) -> None:
        self.span_id = line.span_id
        self.row = SpanRow.of(line)
        self.shared = line.id.endswith(SHARED)
        self.tests: Counter[str] = Counter()
        self.workers: set[str] = set()

    @property
    def is_test(self) -> bool:
        """Whether it is the span of a test."""
        return self.row.kind == "TEST"

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.row.ended is None

    def elapsed(self) -> float:
        """Return the seconds since its start."""
        return max(0.0, time.time() - epoch_seconds(self.row.started))


class LiveRun:
    """A run that is running.

    Attributes:
        run: its trace id.
        started, last: the timestamps of its first event and of its latest one.
        seen: the time of the last sign of life, by the monotonic clock.
        spans: its open spans and the tasks that ended last, by id.
        tests: the numbers of all ended tests, by outcome.
        failed: whether one of its outermost tasks has failed.
        deliveries: by endpoint, as `DeliveryProgress.read` returns them.
    """

    def __init__(self, line: Line) -> None:
        self.run = line.trace_id
        self.started = self.last = line.timestamp
        self.seen = 0.0
        self.spans: dict[str, LiveSpan] = {}
        self.tests: Counter[str] = Counter()
        self.failed = False
        self.deliveries: dict[str, dict[str, Any]] = {}

    def add_event(self, line: Line, metadata: Metadata | None) -> Iterator[LiveChange]:
        """Add an event, and yield the changes."""
        self.last = max(self.last, line.timestamp)
        span = self.spans.get(line.span_id)
        if span is None:
            span = self.spans[line.span_id] = LiveSpan(line)
            if line.event_type.endswith("_STARTED"):
                yield self._change("started", line.timestamp, _subject(span))
        if metadata is not None and not line.event_type.endswith("_STARTED"):
            was_open = span.is_open
            span.row.end(line, metadata)
            if was_open:  # a span that has ended before may get another end event, which is no change to show
                self._count_end(span)
                yield self._change("ended", line.timestamp, {**_subject(span), **_ending(span)})

    def _count_end(self, span: LiveSpan) -> None:
        row = span.row
        parent = self.spans.get(row.parent or "")
        self.failed = self.failed or (parent is None and bool(row.failed))
        if not span.is_test:
            self._forget_ended()
            return
        del self.spans[span.span_id]
        outcomes = [str(row.status), *([TEARDOWN] if row.status == "failed" and row.ending.teardown_error else [])]
        self.tests.update(outcomes)
        if parent is not None:
            parent.tests.update(outcomes)
            parent.workers.update(filter(None, [row.ending.worker]))

    def _forget_ended(self) -> None:
        """Forget the oldest ended tasks if there are too many."""
        ended = [span_id for span_id, span in self.spans.items() if not span.is_open]
        for span_id in ended[: max(0, len(ended) - _MOST_ENDED)]:
            del self.spans[span_id]

    @property
    def running_tests(self) -> list[LiveSpan]:
        """The running tests, the longest-running first."""
        return sorted((s for s in self.spans.values() if s.is_test), key=lambda span: span.row.started)

    def update_deliveries(self, deliveries: dict[str, dict[str, Any]], now: str) -> Iterator[LiveChange]:
        """Replace the deliveries, and yield a change for each endpoint with another state or more dead letters."""
        for endpoint, facts in deliveries.items():
            before = self.deliveries.get(endpoint, {"dead": 0, "state": "ok"})
            if (facts["dead"], facts["state"]) != (before["dead"], before["state"]):
                yield self._change("deliveries", now, {"endpoint": endpoint, **facts})
        self.deliveries = deliveries

    def is_over(self, *, living: bool) -> bool:
        """Whether the run counts as finished; `living` is whether one of its processes is alive."""
        if living:
            self.seen = time.monotonic()
        quiet = time.monotonic() - self.seen
        return quiet >= LINGER and (quiet >= QUIET or not any(s.shared and s.is_open for s in self.spans.values()))

    def end(self) -> LiveChange:
        """Return the change that the run is finished, with its outcome and numbers.

        An open span has crashed with its process. If another process might still have ended it, it is unfinished.
        """
        left_open = [span for span in self.spans.values() if span.is_open]
        crashed = [span for span in left_open if not span.shared]
        crashed_tests = sum(span.is_test for span in crashed)
        self.tests["crashed"] += crashed_tests
        self.tests["unfinished"] += sum(span.is_test for span in left_open) - crashed_tests
        outcome = "failed" if self.failed or crashed else "unfinished" if left_open else "completed"
        facts = {
            "outcome": outcome,
            "duration": round(epoch_seconds(self.last) - epoch_seconds(self.started), 3),
            "tests": sum(count for word, count in self.tests.items() if word != TEARDOWN),
            "counts": {word: count for word, count in self.tests.items() if count},
            "waiting": sum(facts["waiting"] for facts in self.deliveries.values()),
            "dead": sum(facts["dead"] for facts in self.deliveries.values()),
        }
        return self._change("run_ended", self.last, facts)

    def _change(self, change: str, at: str, facts: dict[str, Any]) -> LiveChange:
        return LiveChange(change, at, self.run, facts)


def _subject(span: LiveSpan) -> dict[str, Any]:
    return {"kind": span.row.kind, "task_id": span.row.name}


def _ending(span: LiveSpan) -> dict[str, Any]:
    row = span.row
    return {
        "outcome": row.status,
        "failed": bool(row.failed),
        "duration": row.ending.duration,
        "error": row.ending.error,
        "place": row.ending.location,
        "worker": row.ending.worker,
    }


def is_failed_test(change: LiveChange) -> bool:
    """Whether a change is the end of a test that failed, had an error, or crashed."""
    return change.change == "ended" and change.facts["kind"] == "TEST" and change.facts["outcome"] in FAILED


def error_line(change: LiveChange) -> str:
    """Return the first line of the message of something that failed, else ""."""
    return first_line(change.facts.get("error") or "") if change.facts.get("failed") else ""


def epoch_seconds(timestamp: str) -> float:
    """Return a timestamp in seconds since the epoch. If it is not valid, return the present time."""
    try:
        return seconds_of(timestamp)
    except ValueError:
        return time.time()


class RunWatcher:
    """Watches all present runs of a journal, or one run.

    Args:
        project: the project.
        run: the trace id of the one run to watch, finished or not. None for all runs that are running or start later.

    Attributes:
        runs: the runs that are running, by trace id.
        outcomes: the outcomes of the runs that finished while they were watched, by trace id.
    """

    def __init__(self, project: Project, run: str | None = None) -> None:
        self.runs: dict[str, LiveRun] = {}
        self.outcomes: dict[str, str] = {}
        self._follower = Follower(project, run)
        self._deliveries = DeliveryProgress(project)
        self._ended: dict[str, LiveRun] = {}
        self._clock = Clock()
        self._polled = False
        self._idle = False

    @property
    def is_done(self) -> bool:
        """Whether at least one run has finished, and none is running."""
        return bool(self.outcomes) and not self.runs

    @property
    def all_succeeded(self) -> bool:
        """Whether all finished runs succeeded."""
        return all(outcome == "completed" for outcome in self.outcomes.values())

    def poll(self) -> Iterator[LiveChange]:
        """Read new journal lines and progress files, and yield the changes."""
        for content in self._follower.read():
            found = decode(content)
            if found is not None:
                yield from self._add_event(*found)
        self._polled = True
        deliveries = self._deliveries.read()
        for run in list(self.runs.values()):
            yield from run.update_deliveries(deliveries.get(run.run, run.deliveries), self._clock.timestamp())
            if run.is_over(living=run.run in self._follower.living):
                yield self._end(run)
        idle = not self.runs
        if idle and not self._idle:
            yield LiveChange("idle", self._clock.timestamp(), None, {})
        self._idle = idle

    def _add_event(self, line: Line, metadata: Metadata | None) -> Iterator[LiveChange]:
        run = self.runs.get(line.trace_id)
        if run is None:
            run = self._ended.pop(line.trace_id, None)
            if run is None:
                run = LiveRun(line)
                yield LiveChange("run_started", line.timestamp, line.trace_id, {})
            self.runs[line.trace_id] = run
        yield from run.add_event(line, metadata)
        # The first poll may read old lines, which are no sign that the run is alive now. Later polls read new lines.
        age = 0.0 if self._polled else max(0.0, time.time() - epoch_seconds(line.timestamp))
        run.seen = time.monotonic() - age

    def _end(self, run: LiveRun) -> LiveChange:
        del self.runs[run.run]
        self._ended[run.run] = run
        while len(self._ended) > _MOST_ENDED_RUNS:
            del self._ended[next(iter(self._ended))]
        change = run.end()
        self.outcomes[run.run] = change.facts["outcome"]
        return change
