"""A live receiver of OTLP over HTTP, which decodes each request with the official classes."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.lab import Answer, Receiver, wait_until

PROTOBUF = {"Content-Type": "application/x-protobuf"}


def plain(value: AnyValue) -> Any:
    """Return a value of OTLP as one of Python."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    return getattr(value, kind or "")


def plain_attributes(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    """Return attributes as a dictionary, and check that no key is there twice."""
    pairs = [(one.key, plain(one.value)) for one in attributes]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


class Export(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    spans: list[Sent]
    records: list[LogRecord]
    message: ExportTraceServiceRequest | ExportLogsServiceRequest
    body: bytes


class Sent(NamedTuple):
    """A span with the attributes of its resource."""

    span: Span
    resource: dict[str, Any]

    @property
    def attributes(self) -> dict[str, Any]:
        return plain_attributes(self.span.attributes)

    @property
    def id(self) -> str:
        return self.span.span_id.hex()


class Collector(Receiver):
    """The receiver.
    Attributes:
        exports: the requests, in order of arrival.
        reply: returns the answer to a request. The default is an empty answer of success.
    """

    def __init__(self) -> None:
        super().__init__()
        self.exports: list[Export] = []
        self.reply: Callable[[Export], Answer] = lambda _: (200, PROTOBUF, b"")
        self.taken: list[Export] = []

    @property
    def base(self) -> str:
        return self.url.removesuffix("/hook")

    def take(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if headers.get("content-type") != "application/x-protobuf":
            return 415
        export = decoded(path, headers, body)
        self.exports.append(export)
        answer = self.reply(export)
        if (answer if isinstance(answer, int) else answer[0]) == 200:
            self.taken.append(export)
        return answer

    def spans(self) -> dict[str, Sent]:
        """Return the spans of the requests that were accepted, by id."""
        return {sent.id: sent for export in list(self.taken) for sent in export.spans}

    def named(self, ending: str) -> Sent:
        """Return the span of the highest attempt whose name ends so."""
        found = [sent for sent in self.spans().values() if sent.span.name.endswith(ending)]
        (last,) = [sent for sent in found if sent.id not in _linked(found)] if len(found) > 1 else found
        return last

    def wait_for(self, *span_ids: str) -> dict[str, Sent]:
        """Wait until these spans were accepted, and return all."""
        wait_until(lambda: set(span_ids) <= self.spans().keys(), lambda: f"{span_ids}, not only {list(self.spans())}")
        return self.spans()


def _linked(found: list[Sent]) -> set[str]:
    return {link.span_id.hex() for sent in found for link in sent.span.links}


def decoded(path: str, headers: dict[str, str], body: bytes) -> Export:
    """Return a request, decoded as its path says."""
    content = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
    if path.partition("?")[0].endswith("/v1/logs"):
        logs = ExportLogsServiceRequest.FromString(content)
        records = [one for group in logs.resource_logs for scope in group.scope_logs for one in scope.log_records]
        return Export(path, headers, [], records, logs, body)
    message = ExportTraceServiceRequest.FromString(content)
    spans = [
        Sent(span, plain_attributes(group.resource.attributes))
        for group in message.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]
    return Export(path, headers, spans, [], message, body)


def partially(rejected: int, message: str = "") -> Answer:
    """Return the answer of a receiver that has refused some spans of a request."""
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = rejected
    response.partial_success.error_message = message
    return 200, PROTOBUF, response.SerializeToString()


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a receiver for the duration of the context."""
    collector = Collector()
    collector.start()
    try:
        yield collector
    finally:
        collector.close()
