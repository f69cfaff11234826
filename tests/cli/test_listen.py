"""`listen` verifies, shows and counts every request, and survives malformed ones."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_swarmtask.cli import secret
from pytest_swarmtask.cli.listen import command
from pytest_swarmtask.cli.listen import server as listen_server
from pytest_swarmtask.cli.listen.printer import Printer
from pytest_swarmtask.cli.parser import CommandParser
from pytest_swarmtask.core.errors import ConfigError, UsageError
from pytest_swarmtask.core.event import EVENT_TYPES, Event
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.plugins.sink import Delivered, PendingEvent, Retry, Stopped
from pytest_swarmtask.wire import signing
from tests.relay.webhook.servers import SinkTo, webhook_sinks

Start = Callable[..., "Listening"]
KEY = "s3cr3t-k3y"
SIGNED = {"AUTOMATION_SECRET_KEY": KEY}


def record(number: int = 0, event_type: str = "TEST_PASSED", **metadata: Any) -> PendingEvent:
    event = Event(
        f"ab-{number}",
        event_type,
        f"tests/test_api.py::test_{number}",
        "completed",
        "2024-01-15T10:30:00.250Z",
        "swarm-director",
        "0af7651916cd43dd8448eb211c80319c",
        "b7ad6b7169203331",
        None,
        metadata,
    )
    line = event.encode().rstrip(b"\n")
    return PendingEvent(line, event, "segment", len(line) + 1)


class Listening:
    """`listen` in a process of its own."""

    def __init__(self, *options: str, key: str | None = KEY) -> None:
        environ = {name: value for name, value in os.environ.items() if name != "AUTOMATION_SECRET_KEY"}
        if key:
            environ["AUTOMATION_SECRET_KEY"] = key
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pytest_swarmtask", "listen", "--port", "0", *options],
            env={**environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        first = self.process.stdout.readline().strip()
        self.url = json.loads(first)["listening"] if "--json" in options else first
        self.port = int(re.fullmatch(r"http://127\.0\.0\.1:(\d+)/", self.url)[1])  # type: ignore[index]

    def end(self, with_signal: signal.Signals = signal.SIGINT) -> tuple[list[str], str]:
        """Stop the process; return the lines printed after the first, and the standard error."""
        self.process.send_signal(with_signal)
        return self.wait()

    def wait(self) -> tuple[list[str], str]:
        out, err = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, err
        return out.splitlines(), err


@pytest.fixture
def listening() -> Iterator[Start]:
    started: list[Listening] = []

    def start(*options: str, **more: Any) -> Listening:
        started.append(Listening(*options, **more))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


@pytest.fixture
def sink_to() -> Iterator[SinkTo]:
    with webhook_sinks(SIGNED) as make:
        yield make


def test_a_signal_at_the_worst_moment() -> None:
    """Ctrl-C also stops `listen` at the moment when it is about to wait and already has the lock for waiting."""
    program = (
        "import os, signal, threading; from pytest_swarmtask.cli.local_server import _signals\n"
        "stop = threading.Event()\n"
        "with _signals(stop):\n"
        "    with stop._cond:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    assert stop.wait(60)\n"
    )
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)


def test_a_signal_that_wakes_nobody() -> None:
    """Ctrl-C also stops `listen` if the system gives the signal to another thread while the main thread waits.

    A signal that comes a moment before the wait has the same effect: the main thread does not notice it.
    """
    program = (
        "import signal, threading; from pytest_swarmtask.cli.local_server import _signals, wait_for\n"
        "stop = threading.Event()\n"
        "def interrupt():\n"
        "    while not stop._cond._waiters: pass\n"
        "    signal.pthread_kill(threading.get_ident(), signal.SIGINT)\n"
        "with _signals(stop):\n"
        "    threading.Thread(target=interrupt).start()\n"
        "    wait_for(stop)\n"
    )
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)


class TestEndToEnd:
    @pytest.mark.parametrize("batch", [False, True])
    @pytest.mark.parametrize("format_", ["cloudevents", "cdevents", "plain"])
    def test_every_format_arrives_verified_and_as_the_event_it_was(
        self, listening: Start, sink_to: SinkTo, format_: str, batch: bool
    ) -> None:
        there = listening("--json")
        records = [record(n, event_type) for n, event_type in enumerate(EVENT_TYPES)]
        sink = sink_to(there.url, format=format_, batch=batch)
        for some in [records] if batch else [[one] for one in records]:
            assert sink.send(some) == Delivered()
        lines, err = there.end()
        shown = [json.loads(line) for line in lines]
        assert [one["event"] for one in shown] == [json.loads(one.line) for one in records]
        assert all(one["verified"] is True for one in shown)
        assert batch or [one["webhook_id"] for one in shown] == [one.event.id for one in records]
        assert json.loads(err) == {"events": 13, "verified": 13, "refused": 0, "duplicates": 0}

    def test_a_person_sees_what_when_how_long_and_why(self, listening: Start, sink_to: SinkTo) -> None:
        there = listening()
        sink = sink_to(there.url)
        sink.send([record(1, "TEST_FAILED", duration=0.0123, outcome="failed", error="AssertionError: no\nmore")])
        sink.send([record(1, "TEST_FAILED")])
        sink.ping()
        lines, _ = there.end()
        assert (
            lines[0].split("  ")
            == [
                "10:30:00.250",
                "TEST_FAILED       ",
                " tests/test_api.py::test_1".strip(),
                "0.012s",
                "failed: AssertionError: no",
                "verified",
            ]
            or "tests/test_api.py::test_1  0.012s  failed: AssertionError: no  verified" in lines[0]
        )
        assert "dev.swarmtask.ping" in lines[2]
        assert lines[3] == "3 events, 3 verified, 0 refused, 1 duplicate"

    def test_a_wrong_signature_is_refused_and_shown(self, listening: Start, sink_to: SinkTo) -> None:
        there = listening()
        verdict = sink_to(there.url, {"AUTOMATION_SECRET_KEY": "another long secret"}).send([record()])
        assert isinstance(verdict, Stopped)
        assert isinstance(sink_to(there.url, {}).send([record()]), Stopped)
        lines, _ = there.end()
        assert "REFUSED" in lines[0]
        assert "no signature matches" in lines[0]
        assert "webhook-signature is missing" in lines[1]
        assert lines[2] == "0 events, 0 verified, 2 refused, 0 duplicates"

    def test_a_refusal_says_why_and_a_repeated_event_is_marked(self, listening: Start, sink_to: SinkTo) -> None:
        there = listening()
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", there.port, timeout=20)) as connection:
            connection.request("POST", "/", b"{}", {"webhook-id": "x"})
            done = connection.getresponse()
            answer = done.status, done.read()
        assert answer == (401, b"the header webhook-timestamp is missing\n")
        for _ in range(2):
            assert sink_to(there.url).send([record(1)]) == Delivered()
        lines, _ = there.end()
        assert lines[1].endswith("verified")
        assert lines[2].endswith("verified  duplicate")
        assert lines[3] == "2 events, 2 verified, 1 refused, 1 duplicate"

    def test_without_a_secret_it_says_so_once_and_takes_everything(self, listening: Start, sink_to: SinkTo) -> None:
        there = listening(key=None)
        assert sink_to(there.url).send([record(1)]) == Delivered()
        assert sink_to(there.url, {}).send([record(2)]) == Delivered()
        lines, err = there.end()
        assert err.count("cannot be verified") == 1
        assert re.search(r"export AUTOMATION_SECRET_KEY=whsec_[\w+/=]{32,}\n", err)
        assert lines[0].endswith("unverified")
        assert lines[1].endswith("unsigned")

    def test_several_secrets_may_be_named(
        self, listening: Start, sink_to: SinkTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KEY_A", "a passphrase")
        monkeypatch.setenv("KEY_B", signing.new_secret())
        there = listening("--secret-env", "KEY_A", "--secret-env", "KEY_B")
        for name in ("KEY_A", "KEY_B"):
            assert sink_to(there.url, dict(os.environ), secret_env=name).send([record()]) == Delivered()
        assert isinstance(sink_to(there.url).send([record()]), Stopped)

    def test_fail_answers_everything_with_its_code(self, listening: Start, sink_to: SinkTo) -> None:
        there = listening("--fail", "503")
        assert isinstance(sink_to(there.url).send([record()]), Retry)
        lines, _ = there.end()
        assert lines[0].endswith("verified")

    def test_hang_never_answers(self, listening: Start, sink_to: SinkTo) -> None:
        there = listening("--hang")
        verdict = sink_to(there.url, timeout=0.3).send([record()])
        assert isinstance(verdict, Retry)
        assert "no answer" in verdict.reason
        lines, _ = there.end()
        assert "TEST_PASSED" in lines[0]

    def test_count_ends_it_after_the_answer(self, listening: Start, sink_to: SinkTo) -> None:
        there = listening("--count", "2")
        sink = sink_to(there.url)
        assert [sink.send([record(1)]), sink.send([record(2)])] == [Delivered(), Delivered()]
        lines, _ = there.wait()
        assert len(lines) == 3

    def test_sigterm_ends_it_as_ctrl_c_does(self, listening: Start) -> None:
        lines, _ = listening().end(signal.SIGTERM)
        assert lines == ["0 events, 0 verified, 0 refused, 0 duplicates"]

    def test_it_ends_when_nobody_reads_any_more(self, listening: Start, sink_to: SinkTo) -> None:
        there = listening()
        assert there.process.stdout is not None
        there.process.stdout.close()
        sink_to(there.url).send([record()])
        there.process.stdout = None
        assert there.process.wait(20) == 0

    def test_many_senders_at_once_lose_nothing(self, listening: Start, sink_to: SinkTo) -> None:
        there = listening("--json")

        def send(first: int) -> None:
            sink = sink_to(there.url)
            for n in range(first, first + 10):
                assert sink.send([record(n)]) == Delivered()

        threads = [threading.Thread(target=send, args=(10 * n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lines, err = there.end()
        assert {json.loads(line)["event"]["id"] for line in lines} == {f"ab-{n}" for n in range(80)}
        assert json.loads(err)["duplicates"] == 0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[listen_server.ListenServer]:
    """The receiver in this process, without a secret."""
    receiver = listen_server.Receiver(Printer(as_json=False), [], None, None, hang=False)
    server = listen_server.ListenServer(("127.0.0.1", 0), listen_server.ListenHandler, receiver)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    receiver.stop.set()
    server.shutdown()
    server.server_close()


def post(server: listen_server.ListenServer, body: bytes, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.request("POST", "/", body, {name.replace("_", "-"): value for name, value in headers.items()})
        return connection.getresponse().status
    finally:
        connection.close()


def exchange(server: listen_server.ListenServer, data: bytes) -> bytes:
    """Send raw bytes and return the whole answer."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionError:
            return b""
        return answer


class TestHostileInput:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"\xff\xfe",
            b"nope",
            b"1",
            b'"text"',
            b"[1]",
            b"null",
            b"[" * 100_000,
            b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
            b'{"a":' + b"1" * 5000 + b"}",
        ],
    )
    def test_what_is_no_json_object_is_a_bad_request(self, server: listen_server.ListenServer, body: bytes) -> None:
        assert post(server, body) == 400
        assert post(server, b"{}") == 200

    @pytest.mark.parametrize(
        "body",
        [
            b"[]",
            b"{}",
            b'{"event_type": 1, "id": [], "metadata": 3, "timestamp": {}, "task_id": null}',
            b'{"data": {"customData": []}, "type": ["x"]}',
            b'{"event_type": "X", "metadata": {"duration": 1e400, "error": 1, "outcome": {}}}',
            b'{"event_type": "X", "metadata": {"duration": ' + b"9" * 4000 + b"}}",
            b'{"event_type": "\\ud800", "task_id": "\\u0000"}',
            b'{"event_type": "TEST_PASSED", "metadata": ' + b"[" * 900 + b"]" * 900 + b"}",
        ],
    )
    def test_any_json_object_is_shown(
        self, server: listen_server.ListenServer, body: bytes, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert post(server, body) == 200
        assert capsys.readouterr().err == ""

    def test_a_body_above_the_limit_is_not_read(self, server: listen_server.ListenServer) -> None:
        assert exchange(server, b"POST / HTTP/1.1\r\nContent-Length: 5000001\r\n\r\n").startswith(b"HTTP/1.1 413")
        assert post(server, b'{"a":"' + b"x" * 4_000_000 + b'"}') == 200

    @pytest.mark.parametrize(
        ("head", "status"),
        [
            (b"", 411),
            (b"Transfer-Encoding: chunked\r\n", 411),
            (b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", 411),
            (b"Content-Length: x\r\n", 400),
            (b"Content-Length: -1\r\n", 400),
            (b"Content-Length: 1.0\r\n", 400),
            ("Content-Length: ٣\r\n".encode(), 400),
            (b"Content-Length: " + b"9" * 60_000 + b"\r\n", 413),
            (b"Content-Length: 100\r\n", 400),
            (b"x: " + b"y" * 70_000 + b"\r\n", 431),
            (b"x: y\r\n" * 300, 431),
        ],
    )
    def test_malformed_requests_get_their_status(
        self, server: listen_server.ListenServer, head: bytes, status: int
    ) -> None:
        answer = exchange(server, b"POST / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n{}")
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert post(server, b"{}") == 200

    def test_random_bytes_never_stop_it(
        self, server: listen_server.ListenServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        chance = random.Random(7)
        valid = b'POST / HTTP/1.1\r\nHost: x\r\nwebhook-id: a\r\nContent-Length: 21\r\n\r\n{"event_type":"TASK"}\n'
        for _ in range(300):
            data = bytearray(valid)
            for _ in range(chance.randint(1, 8)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            exchange(server, bytes(data[: chance.randint(1, len(data))]))
        assert post(server, b"{}") == 200
        assert capsys.readouterr().err == ""

    def test_a_sender_may_wait_to_be_asked_for_the_body(self, server: listen_server.ListenServer) -> None:
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
            connection.sendall(b"{}")
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")

    def test_a_connection_is_kept_and_answers_are_quick(self, server: listen_server.ListenServer) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        seconds = []
        for _ in range(50):
            began = time.monotonic()
            connection.request("POST", "/", b"{}")
            connection.getresponse().read()
            seconds.append(time.monotonic() - began)
        connection.close()
        assert min(seconds) < 0.04  # the minimum with delayed acknowledgements

    @pytest.mark.parametrize("method", ["GET", "PUT", "BREW"])
    def test_other_methods_are_answered(self, server: listen_server.ListenServer, method: str) -> None:
        answer = exchange(server, f"{method} / HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 501 ")


class TestPrinting:
    @pytest.mark.parametrize(
        "char", ["\x1b", "\x00", "\r", "\n", "\x7f", "\x9b", "\u202e", "\u2028", "\u2066", "\u200f"]
    )
    def test_nothing_that_a_terminal_would_obey_gets_through(
        self, server: listen_server.ListenServer, char: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        event = {
            "event_type": f"TEST{char}FAILED",
            "task_id": f"x{char}[31m",
            "timestamp": f"2024-01-15T{char}",
            "metadata": {"outcome": f"f{char}", "error": f"E{char}rror"},
        }
        assert post(server, json.dumps(event).encode(), webhook_id="a") == 200
        (line,) = capsys.readouterr().out.split("\n")[:-1]
        assert char not in line
        assert char not in neutral(char)

    def test_a_terminal_of_another_encoding_still_gets_a_line(
        self,
        server: listen_server.ListenServer,
        monkeypatch: pytest.MonkeyPatch,
        capfdbinary: pytest.CaptureFixture[bytes],
    ) -> None:
        with open(1, "w", encoding="ascii", closefd=False) as ascii_only, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", ascii_only)
            assert post(server, '{"event_type":"TASK_STARTED","task_id":"ünïcode\\ud800"}'.encode()) == 200
        assert rb"\xfcn\xefcode\ud800" in capfdbinary.readouterr().out

    @pytest.mark.parametrize(("no_color", "colored"), [("", True), ("1", False)])
    def test_a_terminal_gets_colors_unless_it_wants_none(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], no_color: str, colored: bool
    ) -> None:
        monkeypatch.setenv("NO_COLOR", no_color)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        receiver = listen_server.Receiver(Printer(as_json=False), [], None, None, hang=False)
        receiver.take({}, record(event_type="TEST_FAILED").line)
        assert ("\x1b[31mTEST_FAILED" in capsys.readouterr().out) is colored


class TestUsage:
    def test_a_port_that_is_taken_is_a_usage_error(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(UsageError, match="cannot listen on"):
                run("listen", "--port", str(port))

    def test_a_named_secret_must_be_set_and_well_formed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(UsageError, match="UNSET_KEY"):
            run("listen", "--port", "0", "--secret-env", "UNSET_KEY")
        monkeypatch.setenv("BAD_KEY", "whsec_hunter2!")
        with pytest.raises(ConfigError) as caught:
            run("listen", "--port", "0", "--secret-env", "BAD_KEY")
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize("options", [("--port", "70000"), ("--port", "x"), ("--fail", "99"), ("--fail", "x")])
    def test_impossible_options_end_with_2(self, options: tuple[str, ...]) -> None:
        with pytest.raises(SystemExit) as caught:
            run("listen", *options)
        assert caught.value.code == 2

    def test_secret_prints_a_secret_and_nothing_else(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("secret") == 0
        printed = capsys.readouterr()
        assert len(signing.decode_secret(printed.out.strip())) == 32
        assert printed.err == ""

    def test_secret_tells_a_person_how_to_use_it(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        assert run("secret") == 0
        printed = capsys.readouterr()
        assert "AUTOMATION_SECRET_KEY" in printed.err
        assert printed.out.strip() not in printed.err  # standard output is a pipe here and may end in a file


def run(*arguments: str) -> int:
    parser = CommandParser()
    subparsers = parser.add_subparsers()
    command.register(subparsers)
    secret.register(subparsers)
    args = parser.parse_args(arguments)
    code: int = args.func(args)
    return code
