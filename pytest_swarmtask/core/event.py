"""The event: its types, its fields, and its one written form, a line of JSON.

Every process that records imports this module, so it must load fast: without `typing`, `dataclasses` and `enum`.
"""

from __future__ import annotations

from pytest_swarmtask.core.errors import EventTypeError, JournalError
from pytest_swarmtask.core.fastjson import compact, encode_basestring, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


EVENT_TYPES = {
    "TASK_STARTED": "started",
    "TASK_COMPLETED": "completed",
    "TASK_FAILED": "failed",
    "BUILD_STARTED": "started",
    "BUILD_COMPLETED": "completed",
    "BUILD_FAILED": "failed",
    "DEPLOYMENT_STARTED": "started",
    "DEPLOYMENT_COMPLETED": "completed",
    "DEPLOYMENT_FAILED": "failed",
    "TEST_STARTED": "started",
    "TEST_PASSED": "completed",
    "TEST_FAILED": "failed",
    "TEST_SKIPPED": "skipped",
}
"""Every event type with its default status. `core.event_types` has them as an enumeration, for Python code."""


def event_type_name(event_type: str) -> str:
    """Return the plain name of an event type given as a string or as an `AutomationEventType`.

    Raises:
        EventTypeError: the argument is not an event type; the message names the nearest one.
    """
    name: Any = event_type  # a caller may pass anything
    if isinstance(name, str) and name in EVENT_TYPES:
        return str.__str__(name)  # the plain string of a member of the enumeration
    raise EventTypeError(f"unknown event type {name!r}: expected one of {', '.join(EVENT_TYPES)}{_nearest(name)}")


def _nearest(name: object) -> str:
    import difflib  # only for an error message

    close = difflib.get_close_matches(str(name).upper(), EVENT_TYPES, 1, 0.5)
    return f" (did you mean {close[0]}?)" if close else ""


SKIPPED = "skipped"
"""The status of something that was left out. The end of a task with it is a ``TASK_FAILED`` that is no failure."""

SHARED = "-s"
"""The end of the ids of events whose span any process may end: those of `emit` and `trigger_event`.

A span of any other event belongs to the process that began it. If that process dies first, `journal.orphans` writes
the end event.
"""


class Event:
    """One thing that happened to a task: which, when, and in which run and span.

    Attributes:
        id: the unique id, by which receivers recognize a second delivery. It never changes. It has no ``.``, which the
            Standard Webhooks specification forbids in ids of messages.
        event_type: one of `EVENT_TYPES`.
        task_id: a task, a make target, the node id of a test; or None.
        status: ``started``, ``completed``, ``failed``, ``skipped``, or the caller's own word.
        timestamp: UTC, RFC 3339 with milliseconds.
        source: the name of the reporting project, by default that of its folder.
        trace_id: the run, 32 hex digits (W3C Trace Context).
        span_id: 16 hex digits. The event that begins a span and the event that ends it have the same one.
        parent_span_id: the span around it, or None.
        metadata: all other facts; JSON values only.
    """

    __slots__ = (
        "event_type",
        "id",
        "metadata",
        "parent_span_id",
        "source",
        "span_id",
        "status",
        "task_id",
        "timestamp",
        "trace_id",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - the fields of the written form, no more
        self,
        id: str,  # noqa: A002 - the field's name in the written form
        event_type: str,
        task_id: str | None,
        status: str,
        timestamp: str,
        source: str,
        trace_id: str,
        span_id: str,
        parent_span_id: str | None,
        metadata: dict[str, Any],
    ) -> None:
        self.id = id
        self.event_type = event_type
        self.task_id = task_id
        self.status = status
        self.timestamp = timestamp
        self.source = source
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_span_id = parent_span_id
        self.metadata = metadata

    def __repr__(self) -> str:
        return f"<Event {self.event_type} {self.task_id!r} {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and all(getattr(self, f) == getattr(other, f) for f in self.__slots__)

    def __hash__(self) -> int:
        return hash(self.id)

    def encode(self) -> bytes:
        """Return the journal line: compact JSON in UTF-8 with a newline.

        Raises:
            ValueError, TypeError, RecursionError, UnicodeEncodeError: a value that JSON cannot carry.
        """
        return journal_line(
            self.id,
            self.event_type,
            "null" if self.task_id is None else encode_basestring(self.task_id),
            encode_basestring(self.status),
            self.timestamp,
            encode_basestring(self.source),
            self.trace_id,
            self.span_id,
            "null" if self.parent_span_id is None else f'"{self.parent_span_id}"',
            compact(self.metadata),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the written form as a dictionary, in the order of the journal line."""
        decoded: dict[str, Any] = loads(self.encode().decode())
        return decoded

    @classmethod
    def decode(cls, line: bytes) -> Event:
        """Return the event of a journal line.

        Raises:
            JournalError: the line is torn, not JSON, or not an event.
        """
        try:
            fields = loads(line.decode())
        except (ValueError, RecursionError) as error:
            raise JournalError(f"not a JSON line: {error}") from None
        if not isinstance(fields, dict):
            raise JournalError(f"expected an object, found {type(fields).__name__}")
        try:
            event = cls(**{name: fields[name] for name in cls.__slots__})
        except KeyError as error:
            raise JournalError(f"the field {error} is missing") from None
        event._check()
        return event

    def _check(self) -> None:
        for name in ("id", "event_type", "status", "timestamp", "source", "trace_id", "span_id"):
            if not isinstance(getattr(self, name), str):
                raise JournalError(f"{name} is {getattr(self, name)!r}, expected a string")
        for name in ("task_id", "parent_span_id"):
            if not isinstance(getattr(self, name), (str, type(None))):
                raise JournalError(f"{name} is {getattr(self, name)!r}, expected a string or null")
        if self.event_type not in EVENT_TYPES:
            raise JournalError(f"event_type is {self.event_type!r}, expected one of {', '.join(EVENT_TYPES)}")
        if not isinstance(self.metadata, dict):
            raise JournalError(f"metadata is {type(self.metadata).__name__}, expected an object")


def journal_line(  # noqa: PLR0913, PLR0917 - the fields of the written form, no more
    id: str,  # noqa: A002 - the field's name in the written form
    event_type: str,
    task_id: str,
    status: str,
    timestamp: str,
    source: str,
    trace_id: str,
    span_id: str,
    parent_span_id: str,
    metadata: str,
) -> bytes:
    """Return the journal line of an event's fields. Every event is written by this function.

    A JSON encoder would take three times as long for the two events of each test.

    `task_id`, `status`, `source`, `parent_span_id` and `metadata` are JSON; the others need no escapes in JSON.
    """
    return (
        f'{{"id":"{id}","event_type":"{event_type}","task_id":{task_id},"status":{status},"timestamp":"{timestamp}",'
        f'"source":{source},"trace_id":"{trace_id}","span_id":"{span_id}","parent_span_id":{parent_span_id},'
        f'"metadata":{metadata}}}\n'
    ).encode()


MASK = "[REDACTED]"
"""The text that stands in an event in place of a secret."""

MAX_EVENT = 64 * 1024
"""Bytes of an event's line, at most. Longer ones are cut, see `recording.truncate`."""
MAX_FACTS = 16 * 1024
"""Bytes of a line without evidence, at most: only what a test left behind may take more."""

EVIDENCE_TEXTS = ("traceback", "teardown_traceback", "stdout", "stderr", "log")
"""Metadata of the end of a test, and of its earlier attempts: the long texts that show why it failed."""
EVIDENCE = (*EVIDENCE_TEXTS, "properties")
"""The metadata of a test that leaves the machine only where the user wants it: its texts, and values of its own."""
MAY_HOLD_EVIDENCE = frozenset(("attempts", *EVIDENCE))
"""The metadata of a test in which evidence can be: that of its earlier attempts is in `attempts`."""


def has_evidence(event: Event) -> bool:
    """Whether an event may hold evidence. Metadata of other events, such as a user's own `log`, is none."""
    metadata = event.metadata
    return metadata.get("test_type") == "pytest" and not MAY_HOLD_EVIDENCE.isdisjoint(metadata)
