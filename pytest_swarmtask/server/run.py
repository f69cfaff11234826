"""Runs the server: its sockets, its log, its threads."""

from __future__ import annotations

import contextlib
import gc
import logging
import signal
import socket
from typing import TYPE_CHECKING

import uvicorn

from pytest_swarmtask.core.errors import SwarmtaskError, UsageError
from pytest_swarmtask.server.access import Readers, Senders
from pytest_swarmtask.server.alerts import ServerAlerts
from pytest_swarmtask.server.app import application
from pytest_swarmtask.server.intake import Intake
from pytest_swarmtask.server.logs import set_up_log
from pytest_swarmtask.server.metrics import ServerMetrics
from pytest_swarmtask.server.upkeep import Upkeep
from pytest_swarmtask.server.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_swarmtask.history.store import HistoryStore
    from pytest_swarmtask.plugins.hookspecs import SinkRequest

log = logging.getLogger("swarmtask")

_MOST_REQUESTS = 500
"""Requests at the same time. Others are answered with 503, and come again: each may hold a body of 5 MB."""
_COLLECT_AFTER = 100_000
"""New objects after which the garbage collector looks for cycles; Python's own number is 700 or 2,000. A request makes
thousands of objects without a cycle, and looking for one that often takes a tenth of the server's time."""
_GRACE = 10
"""Seconds that running requests have to end when the server is stopped."""


class Served:
    """A server.

    Args:
        store: the histories. It is closed with the server.
        senders: who may write.
        tokens: the tokens of readers; none if everybody may read.
        request: stands for the server where alerts are evaluated: its configuration, variables and plug-ins.
    """

    def __init__(self, store: HistoryStore, senders: Senders, tokens: Sequence[str], request: SinkRequest) -> None:
        self._store = store
        self._metrics = ServerMetrics()
        self._alerts = ServerAlerts(store, request, self._metrics.count_message, _tell_of("alerts"))
        limits = request.workflow.monitoring.retention
        self._upkeep = Upkeep(store, limits, self._alerts, self._metrics.refresh_seconds.inc, _tell_of("upkeep"))
        self._intake = Intake(Writer(store), senders)
        self._readers = Readers(list(tokens))
        self._server: uvicorn.Server
        self._socket: socket.socket

    @contextlib.contextmanager
    def listening(self, host: str, port: int, prefix: str, *, as_json: bool) -> Iterator[str]:
        """Listen on an address during the block, and yield its URL.

        Raises:
            UsageError: the address cannot be listened on.
        """
        set_up_log(as_json=as_json)
        app = application(self._store, self._intake, self._readers, self._metrics, prefix)
        config = uvicorn.Config(
            app,
            http="httptools",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=_MOST_REQUESTS,
            timeout_graceful_shutdown=_GRACE,
            lifespan="off",
            ws="none",
        )
        self._server = uvicorn.Server(config)
        # A signal may come before uvicorn handles it. After it has ended in order, uvicorn raises the signal again.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: setattr(self._server, "should_exit", True))
        self._socket = _bound(host, port)
        shown, number = self._socket.getsockname()[:2]
        self._alerts.start()
        self._upkeep.start()
        gc.freeze()  # what is loaded now stays: the collector need not look at it again and again
        gc.set_threshold(_COLLECT_AFTER)
        try:
            yield f"http://[{shown}]:{number}{prefix}" if ":" in shown else f"http://{shown}:{number}{prefix}"
        finally:
            self._socket.close()
            self._upkeep.stop()
            self._alerts.stop()
            self._store.close()

    def wait(self) -> None:
        """Answer requests until Ctrl-C or SIGTERM."""
        self._server.run(sockets=[self._socket])


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # so that who reads the address can connect at once
    except (OSError, OverflowError) as error:
        listener.close()
        raise UsageError(f"cannot listen on {host}:{port}: {error}") from None
    listener.set_inheritable(True)
    return listener


def _tell_of(work: str) -> Callable[[Exception], None]:
    def tell(error: Exception) -> None:
        unexpected = None if isinstance(error, SwarmtaskError) else error
        log.error(work, exc_info=unexpected, extra={"facts": {"why": str(error)}})

    return tell
