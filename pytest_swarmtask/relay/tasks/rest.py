"""A task manager with a REST interface. Each new status is one request, built from templates of the configuration."""

from __future__ import annotations

import json
import os
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from pytest_swarmtask.config.variables import expand, expand_all
from pytest_swarmtask.config.workflow import Webhook
from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.service_errors import EndpointError, TaskManagerError
from pytest_swarmtask.plugins.sink import Delivered, Rejected, Retry
from pytest_swarmtask.relay.delivery.templates import fill, fill_all
from pytest_swarmtask.relay.http import answers
from pytest_swarmtask.relay.http.endpoint import request_headers, transport
from pytest_swarmtask.relay.http.head import NoAnswerError
from pytest_swarmtask.relay.http.url import parse_url
from pytest_swarmtask.relay.tasks.manager import Outcome, StatusChange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.config.workflow import Rest
    from pytest_swarmtask.relay.http.transport import Answer, Transport
    from pytest_swarmtask.relay.tasks.manager import DesiredStatus

_NO_SUCH_TASK = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_NOT_AUTHORIZED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class RestService:
    """Sends each new status to a service. It never reads from the service.

    Args:
        definition: the service's configuration.
        environ: where `${NAME}` is looked up, when the first request is sent.
    """

    def __init__(self, definition: Rest, environ: Mapping[str, str]) -> None:
        self._definition = definition
        self._environ = environ
        self._sent: dict[str, str] = {}
        """The timestamp of the last status that was sent, by task id."""
        self._service: _Service | None = None

    def read(self) -> None:
        """Return None: the service is only written to."""

    def set_status(self, desired: Mapping[str, DesiredStatus], *, dry_run: bool = False) -> Outcome:
        """Send each status, the oldest first, unless a later one was sent before."""
        outcome = Outcome([], [], [])
        for task_id, status in sorted(desired.items(), key=lambda item: item[1].timestamp):
            if status.timestamp < self._sent.get(task_id, ""):
                outcome.kept.append(StatusChange(task_id, "", status.status))
            elif dry_run or self._send(task_id, status):
                outcome.changes.append(StatusChange(task_id, "", status.status))
            else:
                outcome.unknown.append(task_id)
        return outcome

    def restore(self, desired: Mapping[str, DesiredStatus]) -> None:
        """Return None: a later change in the service was made on purpose."""

    def close(self) -> None:
        """Close the connection."""
        if self._service is not None:
            self._service.close()
        self._service = None

    def _send(self, task_id: str, desired: DesiredStatus) -> bool:
        """Send one request. Return whether the service knows the task."""
        if self._service is None:
            try:
                self._service = _Service(self._definition, self._environ)
            except (ConfigError, EndpointError) as error:
                raise TaskManagerError(f"task_manager.rest: {error}") from None
        is_known = self._service.send(task_id, desired)
        if is_known:
            self._sent[task_id] = desired.timestamp
        return is_known


def _as_webhook(definition: Rest) -> Webhook:
    """Return a webhook with the same address and rules, as the transport only knows webhooks."""
    return Webhook(
        name="rest",
        url=definition.url,
        timeout=definition.timeout,
        allow_http=definition.allow_http,
        allow_private=definition.allow_private,
    )


class _Service:
    """The connection to a service, with its variables looked up.

    Raises:
        ConfigError: a variable is not set, or its value cannot be used.
        EndpointError: the service may not be connected to.
    """

    def __init__(self, definition: Rest, environ: Mapping[str, str]) -> None:
        self._definition = definition
        self._template = expand(definition.url, environ)
        if "{{" in self._template.partition("//")[2].partition("/")[0]:
            raise ConfigError("url has {{…}} in its host, where a task must not decide")
        self._body = expand_all(definition.body, environ)
        self._statuses: dict[str, str] = expand_all(definition.statuses, environ)
        url = parse_url(fill(self._template, {}))
        self._where = url.origin
        self._headers = [*request_headers(definition.headers, environ, url), ("content-type", "application/json")]
        self._transport: Transport = transport(_as_webhook(definition), url, environ, os.curdir)

    def send(self, task_id: str, desired: DesiredStatus) -> bool:
        """Send one request. Return whether the service knows the task.

        Raises:
            TaskManagerError: the request failed, or was refused.
        """
        status = self._statuses.get(desired.status, desired.status)
        values = {**desired.variables, "task_id": task_id, "status": status}
        # Quoted, so that a task id stays one part of the path.
        url = parse_url(fill(self._template, values, lambda text: quote(text, safe="")))
        body = json.dumps(fill_all(self._body, values), ensure_ascii=False).encode("utf-8", "replace")
        try:
            answer = self._transport.request(self._definition.method, url, self._headers, body)
        except EndpointError as error:
            raise TaskManagerError(f"task_manager.rest: {error}") from None
        except NoAnswerError as error:
            raise TaskManagerError(f"{self._where}: {error}", passing=True) from None
        return self._is_known(answer)

    def _is_known(self, answer: Answer) -> bool:
        """Whether the service knows the task, according to its answer.

        Raises:
            TaskManagerError: the answer is an error.
        """
        status = answer.status
        if status in _NO_SUCH_TASK:
            return False
        if status in _NOT_AUTHORIZED:
            raise TaskManagerError(f"{self._where} answered {status}: it wants other headers in task_manager.rest")
        result = answers.result_of(answer, 1, self._where)
        if isinstance(result, Delivered):
            return True
        raise TaskManagerError(
            result.reason,
            passing=isinstance(result, Retry),
            refused=isinstance(result, Rejected),
            after=result.after if isinstance(result, Retry) else None,
        )

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()
