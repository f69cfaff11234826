"""A reverse proxy that shows a server below a path, as nginx or Caddy does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.served import Served


@contextmanager
def proxied(inner: Served, prefix: str, *, cut: bool) -> Iterator[Served]:
    """Run a proxy during the block, and yield the server as it is seen through it.

    Args:
        inner: the server.
        prefix: the path below which it is shown. Other paths are not passed on.
        cut: whether the proxy takes the prefix away.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(prefix):
                self.send_error(502)
                return
            connection = HTTPConnection(inner.host, timeout=60)
            path = self.path.removeprefix(prefix) if cut else self.path
            connection.request("GET", path or "/", headers={**dict(self.headers), "X-Forwarded-Proto": "https"})
            answer = connection.getresponse()
            body = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"date", "server", "content-length", "connection"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            connection.close()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Served(f"http://127.0.0.1:{server.server_port}{prefix}")
        server.shutdown()
