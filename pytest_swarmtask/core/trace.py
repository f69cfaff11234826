"""The run, its spans, and the time: what places an event.

A run is one W3C trace (https://www.w3.org/TR/trace-context/): its id arrives in `TRACEPARENT` or is
made here. Nothing in this module reads a clock or draws a random number through a name that a
test suite can freeze or patch after it was imported.
"""

from __future__ import annotations

import itertools
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# Held together in a tuple: freezing tools look for the functions themselves in every module, at any time.
_REAL_TIME = (time.perf_counter, time.gmtime)
_ZERO = time.time() - time.perf_counter()
"""Wall time of the performance counter's zero. The plugin imports this module before a conftest can stop the clock."""
_SPAN_PRIME = 2**64 - 59
_NO_SPAN = "00000000"
_CI_MARKERS = ("CI", "TF_BUILD", "JENKINS_URL")
CAUSES = "SWARMTASK_CAUSED_BY"
"""The variable in which a command that a trigger runs finds the triggers that led to it, the last one last."""
CAUSED_BY = "caused_by"
"""Where the metadata of events has the same."""
_HEX = frozenset("0123456789abcdef")


class Clock:
    """Wall time that neither jumps nor freezes: read once, then carried on by the performance counter.

    Bound to the real functions, so a suite that freezes time changes neither timestamps, order nor durations.
    """

    __slots__ = ("_counter", "_gmtime", "_known", "_zero")

    def __init__(self) -> None:
        self._counter, self._gmtime = _REAL_TIME
        self._zero = _ZERO
        self._known = (-1, "")  # a second and its text, in one piece for the sake of threads

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._zero + self._counter()

    def timestamp(self, now: float | None = None) -> str:
        """Return an RFC 3339 timestamp in UTC with milliseconds, of `now` or of this moment."""
        millis = int((self.now() if now is None else now) * 1000)
        second = millis // 1000
        known, prefix = self._known
        if second != known:
            t = self._gmtime(second)
            prefix = f"{t[0]:04}-{t[1]:02}-{t[2]:02}T{t[3]:02}:{t[4]:02}:{t[5]:02}"
            self._known = (second, prefix)
        return f"{prefix}.{millis % 1000:03}Z"


class Ids:
    """Event and span ids of one writing process: a random start and a counter, so they cost no entropy each."""

    __slots__ = ("_base", "_events", "_spans", "writer")

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Start afresh, as a forked child must."""
        self.writer = os.urandom(8).hex()
        self._base = int.from_bytes(os.urandom(8), "big")
        self._events = itertools.count(1)
        self._spans = itertools.count(1)

    def event(self) -> str:
        """Return a new event id."""
        return f"{self.writer}-{next(self._events)}"

    def span(self) -> str:
        """Return a new span id."""
        return f"{(self._base + next(self._spans)) % _SPAN_PRIME or 1:016x}"


def derived_span(trace_id: str, around: str | None, kind: str, task_id: str | None) -> str:
    """Return the span id that processes below the same one agree on for one task.

    Scripts start and end a task from two processes that share nothing but the run and the names.
    """
    key = f"{trace_id}|{around or ''}|{kind}|{task_id or ''}".encode("utf-8", "replace")
    return f"{int.from_bytes(key, 'big') % _SPAN_PRIME or 1:016x}"


def new_trace_id() -> str:
    """Return a random trace id."""
    return os.urandom(16).hex()


def parse_traceparent(text: str) -> tuple[str, str] | None:
    """Return trace id and parent span id of a `traceparent` value, or None where it is not a valid one."""
    parts = text.strip().split("-")
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2]:
        return None
    version, trace_id, span_id, flags = parts[:4]
    if version == "ff" or (version == "00" and len(parts) != 4):
        return None
    if not _HEX.issuperset(version + trace_id + span_id + flags) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return trace_id, span_id


def run_context(environ: Mapping[str, str]) -> tuple[str, str | None, str | None]:
    """Return the trace id and the parent span of this process, and what tells it from others of the run.

    They are those of `TRACEPARENT`. A parent that begins with zeros is none: make has no events of its own, and tells
    its recipes apart from those of other makes by such a one. Where no span is around, all jobs of a CI run are one
    run. The last is None where nothing is around: then no other process belongs to this one.
    """
    found = parse_traceparent(environ.get("TRACEPARENT", ""))
    if found and not found[1].startswith(_NO_SPAN):
        return *found, found[1]
    around = found[1] if found else None
    if any(map(environ.get, _CI_MARKERS)):
        from pytest_swarmtask.core.facts import ci

        name = ci.run_name(environ)
        if name is not None:
            return ci.trace_id(name), None, around or ci.job_name(environ)
    return (found[0] if found else new_trace_id()), None, around


def traceparent(trace_id: str, span_id: str) -> str:
    """Return the `traceparent` value that names this span as the parent of what comes."""
    return f"00-{trace_id}-{span_id}-01"
