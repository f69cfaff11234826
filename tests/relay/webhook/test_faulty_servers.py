"""No fault of a server makes a webhook raise or hang."""

from __future__ import annotations

import contextlib
import gzip
import socket
import struct
import threading
import time
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from pytest_swarmtask.core.event import Event
from pytest_swarmtask.plugins.sink import Delivered, PendingEvent, Rejected, Retry, Split
from pytest_swarmtask.relay.http import transport
from tests.lab import closed_port
from tests.relay.webhook.servers import KEY, OK, ONE, Script, Serve, SinkTo, record, status

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("no_proxy")


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
