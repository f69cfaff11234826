"""Metrics for Prometheus, as a text file that node_exporter's textfile collector reads.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.core.files import replace_file
from pytest_swarmtask.relay.alerts.state import active_alerts
from pytest_swarmtask.relay.alerts.timed import seconds_since
from pytest_swarmtask.relay.notify.notifiers import failed_notifications

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.relay.delivery.backlog import Backlog
    from pytest_swarmtask.relay.delivery.memory import Memory

_log = logging.getLogger("pytest_swarmtask.relay")

_SCOPE = "metrics"  # of the memory
_KEY = "totals"
# Metadata may have any text as its outcome; only these become labels, so that their number stays small.
_OUTCOMES = frozenset(("passed", "failed", "error", "skipped", "xfailed", "xpassed", "crashed", "quarantined"))

Sample = tuple[str, dict[str, str], float]
"""The suffix of the metric's name, the labels, and the value."""


class MetricsFile:
    """Counts events, and writes all metrics to a file. Used from one thread.

    Args:
        memory: the memory of the relays, in which counts are kept. They only grow, as Prometheus expects.
        path: the file.
    """

    def __init__(self, memory: Memory, path: str) -> None:
        self._memory = memory
        self._path = path
        self._complained = False

    def count(self, events: Iterable[Event]) -> None:
        """Add events to the counts.

        Raises:
            sqlite3.Error: the memory cannot be used.
        """
        events = list(events)
        while True:  # until no other relay counts at the same time
            old = self._memory.get(_SCOPE, _KEY)
            if self._memory.swap(_SCOPE, _KEY, old, _added(old or {}, events)):
                return

    def write(self, backlogs: Mapping[str, Backlog]) -> None:
        """Replace the file. If that fails, log it, but only once in a row.

        Raises:
            sqlite3.Error: the memory cannot be used.
        """
        text = "".join(_families(self._memory, backlogs))
        try:
            # 0644, as the collector is another user. It reads only names that end in .prom, no temporary file.
            replace_file(self._path, text.encode(), mode=0o644)
            self._complained = False
        except OSError as error:
            if not self._complained:
                _log.error("metrics: %s cannot be written: %s", self._path, error.strerror)
                self._complained = True


def _added(totals: Mapping[str, Any], events: Iterable[Event]) -> dict[str, Any]:
    """Return the totals with these events added."""
    counts = {**_mapping(totals, "events")}
    times = {**_mapping(totals, "durations")}
    for event in events:
        kind, _, verb = event.event_type.partition("_")
        key = f"{event.event_type} {_outcome(event, verb)}"
        counts[key] = counts.get(key, 0) + 1
        seconds = event.metadata.get("duration")
        if verb != "STARTED" and isinstance(seconds, (int, float)) and not isinstance(seconds, bool):
            whole = ["run"] if _is_outermost(event) else []  # the outermost span of a run stands for the run
            for name in (kind.lower(), *whole):
                total, count = times.get(name, (0.0, 0))
                times[name] = [total + seconds, count + 1]
    return {"events": counts, "durations": times}


def _is_outermost(event: Event) -> bool:
    """Whether an end event is of a span that is in no other span of ours.

    On GitHub, the outermost spans of a job have GitHub's own root span as their parent. Of the events that end a span,
    only theirs name the run of the CI service.
    """
    return not event.parent_span_id or "ci_run" in event.metadata


def _mapping(totals: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = totals.get(name)
    return found if isinstance(found, dict) else {}  # damaged, or of another version


def _outcome(event: Event, verb: str) -> str:
    outcome = event.metadata.get("outcome")
    return outcome if isinstance(outcome, str) and outcome in _OUTCOMES else verb.lower()


def _families(memory: Memory, backlogs: Mapping[str, Backlog]) -> Iterator[str]:
    totals = memory.get(_SCOPE, _KEY) or {}
    events = [(key.split(" "), count) for key, count in sorted(_mapping(totals, "events").items())]
    counted: list[Sample] = [("", {"type": key[0], "outcome": key[1]}, count) for key, count in events]
    yield _family("events_total", "counter", "Events by type and outcome.", counted)
    times = _mapping(totals, "durations")
    spans = [item for kind, item in sorted(times.items()) if kind != "run" for item in _summary(item, {"kind": kind})]
    yield _family("span_duration_seconds", "summary", "How long tests, tasks, builds and deployments took.", spans)
    runs = _summary(times.get("run", (0.0, 0)), {})
    yield _family("run_duration_seconds", "summary", "How long what stands for a whole run took.", runs)
    names = sorted(backlogs)
    waiting: list[Sample] = [("", {"endpoint": name}, backlogs[name].waiting) for name in names]
    yield _family("delivery_waiting", "gauge", "Events that wait to be delivered.", waiting)
    lag: list[Sample] = [("", {"endpoint": name}, _age(backlogs[name].oldest)) for name in names]
    yield _family("delivery_lag_seconds", "gauge", "For how long the oldest of them has been waiting.", lag)
    dead: list[Sample] = [("", {"endpoint": name}, backlogs[name].dead) for name in names]
    yield _family("delivery_dead_letters", "gauge", "Events that were refused for good.", dead)
    yield _family("alerts_firing", "gauge", "Subjects for which an alert holds.", _active(memory))
    failed: list[Sample] = [("", {"notifier": name}, n) for name, (n, _) in failed_notifications(memory).items()]
    yield _family("notifications_failed_total", "counter", "Messages that could not be told.", failed)


def _summary(value: Sequence[float], labels: dict[str, str]) -> list[Sample]:
    total, count = value
    return [("_sum", labels, total), ("_count", labels, count)]


def _age(timestamp: str) -> float:
    return round(max(0.0, seconds_since(timestamp)), 3) if timestamp else 0.0


def _active(memory: Memory) -> list[Sample]:
    counts: dict[tuple[str, str], int] = {}
    for one in active_alerts(memory):
        key = (one.alert, one.message.severity)
        counts[key] = counts.get(key, 0) + 1
    return [("", {"alert": alert, "severity": severity}, count) for (alert, severity), count in sorted(counts.items())]


def _family(name: str, kind: str, about: str, samples: Iterable[Sample]) -> str:
    """Return one metric in the text format."""
    name = f"swarmtask_{name}"
    lines = [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
    for suffix, labels, value in samples:
        inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{name}{suffix}{'{' + inside + '}' if inside else ''} {value:.15g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Escape a label's value as the text format wants it."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
