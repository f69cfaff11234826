"""The HTML report: into a file, or served on this machine for as long as somebody looks."""

from __future__ import annotations

import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_swarmtask.cli.common import write_file
from pytest_swarmtask.cli.local_server import IDLE_TIMEOUT, LocalServer, listening
from pytest_swarmtask.core.errors import SwarmtaskError
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.report.html import html, policy
from pytest_swarmtask.report.page import collect_page, deliveries

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.report.content import ReportRequest
    from pytest_swarmtask.report.page import Page

    Ask = Callable[[Callable[[sqlite3.Connection], Page | None]], Page | None]

_WHILE_IT_RUNS = 5.0
"""Seconds after which a run that has not ended is looked at again, though nothing was written: it may have died."""


class Reporter:
    """Makes the page on what is asked for.

    Args:
        project: the project whose journal this is.
        ask: puts a question to its history.
        wanted: what is asked for.
    """

    def __init__(self, project: Project, ask: Ask, wanted: ReportRequest) -> None:
        self.project = project
        self._ask = ask
        self._wanted = wanted

    def page(self, *, live: bool) -> tuple[Page | None, str]:
        """Return what is to be shown now, and the page that shows it.

        Raises:
            HistoryError: the history cannot be read now.
            UsageError: there is no run that is asked for.
        """
        page = self._ask(lambda db: collect_page(db, self._wanted))
        root = self.project.root
        delivered = deliveries(self.project, os.environ)
        return page, html(page, os.path.basename(root) or "project", root, delivered, live=live)


def write(reporter: Reporter, target: str) -> int:
    """Write the page to a file, or to standard output where that is ``-``; always 0.

    Raises:
        UsageError: the file cannot be written; or as `Reporter.page`.
    """
    page, text = reporter.page(live=False)
    if target == "-":
        sys.stdout.buffer.write(text.encode())
        return 0
    write_file(Path(target), text.encode())
    about = f"run {page.report.run.run[:12]}" if page else "there is no run to show"
    print(neutral(f"{target}: {about}"))
    return 0


def serve(reporter: Reporter, port: int) -> int:
    """Serve the page to this machine alone until interrupted; always 0.

    Raises:
        UsageError: the port is taken.
    """
    stop = threading.Event()
    with listening(lambda address: PageServer(address, reporter), ("127.0.0.1", port), stop) as server:
        print(f"{server.url} shows the report until Ctrl-C", flush=True)
        stop.wait()
    return 0


class PageServer(LocalServer):
    """Keeps the last page, and makes a new one only where something has happened since."""

    def __init__(self, address: tuple[str, int], reporter: Reporter) -> None:
        super().__init__(address, PageHandler, "swarmtask report")
        self._reporter = reporter
        self._lock = threading.Lock()
        self._made: tuple[str, bytes] = ("", b"")
        self._running = False

    @property
    def version(self) -> str:
        """What changes when the page would: how much there is in the journal, and while a run goes on the time."""
        project = self._reporter.project
        seen = (*_states(project.journal, ".jsonl"), *_states(project.relay_folder, ".json"))
        return f"{hash((seen, time.monotonic() // _WHILE_IT_RUNS if self._running else 0)):x}"

    def page(self) -> bytes:
        """Return the page as of now."""
        with self._lock:
            version = self.version
            if version != self._made[0]:
                page, text = self._reporter.page(live=True)
                self._running = page is not None and page.report.run.outcome == "unfinished"
                self._made = (version, text.encode())
            return self._made[1]


def _states(folder: str, ending: str) -> list[tuple[str, int, int]]:
    """Return name, size and time of the files in a folder; not of databases, which reading them may change."""
    try:
        with os.scandir(folder) as found:
            files = [(entry.name, entry.stat()) for entry in found if entry.name.endswith(ending)]
    except OSError:  # there is none yet, or a file went while we looked
        return []
    return sorted((name, state.st_size, state.st_mtime_ns) for name, state in files)


class PageHandler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "swarmtask-report"
    sys_version = ""
    timeout = IDLE_TIMEOUT
    wbufsize = -1
    server: PageServer

    def do_GET(self) -> None:
        """Answer with the page or its version, to who asks for this machine by its name."""
        path = self.path.partition("?")[0]
        if not self._is_for_us():
            self._answer(421, b"this is for the machine that it runs on\n", "text/plain")
        elif path == "/version":
            self._answer(200, self.server.version.encode(), "text/plain")
        elif path == "/":
            self._page()
        else:
            self._answer(404, b"there is only /\n", "text/plain")

    def _is_for_us(self) -> bool:
        """Tell whether the request names us: a page elsewhere whose name was made to lead here names itself."""
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
        """Print nothing: whoever looks sees it."""
