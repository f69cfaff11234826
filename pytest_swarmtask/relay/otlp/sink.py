"""The sink of a webhook with ``format: otlp``: a request with spans, and one with log records if they are wanted."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.event import EVENT_TYPES
from pytest_swarmtask.core.service_errors import EndpointError
from pytest_swarmtask.plugins.sink import Delivered, Rejected, Retry, Split, Stopped
from pytest_swarmtask.relay.otlp.extra import require_extra
from pytest_swarmtask.relay.otlp.session_starts import SessionStarts
from pytest_swarmtask.wire.evidence import without_evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_swarmtask.config.workflow import Webhook
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.plugins.sink import PendingEvent, SendResult
    from pytest_swarmtask.relay.http.url import Url
    from pytest_swarmtask.relay.otlp.connection import OtlpConnection
    from pytest_swarmtask.wire.otlp.requests import Recorded


class OtlpSink:
    """Exports events to one receiver. Used from one thread at a time.

    Args:
        definition: of the webhook, as in `workflow.yaml`.
        environ: where `${NAME}` is looked up, at the first request.
        project: the journal with the starts of sessions, and the folder where relative paths of files start.
    """

    def __init__(self, definition: Webhook, environ: Mapping[str, str], project: Project) -> None:
        self.name = definition.name
        self.max_events = definition.max_events
        self.max_bytes = definition.max_bytes
        self.max_age = definition.max_age
        self._definition = definition
        self._environ = environ
        self._project = project
        self._starts = SessionStarts(project)
        self._accepted = {name for name in EVENT_TYPES if _is_wanted(name, definition)}
        self._connection: OtlpConnection | Stopped | None = None

    def __repr__(self) -> str:
        return f"<OtlpSink {self.name}>"

    def accepts(self, event_type: str) -> bool:
        """Whether events of this type become a span, or a log record, and the filter lets them through."""
        return event_type in self._accepted

    def send(self, records: Sequence[PendingEvent]) -> SendResult:
        """Export the events: first those that end something as spans, then the others as log records."""
        if not self._definition.evidence:
            records = [without_evidence(record) for record in records]
        return self._guarded(lambda connection: self._export(connection, records))

    def ping(self) -> SendResult:
        """Send a request without spans, which every receiver accepts."""
        # An empty message of protobuf has no bytes.
        return self._guarded(lambda connection: connection.post(connection.traces, b"", 0, is_single=True))

    def _guarded(self, exchange: Callable[[OtlpConnection], SendResult]) -> SendResult:
        """Return the result of requests, which never raises: an error of one endpoint must not stop the others."""
        if self._connection is None:
            self._connection = self._open()
        connection = self._connection
        if isinstance(connection, Stopped):
            return connection
        try:
            return exchange(connection)
        except Exception as error:  # noqa: BLE001 - as the docstring says
            self.close()
            return Retry(f"{connection.where}: unexpected {type(error).__name__}")

    def _export(self, connection: OtlpConnection, records: Sequence[PendingEvent]) -> SendResult:
        from pytest_swarmtask.wire.otlp import requests

        is_single = len(records) == 1
        starts = [record for record in records if _is_start(record.event.event_type)]
        ends = [record for record in records if not _is_start(record.event.event_type)]
        result: SendResult = Delivered()
        if ends:
            result = self._post(connection, connection.traces, requests.traces, ends, is_single=is_single)
        if starts and connection.logs is not None and isinstance(result, Delivered):
            return _sum(result, self._post(connection, connection.logs, requests.logs, starts, is_single=is_single))
        return result

    def _post(
        self,
        connection: OtlpConnection,
        url: Url,
        encode: Callable[[list[Recorded]], bytes],
        records: Sequence[PendingEvent],
        *,
        is_single: bool,
    ) -> SendResult:
        """Send one request.

        Args:
            connection: the connection.
            url: `traces` or `logs` of the connection.
            encode: returns the body.
            records: the events in the request.
            is_single: whether they are all that is to be sent. If not, a refusal may be about another event.
        """
        try:
            body = encode([(record.event, self._starts.around(record)) for record in records])
        except Exception as error:  # noqa: BLE001 - an event that cannot be converted must not stop the others
            reason = f"cannot be written as otlp: {error}"
            return Rejected(reason) if is_single else Split(reason)
        return connection.post(url, body, len(records), is_single=is_single)

    def _open(self) -> OtlpConnection | Stopped:
        try:
            require_extra()
            from pytest_swarmtask.relay.otlp.connection import OtlpConnection

            return OtlpConnection(self._definition, self._environ, self._project.root)
        except (ConfigError, EndpointError) as error:
            return Stopped(str(error))

    def run_pending(self) -> float:
        """Do nothing."""
        return float("inf")

    def close(self) -> None:
        """Close the connection; the next `send` opens it again."""
        if self._connection is not None and not isinstance(self._connection, Stopped):
            self._connection.close()
        self._connection = None


def _is_wanted(event_type: str, definition: Webhook) -> bool:
    is_exported = definition.logs or not _is_start(event_type)
    return is_exported and any(fnmatchcase(event_type, glob) for glob in definition.events)


def _is_start(event_type: str) -> bool:
    return event_type.endswith("_STARTED")


def _sum(first: Delivered, second: SendResult) -> SendResult:
    """Return the result of two requests, if the first one was accepted."""
    if not isinstance(second, Delivered):
        return second
    return Delivered(first.rejected + second.rejected, first.reason or second.reason)
