"""The server's HTTP side: an ASGI application."""

from __future__ import annotations

import json
import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.service_errors import BodyError, SizeError, StoreAwayError, UnknownProjectError, WebhookError
from pytest_swarmtask.receiver import MAX_BODY
from pytest_swarmtask.server import api
from pytest_swarmtask.server import metrics as exposition
from pytest_swarmtask.server.limits import Refusals
from pytest_swarmtask.server.pages import Pages, error_page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from pytest_swarmtask.history.store import HistoryStore
    from pytest_swarmtask.server.access import Readers
    from pytest_swarmtask.server.intake import Intake
    from pytest_swarmtask.server.metrics import ServerMetrics

log = logging.getLogger("swarmtask")

_BODY_TIMEOUT = 30.0
"""Seconds in which a body has to arrive. A sender gives up after 10."""
_RETRY = {"Retry-After": "5"}
_SECURE = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_NOTHING = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""The Content-Security-Policy of every answer that has none of its own."""


def application(
    store: HistoryStore, intake: Intake, readers: Readers, metrics: ServerMetrics, prefix: str = ""
) -> ASGIApp:
    """Return the application.

    Args:
        store: the histories.
        intake: takes events.
        readers: who may read.
        metrics: counts requests.
        prefix: the path below which a reverse proxy shows the server, such as ``/ci``; empty for none.
    """
    server = _Server(store, intake, readers, metrics)
    routes = [
        Route("/hook", server.hook, methods=["POST"]),
        Route("/healthz", server.healthz),
        Route("/readyz", server.readyz),
        Route("/metrics", server.guarded(server.metrics)),
        *(Route(path, server.guarded(server.asked(answer))) for path, answer in api.routes(store)),
        *(Route(path, server.guarded(server.asked(answer))) for path, answer in Pages(store).routes()),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _refused})
    app.router.redirect_slashes = False  # it would redirect to whatever host a request names
    return _Outer(app, metrics, prefix)


class _Server:
    def __init__(self, store: HistoryStore, intake: Intake, readers: Readers, metrics: ServerMetrics) -> None:
        self._store = store
        self._intake = intake
        self._readers = readers
        self._metrics = metrics
        self._refusals = Refusals()

    async def hook(self, request: Request) -> Response:
        """Take a webhook."""
        client = request.client.host if request.client else ""
        wait = self._refusals.wait(client)
        if wait:
            return PlainTextResponse("too many refused requests\n", 429, {"Retry-After": str(wait)})
        try:
            body = await _body(request)
            taken = await run_in_threadpool(self._intake.take, request.headers, body)
        except WebhookError as error:
            self._refusals.add(client)
            log.warning("refused", extra={"facts": {"status": error.status, "client": client, "why": str(error)}})
            return PlainTextResponse(f"{error}\n", error.status)
        except StoreAwayError as error:
            log.warning("store", extra={"facts": {"why": str(error)}})
            return PlainTextResponse("the database is away: try again\n", 503, _RETRY)
        self._metrics.events.inc(sum(taken.values()))
        return Response(status_code=204)

    async def healthz(self, _: Request) -> Response:
        """Answer that the process is alive."""
        return PlainTextResponse("ok\n")

    async def readyz(self, _: Request) -> Response:
        """Answer whether the database can be used now."""
        try:
            await run_in_threadpool(self._store.projects)
        except StoreAwayError as error:
            return PlainTextResponse(f"{error}\n", 503, _RETRY)
        return PlainTextResponse("ok\n")

    async def metrics(self, _: Request) -> Response:
        """Return the metrics of this process."""
        return Response(self._metrics.text(), media_type=exposition.CONTENT_TYPE)

    def guarded(self, endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint that only readers may use."""

        async def answer(request: Request) -> Response:
            if self._readers.may_read(request.headers.get("authorization", "")):
                return await endpoint(request)
            how = {"WWW-Authenticate": 'Basic realm="swarmtask: any name, and the read token", charset="UTF-8"'}
            return _problem(request, 401, "a read token is needed", how)

        return answer

    def asked(self, answer: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint that asks the store in a thread, and tells what cannot be answered."""

        async def endpoint(request: Request) -> Response:
            try:
                return await run_in_threadpool(answer, request)
            except UnknownProjectError as error:
                return _problem(request, 404, str(error))
            except (UsageError, BodyError) as error:
                return _problem(request, 400, str(error))
            except StoreAwayError as error:
                return _problem(request, 503, str(error), _RETRY)

        return endpoint


def _problem(request: Request, status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error: as a page if a browser asks for a page, else as RFC 9457 has it."""
    path = request.scope["path"].removeprefix(request.scope["root_path"])
    if "text/html" in request.headers.get("accept", "") and not path.startswith(api.BASE):
        return error_page(request, status, detail, headers)
    content = json.dumps({"title": HTTPStatus(status).phrase, "status": status, "detail": detail})
    return Response(content, status, headers, media_type="application/problem+json")


async def _refused(request: Request, error: Exception) -> Response:
    """Answer a request that no endpoint takes, such as a request to an unknown path."""
    known = error if isinstance(error, HTTPException) else HTTPException(500)
    is_bare = known.detail == HTTPStatus.NOT_FOUND.phrase
    return _problem(
        request, known.status_code, "there is nothing at this path" if is_bare else known.detail, known.headers
    )


async def _body(request: Request) -> bytes:
    """Return the body of a request.

    Raises:
        SizeError: it is too long.
        BodyError: it did not arrive whole, or in time.
    """
    parts: list[bytes] = []
    size = 0
    try:
        with anyio.fail_after(_BODY_TIMEOUT):
            async for part in request.stream():
                size += len(part)
                if size > MAX_BODY:
                    raise SizeError(f"the body has more than {MAX_BODY} bytes")
                parts.append(part)
    except TimeoutError:
        raise BodyError(f"the body did not arrive in {_BODY_TIMEOUT:.0f} s") from None
    except ClientDisconnect:
        raise BodyError("the body did not arrive whole") from None
    return b"".join(parts)


class _Outer:
    """Counts requests, logs them, and adds secure headers to every answer, also to an error."""

    def __init__(self, inner: ASGIApp, metrics: ServerMetrics, prefix: str) -> None:
        self._inner = inner
        self._metrics = metrics
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        scope["root_path"] = self._prefix
        if self._prefix and scope["path"] == self._prefix:
            scope["path"] += "/"
        elif self._prefix and not scope["path"].startswith(f"{self._prefix}/"):
            scope["path"] = self._prefix + scope["path"]  # the proxy has cut it off
        kind = _kind(scope["path"].removeprefix(self._prefix))
        began = time.perf_counter()
        status = 500

        async def secured(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), *_SECURE, *((api.VERSION,) if kind == "api" else ())]
                if not any(name.lower() == b"content-security-policy" for name, _ in headers):
                    headers.append((b"content-security-policy", _NOTHING))
                message = {**message, "headers": headers}
            await send(message)

        with self._metrics.running.track_inprogress():
            try:
                await self._inner(scope, receive, secured)
            finally:
                took = time.perf_counter() - began
                self._metrics.requests.labels(kind, str(status)).inc()
                self._metrics.seconds.labels(kind).observe(took)
                facts = {"method": scope["method"], "path": scope["path"], "status": status, "seconds": round(took, 6)}
                log.log(logging.DEBUG if kind == "hook" else logging.INFO, "request", extra={"facts": facts})


def _kind(path: str) -> str:
    """Return the endpoint of a request for the metrics: one of a few values, no matter which paths people try."""
    first = path.strip("/").partition("/")[0]
    return first if first in ("hook", "api", "healthz", "readyz", "metrics", "p") else "page"
