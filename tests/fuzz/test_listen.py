"""`listen` keeps serving honest senders, whatever bytes arrive on other connections."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_swarmtask.cli.listen import server
from pytest_swarmtask.cli.listen.printer import Printer
from pytest_swarmtask.receiver import MAX_BODY
from tests.fuzz.test_parsers import BODIES, KEY, signed

HONEST = b'{"event_type":"TASK_STARTED"}'
DEEP = b'{"event_type":"TASK_STARTED","metadata":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
WAIT = 30.0


class Listening:
    """`listen` in this process, with a secret; it keeps the exceptions of its threads."""

    def __init__(self) -> None:
        receiver = server.Receiver(Printer(as_json=False), [KEY], None, None, hang=False)
        self.server = server.ListenServer(("127.0.0.1", 0), server.ListenHandler, receiver)
        self.raised: list[BaseException] = []
        self.server.handle_error = self._keep  # type: ignore[method-assign]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def _keep(self, request: object, client_address: object) -> None:
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            self.raised.append(error)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.server_port), timeout=WAIT)

    def exchange(self, data: bytes) -> bytes:
        """Send raw bytes, close the sending side, and return the whole answer."""
        answer = b""
        with self.connect() as connection, suppress(ConnectionError):
            connection.sendall(data)
            with suppress(OSError):  # the server has already reset the connection
                connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                answer += piece
        return answer

    def post(self, body: bytes) -> bytes:
        """Post a body as an honest sender does, and return the status."""
        return self.exchange(request(body)).partition(b"\r\n")[0][9:12]

    def close(self) -> None:
        self.server.receiver.stop.set()
        self.server.shutdown()
        self.server.server_close()


def request(body: bytes) -> bytes:
    headers = {"host": "x", "content-length": str(len(body)), **signed(body)}
    return head(*headers.items()) + body


def head(*headers: tuple[str, str]) -> bytes:
    return "".join(["POST / HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in headers), "\r\n"]).encode()


@pytest.fixture(scope="module")
def there() -> Iterator[Listening]:
    made = Listening()
    yield made
    made.close()
    assert made.raised == []


BYTES = st.binary(max_size=30)
NAMES = st.sampled_from(
    [b"content-length", b"transfer-encoding", b"webhook-id", b"webhook-signature", b"expect", b"connection", b"host"]
)
VALUES = st.sampled_from([b"0", b"2", b"29", b"-1", b"1e3", b"chunked", b"100-continue", b"close", b"a" * 5000])
LINES = st.tuples(NAMES | BYTES, st.sampled_from([b":", b": ", b" ", b""]), VALUES | BYTES).map(b"".join)
STARTS = st.sampled_from([b"POST / HTTP/1.1", b"POST / HTTP/9.9", b"POST /", b"GET / HTTP/1.0", b"PRI * HTTP/2.0"])
REQUESTS = st.builds(
    lambda start, lines, end, body: end.join([start, *lines, b"", body]),
    STARTS | BYTES,
    st.lists(LINES, max_size=6),
    st.sampled_from([b"\r\n", b"\n", b"\r"]),
    st.sampled_from([HONEST, b"2\r\n{}\r\n0\r\n\r\n", b"ffffffffff\r\n"]) | BYTES,
)
fuzzed = settings(deadline=None, suppress_health_check=list(HealthCheck))


class TestAnyBytes:
    @fuzzed
    @given(st.lists(REQUESTS, max_size=3).map(b"".join))
    def test_no_request_stops_it(self, there: Listening, data: bytes) -> None:
        there.exchange(data)
        assert there.post(HONEST) == b"200"
        assert there.raised == []

    @fuzzed
    @given(st.integers(0, 300), BYTES, st.integers(0, 20))
    def test_an_honest_request_that_was_tampered_with_is_refused_or_cut_off(
        self, there: Listening, at: int, put: bytes, gone: int
    ) -> None:
        whole = request(HONEST)
        there.exchange(whole[:at] + put + whole[at + gone :])
        assert there.post(HONEST) == b"200"
        assert there.raised == []

    @fuzzed
    @given(BODIES | st.lists(BODIES, max_size=3))
    def test_any_signed_object_is_shown(self, there: Listening, content: object) -> None:
        assert there.post(json.dumps(content).encode()) == b"200"
        assert there.raised == []

    @fuzzed
    @given(st.binary(max_size=200))
    def test_any_signed_bytes_have_an_answer(self, there: Listening, body: bytes) -> None:
        assert there.post(body) in (b"200", b"400")
        assert there.raised == []


class TestHostileBodies:
    @pytest.mark.parametrize(
        "data",
        [
            b"5\r\nhello\r\n0\r\n\r\n",
            b"ffffffffffffffffffff\r\n",
            b"-1\r\n\r\n",
            b"5;" + b"x" * 100_000 + b"\r\nhello\r\n0\r\n\r\n",
            b"0\r\n" + b"trailer: x\r\n" * 10_000 + b"\r\n",
        ],
        ids=lambda data: repr(data[:6]),
    )
    def test_chunks_are_not_taken(self, there: Listening, data: bytes) -> None:
        """Chunked bodies are refused: `listen` needs the length first, so it reads no body that it later rejects."""
        for more in ((), (("content-length", "5"),)):
            start = head(("transfer-encoding", "chunked"), *more)
            assert there.exchange(start + data)[9:12] in (
                b"411",
                b"",
            )  # empty if the unread rest of our bytes reset the connection
        assert there.post(HONEST) == b"200"

    def test_a_body_too_large_is_refused_before_it_is_sent(self, there: Listening) -> None:
        with there.connect() as connection:
            connection.sendall(head(("content-length", str(MAX_BODY + 1))))
            assert connection.recv(100).startswith(b"HTTP/1.1 413 ")
            assert connection.recv(100).rpartition(b"\r\n")[2] == b""

    @pytest.mark.parametrize("body", [DEEP, b"\xff" * 1000, b'{"a":"\xc3\x28"}', b'{"a":' + b"9" * 100_000 + b"}"])
    def test_a_body_that_is_deep_or_no_text_is_a_bad_request(self, there: Listening, body: bytes) -> None:
        assert there.post(body) == b"400"
        assert there.post(HONEST) == b"200"


class TestSlowClients:
    def test_they_hold_up_nobody(self, there: Listening) -> None:
        """Slow connections block no other sender, because each waits in its own thread.

        The connections stop in the first line, in the headers, and in the body.
        """
        whole = request(HONEST)
        with ExitStack() as stack:
            slow = [stack.enter_context(there.connect()) for _ in range(60)]
            for count, connection in enumerate(slow):
                connection.sendall(whole[: (3, 60, len(whole) - 5)[count % 3]])
            assert there.post(HONEST) == b"200"
            for count, connection in enumerate(slow):
                connection.sendall(whole[(3, 60, len(whole) - 5)[count % 3] :])
                assert connection.recv(100).startswith(b"HTTP/1.1 200 ")

    def test_one_that_says_nothing_is_cut_off(self, there: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server.ListenHandler, "timeout", 0.2)
        for said in (b"", b"POST / HT", head(("content-length", "5")) + b"ab"):
            with there.connect() as connection:
                connection.sendall(said)
                assert connection.recv(100) == b""
        assert there.raised == []
