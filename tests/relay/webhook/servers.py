"""A server on loopback that answers webhooks as a script says, and events to send to it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any

from pytest_swarmtask.config.workflow import Webhook
from pytest_swarmtask.core.event import Event
from pytest_swarmtask.plugins.sink import PendingEvent
from pytest_swarmtask.relay.webhook.sink import WebhookSink
from tests.lab import Listener

Script = Callable[[socket.socket], object]
Serve = Callable[..., "Server"]
SinkTo = Callable[..., WebhookSink]

KEY = "s3cr3t-k3y"
ENVIRON = {"AUTOMATION_SECRET_KEY": KEY}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def webhook_sinks(environ: Mapping[str, str]) -> Iterator[SinkTo]:
    """Yield a function that makes a sink for an address, with these variables by default. Its sinks are closed."""
    with ExitStack() as stack:

        def make(url: str, environ: Mapping[str, str] = environ, **options: Any) -> WebhookSink:
            definition = Webhook(**{"name": "hook", "url": url, "timeout": 5.0, **options})
            return stack.enter_context(closing(WebhookSink(definition, environ)))

        yield make


def record(event_id: str = "ab-1", event_type: str = "TEST_PASSED", **metadata: Any) -> PendingEvent:
    event = Event(
        event_id,
        event_type,
        "tests/test_api.py::test_login[admin]",
        "completed",
        "2024-01-15T10:30:00.000Z",
        "swarm-director",
        "0af7651916cd43dd8448eb211c80319c",
        "b7ad6b7169203331",
        None,
        {"workflow": "pytest", **metadata},
    )
    line = event.encode().rstrip(b"\n")
    return PendingEvent(line, event, "segment", len(line) + 1)


ONE = [record()]
BATCH = [record(f"ab-{n}") for n in range(3)]


class Request:
    """A request that the server has read."""

    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self.body = body


class Server:
    """A server on loopback whose script writes the answer to each request to the socket. It may have a TLS context."""

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.context = context
        self.requests: list[Request] = []
        self._listener = Listener(self._serve)
        self.port = self._listener.port
        self.url = f"http://127.0.0.1:{self.port}/hook"

    @property
    def connections(self) -> int:
        return self._listener.connections

    def _serve(self, plain: socket.socket) -> None:
        context = self.context
        with suppress(OSError), context.wrap_socket(plain, server_side=True) if context else plain as connection:
            while (request := read_request(connection)) is not None:
                self.requests.append(request)
                if self.script(connection) is False:
                    return

    def close(self) -> None:
        self._listener.close()


def read_request(connection: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    wanted = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
    while len(body) < wanted:
        body += connection.recv(65536)
    return Request(head, body)


def answering(data: bytes) -> Script:
    return lambda connection: connection.sendall(data)


def status(code: int, **headers: str) -> bytes:
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {code} Whatever\r\nContent-Length: 0\r\n{more}\r\n".encode()


def origin(server: Server) -> str:
    return server.url.removesuffix("/hook")
