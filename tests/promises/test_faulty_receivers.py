"""If a receiver mishandles one event of five, every event is delivered, retried or a dead letter, as documented.

The tests also check the order and the pauses of attempts. Another endpoint gets every event meanwhile.
"""

from __future__ import annotations

import email.utils
import gzip
import json
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from pytest_swarmtask.config.workflow import Webhook
from pytest_swarmtask.core.event import Event
from pytest_swarmtask.relay.delivery.store import EndpointState, Position, Store
from pytest_swarmtask.relay.delivery.worker import Delivery
from pytest_swarmtask.relay.webhook.sink import WebhookSink
from tests.lab import Listener, closed_port, wait_until

Fault = Callable[[socket.socket], bool]
"""A function that misbehaves on a connection, and returns whether the event counts as accepted."""

IDS = [f"w-{number}" for number in range(5)]
GOOD = 2
"""Number of events that the receiver accepts before the fault."""

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"


# -- receivers -----------------------------------------------------------------------------------------------------


def read_event(connection: socket.socket) -> str:
    """Read a whole request, and return the id of its event."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    wanted = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
    while len(body) < wanted:
        body += some(connection)
    return str(json.loads(body)["id"])


def some(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("the sender has gone")
    return data


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def reset_after(count: int) -> Fault:
    """Return a fault that resets the connection once `count` bytes of the request have arrived."""

    def fault(connection: socket.socket) -> bool:
        if count:
            connection.recv(count, socket.MSG_WAITALL)
        reset(connection)
        return False

    return fault


def say(*pieces: bytes, pause: float = 0.0, then: Callable[[socket.socket], object] | None = None) -> Fault:
    """Return a fault that reads the request and answers it with these pieces."""
    taken = pieces[0].startswith(b"HTTP/1.1 2") and b"\r\n\r\n" in b"".join(pieces)

    def fault(connection: socket.socket) -> bool:
        read_event(connection)
        with suppress(OSError):  # the sender has closed the connection
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)
            if then is not None:
                then(connection)
        return taken

    return fault


def answer(status: int, *headers: str, body: bytes = b"") -> Fault:
    lines = [f"HTTP/1.1 {status} Whatever", "Connection: close", f"Content-Length: {len(body)}", *headers]
    return say("\r\n".join([*lines, "", ""]).encode() + body)


def hang(_: socket.socket) -> None:
    time.sleep(3)


class Faulty:
    """A receiver that accepts two events, then misbehaves until it is healed.

    Attributes:
        taken: ids of the accepted events, in order of arrival.
        tries: times of the attempts that met the fault, by the monotonic clock.
        healed: whether the receiver accepts every event.
    """

    def __init__(self, fault: Fault | None = None, good: int = GOOD) -> None:
        self.taken: list[str] = []
        self.tries: list[float] = []
        self.healed = fault is None
        self.once = False
        self._fault = fault
        self._good = good
        self._listener = Listener(self._serve)
        self.url = f"http://127.0.0.1:{self._listener.port}/"

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if self.healed or self._fault is None or len(self.taken) < self._good:
                event_id = read_event(connection)
                self.taken.append(event_id)
                connection.sendall(OK)
                return
            self.tries.append(time.monotonic())
            if self.once:
                self.healed = True
            if self._fault(connection):
                self.taken.append(IDS[self._good])

    def close(self) -> None:
        self._listener.close()


# -- senders -------------------------------------------------------------------------------------------------------


class Bench:
    """A segment of five events, and its deliveries to a faulty endpoint and to a healthy one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.segment = folder / "a.jsonl"
        fields: tuple[Any, ...] = ("TASK_STARTED", "t", "s", "2024-01-15T10:30:00.000Z", "x", "t", "s", None, {})
        self.segment.write_bytes(b"".join(Event(event_id, *fields).encode() for event_id in IDS))
        self._started: list[Delivery] = []
        self._receivers: list[Faulty] = []

    def receiver(self, fault: Fault | None = None, good: int = GOOD) -> Faulty:
        self._receivers.append(Faulty(fault, good))
        return self._receivers[-1]

    def deliver(self, name: str, url: str, *, eager: bool = False, timeout: float = 10.0) -> Delivery:
        """Start a delivery of the whole segment, as a relay does."""
        sink = WebhookSink(Webhook(name=name, url=url, format="plain", timeout=timeout), {}, self.folder)
        delivery = Delivery(name, sink, str(self.folder / "relay.db"), eager=eager)
        delivery.add(str(self.segment))
        self._started.append(delivery)
        delivery.start()
        return delivery

    def settled(self, delivery: Delivery) -> bool:
        return delivery.position("a.jsonl").offset == self.segment.stat().st_size

    def finish(self, delivery: Delivery) -> Position:
        """Wait until every event is settled, and return the final position."""
        wait_until(lambda: self.settled(delivery), lambda: f"{delivery.position('a.jsonl')} {delivery.state}")
        return self.end(delivery)

    def end(self, delivery: Delivery) -> Position:
        delivery.stop()
        assert delivery.join(60)
        return delivery.position("a.jsonl")

    def state(self, name: str) -> EndpointState:
        store = Store(str(self.folder / "relay.db"))
        try:
            return store.state(name)
        finally:
            store.close()

    def dead(self) -> list[str]:
        store = Store(str(self.folder / "relay.db"))
        try:
            return [letter.event_id for letter in store.dead_letters()]
        finally:
            store.close()

    def close(self) -> None:
        for receiver in self._receivers:
            receiver.close()
        for delivery in self._started:
            self.end(delivery)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def counts(position: Position) -> tuple[int, int, int]:
    """Return the numbers of delivered, waiting and dead events."""
    return position.delivered, len(IDS) - position.lines, position.dead


HALF = b"HTTP/1.1 200 OK\r\nContent-Le"
PASSING: dict[str, Fault] = {
    "resets the connection": reset_after(0),
    "resets after a part of the headers": reset_after(20),
    "resets after the headers": reset_after(200),
    "resets when it has read all": say(b"", then=reset),
    "closes without an answer": say(b""),
    "resets within the status line": say(b"HTTP/1.1 20", then=reset),
    "resets within the headers": say(HALF, then=reset),
    "drips its headers": say(*(bytes([byte]) for byte in HALF[:20]), pause=0.15),
    "never answers": say(b"", then=hang),
    "answers garbage": say(b"\x00\xff\r\n\r\n" * 100),
    "answers endless headers": say(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000),
    "answers with another protocol": say(b"220 smtp.example.com ESMTP\r\n"),
    **{f"answers {status}": answer(status) for status in (408, 425, 429, 500, 501, 502, 503, 504)},
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_may_pass(bench: Bench, fault: str) -> None:
    """After a temporary failure, the event and all later events are delivered in order by later attempts.

    There is a pause before each attempt. No event becomes a dead letter. Another endpoint gets all events meanwhile.
    """
    receiver, other = bench.receiver(PASSING[fault]), bench.receiver()
    faulty = bench.deliver("faulty", receiver.url, timeout=1.0)
    assert counts(bench.finish(bench.deliver("other", other.url))) == (5, 0, 0)
    assert other.taken == IDS
    wait_until(lambda: bench.state("faulty").state == "retrying")
    assert counts(faulty.position("a.jsonl")) == (2, 3, 0)
    assert bench.state("faulty").next_attempt > 0
    receiver.healed = True
    assert counts(bench.finish(faulty)) == (5, 0, 0)
    assert receiver.taken == IDS
    assert bench.dead() == []
    assert bench.state("faulty") == EndpointState()


@pytest.mark.parametrize("form", ["120", "date"])
@pytest.mark.parametrize("status", [429, 503])
def test_asked_to_wait(bench: Bench, status: int, form: str) -> None:
    """A delivery respects `Retry-After`, in seconds or as a date, also in the next process."""
    asked = email.utils.formatdate(time.time() + 120, usegmt=True) if form == "date" else form
    receiver = bench.receiver(answer(status, f"Retry-After: {asked}"))
    first = bench.deliver("faulty", receiver.url)
    wait_until(lambda: bench.state("faulty").state == "retrying")
    assert counts(bench.end(first)) == (2, 3, 0)
    assert 30 < bench.state("faulty").next_attempt - time.time() <= 121
    receiver.healed = True
    second = bench.deliver("faulty", receiver.url)
    wait_until(lambda: not second.busy or second.state.state == "retrying")
    time.sleep(0.2)
    assert counts(bench.end(second)) == (2, 3, 0)
    assert (len(receiver.taken), len(receiver.tries)) == (2, 1)
    assert counts(bench.finish(bench.deliver("faulty", receiver.url, eager=True))) == (5, 0, 0)
    assert receiver.taken == IDS


GIANT = b"x" * 1_000_000
CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"
BOMB = gzip.compress(b"\0" * 10_000_000)
TAKEN: dict[str, Fault] = {
    "200 with garbage": answer(200, "Content-Type: application/json", body=b"\x00\xff{not json"),
    "a giant body": say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", *[GIANT] * 20),
    "an endless body": say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[CHUNK] * 9),
    "a gzip bomb": answer(200, "Content-Encoding: gzip", body=BOMB),
    "no gzip at all": answer(200, "Content-Encoding: gzip", body=b"not gzip"),
    "less than it promised": say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
    "more than it promised": say(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}{}{}{}"),
    "a reset within the body": say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", then=reset),
    **{f"{status}": answer(status) for status in (201, 202, 204, 299)},
}


@pytest.mark.parametrize("fault", TAKEN)
def test_what_was_taken(bench: Bench, fault: str) -> None:
    """A status of 2xx means that the receiver accepted the event, whatever the rest of the answer contains.

    The event is sent once, and the later events follow.
    """
    receiver = bench.receiver(TAKEN[fault])
    receiver.once = True
    assert counts(bench.finish(bench.deliver("faulty", receiver.url))) == (5, 0, 0)
    wait_until(lambda: len(receiver.taken) == 5)
    assert sorted(receiver.taken) == IDS  # the receiver notes the third event only when its answer has ended
    assert len(receiver.tries) == 1


@pytest.mark.parametrize("status", [400, 402, 404, 405, 409, 413, 415, 422, 431, 451])
def test_what_is_refused(bench: Bench, status: int) -> None:
    """A refused event is tried once and becomes a dead letter, and the later events are delivered in order.

    A ping asks first whether a 404 or 405 is of the address, which would stop the endpoint, or of the event.
    """
    receiver = bench.receiver(answer(status))
    receiver.once = True
    assert counts(bench.finish(bench.deliver("faulty", receiver.url))) == (4, 0, 1)
    events = [event for event in receiver.taken if not event.startswith("ping_")]
    assert events == [IDS[0], IDS[1], IDS[3], IDS[4]]
    assert len(receiver.taken) - len(events) == (status in (404, 405))
    assert len(receiver.tries) == 1
    assert bench.dead() == [IDS[2]]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 401, 403, 407])
def test_what_a_person_must_mend(bench: Bench, status: int) -> None:
    """A redirect or refused credentials stop the endpoint, but no event is dropped.

    Each run makes one attempt. Once a person has fixed the cause, all events are delivered in order.
    """
    receiver, other = bench.receiver(answer(status, "Location: http://127.0.0.1:1/elsewhere")), bench.receiver()
    for attempts in (1, 2):
        delivery = bench.deliver("faulty", receiver.url)
        wait_until(lambda: delivery.state.state == "stopped")  # noqa: B023 - called in this iteration only
        delivery.poke(hurry=True)
        wait_until(lambda: not delivery.busy)  # noqa: B023
        assert counts(bench.end(delivery)) == (2, 3, 0)
        assert len(receiver.tries) == attempts
    assert counts(bench.finish(bench.deliver("other", other.url))) == (5, 0, 0)
    receiver.healed = True
    assert counts(bench.finish(bench.deliver("faulty", receiver.url))) == (5, 0, 0)
    assert receiver.taken == other.taken == IDS


def test_what_is_gone(bench: Bench) -> None:
    """Status 410 disables the endpoint for later runs, no event is dropped, and `flush` delivers in order."""
    receiver = bench.receiver(answer(410))
    for _ in range(2):
        delivery = bench.deliver("faulty", receiver.url)
        wait_until(lambda: delivery.state.state == "disabled" and not delivery.busy)  # noqa: B023 - called only here
        assert counts(bench.end(delivery)) == (2, 3, 0)
    assert len(receiver.tries) == 1
    receiver.healed = True
    assert counts(bench.finish(bench.deliver("faulty", receiver.url, eager=True))) == (5, 0, 0)
    assert receiver.taken == IDS


def tls(context: ssl.SSLContext | None) -> Fault:
    """Return a fault that begins TLS as a server does. Without a context, it breaks the handshake off."""

    def fault(connection: socket.socket) -> bool:
        if context is None:
            connection.recv(65536)
            connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28")  # a TLS alert: handshake failure
        else:
            with suppress(OSError):
                context.wrap_socket(connection, server_side=True).recv(1)
        return False

    return fault


def stranger() -> ssl.SSLContext:
    """Return the TLS context of a server with a certificate that nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.mark.parametrize(
    "kind", ["nobody listens", "no such name", "an untrusted certificate", "a broken handshake", "plain http"]
)
def test_who_cannot_be_reached(bench: Bench, kind: str) -> None:
    """If no connection is possible, all events wait, in order, until the address is fixed."""
    fault = {"an untrusted certificate": tls(stranger()), "a broken handshake": tls(None)}.get(kind, answer(400))
    faulty = bench.receiver(fault, good=0)
    url = {
        "nobody listens": f"http://127.0.0.1:{closed_port()}/",
        "no such name": "https://no-such-host.invalid/",
    }.get(kind, faulty.url.replace("http:", "https:"))
    delivery = bench.deliver("faulty", url, timeout=1.0)
    wait_until(lambda: delivery.state.failures > 0, lambda: f"{delivery.state}")
    assert delivery.state.state == "retrying"
    assert counts(bench.end(delivery)) == (0, 5, 0)
    well = bench.receiver()
    assert counts(bench.finish(bench.deliver("faulty", well.url, eager=True))) == (5, 0, 0)
    assert well.taken == IDS
    assert bench.dead() == []


def test_each_pause_is_longer(bench: Bench) -> None:
    """The pauses between attempts grow, so that a receiver in trouble gets less load."""
    receiver = bench.receiver(answer(503))
    delivery = bench.deliver("faulty", receiver.url)
    wait_until(lambda: len(receiver.tries) == 3)
    bench.end(delivery)
    pauses = [later - earlier for earlier, later in zip(receiver.tries, receiver.tries[1:], strict=False)]
    assert all(pause >= least for pause, least in zip(pauses, (0.2, 0.45), strict=True)), pauses
