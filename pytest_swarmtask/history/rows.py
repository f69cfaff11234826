"""Decode journal lines, and collect what the tables of the history need of them."""

from __future__ import annotations

import functools
import math
import re
import shlex
from datetime import date
from typing import Any, NamedTuple

import msgspec

from pytest_swarmtask.core.event import EVENT_TYPES, SKIPPED
from pytest_swarmtask.journal.decode import Fields
from pytest_swarmtask.journal.orphans import CLOSED_SUFFIX

_KIND = {name: name.partition("_")[0] for name in EVENT_TYPES}
_STARTS = frozenset(name for name in EVENT_TYPES if name.endswith("_STARTED"))
_FAILS = frozenset(name for name in EVENT_TYPES if name.endswith("_FAILED"))
_OUTCOMES = frozenset(("passed", "failed", "error", "skipped", "xfailed", "xpassed", "crashed", "quarantined"))
_BY_TYPE = {"TEST_PASSED": "passed", "TEST_FAILED": "failed", "TEST_SKIPPED": "skipped"}
_BIG = 1 << 62
"""Numbers from here on are dropped: SQLite's integers end at 2 ** 63, and anybody may have written the number."""
_TIME = re.compile(
    r"(?!0000)\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?"
    r"(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
"""The escape of a NUL in JSON."""


class Metadata(msgspec.Struct, gc=False):  # what JSON has refers to nothing around it, so there is nothing to collect
    """The fields of an event's metadata that the history has columns for.

    Metadata comes from anybody, so a field may be of any type.
    """

    outcome: Any = None
    error: Any = None
    location: Any = None
    phase: Any = None
    duration: Any = None
    attempt: Any = None
    worker: Any = None
    exit_code: Any = None
    teardown_error: Any = None
    last_seen: Any = None
    command: Any = None
    arguments: Any = None
    action: Any = None
    tests: Any = None
    partial: Any = None
    branch: Any = None
    commit: Any = None
    dirty: Any = None
    environment: Any = None
    ci: Any = None
    ci_url: Any = None
    host: Any = None
    python: Any = None
    coverage: Any = None
    coverage_percent: Any = None
    variant: Any = None
    ci_run: Any = None
    ci_job: Any = None
    ci_job_run: Any = None
    shard: Any = None
    dependencies: Any = None
    ci_image: Any = None
    default_branch: Any = None
    exception: Any = None
    fingerprint: Any = None
    traceback: Any = None
    stdout: Any = None
    stderr: Any = None
    log: Any = None
    teardown_traceback: Any = None
    properties: Any = None
    markers: Any = None
    attempts: Any = None
    quarantine: Any = None


_DETAILS = (
    *("traceback", "stdout", "stderr", "log", "teardown_traceback", "properties", "markers", "attempts"),
    "quarantine",
)
"""Metadata that the table `evidence` keeps as one JSON object, because no condition of a query names them."""


class Line(Fields, gc=False):
    """A journal line. Its metadata is decoded separately, because a test's start needs none of it."""

    metadata: msgspec.Raw


_decode_line = msgspec.json.Decoder(Line).decode
_decode_metadata = msgspec.json.Decoder(Metadata).decode


def decode(line: bytes) -> tuple[Line, Metadata | None] | None:
    """Decode a journal line.

    Returns:
        The event and its metadata, or None if the line is not an event. The metadata of a test's start is None: it says
        nothing that the test's end does not say, so the time to decode it is saved.
    """
    try:
        if not line.isascii():
            line.decode()  # the decoder skips unknown fields, and would accept invalid UTF-8 in them
        event = _decode_line(line)
        raw = memoryview(event.metadata)
        if event.event_type not in EVENT_TYPES or raw[0] != 0x7B:  # "{"
            return None
        return event, None if event.event_type == "TEST_STARTED" else _decode_metadata(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


class Recorded(NamedTuple):
    """An event, with the line that records it and its metadata, which a test's start has none of (`decode`)."""

    line: bytes
    fields: Line
    metadata: Metadata | None


def recorded(line: bytes) -> Recorded | None:
    """Return an event that came over the network, or None if it is none, or its timestamp is none.

    Our own journal has no wrong timestamps, but for damage; PostgreSQL could not store them. Nor could it store a NUL,
    so the line is one `without_nul`.
    """
    found = decode(line)
    return None if found is None or not _is_timestamp(found[0].timestamp) else Recorded(line, *found)


def without_nul(text: bytes) -> bytes:
    """Return a JSON text with the escape of each NUL written out, in four characters. PostgreSQL cannot store a NUL."""
    return _NUL.sub(rb"\1\\\\x00", text) if b"\\u0000" in text else text


def _is_timestamp(text: str) -> bool:
    """Whether a text is a timestamp in the format of RFC 3339, of a day and a time that exist."""
    return _TIME.fullmatch(text) is not None and (text[8:10] <= "28" or _is_day(text[:10]))


@functools.lru_cache(maxsize=100)
def _is_day(text: str) -> bool:
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


FACTS = ("branch", "commit", "environment", "ci", "ci_url", "host", "python", "dependencies", "ci_image",
         "default_branch")  # fmt: skip
"""Facts of a whole run: columns of the table `run` that its events have as metadata, all text."""


SOFTWARE = ("python", "dependencies", "ci_image")
"""Facts of a pytest session on which its results depend beside the code: the column `software`, a JSON object.

The jobs of a run may differ in them, so a result has those of its session, and not those of the run.
"""


class SpanRow:
    """The columns of one span, as far as the lines of one batch have them; None is unknown.

    Only a pytest session that has ended has the columns `tests` and `partial`.

    Attributes:
        variant: the variant that the span itself names. The spans below it have the same one.
        job, job_run: the CI job that the span names, with its shard, and which run of the job it was.
        software: what `SOFTWARE` names, of a pytest session.
        orphaned: whether a reader wrote the end of the span, because its process was dead.
        evidence: exception, fingerprint and details of a test that has some, as the table `evidence` has them.
    """

    __slots__ = (
        "attempt",
        "command",
        "duration",
        "ended",
        "error",
        "evidence",
        "exit_code",
        "failed",
        "job",
        "job_run",
        "kind",
        "name",
        "orphaned",
        "parent",
        "partial",
        "phase",
        "place",
        "software",
        "started",
        "status",
        "teardown_error",
        "tests",
        "variant",
        "worker",
    )

    def __init__(self, first: Line) -> None:
        self.kind = _KIND[first.event_type]
        self.name = first.task_id or ""
        self.parent = first.parent_span_id
        self.started = first.timestamp
        self.failed = 0
        self.orphaned = 0
        self.ended: str | None = None
        self.status: str | None = None
        self.duration: float | None = None
        self.error: str | None = None
        self.place: str | None = None
        self.phase: str | None = None
        self.attempt: int | None = None
        self.worker: str | None = None
        self.exit_code: int | None = None
        self.command: str | None = None
        self.teardown_error: str | None = None
        self.tests: int | None = None
        self.partial: int | None = None
        self.variant: str | None = None
        self.job: str | None = None
        self.job_run: str | None = None
        self.software: str | None = None
        self.evidence: tuple[str | None, str | None, str | None] | None = None

    def set_place(self, metadata: Metadata) -> None:
        """Add what an event says of the span's place: its variant and its CI job."""
        variant = _text(metadata.variant)
        if variant:
            self.variant = " ".join(variant.split())  # one line, as the table `run` lists one variant a line
        if metadata.action == "session" and metadata.python is not None:  # the start: an end has no such facts
            known = {name: _text(value) for name in SOFTWARE if (value := getattr(metadata, name)) is not None}
            self.software = msgspec.json.encode(known).decode()
        if metadata.ci_run is not None:
            self.job = " ".join(filter(None, (_text(metadata.ci_job), _text(metadata.shard))))
            self.job_run = _text(metadata.ci_job_run)

    def end(self, line: Line, metadata: Metadata) -> None:
        """Add an event that ends the span. If there are several, the latest one counts that its process wrote."""
        ended = _ended(line, metadata)
        orphaned = int(line.id.endswith(CLOSED_SUFFIX))
        if self.ended is not None and (-orphaned, ended) < (-self.orphaned, self.ended):
            return
        self.ended = ended
        self.orphaned = orphaned
        self.failed = int(line.event_type in _FAILS and line.status != SKIPPED)
        self.status = _status(line, metadata)
        self.duration = _number(metadata.duration)
        self.error = _text(metadata.error)
        self.place = _text(metadata.location)
        self.phase = _text(metadata.phase)
        self.attempt = _whole(metadata.attempt)
        self.worker = _text(metadata.worker)
        self.exit_code = _whole(metadata.exit_code)
        self.teardown_error = _text(metadata.teardown_error)
        if metadata.action == "session":
            self.tests = _whole(metadata.tests)
            self.partial = int(metadata.partial is True)
        self.evidence = _evidence(metadata)


class Batch:
    """The rows that one batch of lines adds to the history. Runs are named by their trace ids.

    Attributes:
        events: run, event id, timestamp and line of each event.
        spans: by run and span id.
        facts: by run, what is known of it as a whole, and when its first event that is not of a test was recorded.
            Every run of the batch is in it.
        segments: by name: the new cursor, the number of events, and the number of lines that are not events.
        damaged: paths of compressed segments that are damaged.
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str, str]] = []
        self.spans: dict[tuple[str, str], SpanRow] = {}
        self.facts: dict[str, dict[str, Any]] = {}
        self.segments: dict[str, list[int]] = {}
        self.damaged: list[str] = []

    def add(self, line: bytes, *, keep_line: bool = True) -> bool:
        """Add a line, and return whether it is an event. If the line is not kept, only its span is."""
        line = without_nul(line)
        found = decode(line)
        if found is not None:
            self._add(line, *found, keep_line=keep_line)
        return found is not None

    def add_event(self, recorded: Recorded) -> None:
        """Add an event."""
        self._add(*recorded, keep_line=True)

    def _add(self, line: bytes, event: Line, metadata: Metadata | None, *, keep_line: bool) -> None:
        if keep_line:
            self.events.append((event.trace_id, event.id, event.timestamp, line.decode()))
        self.facts.setdefault(event.trace_id, {})
        self._add_span(event, metadata)
        if metadata is not None and event.event_type[:5] != "TEST_":
            self._add_facts(event, metadata)

    def _add_span(self, event: Line, metadata: Metadata | None) -> None:
        key = (event.trace_id, event.span_id)
        span = self.spans.get(key)
        if span is None:
            span = self.spans[key] = SpanRow(event)
        elif event.timestamp < span.started:
            span.started = event.timestamp
        if metadata is None:
            return
        if event.event_type not in _STARTS:
            span.end(event, metadata)
        if event.event_type[:5] != "TEST_":
            span.set_place(metadata)
        if span.command is None:
            span.command = _command(metadata)

    def _add_facts(self, event: Line, metadata: Metadata) -> None:
        facts = self.facts[event.trace_id]
        facts["started"] = min(event.timestamp, facts.get("started", event.timestamp))
        for name in (*FACTS, "ci_run"):
            value = getattr(metadata, name)
            if value is not None and name not in facts:
                facts[name] = _text(value)
        if isinstance(metadata.dirty, bool):
            facts.setdefault("dirty", int(metadata.dirty))
        for value in (metadata.coverage_percent, metadata.coverage):
            percent = _number(value)
            if percent is not None:
                facts["coverage"] = percent


def _evidence(metadata: Metadata) -> tuple[str | None, str | None, str | None] | None:
    """Return exception, fingerprint and details of an ending, or None if it has none of them, as most passed tests."""
    details = {name: value for name in _DETAILS if (value := getattr(metadata, name)) is not None}
    if metadata.exception is None and metadata.fingerprint is None and not details:
        return None
    detail = msgspec.json.encode(details).decode() if details else None
    return _text(metadata.exception), _text(metadata.fingerprint), detail


def _ended(line: Line, metadata: Metadata) -> str:
    """Return the timestamp of the end.

    A crashed span's end event is written late, when somebody notices the crash. So its `last_seen` counts.
    """
    seen = metadata.last_seen
    if line.event_type in _FAILS and isinstance(seen, str) and _is_timestamp(seen):
        return min(seen, line.timestamp)
    return line.timestamp


def _status(line: Line, metadata: Metadata) -> str:
    if line.event_type in _BY_TYPE:
        outcome = metadata.outcome
        known = isinstance(outcome, str) and outcome in _OUTCOMES
        return outcome if known else _BY_TYPE[line.event_type]
    return line.status


def _command(metadata: Metadata) -> str | None:
    if metadata.command is not None:
        return _joined(metadata.command)
    if metadata.action == "session" and isinstance(metadata.arguments, list):
        return _joined(["pytest", *metadata.arguments])
    return None


def _joined(value: Any) -> str | None:
    return shlex.join(map(str, value)) if isinstance(value, list) else _text(value)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if -_BIG < value < _BIG and math.isfinite(value) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and -_BIG < value < _BIG else None
