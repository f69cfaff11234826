"""Decode journal lines, and collect what the tables of the history need of them."""

from __future__ import annotations

import functools
import math
import re
import shlex
from collections import defaultdict
from datetime import date
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec

from pytest_swarmtask.core.event import EVENT_TYPES, SKIPPED
from pytest_swarmtask.journal.decode import Fields
from pytest_swarmtask.journal.orphans import CLOSED_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable

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


Text = str | None
Number = Annotated[float, msgspec.Meta(gt=-_BIG, lt=_BIG)] | None
Whole = Annotated[int, msgspec.Meta(gt=-_BIG, lt=_BIG)] | None


class Metadata(
    msgspec.Struct, frozen=True, gc=False
):  # what JSON has refers to nothing around it, so there is nothing to collect
    """The fields of an event's metadata that the history has columns for.

    Metadata comes from anybody, so a field may be of another type: `_CONVERTERS` make it one of the type that is here.
    The fields that most events have come first, in their order: the decoder finds them sooner.
    """

    action: Text = None
    duration: Number = None
    outcome: Text = None
    phase: Text = None
    attempt: Whole = None
    error: Text = None
    location: Text = None
    worker: Text = None
    exit_code: Whole = None
    teardown_error: Text = None
    last_seen: Text = None
    command: Any = None
    arguments: Any = None
    tests: Whole = None
    partial: Any = None
    branch: Text = None
    commit: Text = None
    dirty: Any = None
    environment: Text = None
    ci: Text = None
    ci_url: Text = None
    host: Text = None
    python: Text = None
    coverage: Number = None
    coverage_percent: Number = None
    variant: Text = None
    ci_run: Text = None
    ci_job: Text = None
    ci_job_run: Text = None
    shard: Text = None
    dependencies: Text = None
    ci_image: Text = None
    default_branch: Text = None
    exception: Text = None
    fingerprint: Text = None
    traceback: Any = None
    stdout: Any = None
    stderr: Any = None
    log: Any = None
    teardown_traceback: Any = None
    properties: Any = None
    markers: Any = None
    attempts: Any = None
    quarantine: Any = None
    split: Any = None
    tasks: Any = None


_AnyMetadata = msgspec.defstruct("_AnyMetadata", [(name, Any, None) for name in Metadata.__struct_fields__])
"""The same fields, each of any type."""

_DETAILS = (
    *("traceback", "stdout", "stderr", "log", "teardown_traceback", "properties", "markers", "attempts"),
    "quarantine",
)
"""Metadata that the table `evidence` keeps as one JSON object, because no condition of a query names them."""
_details = attrgetter(*_DETAILS)
_NO_DETAILS = (None,) * len(_DETAILS)


class Line(Fields, gc=False):
    """A journal line. Its metadata is decoded separately, because a test's start needs none of it."""

    metadata: msgspec.Raw


class SplitFacts(msgspec.Struct, frozen=True):
    """What a pytest session says of the shard that it ran: the column `split`.

    Attributes:
        shard: its number and how many there are, such as ``2/8``.
        tests: how many tests the suite has in all shards.
        digest: of all that the division of the suite depends on; empty if the session did not divide it.
    """

    shard: Annotated[str, msgspec.Meta(pattern=r"\A[1-9][0-9]{0,3}/[1-9][0-9]{0,3}\Z")]
    tests: Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]
    digest: Annotated[str, msgspec.Meta(max_length=64)]


_decode_line = msgspec.json.Decoder(Line).decode
_decode_metadata = msgspec.json.Decoder(Metadata).decode
_decode_any_metadata = msgspec.json.Decoder(_AnyMetadata).decode


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
        if event.event_type == "TEST_STARTED":
            return (event, None) if memoryview(event.metadata)[0] == 0x7B else None  # "{"
        return (event, _metadata(event.metadata)) if event.event_type in EVENT_TYPES else None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _metadata(raw: msgspec.Raw) -> Metadata:
    try:
        return _decode_metadata(raw)
    except msgspec.ValidationError:
        found = _decode_any_metadata(raw)
        return Metadata(*(convert(getattr(found, name)) for name, convert in _CONVERTERS.items()))


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
    return _NUL.sub(rb"\1\\\\x00", text) if 0x5C in text and b"\\u0000" in text else text


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


class SpanRow(msgspec.Struct, gc=False):
    """What the lines of one batch say of one span; None is unknown.

    Attributes:
        kind: what kind of span it is, such as ``TEST``.
        name: its task id.
        parent: the id of the span around it.
        started, ended: timestamps.
        status: its outcome; None if it has not ended.
        failed: whether it has failed.
        orphaned: whether a reader wrote the end of the span, because its process was dead.
        ending: the metadata of its end; without any field if it has not ended.
        command: the command that it ran.
        variant: the variant that the span itself names. The spans below it have the same one.
        job, job_run: the CI job that the span names, with its shard, and which run of the job it was.
        software: what `SOFTWARE` names, of a pytest session.
    """

    kind: str
    name: str
    parent: str | None
    started: str
    ended: str | None = None
    status: str | None = None
    failed: int = 0
    orphaned: int = 0
    ending: Metadata = Metadata()
    command: str | None = None
    variant: str | None = None
    job: str | None = None
    job_run: str | None = None
    software: str | None = None

    @classmethod
    def of(cls, first: Line) -> SpanRow:
        """Return the row of a span, as its first line says."""
        return cls(_KIND[first.event_type], first.task_id or "", first.parent_span_id, first.timestamp)

    def set_place(self, metadata: Metadata) -> None:
        """Add what an event says of the span's place: its variant and its CI job."""
        if metadata.variant:
            self.variant = " ".join(metadata.variant.split())  # one line, as the table `run` lists one variant a line
        if metadata.action == "session" and metadata.python is not None:  # the start: an end has no such facts
            known = {name: value for name in SOFTWARE if (value := getattr(metadata, name)) is not None}
            self.software = msgspec.json.encode(known).decode()
        if metadata.ci_run is not None:
            self.job = " ".join(filter(None, (metadata.ci_job, metadata.shard)))
            self.job_run = metadata.ci_job_run

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
        self.ending = metadata


class Batch:
    """The rows that one batch of lines adds to the history. Runs are named by their trace ids.

    Attributes:
        events: run, event id, timestamp and line of each event.
        spans: by run, and then by span id. Every run of the batch is in it.
        facts: by run, what is known of it as a whole, and when its first event that is not of a test was recorded.
        segments: by name: the new cursor, the number of events, and the number of lines that are not events.
        damaged: paths of compressed segments that are damaged.
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str, str]] = []
        self.spans: defaultdict[str, dict[str, SpanRow]] = defaultdict(dict)
        self.facts: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        self.segments: dict[str, list[int]] = {}
        self.damaged: list[str] = []

    def add(self, line: bytes, *, keep_line: bool = True) -> bool:
        """Add a line, and return whether it is an event. If the line is not kept, only its span is."""
        line = without_nul(line)
        found = decode(line)
        if found is not None:
            self._add(line, *found, keep_line)
        return found is not None

    def add_event(self, recorded: Recorded) -> None:
        """Add an event."""
        self._add(*recorded, keep_line=True)

    def _add(self, line: bytes, event: Line, metadata: Metadata | None, keep_line: bool) -> None:  # noqa: FBT001
        if keep_line:
            self.events.append((event.trace_id, event.id, event.timestamp, line.decode()))
        spans = self.spans[event.trace_id]
        span = spans.get(event.span_id)
        if span is None:
            span = spans[event.span_id] = SpanRow.of(event)
        elif event.timestamp < span.started:
            span.started = event.timestamp
        if metadata is None:
            return
        if event.event_type not in _STARTS:
            span.end(event, metadata)
        if _KIND[event.event_type] != "TEST":
            span.set_place(metadata)
            self._add_facts(event, metadata)
        if span.command is None:
            span.command = _command(metadata)

    def _add_facts(self, event: Line, metadata: Metadata) -> None:
        facts = self.facts[event.trace_id]
        facts["started"] = min(event.timestamp, facts.get("started", event.timestamp))
        for name in (*FACTS, "ci_run"):
            value = getattr(metadata, name)
            if value is not None and name not in facts:
                facts[name] = value
        if isinstance(metadata.dirty, bool):
            facts.setdefault("dirty", int(metadata.dirty))
        # A shard covers a part of what the run covers.
        for percent in (metadata.coverage_percent, metadata.coverage) if metadata.split is None else ():
            if percent is not None:
                facts["coverage"] = percent


def evidence(metadata: Metadata) -> tuple[str | None, str | None, str | None] | None:
    """Return exception, fingerprint and details of an ending, as the table `evidence` has them.

    Returns:
        None if it has none of them, as most passed tests.
    """
    values = _details(metadata)
    if metadata.exception is None and metadata.fingerprint is None and values == _NO_DETAILS:
        return None
    details = {name: value for name, value in zip(_DETAILS, values, strict=True) if value is not None}
    detail = msgspec.json.encode(details).decode() if details else None
    return metadata.exception, metadata.fingerprint, detail


def session_columns(metadata: Metadata) -> tuple[int | None, int | None, str | None]:
    """Return the columns `tests`, `partial` and `split` of an ending, which only a pytest session has."""
    if metadata.action != "session":
        return None, None, None
    return metadata.tests, int(metadata.partial is True), _split(metadata.split)


def task_ids(metadata: Metadata) -> str | None:
    """Return the ids of the tasks that a test belongs to, one a line; None if there are none."""
    value = metadata.tasks
    texts = [" ".join(text.split()) for text in value if isinstance(text, str)] if isinstance(value, list) else []
    return "\n".join(filter(None, texts)) or None


def _split(value: Any) -> str | None:
    try:
        return None if value is None else msgspec.json.encode(msgspec.convert(value, SplitFacts)).decode()
    except msgspec.ValidationError:
        return None


def _ended(line: Line, metadata: Metadata) -> str:
    """Return the timestamp of the end.

    A crashed span's end event is written late, when somebody notices the crash. So its `last_seen` counts.
    """
    seen = metadata.last_seen
    if seen is not None and line.event_type in _FAILS and _is_timestamp(seen):
        return min(seen, line.timestamp)
    return line.timestamp


def _status(line: Line, metadata: Metadata) -> str:
    if line.event_type in _BY_TYPE:
        outcome = metadata.outcome
        return outcome if outcome in _OUTCOMES else _BY_TYPE[line.event_type]
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


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    field.name: {Text: _text, Number: _number, Whole: _whole}.get(field.type, lambda value: value)
    for field in msgspec.structs.fields(Metadata)
}
"""By field of the metadata: what makes a value of any type one of the type of the field."""
