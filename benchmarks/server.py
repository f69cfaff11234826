"""A receiver on loopback with next to no work: ``python -m benchmarks.server MODE [FILE]`` prints its port.

Modes: ``ok`` answers at once, ``slow`` after 50 ms, ``error`` with 500, ``hung`` never. With a file, each request's
body is kept there, after its length and content type. The answers contain the fields that the peers expect.
"""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from typing import BinaryIO

_DDTRACE = {
    "code_coverage": False,
    "tests_skipping": False,
    "require_git": False,
    "itr_enabled": False,
    "flaky_test_retries_enabled": False,
    "known_tests_enabled": False,
    "early_flake_detection": {"enabled": False},
    "test_management": {"enabled": False},
}
_SETTINGS = {"data": {"id": "1", "type": "ci_app_tracers_test_service_settings", "attributes": _DDTRACE}}
_INFO = {"version": "7.60.0", "endpoints": ["/v0.4/traces", "/v0.5/traces", "/evp_proxy/v2/", "/evp_proxy/v4/"]}


class Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, mode: str, kept: BinaryIO | None) -> None:
        self._mode = mode
        self._kept = kept
        self._data = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for answers."""
        if isinstance(transport, asyncio.WriteTransport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each complete request."""
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            size = self._size(head, end + 4)
            if size is None or len(self._data) < size:
                return
            body, self._data = self._data[end + 4 : size], self._data[size:]
            self._answer(head, body)

    def _size(self, head: bytes, start: int) -> int | None:
        if b"transfer-encoding: chunked" in head:
            end = self._data.find(b"0\r\n\r\n", start)
            return None if end < 0 else end + 5
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0].strip()
        return start + int(length or 0)

    def _answer(self, head: bytes, body: bytes) -> None:
        if self._kept is not None:
            kind = head.partition(b"content-type:")[2].partition(b"\r\n")[0].strip()
            self._kept.write(b"%d %b\n%b" % (len(body), kind, body))
            self._kept.flush()
        if self._mode == "hung" or self._transport is None:
            return
        path = head.split(b" ", 2)[1].decode("latin-1")
        content = b"" if path.endswith("/v1/traces") else json.dumps(_content(path)).encode()
        kind = b"application/json" if content else b"application/x-protobuf"
        status = b"500 Internal Server Error" if self._mode == "error" else b"200 OK"
        answer = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (status, kind, len(content))
        delay = 0.05 if self._mode == "slow" else 0.0
        if delay:
            asyncio.get_running_loop().call_later(delay, self._transport.write, answer + content)
        else:
            self._transport.write(answer + content)


def _content(path: str) -> object:
    if path == "/info":
        return _INFO
    if path.endswith("/setting"):
        return _SETTINGS
    if "/api/v" in path:  # ReportPortal's
        return {"id": str(uuid.uuid4()), "message": "ok", "number": 1}
    return {}


async def _serve(mode: str, file: str | None) -> None:
    kept = open(file, "wb") if file else None  # noqa: SIM115, ASYNC230 - open as long as the process lives
    server = await asyncio.get_running_loop().create_server(lambda: Connection(mode, kept), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
