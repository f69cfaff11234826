"""Fixtures of the tests of webhooks: servers, and sinks that send to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_swarmtask.config.workflow import Webhook
from pytest_swarmtask.relay.webhook.sink import WebhookSink
from tests.relay.webhook.servers import ENVIRON, OK, Script, Server, answering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(script: Script | bytes = OK, **options: Any) -> Server:
        servers.append(Server(answering(script) if isinstance(script, bytes) else script, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def sink_to() -> Iterator[Callable[..., WebhookSink]]:
    sinks: list[WebhookSink] = []

    def make(url: str, environ: dict[str, str] | None = None, **options: Any) -> WebhookSink:
        definition = Webhook(**{"name": "hook", "url": url, "timeout": 5.0, **options})
        sinks.append(WebhookSink(definition, ENVIRON if environ is None else environ))
        return sinks[-1]

    yield make
    for sink in sinks:
        sink.close()
