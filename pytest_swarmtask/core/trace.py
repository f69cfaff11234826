"""The run, its spans, and the clock: when and where an event happened.

A run is one trace in the sense of W3C Trace Context (https://www.w3.org/TR/trace-context/). Its id comes from the
variable `TRACEPARENT`, or is made here. This module binds clocks when it is imported, so a test suite that freezes
time or patches `time` later does not change the timestamps of events.
"""

from __future__ import annotations

import itertools
import os
import time

from pytest_swarmtask.core.files import checksum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# In a tuple, because tools that freeze time replace functions that they find directly in a module.
_REAL_TIME = (time.perf_counter, time.gmtime)
_ZERO = time.time() - time.perf_counter()
"""Wall time when the performance counter was zero. The plugin imports this module before a conftest can stop the clock.
"""
_NO_SPAN = "00000000"
"""The first half of a parent id that is not a span, see `run_context`. One of 2**32 real ids begins so by chance."""
CAUSES = "SWARMTASK_CAUSED_BY"
"""The variable that names the triggers that led to a command, oldest first."""
CAUSED_BY = "caused_by"
"""The key of the same names in the metadata of events."""
_HEX = frozenset("0123456789abcdef")
_SAMPLED = "01"
_KNOWN_FLAGS = 0x03
"""The flags that W3C Trace Context Level 2 defines. It demands that a new value sets no others."""


class Clock:
    """Wall time that neither jumps nor freezes: read once, then continued by the performance counter."""

    __slots__ = ("_counter", "_gmtime", "_known", "_zero")

    def __init__(self) -> None:
        self._counter, self._gmtime = _REAL_TIME
        self._zero = _ZERO
        # The last moment, its text, its second, and the text of that; in one object so that threads see all or none.
        self._known = (-1, "", -1, "")

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._zero + self._counter()

    def timestamp(self, now: float | None = None) -> str:
        """Return an RFC 3339 timestamp in UTC with milliseconds, of `now` or of this moment."""
        # Each test has two timestamps, so this does not call `now`.
        millis = int((self._zero + self._counter() if now is None else now) * 1000)
        known, text, second, until_second = self._known
        if millis != known:
            if millis // 1000 != second:
                second = millis // 1000
                until_second = self._until_second(second)
            text = "%s.%03dZ" % (until_second, millis - second * 1000)  # noqa: UP031 - a third faster than an f-string
            self._known = (millis, text, second, until_second)
        return text

    def _until_second(self, second: int) -> str:
        t = self._gmtime(second)
        return f"{t[0]:04}-{t[1]:02}-{t[2]:02}T{t[3]:02}:{t[4]:02}:{t[5]:02}"


class Ids:
    """Makes the event and span ids of one writing process.

    An id is a random number of the process and a counter, so that not every id needs a call of the system.

    Attributes:
        writer: the process's random part of event ids, and its name in its segments.
    """

    __slots__ = ("_base", "_events", "_spans", "writer")

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Choose new random numbers, as a forked child must."""
        self.writer = os.urandom(8).hex()
        # 16 digits without a leading zero: no id has to be padded, and none looks like `_NO_SPAN`. Of the 2**60 numbers
        # above it, a process counts a few.
        self._base = (1 << 60) + int.from_bytes(os.urandom(8), "big") % (14 << 60)
        self._events = itertools.count(1)
        self._spans = itertools.count(1)

    def event(self) -> str:
        """Return a new event id."""
        return f"{self.writer}-{next(self._events)}"

    def span(self) -> str:
        """Return a new span id."""
        return hex(self._base + next(self._spans))[2:]  # noqa: FURB116 - faster than an f-string


def derived_span(trace_id: str, around: str | None, kind: str, task_id: str | None) -> str:
    """Return the span id that all processes of a run compute for the same names.

    A script may start and end a task from two processes that share nothing but the run and these names.

    Args:
        trace_id: the run.
        around: the span around both processes, or None.
        kind: the first word of the event type, such as ``TASK``.
        task_id: the task, or None.
    """
    span_id = checksum(f"{trace_id}|{around or ''}|{kind}|{task_id or ''}".encode("utf-8", "replace"))
    return span_id if span_id.strip("0") else f"{1:016x}"  # an id of zeros is invalid


def new_trace_id() -> str:
    """Return a random trace id."""
    return os.urandom(16).hex()


def parse_traceparent(text: str) -> tuple[str, str] | None:
    """Return trace id and parent span id of a `traceparent` value, or None if it is invalid.

    As W3C Trace Context says, version ff is invalid, later versions may have more fields, and ids of zeros are invalid.
    """
    parts = text.strip().split("-")
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2]:
        return None
    version, trace_id, span_id, flags = parts[:4]
    if version == "ff" or (version == "00" and len(parts) != 4):
        return None
    if not _HEX.issuperset(version + trace_id + span_id + flags) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return trace_id, span_id


def trace_flags(text: str) -> str:
    """Return the flags of a `traceparent` value that its children inherit: sampled (01) and random trace id (02).

    A parent that is not sampled stays so. Without a valid parent the trace is sampled.
    """
    if parse_traceparent(text) is None:
        return _SAMPLED
    return f"{int(text.strip().split('-')[3], 16) & _KNOWN_FLAGS:02x}"


def is_below_span(environ: Mapping[str, str]) -> bool:
    """Whether `TRACEPARENT` names a span around this process; one that begins with zeros (`_NO_SPAN`) is none."""
    found = parse_traceparent(environ.get("TRACEPARENT", ""))
    return found is not None and _is_span(found[1])


def _is_span(span_id: str) -> bool:
    return not span_id.startswith(_NO_SPAN)


def run_context(environ: Mapping[str, str], *, under_ci: bool) -> tuple[str, str | None, str | None]:
    """Return the trace id and parent span of this process, and a name for its part of the run.

    Trace id and parent come from `TRACEPARENT`. A parent that begins with zeros (`_NO_SPAN`) is not a span: make is not
    recorded, so there is no span around its recipes, and such a number only tells them from the recipes of other makes.
    Without a parent, all jobs of an attempt at a CI run belong to one run.

    The name is shared by the processes that may end each other's spans. None means that there is no such process.

    Args:
        environ: the environment variables.
        under_ci: whether they are those of a CI service.
    """
    found = parse_traceparent(environ.get("TRACEPARENT", ""))
    if found and _is_span(found[1]):
        return *found, found[1]
    around = found[1] if found else None
    if under_ci:
        from pytest_swarmtask.core.facts import ci

        context = ci.trace_context(environ)
        if context is not None:
            return *context, around or ci.job_name(environ)
    return (found[0] if found else new_trace_id()), None, around


def traceparent(trace_id: str, span_id: str, flags: str = "01") -> str:
    """Return the `traceparent` value for a child process whose parent is this span; flags as of `trace_flags`."""
    return f"00-{trace_id}-{span_id}-{flags}"
