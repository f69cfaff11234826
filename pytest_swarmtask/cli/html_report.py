"""The HTML report of `swarmtask report --serve`: served on this machine until Ctrl-C."""

from __future__ import annotations

import os
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

from pytest_swarmtask.cli.local_server import IDLE_TIMEOUT, LocalServer, listening, wait_for
from pytest_swarmtask.core.errors import SwarmtaskError
from pytest_swarmtask.report.frame import policy
from pytest_swarmtask.report.html import html
from pytest_swarmtask.report.page import collect_page, summarize_deliveries

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.report.content import ReportRequest
    from pytest_swarmtask.report.page import Page

    AskForPage = Callable[[Callable[[Database], Page | None]], Page | None]

_RECHECK = 5.0
"""Seconds after which the page of an unfinished run is made again, even if nothing was written: its process may have
crashed, which leaves no trace in a file."""


class Reporter:
    """Makes the page on the requested run.

    Args:
        project: the project.
        ask: asks the history of the project a question.
        request: which run to report on.
    """

    def __init__(self, project: Project, ask: AskForPage, request: ReportRequest) -> None:
        self.project = project
        self._ask = ask
        self._request = request

    def page(self) -> tuple[Page | None, str]:
        """Return the content of the page as of now, and the page as HTML.

        Raises:
            HistoryError: the history cannot be read now.
            UsageError: the requested run does not exist.
        """
        root = self.project.root
        page = self._ask(lambda db: collect_page(db, self._request, root))
        delivered = summarize_deliveries(self.project, os.environ)
        return page, html(page, os.path.basename(root) or "project", root, delivered, live=True)


def serve(reporter: Reporter, port: int) -> int:
    """Serve the page to this machine only, until Ctrl-C. Always return 0.

    Raises:
        UsageError: the port is in use.
    """
    stop = threading.Event()
    with listening(lambda address: PageServer(address, reporter), ("127.0.0.1", port), stop) as server:
        print(f"{server.url} shows the report until Ctrl-C", flush=True)
        wait_for(stop)
    return 0


class PageServer(LocalServer):
    """Serves the page, and makes it again only if something has changed."""

    def __init__(self, address: tuple[str, int], reporter: Reporter) -> None:
        super().__init__(address, PageHandler, "swarmtask report")
        self._reporter = reporter
        self._lock = threading.Lock()
        self._made: tuple[str, bytes] = ("", b"")
        self._unfinished = False

    @property
    def version(self) -> str:
        """A text that changes when the page may have changed: when files have, and every few seconds during a run."""
        project = self._reporter.project
        files = (*_states(project.journal, ".jsonl"), *_states(project.relay_folder, ".json"))
        return f"{hash((files, time.monotonic() // _RECHECK if self._unfinished else 0)):x}"

    def page(self) -> bytes:
        """Return the page as of now."""
        with self._lock:  # several tabs ask at once, and one of them makes the page for all
            version = self.version
            if version != self._made[0]:
                page, text = self._reporter.page()
                self._unfinished = page is not None and page.report.run.outcome == "unfinished"
                self._made = (version, text.encode())
            return self._made[1]


def _states(folder: str, ending: str) -> list[tuple[str, int, int]]:
    """Return names, sizes and times of the files in a folder. Databases are not among them: reading changes them."""
    try:
        with os.scandir(folder) as found:
            files = [(entry.name, entry.stat()) for entry in found if entry.name.endswith(ending)]
    except OSError:  # the folder does not exist yet, or a file was removed meanwhile
        return []
    return sorted((name, state.st_size, state.st_mtime_ns) for name, state in files)


class PageHandler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    server_version = "swarmtask-report"
    sys_version = ""
    timeout = IDLE_TIMEOUT
    wbufsize = -1
    server: PageServer

    def do_GET(self) -> None:
        """Answer with the page or with its version, if the request names this machine."""
        path = self.path.partition("?")[0]
        if not self._is_for_us():
            self._answer(421, b"only requests from this machine are answered\n", "text/plain")
        elif path == "/version":
            self._answer(200, self.server.version.encode(), "text/plain")
        elif path == "/":
            self._page()
        else:
            self._answer(404, b"the only page is /\n", "text/plain")

    def _is_for_us(self) -> bool:
        """Whether the request names this machine.

        With DNS rebinding, a hostile page makes its own name lead to this machine. The browser then sends that name.
        """
        port = self.server.server_port
        return self.headers.get("host", "").lower() in (f"127.0.0.1:{port}", f"localhost:{port}")

    def _page(self) -> None:
        try:
            body = self.server.page()
        except SwarmtaskError as error:
            self._answer(503, f"swarmtask: {error}\n".encode(), "text/plain")
        else:
            self._answer(200, body, "text/html")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", f"{policy(live=True)}; frame-ancestors 'none'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Print nothing: the browser shows the answer."""
