"""What rules do. Each action either works within its rule's time or raises `ActionError`."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import time
from typing import TYPE_CHECKING

import msgspec

from pytest_swarmtask.config.triggers import CallWebhook, Emit, Notify, RunCommand, SetStatus
from pytest_swarmtask.config.variables import expand
from pytest_swarmtask.core.errors import ConfigError, EndpointError, TaskManagerError
from pytest_swarmtask.core.trace import Clock
from pytest_swarmtask.plugins.sink import Delivered, Retry
from pytest_swarmtask.relay.delivery.backoff import action_wait
from pytest_swarmtask.relay.delivery.templates import fill, fill_all
from pytest_swarmtask.relay.notify.message import Message
from pytest_swarmtask.relay.tasks.factory import task_manager
from pytest_swarmtask.relay.tasks.manager import Wish
from pytest_swarmtask.relay.triggers import commands
from pytest_swarmtask.relay.triggers.emitting import Emitter
from pytest_swarmtask.relay.triggers.rules import ActionError
from pytest_swarmtask.relay.webhook.lookup import named

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_swarmtask.config.triggers import AnyAction
    from pytest_swarmtask.config.workflow import Workflow
    from pytest_swarmtask.core.timing import Timing
    from pytest_swarmtask.plugins.hookspecs import SinkRequest
    from pytest_swarmtask.plugins.sink import PendingEvent, SendResult
    from pytest_swarmtask.redaction.redactor import Redactor
    from pytest_swarmtask.relay.notify.notifiers import Notifiers
    from pytest_swarmtask.relay.triggers.rules import Firing


class Actions:
    """Does what rules say, in one project and environment. Used from one thread.

    Args:
        request: where: project, variables, journal.
        workflow: the configuration.
        redactor: what is written down goes through it.
        notifiers: by whom people are told.
    """

    def __init__(self, request: SinkRequest, workflow: Workflow, redactor: Redactor, notifiers: Notifiers) -> None:
        self._environ = request.environ
        self._timing = request.timing
        self._root = request.project.root
        self._log = request.project.relay_log
        self._workflow = workflow
        self._redactor = redactor
        self._notifiers = notifiers
        self._emitter = Emitter(request.project, request.environ, redactor, workflow.access_control)

    def do(self, action: AnyAction, firing: Firing, record: PendingEvent) -> None:
        """Do one thing.

        Raises:
            ActionError: it did not work.
        """
        try:
            if isinstance(action, RunCommand):
                self._run(action, firing)
            elif isinstance(action, CallWebhook):
                self._call(action, firing, record)
            elif isinstance(action, SetStatus):
                self._set_status(action, firing)
            elif isinstance(action, Emit):
                self._emitter.emit(action, firing, record.segment)
            else:
                self._notifiers.tell(action.to, _message(action, firing))
        except (ConfigError, EndpointError) as error:
            raise ActionError(str(error)) from None

    def _run(self, action: RunCommand, firing: Firing) -> None:
        code, output = commands.run(action, firing, self._environ, self._root, self._timing.command_grace)
        commands.keep_output(self._log, firing.rule.name, output, self._redactor)
        if code is None:
            raise ActionError(f"{action.command[0]} was killed, as it took longer than {firing.rule.timeout:g} s")
        if code:
            raise ActionError(f"{action.command[0]} ended with exit code {code}")

    def _call(self, action: CallWebhook, firing: Firing, record: PendingEvent) -> None:
        from pytest_swarmtask.relay.http.endpoint import HttpEndpoint
        from pytest_swarmtask.relay.webhook.sink import WebhookSink  # an HTTP client

        definition = named(action.webhook, self._workflow)
        timeout = min(definition.timeout, firing.rule.timeout)
        webhook = msgspec.structs.replace(definition.also_signed(self._secrets(firing)), timeout=timeout)
        if action.body is None:
            sink = WebhookSink(webhook, self._environ, self._root)
            try:
                _within(firing.rule.timeout, lambda: sink.send([record]), self._timing)
            finally:
                sink.close()
            return
        body = json.dumps(fill_all(action.body, firing.values), ensure_ascii=False).encode("utf-8", "replace")
        endpoint = HttpEndpoint(webhook, self._environ, self._root)
        try:
            message_id = _message_id(action, firing)
            post = functools.partial(endpoint.post, message_id, "application/json", body, 1)
            _within(firing.rule.timeout, post, self._timing)
        finally:
            endpoint.close()

    def _secrets(self, firing: Firing) -> list[str]:
        role = self._workflow.access_control.roles.get(firing.rule.role or "")
        return role.secrets() if role else []

    def _set_status(self, action: SetStatus, firing: Firing) -> None:
        given = firing.event.task_id if action.task_id is None else expand(action.task_id, self._environ)
        task_id = fill(given or "", firing.values) if action.task_id is not None else given
        if not task_id:
            raise ActionError("the event has no task id")
        # Of this moment: a status that the event itself gives its task comes before it.
        wish = Wish(action.status, Clock().timestamp(), firing.values)
        manager = task_manager(self._workflow.task_integration.task_manager, self._root, self._environ)

        def attempt() -> SendResult:
            try:
                outcome = manager.set_status({task_id: wish})
            except TaskManagerError as error:
                if error.passing:
                    return Retry(str(error), error.after)
                raise ActionError(str(error)) from None
            if outcome.unknown:
                raise ActionError(f"there is no task {task_id}")
            return Delivered()

        try:
            _within(firing.rule.timeout, attempt, self._timing)
        finally:
            manager.close()


def _within(seconds: float, attempt: Callable[[], SendResult], timing: Timing) -> None:
    """Try until it works or the time is over.

    Raises:
        ActionError: it did not work.
    """
    deadline = time.monotonic() + seconds
    failures = 0
    while True:
        result = attempt()
        if isinstance(result, Delivered):
            return
        failures += 1
        wait = action_wait(failures, result.after, timing) if isinstance(result, Retry) else math.inf
        if time.monotonic() + wait > deadline:
            raise ActionError(result.reason)
        time.sleep(wait)


def _message_id(action: CallWebhook, firing: Firing) -> str:
    """Return the id of a request with a body of its own: the same whenever it is tried, another than the event's."""
    key = f"{firing.rule.name}\n{firing.rule.do.index(action)}\n{firing.event.id}"
    return f"trigger_{hashlib.blake2s(key.encode('utf-8', 'replace'), digest_size=16).hexdigest()}"


def _message(action: Notify, firing: Firing) -> Message:
    """Return what people are told: what happened, where, and a link."""
    event, metadata = firing.event, firing.event.metadata
    title = f"{event.source}: {event.task_id or event.event_type} {event.status}"
    link = str(metadata.get("ci_url") or "")
    facts = {
        "what": f"{event.event_type} {event.task_id or ''}".strip(),
        "error": str(metadata.get("error") or ""),
        "where": " ".join(str(metadata[key]) for key in ("branch", "commit") if metadata.get(key)),
        "environment": firing.environment,
        "run": event.trace_id,
        "link": link,
        "next": f"swarmtask report --run {event.trace_id[:8]}",
    }
    text = "\n".join(f"{name}: {value}" for name, value in facts.items() if value)
    if action.message is not None:
        values = {**firing.values, "title": title, "text": text, "since": event.timestamp, "link": link}
        text = fill(action.message, values)
    return Message(
        name=firing.rule.name,
        title=title,
        text=text,
        severity="warning" if event.status == "failed" else "info",
        subject=event.task_id or event.event_type,
        since=event.timestamp,
        link=link,
        values=dict(firing.values),
    )
