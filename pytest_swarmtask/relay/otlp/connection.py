"""The connection to a receiver of OTLP/HTTP: gzip, protobuf, and the headers that the webhook or the environment names.

Requests are not signed: receivers of OTLP know headers with credentials, and no signatures of bodies.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from pytest_swarmtask.core.service_errors import EndpointError
from pytest_swarmtask.plugins.sink import Retry, Stopped
from pytest_swarmtask.relay.http.endpoint import request_headers, transport
from pytest_swarmtask.relay.http.head import NoAnswerError
from pytest_swarmtask.relay.otlp.address import address_of
from pytest_swarmtask.relay.otlp.answers import result_of
from pytest_swarmtask.wire.otlp.requests import CONTENT_TYPE

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from pytest_swarmtask.config.workflow import Webhook
    from pytest_swarmtask.plugins.sink import SendResult
    from pytest_swarmtask.relay.http.url import Url

_CONTENT = {"content-type": CONTENT_TYPE, "content-encoding": "gzip"}


class OtlpConnection:
    """A webhook with ``format: otlp``, its variables expanded, and its connection.

    Args:
        definition: of the webhook.
        environ: where its variables are looked up.
        root: the folder that relative paths of its files start from.

    Attributes:
        traces: the URL for spans.
        logs: the URL for log records; None if the webhook wants none.
        where: scheme and host, for messages.

    Raises:
        ConfigError: a variable is unset, or its value cannot be used; the message does not quote the value.
        EndpointError: the receiver may not be connected to.
    """

    def __init__(self, definition: Webhook, environ: Mapping[str, str], root: str | os.PathLike[str]) -> None:
        address = address_of(definition, environ)
        self.traces = address.traces
        self.logs = address.logs if definition.logs else None
        self.where = self.traces.origin
        # The values of the environment are looked up already: a dollar sign in them is one.
        given = {name: value.replace("$", "$$") for name, value in address.headers.items()}
        headers = request_headers({**given, **definition.headers}, environ, self.traces)
        self._headers = list({**dict(headers), **_CONTENT}.items())
        self._transport = transport(definition, self.traces, environ, root)

    def post(self, url: Url, body: bytes, count: int, *, is_single: bool) -> SendResult:
        """Send one request, and return the meaning of its answer.

        Args:
            url: `traces` or `logs`.
            body: in protobuf, not compressed.
            count: how many events it is made of.
            is_single: whether a refusal can only be about one event.
        """
        compressed = gzip.compress(body, 6, mtime=0)
        try:
            answer = self._transport.request("POST", url, self._headers, compressed)
        except EndpointError as error:
            return Stopped(str(error))
        except NoAnswerError as error:
            return Retry(f"{self.where}: {error}")
        return result_of(answer, count, self.where, is_single=is_single)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()
