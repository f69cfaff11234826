"""The connection of an endpoint: only to a checked address, and with a deadline for the whole request.

The sockets are httpcore's, and h11 speaks HTTP. A pool or a client would do too much: cookies, redirects and
authentication are not for webhooks. And it would do too little: it gives up if a header of an answer is not valid. It
takes bytes after the end of an answer for the next answer.
"""

from __future__ import annotations

import base64
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import h11
import httpcore

from pytest_swarmtask.relay.http import address
from pytest_swarmtask.relay.http.head import Head, NoAnswerError, read_head

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Iterable, Sequence

    from pytest_swarmtask.relay.http.url import Url

    Resolve = Callable[[str, int, float], list[str]]
    Headers = Sequence[tuple[str, str]]

CONNECT_TIMEOUT = 5.0
"""Seconds for connecting, at most; less if the endpoint's timeout is shorter."""

MAX_ANSWER = 64 * 1024
"""Bytes of an answer's body that are read. A connection can only be used again after the whole body was read."""

ANSWER_TIME = 1.0
"""Seconds that the body of an answer may take after its head, which has the result."""

_WRITE_SIZE = 16 * 1024
"""Bytes after which the deadline is checked while an encrypted body is written, for receivers that read slowly. It is
the size of TLS records, each of which is a system call anyway."""

_READ_SIZE = 64 * 1024

_IDLE = 5.0
"""Seconds after which a connection is not used again: many receivers close it at about that time."""

_REMEMBER = 60.0
"""Seconds for which the addresses of a host are used again without asking the resolver."""


class Answer(NamedTuple):
    """The answer to a request.

    Attributes:
        status: the status code.
        headers: values by name in lower case, the last one of a name.
        body: as it arrived; empty if it was too long, or did not arrive in time.
    """

    status: int
    headers: dict[str, str]
    body: bytes = b""


class AnswerLimits(NamedTuple):
    """How much of an answer's body is read.

    Attributes:
        size: bytes, at most.
        seconds: how long it may take after the head; never longer than the whole request may take.
    """

    size: int = MAX_ANSWER
    seconds: float = ANSWER_TIME


_COMMON = AnswerLimits()


class Transport:
    """One kept-alive HTTP/1.1 connection to one endpoint, directly or through a proxy.

    Args:
        timeout: seconds that a whole request may take, from resolving the name to the end of the answer.
        resolve: returns the addresses of a host that may be connected to; gets host, port and the seconds that it may
            take. Not used with a proxy.
        tls: how certificates are verified; None for an endpoint without TLS.
        proxy: the URL of an HTTP proxy, which then resolves the name and connects, and how its own certificate is
            verified if it has one.
    """

    def __init__(
        self,
        timeout: float,
        resolve: Resolve,
        tls: ssl.SSLContext | None,
        proxy: tuple[Url, ssl.SSLContext | None] | None = None,
    ) -> None:
        self._timeout = timeout
        self._tls = tls
        self._proxy = proxy
        self._deadline = Deadline()
        self._backend = Backend(self._deadline, resolve if proxy is None else address.resolve_proxy)
        self._stream: httpcore.NetworkStream | None = None
        self._http = h11.Connection(h11.CLIENT)
        self._used_at = 0.0

    def request(
        self,
        method: str,
        url: Url,
        headers: Headers,
        body: bytes,
        limits: AnswerLimits = _COMMON,
    ) -> Answer:
        """Send a request and return its answer.

        Args:
            method: the method.
            url: the URL.
            headers: names and values.
            body: the body, or no bytes.
            limits: of the answer's body.

        Raises:
            EndpointError: the address may not be connected to.
            NoAnswerError: there is no answer.
        """
        self._deadline.start(self._timeout)
        try:
            stream = self._connected(url)
            head = self._exchange(stream, method, url, headers, body)
            self._deadline.start(min(limits.seconds, self._deadline.left()))
            answer = Answer(head.status, dict(head.headers), self._receive(stream, head, limits.size))
        except BaseException as error:
            self.close()
            if isinstance(error, (httpcore.TimeoutException, httpcore.NetworkError)):
                raise NoAnswerError(self._why(error)) from None
            raise
        return answer

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._stream is not None:
            self._stream.close()
        self._stream = None

    # -- connecting ------------------------------------------------------------------------------------------------

    def _connected(self, url: Url) -> httpcore.NetworkStream:
        """Return the open connection if the receiver keeps it open and is silent, else a new one."""
        stream = self._stream
        if stream is not None and (self._is_stale() or stream.get_extra_info("is_readable")):
            self.close()  # bytes without a request are the end of the connection, or belong to no answer
        if self._stream is None:
            self._stream = self._open(url)
            self._http = h11.Connection(h11.CLIENT)
        return self._stream

    def _is_stale(self) -> bool:
        return time.monotonic() - self._used_at > _IDLE

    def _open(self, url: Url) -> httpcore.NetworkStream:
        limit = min(CONNECT_TIMEOUT, self._timeout)
        if self._proxy is None:
            stream = self._backend.connect_tcp(url.host, url.port, limit)
        else:
            stream = self._open_proxy(*self._proxy, url, limit)
        if self._tls is not None:
            stream = _secured(stream, self._tls, url.host, limit)
        return stream

    def _open_proxy(self, proxy: Url, tls: ssl.SSLContext | None, url: Url, limit: float) -> httpcore.NetworkStream:
        stream = self._backend.connect_tcp(proxy.host, proxy.port, limit)
        if tls is not None:
            stream = _secured(stream, tls, proxy.host, limit)
        if self._tls is not None:
            target = f"{url.bracketed_host}:{url.port}"
            tunnel = h11.Connection(h11.CLIENT)
            headers = [("host", target), *self._proxy_credentials()]
            stream.write(tunnel.send(h11.Request(method="CONNECT", target=target, headers=headers)) or b"", limit)
            head = self._read_head(stream)
            if not 200 <= head.status < 300:
                stream.close()
                raise NoAnswerError(f"the proxy refuses: {head.status_line}")
        return stream

    def _proxy_credentials(self) -> list[tuple[str, str]]:
        credentials = self._proxy[0].credentials() if self._proxy else None
        return [("proxy-authorization", basic(*credentials))] if credentials else []

    # -- one request and its answer ----------------------------------------------------------------------------------

    def _exchange(self, stream: httpcore.NetworkStream, method: str, url: Url, headers: Headers, body: bytes) -> Head:
        is_forwarded = self._proxy is not None and self._tls is None
        sent = h11.Request(
            method=method,
            target=url.absolute if is_forwarded else url.target,
            headers=[
                ("host", url.netloc),
                *(self._proxy_credentials() if is_forwarded else ()),
                *headers,
                ("content-length", str(len(body))),
            ],
        )
        http = self._http
        data = (
            (http.send(sent) or b"") + (http.send(h11.Data(data=body)) or b"") + (http.send(h11.EndOfMessage()) or b"")
        )
        with suppress(httpcore.WriteError):  # a receiver may answer and close before it has read everything
            stream.write(data, self._timeout)
        return self._read_head(stream)

    def _receive(self, stream: httpcore.NetworkStream, head: Head, longest: int) -> bytes:
        """Return the body of an answer, and close the connection unless it can be used again."""
        body, is_reusable = self._read_body(stream, head, longest)
        if is_reusable:
            self._used_at = time.monotonic()
        else:
            self.close()
        return body

    def _read_head(self, stream: httpcore.NetworkStream) -> Head:
        """Read the head of the answer. Interim answers (1xx) come before it, and are passed over."""
        return read_head(lambda: stream.read(_READ_SIZE, self._timeout))

    def _read_body(self, stream: httpcore.NetworkStream, head: Head, longest: int) -> tuple[bytes, bool]:
        """Read the body of an answer; return it, and whether the connection can be used again.

        The head is the result, so no error is one here. The body is not decompressed, so a small answer cannot become
        a large one.
        """
        http = self._http
        pieces: list[bytes] = []
        size = 0
        try:
            http.receive_data(head.valid + head.rest)
            while size <= longest:
                event = http.next_event()
                if event is h11.NEED_DATA:
                    http.receive_data(stream.read(_READ_SIZE, self._timeout))
                elif isinstance(event, h11.Data):
                    size += len(event.data)
                    pieces.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    return b"".join(pieces), self._can_go_on()
        except (h11.ProtocolError, httpcore.NetworkError, httpcore.TimeoutException):
            pass
        return b"", False

    def _can_go_on(self) -> bool:
        """Begin another cycle of request and answer, unless the receiver closes, or has said more than its answer."""
        http = self._http
        if http.our_state is not h11.DONE or http.their_state is not h11.DONE or http.trailing_data[0]:
            return False
        http.start_next_cycle()
        return True

    def _why(self, error: Exception) -> str:
        if isinstance(error, httpcore.ConnectTimeout):
            return "no connection in time"
        if isinstance(error, httpcore.TimeoutException):
            return f"no answer within {self._timeout:g} s"
        words = "".join(c if c.isprintable() else " " for c in str(error))[:300]
        kind = "cannot connect" if isinstance(error, httpcore.ConnectError) else "the connection broke"
        return f"{kind}: {words}" if words else kind


def basic(user: str, password: str) -> str:
    """Return the value of a header with a name and a password (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _secured(stream: httpcore.NetworkStream, tls: ssl.SSLContext, host: str, timeout: float) -> httpcore.NetworkStream:
    try:
        return stream.start_tls(tls, host, timeout)
    except BaseException:
        stream.close()
        raise


class Deadline:
    """The moment by which a whole request must be over, in addition to the timeouts of its steps."""

    __slots__ = ("_at",)

    def __init__(self) -> None:
        self._at = 0.0

    def start(self, seconds: float) -> None:
        """Set the deadline to this many seconds from now."""
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left, negative when it has passed."""
        return self._at - time.monotonic()

    def limit(self, timeout: float | None, error: type[Exception]) -> float:
        """Return the seconds that a step may take; raise the error if none are left."""
        left = self.left()
        if left <= 0:
            raise error("the time for the request is over")
        return left if timeout is None else min(timeout, left)


class Backend(httpcore.NetworkBackend):
    """Opens connections to the addresses that `resolve` returns, trying one after the other."""

    def __init__(self, deadline: Deadline, resolve: Resolve) -> None:
        self._deadline = deadline
        self._resolve = resolve
        self._sockets = httpcore.SyncBackend()
        self._known: tuple[float, list[str]] | None = None

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers. The time is shared, so that each address gets its turn."""
        addresses = self._addresses(host, port)
        for count, found in enumerate(addresses):
            share = self._deadline.limit(None, httpcore.ConnectTimeout) / (len(addresses) - count)
            share = share if timeout is None else min(timeout, share)
            try:
                stream = self._sockets.connect_tcp(found, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure: Exception = error
            else:
                # Next time the address that answered is tried first.
                self._known = (time.monotonic(), sorted(addresses, key=found.__ne__))
                return Stream(stream, self._deadline)
        self._known = None
        raise failure

    def _addresses(self, host: str, port: int) -> list[str]:
        if self._known is not None and time.monotonic() - self._known[0] < _REMEMBER:
            return self._known[1]
        try:
            return self._resolve(host, port, self._deadline.limit(None, httpcore.ConnectTimeout))
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"{host} cannot be resolved: {error}") from error
        except OSError as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error.strerror or error}") from error


class Stream(httpcore.NetworkStream):
    """A connection that limits each of its steps by the deadline of the request."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read the bytes that have arrived, at most `max_bytes`."""
        return self._inner.read(max_bytes, self._deadline.limit(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of the buffer."""
        if self._inner.get_extra_info("ssl_object") is None:
            self._write_at_once(buffer, timeout)
            return
        for start in range(0, len(buffer), _WRITE_SIZE):
            limit = self._deadline.limit(timeout, httpcore.WriteTimeout)
            self._inner.write(buffer[start : start + _WRITE_SIZE], limit)

    def _write_at_once(self, buffer: bytes, timeout: float | None) -> None:
        """Write the buffer to the socket itself: its time limit is for the whole buffer, httpcore's for each part."""
        plain: socket.socket = self._inner.get_extra_info("socket")
        try:
            plain.settimeout(self._deadline.limit(timeout, httpcore.WriteTimeout))
            plain.sendall(buffer)
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return the same connection, encrypted."""
        limit = self._deadline.limit(timeout, httpcore.ConnectTimeout)
        return Stream(self._inner.start_tls(ssl_context, server_hostname, limit), self._deadline)

    def get_extra_info(self, info: str) -> object:
        """Return information about the connection, as httpcore defines it."""
        return self._inner.get_extra_info(info)
