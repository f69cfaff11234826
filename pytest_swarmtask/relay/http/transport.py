"""The connection of an endpoint: only to a checked address, and with a deadline for the whole request.

It is an httpx transport, used without an `httpx.Client`: the client's cookies, redirects and authentication are not for
webhooks, and it would cost time in each request.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpcore
import httpx

from pytest_swarmtask.relay.http import address

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator

    Resolve = Callable[[str, int, float], list[str]]

CONNECT_TIMEOUT = 5.0
"""Seconds for connecting, at most; less if the endpoint's timeout is shorter."""

_WRITE_SIZE = 16 * 1024
"""Bytes after which the deadline is checked while a body is written, for receivers that read slowly."""

_REMEMBER = 60.0
"""Seconds for which the addresses of a host are used again without asking the resolver."""

# From specific to general classes: the first match counts.
_ERRORS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (httpcore.ConnectTimeout, httpx.ConnectTimeout),
    (httpcore.WriteTimeout, httpx.WriteTimeout),
    (httpcore.TimeoutException, httpx.ReadTimeout),
    (httpcore.ConnectError, httpx.ConnectError),
    (httpcore.WriteError, httpx.WriteError),
    (httpcore.NetworkError, httpx.ReadError),
    (httpcore.ProxyError, httpx.ProxyError),
    (httpcore.LocalProtocolError, httpx.LocalProtocolError),
    (httpcore.ProtocolError, httpx.RemoteProtocolError),
)


class Transport(httpx.BaseTransport):
    """One kept-alive HTTP/1.1 connection to one endpoint, directly or through a proxy.

    Args:
        timeout: seconds that a whole request may take, from resolving the name to the end of the answer.
        resolve: returns the addresses of a host that may be connected to; gets host, port and the seconds that it may
            take. Not used with a proxy.
        tls: how certificates are verified; None for an endpoint without TLS.
        proxy: URL of an HTTP proxy, which then resolves the name and connects.
    """

    def __init__(self, timeout: float, resolve: Resolve, tls: ssl.SSLContext | None, proxy: str | None = None) -> None:
        self._timeout = timeout
        self._deadline = Deadline()
        limit = {"connect": min(CONNECT_TIMEOUT, timeout), "read": timeout, "write": timeout, "pool": timeout}
        self._extensions = {"timeout": limit}
        if proxy is None:
            backend = Backend(self._deadline, resolve)
            self._pool = httpcore.ConnectionPool(tls, max_connections=1, keepalive_expiry=5, network_backend=backend)
        else:
            self._pool = _proxy_pool(httpx.Proxy(proxy), tls, Backend(self._deadline, address.resolve_proxy))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its answer, whose body is not read yet.

        Raises:
            EndpointError: the address may not be connected to.
            httpx.TransportError: there is no answer.
        """
        self._deadline.start(self._timeout)
        url = request.url
        sent = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.content,
            extensions=self._extensions,
        )
        with _as_httpx():
            received = self._pool.handle_request(sent)
        return httpx.Response(received.status, headers=received.headers, stream=_Body(received))

    def hurry(self, seconds: float) -> None:
        """Limit the rest of the present request to this many seconds."""
        self._deadline.start(min(seconds, self._deadline.left()))

    def close(self) -> None:
        """Close the connection."""
        self._pool.close()


def _proxy_pool(proxy: httpx.Proxy, tls: ssl.SSLContext | None, backend: Backend) -> httpcore.HTTPProxy:
    return httpcore.HTTPProxy(
        httpcore.URL(
            scheme=proxy.url.raw_scheme, host=proxy.url.raw_host, port=proxy.url.port, target=proxy.url.raw_path
        ),
        proxy_auth=proxy.raw_auth,
        ssl_context=tls,
        max_connections=1,
        keepalive_expiry=5,
        network_backend=backend,
    )


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._response.iter_stream()

    def close(self) -> None:
        with _as_httpx():
            self._response.close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        for theirs, ours in _ERRORS:
            if isinstance(error, theirs):
                raise ours(str(error)) from error
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
        for start in range(0, len(buffer), _WRITE_SIZE):
            limit = self._deadline.limit(timeout, httpcore.WriteTimeout)
            self._inner.write(buffer[start : start + _WRITE_SIZE], limit)

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
