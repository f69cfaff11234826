"""The bodies of OTLP requests, and what a receiver says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_INFO, LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from pytest_swarmtask.core.version import installed_version
from pytest_swarmtask.wire.cloudevents import CLOUDEVENT_TYPES
from pytest_swarmtask.wire.otlp.conventions import SCHEMA_URL, SCOPE, log_attributes, resource_attributes
from pytest_swarmtask.wire.otlp.spans import spans_of
from pytest_swarmtask.wire.otlp.values import any_value, identifier, key_values, nanoseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytest_swarmtask.core.event import Event

    # An event, and the start of the session around it, or None.
    Recorded = tuple[Event, Event | None]

CONTENT_TYPE = "application/x-protobuf"


def traces(recorded: Iterable[Recorded]) -> bytes:
    """Return the body of a request with the spans of events that end something.

    Raises:
        ValueError: an event cannot be a span.
    """
    groups = [
        ResourceSpans(
            resource=resource,
            scope_spans=[ScopeSpans(scope=_scope(), spans=spans, schema_url=SCHEMA_URL)],
            schema_url=SCHEMA_URL,
        )
        for resource, spans in _grouped(recorded, spans_of)
    ]
    return ExportTraceServiceRequest(resource_spans=groups).SerializeToString()


def logs(recorded: Iterable[Recorded]) -> bytes:
    """Return the body of a request with a log record for each event.

    Raises:
        ValueError: an event cannot be a log record.
    """
    groups = [
        ResourceLogs(
            resource=resource,
            scope_logs=[ScopeLogs(scope=_scope(), log_records=records, schema_url=SCHEMA_URL)],
            schema_url=SCHEMA_URL,
        )
        for resource, records in _grouped(recorded, lambda event, start: [_record(event, start)])
    ]
    return ExportLogsServiceRequest(resource_logs=groups).SerializeToString()


def _grouped(
    recorded: Iterable[Recorded], convert: Callable[[Event, Event | None], Sequence[Any]]
) -> Iterable[tuple[Resource, list[Any]]]:
    """Return what events become, by their resource: the attributes of one are sent once in a request."""
    groups: dict[str, tuple[Resource, list[Any]]] = {}
    for event, start in recorded:
        key = start.id if start else repr(resource_attributes(event))
        if key not in groups:
            groups[key] = Resource(attributes=key_values({**resource_attributes(start or event), **_sender()})), []
        groups[key][1].extend(convert(event, start))
    return groups.values()


def _record(event: Event, start: Event | None) -> LogRecord:
    at = nanoseconds(event.timestamp)
    return LogRecord(
        time_unix_nano=at,
        observed_time_unix_nano=at,
        severity_number=SEVERITY_NUMBER_INFO,
        severity_text="INFO",
        event_name=CLOUDEVENT_TYPES[event.event_type],
        body=any_value(f"{event.task_id or event.event_type.partition('_')[0].lower()} {event.status}"),
        attributes=key_values(log_attributes(event, start)),
        trace_id=identifier("trace_id", event.trace_id, 32),
        span_id=identifier("span_id", event.span_id, 16),
    )


def _scope() -> InstrumentationScope:
    return InstrumentationScope(name=SCOPE, version=installed_version())


def _sender() -> dict[str, str]:
    """Return what made the telemetry. The name `opentelemetry` is only for OpenTelemetry's own SDKs."""
    return {
        "telemetry.sdk.name": SCOPE,
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": installed_version(),
    }


class PartialSuccess(NamedTuple):
    """How much of an accepted request a receiver has refused.

    Attributes:
        rejected: the number of spans or log records.
        message: why, or advice, for people.
    """

    rejected: int = 0
    message: str = ""


def partial_success(content_type: str, body: bytes) -> PartialSuccess:
    """Return what the body of an answer of 2xx says. A body that cannot be understood says nothing."""
    if content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
        return PartialSuccess()
    try:
        # The answer to logs has the same fields with the same numbers: see `logs_service.proto`.
        found = ExportTraceServiceResponse.FromString(body).partial_success
    except DecodeError:
        return PartialSuccess()
    return PartialSuccess(max(0, found.rejected_spans), found.error_message)
