"""What the commands that listen on this machine have in common: `listen` and `report --serve`."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import threading
from _thread import start_new_thread
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, TypeVar

from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.text import neutral

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IDLE_TIMEOUT = 60.0
"""Seconds that a connection may be silent."""


class LocalServer(ThreadingHTTPServer):
    """An HTTP server with one thread for each connection; `name` is that of the command, for what it has to say."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], name: str) -> None:
        self._name = name
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind without the base class's look-up of the host's full name, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    @property
    def url(self) -> str:
        """Where it is reached."""
        host, number = self.server_address[:2]
        return f"http://[{host!s}]:{number}/" if ":" in str(host) else f"http://{host!s}:{number}/"

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the base class's
        """Say nothing of connections that break: clients come and go."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            print(f"{self._name}: {type(error).__name__}: {neutral(str(error))}", file=sys.stderr)


AnyServer = TypeVar("AnyServer", bound=LocalServer)


@contextlib.contextmanager
def listening(
    make: Callable[[tuple[str, int]], AnyServer], address: tuple[str, int], stop: threading.Event
) -> Iterator[AnyServer]:
    """Have a server answer in the background meanwhile; Ctrl-C and SIGTERM set `stop`.

    Raises:
        UsageError: the address cannot be listened on.
    """
    try:
        server = make(address)
    except (OSError, OverflowError) as error:
        raise UsageError(f"cannot listen on {address[0]}:{address[1]}: {error}") from None
    with _signals(stop):
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
    server.shutdown()
    server.server_close()


@contextlib.contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM set `stop`; signals can only be caught in the main thread.

    It is set by another thread: this one may hold its lock at the moment, being about to wait for it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        former[number] = signal.signal(number, lambda *_: start_new_thread(stop.set, ()))
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
