"""A task manager behind a REST interface: each new status is one request, made of the configuration's templates."""

from __future__ import annotations

import json
import os
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx

from pytest_swarmtask.config.variables import expand
from pytest_swarmtask.config.workflow import Webhook
from pytest_swarmtask.core.errors import ConfigError, EndpointError, TaskManagerError
from pytest_swarmtask.plugins.sink import Delivered, Rejected, Retry
from pytest_swarmtask.relay.delivery.templates import fill, fill_all
from pytest_swarmtask.relay.http import answers
from pytest_swarmtask.relay.http.endpoint import finish, request_headers, transport, usable_url
from pytest_swarmtask.relay.tasks.manager import Outcome, StatusChange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.config.workflow import Rest
    from pytest_swarmtask.relay.http.transport import Transport
    from pytest_swarmtask.relay.tasks.manager import Wish

_NO_SUCH_TASK = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_NOT_LET_IN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class RestService:
    """Tells a service of each new status. It is not asked for anything, so what it knows stays unknown.

    Args:
        definition: what `workflow.yaml` says of it.
        environ: where `${NAME}` is looked up, with the first request.
    """

    def __init__(self, definition: Rest, environ: Mapping[str, str]) -> None:
        self._definition = definition
        self._environ = environ
        self._told: dict[str, str] = {}
        self._service: _Service | None = None

    def read(self) -> None:
        """Return None: the service can only be told."""

    def set_status(self, wishes: Mapping[str, Wish], *, dry_run: bool = False) -> Outcome:
        """Tell the service of each status, the oldest first, unless it was told of a later one."""
        outcome = Outcome([], [], [])
        for task_id, wish in sorted(wishes.items(), key=lambda item: item[1].timestamp):
            if wish.timestamp < self._told.get(task_id, ""):
                outcome.kept.append(StatusChange(task_id, "", wish.status))
            elif dry_run or self._tell(task_id, wish):
                outcome.changes.append(StatusChange(task_id, "", wish.status))
            else:
                outcome.unknown.append(task_id)
        return outcome

    def restore(self, wishes: Mapping[str, Wish]) -> None:
        """Return None: who else changes a task there has their reasons."""

    def close(self) -> None:
        """Close the connection."""
        if self._service is not None:
            self._service.close()
        self._service = None

    def _tell(self, task_id: str, wish: Wish) -> bool:
        """Send one request; tell whether the service knows the task."""
        if self._service is None:
            try:
                self._service = _Service(self._definition, self._environ)
            except (ConfigError, EndpointError) as error:
                raise TaskManagerError(f"task_manager.rest: {error}") from None
        known = self._service.tell(task_id, wish)
        if known:
            self._told[task_id] = wish.timestamp
        return known


def _as_webhook(definition: Rest) -> Webhook:
    """Return the webhook that may be connected to under the same rules."""
    return Webhook(
        name="rest",
        url=definition.url,
        timeout=definition.timeout,
        allow_http=definition.allow_http,
        allow_private=definition.allow_private,
    )


class _Service:
    """The service with its variables looked up and its connection at hand.

    Raises:
        ConfigError: a variable is unset, or what it holds cannot be used.
        EndpointError: the service may not be connected to.
    """

    def __init__(self, definition: Rest, environ: Mapping[str, str]) -> None:
        self._definition = definition
        self._template = expand(definition.url, environ)
        if "{{" in self._template.partition("//")[2].partition("/")[0]:
            raise ConfigError("url has {{…}} in its host, where a task must not decide")
        url = usable_url(fill(self._template, {}))
        self._where = f"{url.scheme}://{url.netloc.decode('ascii')}"
        self._headers = [
            *request_headers(definition.headers, environ, url.userinfo),
            ("content-type", "application/json"),
        ]
        self._transport: Transport = transport(_as_webhook(definition), url, environ, os.curdir)

    def tell(self, task_id: str, wish: Wish) -> bool:
        status = self._definition.statuses.get(wish.status, wish.status)
        values = {**wish.variables, "task_id": task_id, "status": status}
        url = usable_url(fill(self._template, values, lambda text: quote(text, safe="")))
        body = json.dumps(fill_all(self._definition.body, values), ensure_ascii=False).encode("utf-8", "replace")
        request = httpx.Request(self._definition.method, url, headers=self._headers, content=body)
        try:
            response = self._transport.handle_request(request)
        except EndpointError as error:
            raise TaskManagerError(f"task_manager.rest: {error}") from None
        except httpx.TransportError as error:
            raise TaskManagerError(
                answers.failure(error, self._where, self._definition.timeout).reason, passing=True
            ) from None
        finish(self._transport, response)
        return self._knows(response)

    def _knows(self, response: httpx.Response) -> bool:
        """Tell whether the task was known, from the answer."""
        status = response.status_code
        if status in _NO_SUCH_TASK:
            return False
        if status in _NOT_LET_IN:
            raise TaskManagerError(f"{self._where} answered {status}: it wants other headers in task_manager.rest")
        verdict = answers.result_of(response, 1, self._where)
        if isinstance(verdict, Delivered):
            return True
        after = verdict.after if isinstance(verdict, Retry) else None
        raise TaskManagerError(
            verdict.reason,
            passing=isinstance(verdict, Retry),
            refused=isinstance(verdict, Rejected),
            after=after,
        )

    def close(self) -> None:
        self._transport.close()
