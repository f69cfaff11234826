"""The wording of messages from the configuration: variables are filled in, and secrets are taken out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_swarmtask.config.variables import expand, mentioned
from pytest_swarmtask.redaction.redactor import Redactor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.plugins.hookspecs import SinkRequest


def redactor_of(request: SinkRequest) -> Redactor:
    """Return the redactor of an endpoint; it knows all secrets that the configuration names."""
    workflow = request.workflow
    redact = workflow.task_integration.redact
    webhooks = (name for webhook in workflow.task_integration.webhooks for name in webhook.variables())
    roles = (name for role in workflow.access_control.roles.values() for name in role.secrets())
    return Redactor(request.environ, redact.keys, redact.allow, {*webhooks, *roles})


def worded(message: str, environ: Mapping[str, str], redactor: Redactor) -> str:
    """Return the template of a message with its variables filled in, but without secrets.

    A message waits in the relay's database and may go to its log, where no secret belongs.

    Raises:
        UnsetVariableError: a variable without a default is not set.
    """
    text = expand(message, environ)
    return redactor.plain(text) if mentioned(message) else text
