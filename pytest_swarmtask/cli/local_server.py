"""The HTTP server of the commands that serve on this machine: `listen` and `report --serve`."""

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
"""Seconds before a silent connection is closed. Each connection has a thread, and a client may simply vanish."""

_POLL = 0.25
"""Seconds after which the main thread looks for a signal that did not wake it. Nobody notices so short a delay."""


class LocalServer(ThreadingHTTPServer):
    """An HTTP server with one thread for each connection.

    Args:
        address: host and port.
        handler: the class that answers requests.
        name: the name of the command, for messages.
    """

    # The command ends at once, even if clients keep their connections open.
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128  # many processes may connect at once; the base class has 5

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], name: str) -> None:
        self._name = name
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind without looking up the full name of the host, as the base class does, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    @property
    def url(self) -> str:
        """The URL of the server."""
        host, number = self.server_address[:2]
        return f"http://[{host!s}]:{number}/" if ":" in str(host) else f"http://{host!s}:{number}/"

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the base class's
        """Print unexpected errors only: connections break often, and that is the client's affair."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            print(f"{self._name}: {type(error).__name__}: {neutral(str(error))}", file=sys.stderr)


AnyServer = TypeVar("AnyServer", bound=LocalServer)


@contextlib.contextmanager
def listening(
    make: Callable[[tuple[str, int]], AnyServer], address: tuple[str, int], stop: threading.Event
) -> Iterator[AnyServer]:
    """Run a server in the background during the block. Ctrl-C and SIGTERM set `stop`.

    Raises:
        UsageError: the server cannot listen on the address.
    """
    try:
        server = make(address)
    except (OSError, OverflowError) as error:
        raise UsageError(f"cannot listen on {address[0]}:{address[1]}: {error}") from None
    with _signals(stop):
        # The number is how often, in seconds, the server looks whether it has to stop.
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
    server.shutdown()
    server.server_close()


def wait_for(stop: threading.Event) -> None:
    """Wait until `stop` is set, by a signal or by another thread.

    Python runs the handler of a signal in the main thread, once that thread goes on. A signal that comes just before
    the wait begins does not interrupt it, nor does one that the system gives to another thread. So the wait is cut into
    short ones.
    """
    while not stop.wait(_POLL):
        pass


@contextlib.contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM set `stop`.

    Another thread sets it. If the signal interrupts this thread while it has the lock of `stop`, because it is about to
    wait for it, setting it here would wait for that lock forever.
    """
    # Python allows signal handlers only in the main thread.
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
