"""The sink of a webhook: each send is one signed request."""

from __future__ import annotations

import time
import uuid
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.event import EVENT_TYPES
from pytest_swarmtask.core.service_errors import EndpointError
from pytest_swarmtask.plugins.sink import Rejected, Retry, Split, Stopped
from pytest_swarmtask.relay.http.answers import NO_ADDRESS
from pytest_swarmtask.relay.http.endpoint import HttpEndpoint
from pytest_swarmtask.wire import cloudevents, formats
from pytest_swarmtask.wire.evidence import without_evidence

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from pytest_swarmtask.config.workflow import Webhook
    from pytest_swarmtask.plugins.sink import PendingEvent, SendResult


class WebhookSink:
    """Delivers events to one webhook. Used from one thread at a time.

    Args:
        definition: of the webhook, as in `workflow.yaml`.
        environ: where `${NAME}` and the secrets are looked up, at the first request.
        root: the project's folder, where relative paths of files start.
    """

    def __init__(self, definition: Webhook, environ: Mapping[str, str], root: str | os.PathLike[str] = ".") -> None:
        self.name = definition.name
        self.max_events = definition.max_events if definition.batch else 1
        self.max_bytes = definition.max_bytes
        self.max_age = definition.max_age if definition.batch else 0.0
        self._definition = definition
        self._environ = environ
        self._root = root
        self._format = formats.by_name(definition.format)
        self._content_type = self._format.batch if definition.batch else self._format.single
        self._accepted = {name for name in EVENT_TYPES if any(fnmatchcase(name, glob) for glob in definition.events)}
        self._endpoint: HttpEndpoint | Stopped | None = None

    def __repr__(self) -> str:
        return f"<WebhookSink {self.name}>"

    def accepts(self, event_type: str) -> bool:
        """Whether the webhook's filter lets events of this type through."""
        return event_type in self._accepted

    def send(self, records: Sequence[PendingEvent]) -> SendResult:
        """Deliver the events in one request: a batch, or a single event for a webhook without `batch`."""
        if not self._definition.evidence:
            records = [without_evidence(record) for record in records]
        try:
            body = self._format.body(records, batch=self._definition.batch)
        except Exception as error:  # noqa: BLE001 - an event that cannot be converted must not stop the others
            reason = f"cannot be written as {self._definition.format}: {error}"
            return Split(reason) if len(records) > 1 else Rejected(reason)
        result = self._post(formats.message_id(records), self._content_type, body, len(records))
        if self._seems_to_be_nowhere(result):
            # The address may be wrong, or only something that the event names may not exist: a test event tells which.
            tested = self.ping()
            return tested if isinstance(tested, Stopped) else result
        return result

    def _seems_to_be_nowhere(self, result: SendResult) -> bool:
        status = self._endpoint.status if isinstance(self._endpoint, HttpEndpoint) else None
        return status in NO_ADDRESS and isinstance(result, (Rejected, Split))

    def ping(self, source: str = "swarmtask") -> SendResult:
        """Send a signed CloudEvent of the type ``dev.swarmtask.ping``, which a receiver may ignore.

        An address at which nobody takes it is wrong, so the endpoint stops then.
        """
        batch = self._definition.batch
        message_id = f"ping_{uuid.uuid4().hex}"
        body = cloudevents.ping(message_id, source, time.time(), batch=batch)
        result = self._post(message_id, formats.CLOUDEVENT_BATCH if batch else formats.CLOUDEVENT, body, 1)
        if isinstance(result, (Rejected, Split)) and self._seems_to_be_nowhere(result):
            return Stopped(
                f"{result.reason} to a test event, too: nobody takes events at this address; correct its url"
            )
        return result

    def _post(self, message_id: str, content_type: str, body: bytes, count: int) -> SendResult:
        endpoint = self._endpoint
        if endpoint is None:
            endpoint = self._endpoint = self._open()
        if isinstance(endpoint, Stopped):
            return endpoint
        try:
            return endpoint.post(message_id, content_type, body, count)
        except Exception as error:  # noqa: BLE001 - an error of one endpoint must not stop the others
            self.close()
            return Retry(f"{endpoint.where}: unexpected {type(error).__name__}")

    def _open(self) -> HttpEndpoint | Stopped:
        try:
            return HttpEndpoint(self._definition, self._environ, self._root)
        except (ConfigError, EndpointError) as error:
            return Stopped(str(error))

    def run_pending(self) -> float:
        """Do nothing."""
        return float("inf")

    def close(self) -> None:
        """Close the connection; the next `send` opens it again."""
        if isinstance(self._endpoint, HttpEndpoint):
            self._endpoint.close()
        self._endpoint = None
