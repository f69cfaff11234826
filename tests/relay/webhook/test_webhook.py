"""A webhook sends signed requests to a real server, and reads every answer correctly."""

from __future__ import annotations

import contextlib
import email.utils
import gzip
import http.server
import json
import os
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import standardwebhooks
from cloudevents.core.bindings.http import HTTPMessage, from_http_event

from pytest_swarmtask.config.workflow import Webhook
from pytest_swarmtask.core.event import EVENT_TYPES, Event
from pytest_swarmtask.plugins.sink import Delivered, Disabled, PendingEvent, Rejected, Retry, Sink, Split, Stopped
from pytest_swarmtask.relay.http import answers, transport
from pytest_swarmtask.relay.webhook.sink import WebhookSink
from tests.lab import Listener, closed_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Script = Callable[[socket.socket], object]
    Serve = Callable[..., "Server"]
    SinkTo = Callable[..., WebhookSink]

pytestmark = pytest.mark.usefixtures("no_proxy")

KEY = "s3cr3t-k3y"
ENVIRON = {"AUTOMATION_SECRET_KEY": KEY}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


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


class TestWhatIsSent:
    @pytest.mark.parametrize("format_", ["cloudevents", "cdevents", "plain"])
    @pytest.mark.parametrize("batch", [False, True])
    def test_the_official_verifier_accepts_it(self, serve: Serve, sink_to: SinkTo, format_: str, batch: bool) -> None:
        server = serve()
        sink = sink_to(server.url, format=format_, batch=batch)
        assert sink.send(BATCH if batch else BATCH[:1]) == Delivered()
        (request,) = server.requests
        verified = standardwebhooks.Webhook(KEY.encode()).verify(request.body, request.headers)
        assert isinstance(verified, list) is batch
        for change in ({"webhook-id": "other"}, {"webhook-timestamp": str(int(time.time()) + 9)}):
            with pytest.raises(standardwebhooks.WebhookVerificationError):
                standardwebhooks.Webhook(KEY.encode()).verify(request.body, {**request.headers, **change})
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(KEY.encode()).verify(request.body[:-1] + b" ", request.headers)

    @pytest.mark.parametrize("wanted", [False, True])
    def test_evidence_of_tests_only_where_it_is_wanted(self, serve: Serve, sink_to: SinkTo, wanted: bool) -> None:
        """Tracebacks and output of tests are sent with `evidence: true` only. The error is always sent."""
        server = serve()
        failed = record(event_type="TEST_FAILED", test_type="pytest", error="assert 0", traceback="E  assert 0")
        options = {"evidence": True} if wanted else {}
        assert sink_to(server.url, format="plain", **options).send([failed]) == Delivered()
        (request,) = server.requests
        metadata = json.loads(request.body)["metadata"]
        assert metadata["error"] == "assert 0"
        assert ("traceback" in metadata) is wanted

    def test_the_official_cloudevents_library_reads_it(self, serve: Serve, sink_to: SinkTo) -> None:
        server = serve()
        sink_to(server.url).send(BATCH[:1])
        (request,) = server.requests
        read = from_http_event(HTTPMessage(request.headers, request.body))
        assert read.get_id() == request.headers["webhook-id"] == "ab-0"
        assert read.get_data() == json.loads(BATCH[0].line)

    def test_the_request_is_the_one_that_the_endpoint_was_configured_for(self, serve: Serve, sink_to: SinkTo) -> None:
        server = serve()
        environ = {"HOST": f"127.0.0.1:{server.port}", "TOKEN": "t0ken", "A": "first key", "B": "second key"}
        sink = sink_to(
            "http://user:p%40ss@${HOST}/in?key=${TOKEN}#part",
            environ,
            headers={"X-Api-Key": "${TOKEN}", "User-Agent": "own"},
            secret_env=["A", "B"],
        )
        assert sink.send([record()]) == Delivered()
        (request,) = server.requests
        assert request.line == "POST /in?key=t0ken HTTP/1.1"
        assert request.headers["host"] == f"127.0.0.1:{server.port}"
        assert request.headers["authorization"] == "Basic dXNlcjpwQHNz"
        assert request.headers["x-api-key"] == "t0ken"
        assert request.headers["user-agent"] == "own"
        assert request.headers["content-type"] == "application/cloudevents+json"
        for key in (b"first key", b"second key"):
            standardwebhooks.Webhook(key).verify(request.body, request.headers)

    def test_it_says_who_sends(self, serve: Serve, sink_to: SinkTo) -> None:
        server = serve()
        sink_to(server.url).send([record()])
        assert server.requests[0].headers["user-agent"].startswith("pytest-swarmtask/")

    def test_without_a_secret_it_is_not_signed(self, serve: Serve, sink_to: SinkTo) -> None:
        server = serve()
        assert sink_to(server.url, {}).send([record()]) == Delivered()
        headers = server.requests[0].headers
        assert "webhook-signature" not in headers
        assert {"webhook-id", "webhook-timestamp"} <= headers.keys()

    def test_another_attempt_has_the_same_id_and_body_and_a_new_timestamp(
        self, serve: Serve, sink_to: SinkTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = serve(status(503))
        sink = sink_to(server.url, batch=True)
        assert isinstance(sink.send(BATCH), Retry)
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 100)
        sink.send(BATCH)
        first, second = server.requests
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.body == second.body
        assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) >= 99
        assert first.headers["webhook-signature"] != second.headers["webhook-signature"]

    @pytest.mark.parametrize(("batch", "type_"), [(False, "cloudevents"), (True, "cloudevents-batch")])
    @pytest.mark.parametrize("format_", ["cloudevents", "cdevents", "plain"])
    def test_a_ping_is_a_signed_cloudevent(
        self,
        serve: Serve,
        sink_to: SinkTo,
        batch: bool,
        type_: str,
        format_: str,
    ) -> None:
        server = serve()
        assert sink_to(server.url, batch=batch, format=format_).ping() == Delivered()
        (request,) = server.requests
        found = standardwebhooks.Webhook(KEY.encode()).verify(request.body, request.headers)
        event = found[0] if batch else found
        assert event["type"] == "dev.swarmtask.ping"
        assert request.headers["content-type"] == f"application/{type_}+json"

    def test_only_the_chosen_types_are_accepted(self, sink_to: SinkTo) -> None:
        sink = sink_to("http://127.0.0.1:1/", events=["TASK_*", "TEST_FAILED"])
        chosen = [name for name in EVENT_TYPES if sink.accepts(name)]
        assert chosen == ["TASK_STARTED", "TASK_COMPLETED", "TASK_FAILED", "TEST_FAILED"]

    def test_limits_are_those_of_one_event_unless_batches_are_wanted(self, sink_to: SinkTo) -> None:
        single: Sink = sink_to("http://127.0.0.1:1/")
        batch: Sink = sink_to("http://127.0.0.1:1/", batch=True, max_events=7, max_age=2.0)
        assert (single.max_events, single.max_age) == (1, 0.0)
        assert (batch.max_events, batch.max_age) == (7, 2.0)


ONE = [record()]


def origin(server: Server) -> str:
    return server.url.removesuffix("/hook")


class TestAnswers:
    @pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
    def test_2xx_is_delivered(self, serve: Serve, sink_to: SinkTo, code: int) -> None:
        assert sink_to(serve(status(code)).url).send(ONE) == Delivered()

    @pytest.mark.parametrize("code", [408, 425, 429, 500, 501, 502, 503, 504, 599, 600, 999])
    def test_what_may_pass_is_tried_again(self, serve: Serve, sink_to: SinkTo, code: int) -> None:
        verdict = sink_to(serve(status(code)).url, batch=True).send(BATCH)
        assert isinstance(verdict, Retry)
        assert str(code) in verdict.reason

    @pytest.mark.parametrize("code", [400, 402, 406, 409, 411, 415, 418, 422, 451, 499])
    def test_other_4xx_refuse_an_event_and_split_a_batch(self, serve: Serve, sink_to: SinkTo, code: int) -> None:
        sink = sink_to(serve(status(code)).url, batch=True)
        assert isinstance(sink.send(BATCH), Split)
        assert isinstance(sink.send(ONE), Rejected)

    @pytest.mark.parametrize("code", [404, 405])
    def test_nobody_at_the_address_stops_the_endpoint(self, serve: Serve, sink_to: SinkTo, code: int) -> None:
        """No event is refused by a server that knows nothing of events."""
        sink = sink_to(serve(status(code)).url, batch=True)
        for some in (BATCH, ONE):
            verdict = sink.send(some)
            assert isinstance(verdict, Stopped)
            assert verdict.reason.endswith("to a test event, too: nobody takes events at this address; correct its url")

    @pytest.mark.parametrize("code", [404, 405])
    def test_something_that_an_event_names_may_not_exist(self, serve: Serve, sink_to: SinkTo, code: int) -> None:
        """If a test event is accepted, the address is right and the event is refused."""

        def script(connection: socket.socket) -> None:
            is_test = b"dev.swarmtask.ping" in server.requests[-1].body
            connection.sendall(status(200 if is_test else code))

        server = serve(script)
        sink = sink_to(server.url, batch=True)
        assert isinstance(sink.send(BATCH), Split)
        assert isinstance(sink.send(ONE), Rejected)

    @pytest.mark.parametrize("code", [401, 403])
    def test_without_a_secret_there_is_none_to_compare(self, serve: Serve, sink_to: SinkTo, code: int) -> None:
        verdict = sink_to(serve(status(code)).url, {}).send(ONE)
        assert isinstance(verdict, Stopped)
        assert "no secret is set" in verdict.reason
        assert "compare" not in verdict.reason

    def test_413_splits(self, serve: Serve, sink_to: SinkTo) -> None:
        sink = sink_to(serve(status(413)).url, batch=True)
        assert isinstance(sink.send(BATCH), Split)
        assert isinstance(sink.send(ONE), Split)

    def test_410_disables(self, serve: Serve, sink_to: SinkTo) -> None:
        assert isinstance(sink_to(serve(status(410)).url, batch=True).send(BATCH), Disabled)

    @pytest.mark.parametrize("code", [401, 403, 407])
    def test_refused_credentials_stop_the_endpoint(self, serve: Serve, sink_to: SinkTo, code: int) -> None:
        verdict = sink_to(serve(status(code)).url, batch=True).send(BATCH)
        assert isinstance(verdict, Stopped)
        assert str(code) in verdict.reason

    @pytest.mark.parametrize("ahead", [-86_400, 86_400])
    def test_a_wrong_clock_is_set_by_the_receiver(self, serve: Serve, sink_to: SinkTo, ahead: int) -> None:
        """A machine whose clock is a day off signs with the time of the receiver, once that has refused a request."""
        date = email.utils.formatdate(time.time() + ahead, usegmt=True)

        def script(connection: socket.socket) -> None:
            connection.sendall(status(401, date=date) if len(server.requests) == 1 else OK)

        server = serve(script)
        sink = sink_to(server.url)
        assert [sink.send(ONE), sink.send(ONE)] == [Delivered(), Delivered()]
        times = [int(request.headers["webhook-timestamp"]) - time.time() for request in server.requests]
        assert times == pytest.approx([0, ahead, ahead], abs=30)

    @pytest.mark.parametrize("date", ["now", "yesterday, about noon", "Mon, 31 Feb 2026 10:00:00 GMT"])
    def test_a_right_clock_stays(self, serve: Serve, sink_to: SinkTo, date: str) -> None:
        date = email.utils.formatdate(usegmt=True) if date == "now" else date
        server = serve(status(401, date=date))
        assert isinstance(sink_to(server.url).send(ONE), Stopped)
        assert len(server.requests) == 1

    @pytest.mark.parametrize("code", [300, 301, 302, 303, 307, 308])
    def test_redirects_are_not_followed(self, serve: Serve, sink_to: SinkTo, code: int) -> None:
        trap = serve()
        server = serve(status(code, location=f"http://127.0.0.1:{trap.port}/x?token=hidden"))
        verdict = sink_to(server.url).send(ONE)
        assert isinstance(verdict, Stopped)
        assert "127.0.0.1" in verdict.reason
        assert "hidden" not in verdict.reason
        assert trap.connections == 0

    @pytest.mark.parametrize(
        "location", ["", "/elsewhere", "http://[", "\x80\xff", "http://" + "a" * 5000, "//h\x1b[31m/"]
    )
    def test_an_odd_redirect_is_one_too(self, serve: Serve, sink_to: SinkTo, location: str) -> None:
        assert isinstance(sink_to(serve(status(302, location=location)).url).send(ONE), Stopped)

    def test_101_and_endless_100s_are_not_an_answer(self, serve: Serve, sink_to: SinkTo) -> None:
        assert isinstance(sink_to(serve(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n").url).send(ONE), Retry)
        assert isinstance(sink_to(serve(b"HTTP/1.1 100 Go on\r\n\r\n" * 9).url, timeout=0.3).send(ONE), Retry)

    def test_retry_after_is_passed_on(self, serve: Serve, sink_to: SinkTo) -> None:
        asking, silent = serve(status(429, retry_after="17")), serve(status(503))
        assert sink_to(asking.url).send(ONE) == Retry(f"{origin(asking)} answered 429 Too Many Requests", 17.0)
        assert sink_to(silent.url).send(ONE) == Retry(f"{origin(silent)} answered 503 Service Unavailable", None)

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("0", 0.0),
            ("120", 120.0),
            (" 5 ", 5.0),
            ("-7", 0.0),
            ("86400", 3600.0),
            ("9" * 5000, 3600.0),
            (email.utils.formatdate(1_000_060, usegmt=True), 60.0),
            (email.utils.formatdate(999_000, usegmt=True), 0.0),
            (email.utils.formatdate(9_000_000, usegmt=True), 3600.0),
            ("Sun, 06 Nov 9999 08:49:37 GMT", 3600.0),
            ("", None),
            ("soon", None),
            ("6_0", None),
            ("60.5", None),
            ("60, 120", None),
            ("1.5e3", None),
            ("Sun, 99 Nov 9999 08:49:37 GMT", None),
            (None, None),
        ],
    )
    def test_retry_after_is_seconds_or_a_date_within_an_hour(self, text: str | None, seconds: float | None) -> None:
        assert answers.retry_after(text, now=1_000_000) == seconds

    @pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
    def test_all_forms_of_a_date_are_in_utc(self, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        at = time.gmtime(1_000_060)
        forms = [
            email.utils.formatdate(1_000_060, usegmt=True),
            email.utils.formatdate(1_000_060),
            time.strftime("%A, %d-%b-%y %H:%M:%S GMT", at),
            time.asctime(at),
        ]
        try:
            assert [answers.retry_after(form, now=1_000_000) for form in forms] == [60.0] * 4
        finally:
            monkeypatch.undo()
            time.tzset()


def drip(data: bytes, seconds: float = 10) -> Script:
    def script(connection: socket.socket) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for byte in data:
                connection.sendall(bytes([byte]))
                time.sleep(0.02)
        return False

    return script


def took(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


class TestFaultyServers:
    """No fault of a server makes `send` raise or hang, or changes the result of a complete status line."""

    def test_refused(self, sink_to: SinkTo) -> None:
        verdict = sink_to(f"http://127.0.0.1:{closed_port()}/").send(ONE)
        assert isinstance(verdict, Retry)
        assert "cannot connect" in verdict.reason

    def test_closed_without_an_answer(self, serve: Serve, sink_to: SinkTo) -> None:
        verdict = sink_to(serve(lambda _: False).url).send(ONE)
        assert isinstance(verdict, Retry)
        assert "without an answer" in verdict.reason

    @pytest.mark.parametrize("after", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nConte"])
    def test_reset_before_the_answer_is_whole(self, serve: Serve, sink_to: SinkTo, after: bytes) -> None:
        def script(connection: socket.socket) -> bool:
            connection.sendall(after)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False

        assert isinstance(sink_to(serve(script).url).send(ONE), Retry)

    @pytest.mark.parametrize(
        "garbage",
        [
            b"\x16\x03\x01\x02\x00",
            b"hello\r\n\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/2 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50_000,
            b"\r\n" * 100,
            b"\x00" * 200_000,
        ],
    )
    def test_garbage(self, serve: Serve, sink_to: SinkTo, garbage: bytes) -> None:
        def script(connection: socket.socket) -> bool:
            connection.sendall(garbage)
            return False

        verdict = sink_to(serve(script).url, timeout=2.0).send(ONE)
        assert isinstance(verdict, Retry)
        assert len(verdict.reason) < 500
        assert verdict.reason.isprintable()

    def test_a_reason_quotes_the_line_that_is_not_http(self, serve: Serve, sink_to: SinkTo) -> None:
        verdict = sink_to(serve(b"ICY 200 OK\x1b[2J\r\n\r\n").url).send(ONE)
        assert isinstance(verdict, Retry)
        assert verdict.reason.endswith("the answer is not valid HTTP: its first line is 'ICY 200 OK?[2J'")

    @pytest.mark.parametrize(
        "headers",
        [
            b"Server : in-house/1.0\r\nContent-Length: 0\r\n",
            b"My Server: x\r\nContent-Length: 0\r\n",
            b": nameless\r\nContent-Length: 0\r\n",
            b"no colon\r\nContent-Length: 0\r\n",
            b"Folded: a\r\n  b\r\nContent-Length: 0\r\n",
            b"Control: a\x00b\x7f\r\nContent-Length: 0\r\n",
            b"Name\xe9: x\r\nValue: \xff\r\nContent-Length: 0\r\n",
            b"Content-Length : 0\r\n",
            b"Content-Length: abc\r\n",
            b"Content-Length: -1\r\n",
            b"Content-Length: 1\r\nContent-Length: 2\r\n",
            b"Transfer-Encoding: gzip, chunked\r\n",
            b"Transfer-Encoding: gzip\r\nContent-Length: 0\r\n",
            b"",
        ],
    )
    def test_the_status_line_counts_whatever_headers_follow(
        self, serve: Serve, sink_to: SinkTo, headers: bytes
    ) -> None:
        def script(connection: socket.socket) -> bool:
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n")
            return b"Content-Length: 0" in headers  # else the end of the connection is the end of the answer

        server = serve(script)
        sink = sink_to(server.url)
        assert [sink.send([record(event)]) for event in ("a", "b")] == [Delivered()] * 2
        assert [request.headers["webhook-id"] for request in server.requests] == ["a", "b"]

    @pytest.mark.parametrize(
        "answer",
        [
            OK + OK,
            OK + b"{}",
            b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + OK,
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"\n",
        ],
    )
    @pytest.mark.parametrize("late", [False, True])
    def test_bytes_beyond_an_answer_are_no_answer(
        self, serve: Serve, sink_to: SinkTo, answer: bytes, late: bool
    ) -> None:
        refused = status(500)

        def script(connection: socket.socket) -> None:
            if len(server.requests) > 1:
                connection.sendall(refused)
            else:
                connection.sendall(answer)
                if late:
                    time.sleep(0.1)
                    with suppress(OSError):
                        connection.sendall(OK)

        server = serve(script)
        sink = sink_to(server.url)
        assert sink.send([record("a")]) == Delivered()
        if late:
            time.sleep(0.2)
        for _ in range(3):
            assert isinstance(sink.send([record("b")]), Retry)
        assert [request.headers["webhook-id"] for request in server.requests] == ["a", "b", "b", "b"]
        assert server.connections == 2

    def test_a_body_after_204_costs_no_second_request(self, serve: Serve, sink_to: SinkTo) -> None:
        server = serve(b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok")
        sink = sink_to(server.url)
        events = [f"{number}" for number in range(10)]
        assert [sink.send([record(event)]) for event in events] == [Delivered()] * 10
        assert [request.headers["webhook-id"] for request in server.requests] == events

    def test_never_answering_ends_with_the_timeout(self, serve: Serve, sink_to: SinkTo) -> None:
        over = threading.Event()
        sink = sink_to(serve(lambda _: over.wait(30)).url, timeout=0.3)
        verdict = sink.send(ONE)
        assert isinstance(verdict, Retry)
        assert "no answer within 0.3 s" in verdict.reason
        assert took(lambda: sink.send(ONE)) < 20
        over.set()

    def test_dripping_headers_hit_the_total_deadline(self, serve: Serve, sink_to: SinkTo) -> None:
        """Headers that arrive byte by byte end at the total deadline, although every single read is quick."""
        server = serve(drip(b"HTTP/1.1 200 OK\r\n" + b"X-Slow: very\r\n" * 99, 30))
        sink = sink_to(server.url, timeout=0.6)
        began = time.monotonic()
        verdict = sink.send(ONE)
        assert isinstance(verdict, Retry)
        assert 0.5 < time.monotonic() - began < 20

    def test_a_dripping_body_is_cut_off_and_the_status_counts(self, serve: Serve, sink_to: SinkTo) -> None:
        def script(connection: socket.socket) -> object:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
            return drip(b"x", 30)(connection)

        server = serve(script)
        sink = sink_to(server.url, timeout=60.0)
        began = time.monotonic()
        assert sink.send(ONE) == Delivered()
        assert time.monotonic() - began < 20

    def test_a_server_that_does_not_read_hits_the_total_deadline(self, sink_to: SinkTo) -> None:
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            sink = sink_to(f"http://127.0.0.1:{deaf.getsockname()[1]}/", timeout=0.5, batch=True)
            big = [record(f"ab-{n}", note="x" * 10_000) for n in range(2000)]
            began = time.monotonic()
            assert isinstance(sink.send(big), Retry)
            assert time.monotonic() - began < 20

    def test_a_server_that_reads_slowly_hits_the_total_deadline(self, sink_to: SinkTo) -> None:
        """It does not get the whole request, although there soon is room for the next part of it after each one."""
        got = []

        def read_slowly(server: socket.socket) -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(ConnectionError):
                while data := connection.recv(64 * 1024):
                    got.append(len(data))
                    time.sleep(0.01)

        with socket.create_server(("127.0.0.1", 0)) as server:
            reader = threading.Thread(target=read_slowly, args=(server,))
            reader.start()
            sink = sink_to(f"http://127.0.0.1:{server.getsockname()[1]}/", timeout=0.5, batch=True)
            big = [record(f"ab-{n}", note="x" * 100_000) for n in range(500)]
            assert isinstance(sink.send(big), Retry)
            sink.close()
            reader.join()
        assert sum(got) < sum(len(one.line) for one in big) / 2

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nmuch longer than said",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nnot a chunk",
            b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
            b"HTTP/1.0 200 OK\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nbody?",
        ],
    )
    def test_a_wrong_length_does_not_take_back_the_status(self, serve: Serve, sink_to: SinkTo, answer: bytes) -> None:
        """A wrong length of the body does not change the status: another attempt would only make duplicates.

        Surplus bytes may spoil the next answer on that connection, but no later answer.
        """

        def script(connection: socket.socket) -> bool:
            connection.sendall(answer)
            return False

        server = serve(script)
        sink = sink_to(server.url)
        assert sink.send(ONE) == Delivered()
        assert Delivered() in (sink.send(ONE), sink.send(ONE))
        assert server.connections >= 2

    def test_a_giant_body_is_not_read(self, serve: Serve, sink_to: SinkTo) -> None:
        sent: list[int] = []

        def script(connection: socket.socket) -> bool:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n")
            with suppress(OSError):
                while len(sent) < 2000:
                    connection.sendall(b"x" * 65536)
                    sent.append(1)
            return False

        sink = sink_to(serve(script).url)
        assert sink.send(ONE) == Delivered()
        time.sleep(0.1)
        assert len(sent) < 500  # the buffers of the system hold a few hundred

    def test_a_gzip_bomb_stays_packed(self, serve: Serve, sink_to: SinkTo, monkeypatch: pytest.MonkeyPatch) -> None:
        bomb = gzip.compress(b"\0" * 40_000_000)
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
        server = serve(head + bomb)
        sink = sink_to(server.url)
        unpackers: list[object] = []
        monkeypatch.setattr(zlib, "decompressobj", lambda *_, **__: unpackers.append(1))
        assert sink.send(ONE) == sink.send(ONE) == Delivered()
        assert not unpackers
        assert server.requests[0].headers["accept-encoding"] == "identity"

    def test_cookies_are_not_kept(self, serve: Serve, sink_to: SinkTo) -> None:
        server = serve(status(200, set_cookie="a=b; Path=/"))
        sink = sink_to(server.url)
        sink.send(ONE)
        sink.send(ONE)
        assert "cookie" not in server.requests[1].headers

    def test_the_connection_is_kept(self, serve: Serve, sink_to: SinkTo) -> None:
        server = serve()
        sink = sink_to(server.url)
        for _ in range(20):
            assert sink.send(ONE) == Delivered()
        assert server.connections == 1

    def test_after_any_fault_the_next_request_works(self, serve: Serve, sink_to: SinkTo) -> None:
        faults: list[bytes] = [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 5"]
        turns: list[bytes] = []

        def script(connection: socket.socket) -> bool | None:
            answer = turns.pop(0)
            connection.sendall(answer)
            return None if answer == OK else False

        sink = sink_to(serve(script).url)
        for fault in faults:
            turns[:] = [fault, OK]
            sink.send(ONE)
            assert sink.send(ONE) == Delivered()

    def test_a_name_that_does_not_resolve_is_tried_again(self, sink_to: SinkTo) -> None:
        verdict = sink_to("https://does-not-exist.invalid/").send(ONE)
        assert isinstance(verdict, Retry)
        assert "cannot be resolved" in verdict.reason

    def test_a_bug_in_between_is_a_retry_too(self, sink_to: SinkTo, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError(KEY)

        monkeypatch.setattr(transport.Transport, "request", broken)
        verdict = sink_to("http://127.0.0.1:1/").send(ONE)
        assert isinstance(verdict, Retry)
        assert KEY not in verdict.reason

    def test_an_event_that_cannot_be_written_is_found_and_refused(self, sink_to: SinkTo) -> None:
        sink = sink_to("http://127.0.0.1:1/", batch=True)
        odd = PendingEvent(b"{}", Event("x", "TASK_DANCED", None, "s", "t", "s", "t", "s", None, {}), "segment", 0)
        assert isinstance(sink.send([record(), odd]), Split)
        assert isinstance(sink.send([odd]), Rejected)


class TestAddresses:
    @pytest.mark.parametrize(
        "url", ["http://169.254.169.254/latest", "https://[fe80::1]/", "http://[::ffff:169.254.169.254]/", "http://0/"]
    )
    def test_link_local_is_refused_even_when_all_is_allowed(self, sink_to: SinkTo, url: str) -> None:
        verdict = sink_to(url, allow_http=True, allow_private=True).send(ONE)
        assert isinstance(verdict, Stopped)
        assert "never allowed" in verdict.reason

    def test_private_and_plain_http_must_be_asked_for(self, sink_to: SinkTo) -> None:
        verdict = sink_to("https://10.255.255.1/").send(ONE)
        assert isinstance(verdict, Stopped)
        assert "allow_private" in verdict.reason
        verdict = sink_to("http://93.184.216.34/").send(ONE)
        assert isinstance(verdict, Stopped)
        assert "allow_http" in verdict.reason

    def test_localhost_is_found_on_whichever_address_listens(
        self, serve: Serve, sink_to: SinkTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = serve()
        naming(monkeypatch, {"localhost": ["::1", "127.0.0.1"]})
        sink = sink_to(f"http://localhost:{server.port}/")
        assert [sink.send(ONE), sink.send(ONE)] == [Delivered(), Delivered()]
        assert server.requests[0].headers["host"] == f"localhost:{server.port}"

    def test_a_name_that_changes_its_mind_cannot_slip_through(
        self, serve: Serve, sink_to: SinkTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The connection goes to the checked address, since no second lookup takes place."""
        server = serve()
        asked = naming(monkeypatch, {"rebind.example": ["127.0.0.1"]})
        sink = sink_to(f"http://rebind.example:{server.port}/")
        assert sink.send(ONE) == Delivered()
        assert asked == ["rebind.example"]
        assert server.requests[0].headers["host"] == f"rebind.example:{server.port}"

    def test_a_name_is_checked_again_when_it_is_resolved_again(
        self, serve: Serve, sink_to: SinkTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = serve(lambda connection: connection.sendall(OK) and None)
        names = {"rebind.example": ["127.0.0.1"]}
        naming(monkeypatch, names)
        sink = sink_to(f"http://rebind.example:{server.port}/", allow_http=True, allow_private=True)
        assert sink.send(ONE) == Delivered()
        names["rebind.example"] = ["169.254.169.254"]
        sink.close()
        assert isinstance(sink.send(ONE), Stopped)

    def test_the_next_address_gets_its_turn_when_the_first_is_silent(
        self, serve: Serve, sink_to: SinkTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = serve()
        naming(monkeypatch, {"two.example": ["127.0.0.2", "127.0.0.1"]})
        real = socket.create_connection
        tried: list[str] = []

        def create_connection(address: tuple[str, int], timeout: float, **options: Any) -> socket.socket:
            tried.append(address[0])
            if address[0] == "127.0.0.2":
                time.sleep(timeout)
                raise TimeoutError("timed out")
            return real(address, timeout, **options)

        monkeypatch.setattr(socket, "create_connection", create_connection)
        sink = sink_to(f"http://two.example:{server.port}/", timeout=1.0)
        assert sink.send(ONE) == Delivered()
        assert tried == ["127.0.0.2", "127.0.0.1"]

    def test_a_proxy_of_the_environment_is_used_and_gets_the_name(
        self, serve: Serve, sink_to: SinkTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proxy = serve()
        monkeypatch.setenv("http_proxy", f"http://user:pw@127.0.0.1:{proxy.port}")
        sink = sink_to("http://receiver.invalid/hook", allow_http=True)
        assert sink.send(ONE) == Delivered()
        (request,) = proxy.requests
        assert request.line == "POST http://receiver.invalid/hook HTTP/1.1"
        assert request.headers["proxy-authorization"] == "Basic dXNlcjpwdw=="

    def test_a_proxy_that_refuses_the_tunnel_is_named(self, sink_to: SinkTo, monkeypatch: pytest.MonkeyPatch) -> None:
        with RefusingProxy() as port:
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
            verdict = sink_to("https://receiver.invalid/hook").send(ONE)
        assert isinstance(verdict, Retry)
        assert "proxy" in verdict.reason

    def test_plain_http_through_a_proxy_must_be_asked_for_too(
        self, sink_to: SinkTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        verdict = sink_to("http://receiver.invalid/").send(ONE)
        assert isinstance(verdict, Stopped)
        assert "allow_http" in verdict.reason


def naming(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]]) -> list[str]:
    """Let names resolve as given, and return a list that records the requested names."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> list[Any]:
        if host not in names:
            return list(real(host, port, *args, **options))
        asked.append(host)
        return [found for name in names[host] for found in real(name, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


class RefusingProxy:
    """A proxy that answers every CONNECT with 403."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            self.send_error(403)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    def __enter__(self) -> int:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return int(self._server.server_port)

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost, with its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        if os.environ.get("CI"):
            pytest.fail("openssl is not installed")
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*command, "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + path.with_suffix(".pem.crt").read_bytes())
    return path


class TestTls:
    @pytest.fixture
    def port(self, serve: Serve, certificate: Path) -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server: Server = serve(context=context)
        return server.port

    def test_a_certificate_that_nobody_trusts_is_refused(self, sink_to: SinkTo, port: int) -> None:
        verdict = sink_to(f"https://localhost:{port}/").send(ONE)
        assert isinstance(verdict, Retry)
        assert "certificate" in verdict.reason.lower()

    def test_a_trusted_certificate_is_checked_against_the_name_not_the_address(
        self, sink_to: SinkTo, port: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
        naming(monkeypatch, {"other.example": ["127.0.0.1"]})
        assert sink_to(f"https://localhost:{port}/").send(ONE) == Delivered()
        verdict = sink_to(f"https://other.example:{port}/").send(ONE)
        assert isinstance(verdict, Retry)
        assert "certificate" in verdict.reason.lower()

    def test_plain_http_where_tls_is_spoken_and_the_reverse_are_tried_again(
        self, serve: Serve, sink_to: SinkTo, port: int
    ) -> None:
        assert isinstance(sink_to(f"http://localhost:{port}/", timeout=1.0).send(ONE), Retry)
        assert isinstance(sink_to(serve().url.replace("http", "https"), timeout=1.0).send(ONE), Retry)


class TestWhatNeedsAPerson:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"url": "https://${UNSET_URL}/"}, "UNSET_URL is not set"),
            ({"headers": {"x-key": "${UNSET_KEY}"}}, "UNSET_KEY is not set"),
            ({"secret_env": "UNSET_SECRET"}, "UNSET_SECRET"),
            ({"secret_env": ["AUTOMATION_SECRET_KEY", "UNSET_SECRET"]}, "UNSET_SECRET"),
            ({"secret_env": "BAD_SECRET"}, "BAD_SECRET"),
            ({"url": "ftp://host/"}, "https://"),
            ({"url": "no url at all"}, "https://"),
            ({"url": "http://[::1"}, "not a valid URL"),
            ({"url": "http://127.0.0.1:0/"}, "port"),
            ({"url": "http://127.0.0.1:99999/"}, "port"),
            ({"url": "http:///path"}, "host"),
            ({"headers": {"webhook-id": "mine"}}, "cannot be configured"),
            ({"headers": {"Content-Length": "1"}}, "cannot be configured"),
            ({"headers": {"x-key": "${INJECTED}"}}, "does not allow"),
            ({"headers": {"bad name": "x"}}, "does not allow"),
        ],
    )
    def test_a_wrong_definition_stops_the_endpoint_and_says_why(
        self, sink_to: SinkTo, options: dict[str, Any], words: str
    ) -> None:
        environ = {**ENVIRON, "BAD_SECRET": "whsec_hunter2!", "INJECTED": "hunter2\r\nx-evil: 1"}
        sink = sink_to(**{"url": "http://127.0.0.1:1/", **options}, environ=environ)
        verdict = sink.send(ONE)
        assert isinstance(verdict, Stopped)
        assert words in verdict.reason
        assert "hunter2" not in verdict.reason
        assert sink.send(ONE) == verdict


class TestNeverLeak:
    def test_no_secret_is_in_a_reason_or_in_a_repr(self, serve: Serve, sink_to: SinkTo) -> None:
        environ = {"AUTOMATION_SECRET_KEY": KEY, "T": "t0ken"}
        told = []
        scripts: list[Script | bytes] = [status(code) for code in (301, 400, 401, 410, 413, 500)]
        scripts += [lambda _: False, b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: t0ken\r\n\r\n"]
        for script in scripts:
            url = serve(script).url.replace("http://", "http://user:p4ssword@") + "/p4th-${T}?key=${T}"
            sink = sink_to(url, environ, headers={"x-key": "${T}"}, timeout=1.0)
            told += [str(sink.send(ONE)), repr(sink), str(sink.send(BATCH[:1]))]
        told.append(str(sink_to("http://user:p4ssword@127.0.0.1:1/p4th-t0ken", environ).send(ONE)))
        for secret in (KEY, "t0ken", "p4ssword", "p4th"):
            assert not [one for one in told if secret in one]
