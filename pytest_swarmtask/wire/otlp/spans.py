"""The spans that an event ends: its own, and those of earlier attempts at the same test."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from pytest_swarmtask.core.facts.ci import previous_attempt
from pytest_swarmtask.wire.otlp.conventions import attempt_attributes, is_failure, span_attributes
from pytest_swarmtask.wire.otlp.values import identifier, key_values, nanoseconds, nanoseconds_of, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_swarmtask.core.event import Event

_ATTEMPT = "swarmtask.attempt"
_MOST_ATTEMPTS = 1 << 31
"""A number of attempts that nobody has made: metadata comes from anybody."""


def spans_of(event: Event, start: Event | None) -> list[Span]:
    """Return the spans of an event that ends something.

    Args:
        event: the event.
        start: the start of the session around it, or of the session that it ends; None if there is none.

    Raises:
        ValueError: its ids or its timestamp cannot be those of a span.
    """
    span = _span(event, start)
    attempts = list(_attempts(event, span))
    links = [Span.Link(trace_id=one.trace_id, span_id=one.span_id, attributes=_number(one)) for one in attempts]
    span.links.extend([*links, *_previous_run(event)])
    return [*attempts, span]


def _span(event: Event, start: Event | None) -> Span:
    end = _end(event)
    begin = max(0, end - nanoseconds_of(event.metadata.get("duration")))
    facts = event.metadata
    return Span(
        trace_id=identifier("trace_id", event.trace_id, 32),
        span_id=identifier("span_id", event.span_id, 16),
        parent_span_id=identifier("parent_span_id", event.parent_span_id, 16) if event.parent_span_id else b"",
        name=_name(event),
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=begin,
        end_time_unix_nano=end,
        attributes=key_values(span_attributes(event, start)),
        events=_exceptions(facts, end) if is_failure(event) else [],
        status=_status(facts.get("error")) if is_failure(event) else None,
    )


def _name(event: Event) -> str:
    return text(event.task_id or "") or event.event_type.partition("_")[0].lower()


def _end(event: Event) -> int:
    """Return when the span ended. A crash is noticed later than it happens, so `last_seen` counts."""
    end = nanoseconds(event.timestamp)
    seen = event.metadata.get("last_seen")
    if not isinstance(seen, str):
        return end
    try:
        return min(end, nanoseconds(seen))
    except ValueError:
        return end  # metadata comes from anybody


def _status(error: Any) -> Status:
    return Status(code=Status.STATUS_CODE_ERROR, message=text(error) if isinstance(error, str) else "")


def _exceptions(facts: Mapping[str, Any], at: int) -> Iterator[Span.Event]:
    """Yield the event `exception`, if it is known what was raised, and the traceback only where it may leave."""
    kind, traceback = facts.get("exception"), facts.get("traceback")
    if kind is None and traceback is None:
        return
    attributes = {
        "exception.type": kind,
        "exception.message": facts.get("error"),
        "exception.stacktrace": traceback,
    }
    yield Span.Event(name="exception", time_unix_nano=at, attributes=key_values(attributes))


def _attempts(event: Event, span: Span) -> Iterator[Span]:
    """Yield the spans of earlier attempts, oldest first.

    An attempt has a duration and no time, so they are laid end to end from the beginning of the test.
    """
    attempts = [one for one in _list(event.metadata.get("attempts")) if isinstance(one, dict)]
    last = event.metadata.get("attempt")
    last = last if isinstance(last, int) and len(attempts) < last < _MOST_ATTEMPTS else len(attempts) + 1
    begin = span.start_time_unix_nano
    for number, facts in enumerate(attempts, last - len(attempts)):
        end = min(span.end_time_unix_nano, begin + nanoseconds_of(facts.get("duration")))
        yield _attempt(event, span, facts, number, (begin, end))
        begin = end


def _attempt(event: Event, span: Span, facts: Mapping[str, Any], number: int, times: tuple[int, int]) -> Span:
    begin, end = times
    return Span(
        trace_id=span.trace_id,
        span_id=_derived_id(event, number),
        parent_span_id=span.parent_span_id,
        name=span.name,
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=begin,
        end_time_unix_nano=end,
        attributes=key_values({**attempt_attributes(event, facts), _ATTEMPT: number}),
        events=_exceptions(facts, end),
        status=_status(facts.get("error")),
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _derived_id(event: Event, number: int) -> bytes:
    """Return the span id of an earlier attempt: the same whenever the event is sent."""
    key = f"{event.trace_id}/{event.span_id}/{number}"
    return hashlib.blake2s(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _number(attempt: Span) -> list[Any]:
    return [one for one in attempt.attributes if one.key == _ATTEMPT]


def _previous_run(event: Event) -> Iterator[Span.Link]:
    """Yield the link from an outermost span of a CI job to the attempt at the CI run before, if its ids are known."""
    found = previous_attempt(event.metadata, event.trace_id)
    if found is not None:
        trace_id, span_id = map(bytes.fromhex, found)
        yield Span.Link(trace_id=trace_id, span_id=span_id)
