"""The webhook of an endpoint: one of the configuration, or one that was registered from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pytest_swarmtask.config.workflow import Webhook, Workflow
from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.plugins.hookspecs import hookimpl
from pytest_swarmtask.relay.tasks.titles import titled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.plugins.hookspecs import SinkRequest
    from pytest_swarmtask.plugins.sink import Sink
    from pytest_swarmtask.relay.otlp.sink import OtlpSink
    from pytest_swarmtask.relay.webhook.sink import WebhookSink

_DEFAULT = Webhook(name="default", url="${TASKMASTER_WEBHOOK_URL}")


@hookimpl(trylast=True)
def swarmtask_sink(request: SinkRequest) -> Sink:
    """Return the sink of a webhook. Every endpoint that no other plug-in has a sink for counts as a webhook."""
    return titled(sink_of(definition(request), request.environ, request.project), request)


def sink_of(webhook: Webhook, environ: Mapping[str, str], project: Project) -> WebhookSink | OtlpSink:
    """Return a new sink for a webhook, according to its format."""
    # Here, because projects without webhooks need no HTTP client.
    if webhook.format == "otlp":
        from pytest_swarmtask.relay.otlp.sink import OtlpSink

        return OtlpSink(webhook, environ, project)
    from pytest_swarmtask.relay.webhook.sink import WebhookSink

    return WebhookSink(webhook, environ, project.root)


def definition(request: SinkRequest) -> Webhook:
    """Return the present definition of a webhook, with the secrets of the role that signs its events.

    Raises:
        ConfigError: there is no such webhook or role.
    """
    workflow = request.workflow
    if request.registered is not None:
        try:
            found = msgspec.convert(request.registered, Webhook)
        except msgspec.ValidationError as error:
            raise ConfigError(str(error)) from None
    else:
        found = named(request.name, workflow)
    if not request.role:
        return found
    role = workflow.access_control.roles.get(request.role)
    if role is None:
        raise _unknown("role", request.role)
    # The webhook's own secret signs, too, so receivers that know nothing of roles can verify the request.
    return found.also_signed(role.secrets())


def named(name: str, workflow: Workflow) -> Webhook:
    """Return the webhook of the configuration that has this name; ``default`` exists without a definition, too.

    Raises:
        ConfigError: there is none.
    """
    found = next((webhook for webhook in workflow.task_integration.webhooks if webhook.name == name), None)
    if found is not None:
        return found
    if name == _DEFAULT.name:
        return _DEFAULT
    raise _unknown("webhook", name)


def _unknown(noun: str, name: str) -> ConfigError:
    return ConfigError(f"no {noun} is named {name!r} in the configuration any more")
