"""The server of `swarmtask listen`: verifies, counts and answers requests."""

from __future__ import annotations

import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler

from pytest_swarmtask.cli.listen.printer import Arrival, Printer
from pytest_swarmtask.cli.local_server import IDLE_TIMEOUT, LocalServer
from pytest_swarmtask.core.service_errors import SignatureError, WebhookError
from pytest_swarmtask.receiver import MAX_BODY, Seen, Verifier, events_in
from pytest_swarmtask.wire.cloudevents import PING


class Receiver:
    """Verifies requests, has them printed, and counts events.

    Attributes:
        stop: set when the command has to end.
        printer: prints the requests.
        fail: the status to answer every request with, or None.
        hang: whether no request is ever answered.
    """

    def __init__(
        self, printer: Printer, secrets: list[bytes], fail: int | None, count: int | None, *, hang: bool
    ) -> None:
        self.stop = threading.Event()
        self.printer = printer
        self.fail = fail
        self.hang = hang
        self._verifier = Verifier(secrets) if secrets else None
        self._count = count
        self._lock = threading.Lock()
        self._seen = Seen()
        self._events = self._verified = self._refused = self._duplicates = 0

    def take(self, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        """Verify, count and print one request; return the status to answer it with, and why it is refused, or ""."""
        status: int = HTTPStatus.OK
        try:
            arrival = self._read(headers, body)
        except WebhookError as error:
            status = error.status
            verified = None if self._verifier is None else not isinstance(error, SignatureError)
            signed, webhook_id = "webhook-signature" in headers, headers.get("webhook-id", "")
            arrival = Arrival(verified, signed, webhook_id, [], str(error))
        with self._lock:  # requests come in several threads, and lines must not mix
            self._tally(arrival)
            if self.printer.show(arrival):
                self.stop.set()
        return status, arrival.refusal

    def _read(self, headers: dict[str, str], body: bytes) -> Arrival:
        if self._verifier is None:
            events = events_in(body)
            again = [event for event in events if isinstance(event.get("id"), str) and not self._seen.add(event["id"])]
            signed = "webhook-signature" in headers
            return Arrival(None, signed, headers.get("webhook-id", ""), events, again=again)
        received = self._verifier.verify(headers, body)
        # Identity, since a request may have two equal events. A ping is never new.
        new = set(map(id, received.new))
        again = [event for event in received.events if id(event) not in new and event.get("type") != PING]
        return Arrival(True, True, received.webhook_id, received.events, again=again)  # noqa: FBT003

    def _tally(self, arrival: Arrival) -> None:
        self._events += len(arrival.events)
        self._verified += len(arrival.events) if arrival.verified else 0
        self._refused += bool(arrival.refusal)
        self._duplicates += len(arrival.again)

    def answered(self) -> None:
        """Set `stop` if `--count` events have come. Called after the sender has got its answer."""
        if self._count is not None and self._events >= self._count:
            self.stop.set()

    def total(self) -> dict[str, int]:
        """Return the numbers of events so far."""
        return {
            "events": self._events,
            "verified": self._verified,
            "refused": self._refused,
            "duplicates": self._duplicates,
        }


class ListenServer(LocalServer):
    """The HTTP server of the command."""

    def __init__(self, address: tuple[str, int], handler: type[ListenHandler], receiver: Receiver) -> None:
        self.receiver = receiver
        super().__init__(address, handler, "swarmtask listen")


class ListenHandler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    server_version = "swarmtask-listen"
    sys_version = ""
    timeout = IDLE_TIMEOUT
    wbufsize = -1  # the whole answer in one packet
    server: ListenServer

    def do_POST(self) -> None:
        """Take one request."""
        receiver = self.server.receiver
        body = self._body()
        if body is None:
            return
        status, refusal = receiver.take({name.lower(): value for name, value in self.headers.items()}, body)
        if receiver.hang:
            receiver.answered()
            receiver.stop.wait()
            self.close_connection = True
            return
        self._answer(receiver.fail or status, "" if receiver.fail else refusal)
        receiver.answered()

    def handle_expect_100(self) -> bool:
        """Answer ``Expect: 100-continue`` at once. The base class would leave the answer in the buffer (`wbufsize`)."""
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def _body(self) -> bytes | None:
        """Return the body. If it cannot be read, answer the request and return None."""
        length = self.headers.get("content-length", "")
        problem = _unreadable(length, chunked="transfer-encoding" in self.headers)
        body = b"" if problem else self.rfile.read(int(length))
        if not problem and len(body) == int(length):
            return body
        self.close_connection = True
        self._answer(problem or HTTPStatus.BAD_REQUEST)
        return None

    def _answer(self, status: int, why: str = "") -> None:
        body = f"{why}\n".encode() if why else b""
        self.send_response(status)
        if body:
            self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Print nothing: requests are printed as events."""


def _unreadable(length: str, *, chunked: bool) -> HTTPStatus | None:
    """Return the status for a body without a valid length, or longer than `MAX_BODY`; None if it can be read."""
    if chunked or not length:
        return HTTPStatus.LENGTH_REQUIRED
    if not (length.isascii() and length.isdigit()):
        return HTTPStatus.BAD_REQUEST
    if len(length) > 10 or int(length) > MAX_BODY:
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return None
