"""Fixtures of the tests of webhooks: servers, and sinks that send to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.relay.webhook.servers import ENVIRON, OK, Script, Server, SinkTo, answering, webhook_sinks

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
def sink_to() -> Iterator[SinkTo]:
    with webhook_sinks(ENVIRON) as make:
        yield make
