"""What is obeyed of the configuration of a stranger, such as that of a pull request from a fork.

Events are recorded and reported, and go where the environment says. Nothing in the file runs a command, chooses where
something is sent or written, or puts the value of a variable into an event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from pytest_swarmtask.config.monitoring import Monitoring
from pytest_swarmtask.config.triggers import AutomationTriggers
from pytest_swarmtask.config.variables import mentioned
from pytest_swarmtask.config.workflow import Redact, TaskIntegration, TaskManagerConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_swarmtask.config.workflow import Webhook, Workflow


def restricted(workflow: Workflow, declared: str) -> Workflow:
    """Return a configuration without all that a stranger could misuse.

    Args:
        workflow: the configuration.
        declared: the variable with the only URL to which something is sent: whoever set it chose the receiver.
    """
    given = workflow.task_integration
    source = None if given.source is None or mentioned(given.source) else given.source
    variant = None if given.variant is None or mentioned(given.variant) else given.variant
    default = TaskIntegration().session_task_id
    session_task_id = default if mentioned(given.session_task_id) else given.session_task_id
    task_integration = structs.replace(
        given,
        source=source,
        session_task_id=session_task_id,
        variant=variant,
        webhooks=list(_of_environment(given.webhooks, declared)),
        redact=Redact(keys=given.redact.keys),
        metadata={key: text for key, text in given.metadata.items() if not mentioned(text)},
        task_manager=TaskManagerConfig(),
    )
    return structs.replace(
        workflow, task_integration=task_integration, automation_triggers=AutomationTriggers(), monitoring=Monitoring()
    )


def _of_environment(webhooks: list[Webhook], declared: str) -> Iterator[Webhook]:
    """Yield the webhooks whose URL is the declared one and nothing else, without what else the file says of the way."""
    for webhook in webhooks:
        if webhook.url == f"${{{declared}}}":
            yield structs.replace(
                webhook,
                secret_env="AUTOMATION_SECRET_KEY",  # noqa: S106 - the variable's name
                headers={},
                evidence=False,
                ca_file=None,
                client_cert=None,
                client_key=None,
                proxy=None,
            )
