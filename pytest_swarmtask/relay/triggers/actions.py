"""The kinds of actions: one class for each `action` of the configuration, and the table that chooses it.

`run` and `emit` have modules of their own; the other kinds are here.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_swarmtask.config import triggers as definitions
from pytest_swarmtask.config.variables import expand, expand_all
from pytest_swarmtask.core.service_errors import TaskManagerError
from pytest_swarmtask.core.trace import Clock
from pytest_swarmtask.plugins.sink import Delivered, Retry
from pytest_swarmtask.relay.delivery.backoff import action_wait
from pytest_swarmtask.relay.delivery.templates import fill, fill_all
from pytest_swarmtask.relay.notify.message import Message
from pytest_swarmtask.relay.notify.wording import worded
from pytest_swarmtask.relay.tasks.factory import task_manager
from pytest_swarmtask.relay.tasks.manager import DesiredStatus
from pytest_swarmtask.relay.triggers.commands import CommandAction
from pytest_swarmtask.relay.triggers.emitting import EmitAction
from pytest_swarmtask.relay.triggers.interface import ActionError
from pytest_swarmtask.relay.webhook.lookup import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytest_swarmtask.config.triggers import AnyAction, CallWebhook, Notify, SetStatus
    from pytest_swarmtask.config.workflow import Webhook
    from pytest_swarmtask.core.timing import Timing
    from pytest_swarmtask.plugins.sink import SendResult
    from pytest_swarmtask.relay.triggers.interface import ActionContext, Firing, RuleAction


class WebhookAction:
    """Sends the event, or a body of the rule's own, to a webhook, and tries again until the rule's timeout."""

    def __init__(self, definition: CallWebhook) -> None:
        self._definition = definition

    def execute(self, firing: Firing, context: ActionContext) -> None:
        """Send one signed request. The webhook's own filter of events does not apply."""
        webhook = self._webhook(firing, context)
        if self._definition.body is None:
            _send_event(webhook, firing, context)
        else:
            content = fill_all(expand_all(self._definition.body, context.environ), firing.values)
            _send_body(webhook, content, self._message_id(firing), firing, context)

    def describe(self, values: Mapping[str, object]) -> str:
        """Return what is sent, and to which webhook."""
        body = self._definition.body
        content = "the event" if body is None else json.dumps(fill_all(body, values), ensure_ascii=False)
        return f"send {content} to {self._definition.webhook}"

    def required_permissions(self) -> list[str]:
        """Return nothing: ``trigger:run`` covers webhooks."""
        return []

    def _webhook(self, firing: Firing, context: ActionContext) -> Webhook:
        """Return the webhook, also signed as the rule's role. No request takes longer than the rule may."""
        webhook = named(self._definition.webhook, context.workflow)
        role = context.workflow.access_control.roles.get(firing.rule.role or "")
        signed = webhook.also_signed(role.secrets() if role else [])
        return msgspec.structs.replace(signed, timeout=min(webhook.timeout, firing.rule.timeout))

    def _message_id(self, firing: Firing) -> str:
        """Return the message id of a request with a body. All attempts have the same id, which is not the event's."""
        key = f"{firing.rule.name}\n{firing.rule.do.index(self._definition)}\n{firing.event.id}"
        return f"trigger_{hashlib.blake2s(key.encode('utf-8', 'replace'), digest_size=16).hexdigest()}"


def _send_event(webhook: Webhook, firing: Firing, context: ActionContext) -> None:
    from pytest_swarmtask.relay.webhook.sink import WebhookSink  # an HTTP client, which other actions do not need

    sink = WebhookSink(webhook, context.environ, context.project.root)
    try:
        _retry(firing.rule.timeout, lambda: sink.send([firing.pending]), context.timing)
    finally:
        sink.close()


def _send_body(webhook: Webhook, content: object, message_id: str, firing: Firing, context: ActionContext) -> None:
    from pytest_swarmtask.relay.http.endpoint import HttpEndpoint  # an HTTP client, which other actions do not need

    body = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
    endpoint = HttpEndpoint(webhook, context.environ, context.project.root)
    try:
        _retry(firing.rule.timeout, lambda: endpoint.post(message_id, "application/json", body, 1), context.timing)
    finally:
        endpoint.close()


class StatusAction:
    """Sets the status of a task in the task manager, and tries again until the rule's timeout."""

    def __init__(self, definition: SetStatus) -> None:
        self._definition = definition

    def execute(self, firing: Firing, context: ActionContext) -> None:
        """Set the status."""
        task_id = self._task_id(firing, context)
        # Dated now, so that it is later than a status that the task gets from the event itself.
        desired = DesiredStatus(self._definition.status, Clock().timestamp(), firing.values)
        manager = task_manager(context.workflow.task_integration.task_manager, context.project.root, context.environ)

        def attempt() -> SendResult:
            try:
                outcome = manager.set_status({task_id: desired})
            except TaskManagerError as error:
                if error.passing:
                    return Retry(str(error), error.after)
                raise ActionError(str(error)) from None
            if outcome.unknown:
                raise ActionError(f"there is no task {context.redactor.plain(task_id)}")
            return Delivered()

        try:
            _retry(firing.rule.timeout, attempt, context.timing)
        finally:
            manager.close()

    def describe(self, values: Mapping[str, object]) -> str:
        """Return the task and its new status."""
        action = self._definition
        task_id = values["task_id"] if action.task_id is None else fill(action.task_id, values)
        return f"set the status of {task_id} to {action.status}"

    def required_permissions(self) -> list[str]:
        """Return the permission to change tasks."""
        return ["task:sync"]

    def _task_id(self, firing: Firing, context: ActionContext) -> str:
        """Return the id of the task: the action's own, or else the event's.

        Raises:
            ActionError: there is none.
        """
        if self._definition.task_id is None:
            task_id = firing.event.task_id
        else:
            task_id = fill(expand(self._definition.task_id, context.environ), firing.values)
        if not task_id:
            raise ActionError("the event has no task id")
        return task_id


class NotifyAction:
    """Sends a message to people. It is sent again later if a notifier fails, so the action itself cannot fail."""

    def __init__(self, definition: Notify) -> None:
        self._definition = definition

    def execute(self, firing: Firing, context: ActionContext) -> None:
        """Pass a message to the notifiers."""
        context.notifiers.send(self._definition.to, self._message(firing, context))

    def describe(self, values: Mapping[str, object]) -> str:
        """Return the notifiers and the message."""
        message = self._definition.message
        said = "what happened" if message is None else fill(message, values)
        return f"tell {', '.join(self._definition.to)}: {said}"

    def required_permissions(self) -> list[str]:
        """Return nothing: ``trigger:run`` covers messages."""
        return []

    def _message(self, firing: Firing, context: ActionContext) -> Message:
        """Return the message: the rule's own text, or else what happened, where, and a link."""
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
        if self._definition.message is not None:
            values = {**firing.values, "title": title, "text": text, "since": event.timestamp, "link": link}
            text = fill(worded(self._definition.message, context.environ, context.redactor), values)
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


_CLASSES: dict[type[definitions.Action], Callable[[Any], RuleAction]] = {
    definitions.RunCommand: CommandAction,
    definitions.CallWebhook: WebhookAction,
    definitions.SetStatus: StatusAction,
    definitions.Emit: EmitAction,
    definitions.Notify: NotifyAction,
}


def action_of(definition: AnyAction) -> RuleAction:
    """Return the action that the configuration defines."""
    return _CLASSES[type(definition)](definition)


def required_permissions(actions: Iterable[AnyAction]) -> list[str]:
    """Return all permissions that a rule's role needs for these actions, ``trigger:run`` first."""
    needed = [permission for action in actions for permission in action_of(action).required_permissions()]
    # Sorted by kind (`emit` before `task`), so that the order of the actions does not matter: a refusal names the first
    # one.
    return ["trigger:run", *sorted(needed, key=lambda permission: permission.partition(":")[0])]


def _retry(seconds: float, attempt: Callable[[], SendResult], timing: Timing) -> None:
    """Repeat an attempt, with growing waits, until it succeeds or the time is over.

    Raises:
        ActionError: it did not succeed in time, or cannot succeed.
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
