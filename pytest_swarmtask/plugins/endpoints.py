"""The endpoints of a configuration: webhooks, the task manager, triggers, alerts, and those of plug-ins.

All of them get events in the same way: the route of a segment contains their names, and the relay makes their sinks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from pytest_swarmtask.config.monitoring import WebhookNotifier
from pytest_swarmtask.config.variables import mentioned, references
from pytest_swarmtask.core.project import ALERTS, TASKS, TRIGGERS
from pytest_swarmtask.plugins.hookspecs import Endpoint, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pluggy

    from pytest_swarmtask.config.workflow import TaskManagerConfig, Workflow


@hookimpl
def swarmtask_endpoints(workflow: Workflow) -> list[Endpoint]:
    """Return the endpoints of this package."""
    webhooks = workflow.task_integration.webhooks
    return [
        *(Endpoint(webhook.name, webhook.needs(), webhook.variables()) for webhook in webhooks),
        *_task_manager(workflow.task_integration.task_manager),
        *_triggers(workflow),
        *_alerts(workflow),
    ]


def _task_manager(definition: TaskManagerConfig) -> Iterator[Endpoint]:
    if not definition.enabled:
        return
    if definition.kind == "taskmaster":
        yield Endpoint(TASKS, [], ["TASKMASTER_TAG"])  # chooses the list of tasks, as in Task Master itself
        return
    names = {name for text in _texts(to_builtins(definition.rest)) for name in mentioned(text)}
    yield Endpoint(TASKS, references(definition.rest.url), sorted(names))


def _triggers(workflow: Workflow) -> Iterator[Endpoint]:
    section = workflow.automation_triggers
    rules = [rule for rule in section.rules if rule.enabled and section.enabled]
    if rules:
        # Rules tell people through notifiers, which have variables of their own.
        texts = [text for part in (rules, workflow.monitoring.notifiers) for text in _texts(to_builtins(part))]
        yield Endpoint(TRIGGERS, [], sorted({name for text in texts for name in mentioned(text)}))


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts in nested lists and mappings, except for keys."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _alerts(workflow: Workflow) -> Iterator[Endpoint]:
    section = workflow.monitoring
    if section.enabled and (any(alert.enabled for alert in section.alerts) or section.metrics.textfile):
        # Through a webhook's notifier, messages depend on the variables of the webhook, too.
        webhooks = {one.webhook for one in section.notifiers if isinstance(one, WebhookNotifier)}
        signed = [webhook for webhook in workflow.task_integration.webhooks if webhook.name in webhooks]
        names = {name for text in _texts(to_builtins(section)) for name in mentioned(text)}
        yield Endpoint(ALERTS, [], sorted(names.union(*(webhook.variables() for webhook in signed))))


def all_endpoints(manager: pluggy.PluginManager, workflow: Workflow) -> tuple[list[Endpoint], list[str]]:
    """Return the endpoints of this package and of all plug-ins, and what is wrong with refused ones.

    Args:
        manager: the plug-in manager, with this module registered.
        workflow: the configuration.
    """
    found: list[Endpoint] = []
    problems: list[str] = []
    # Not by calling the hook itself: one plug-in that fails must not hide the endpoints of the others.
    for implementation in reversed(manager.hook.swarmtask_endpoints.get_hookimpls()):
        try:
            answer: Any = implementation.function(*[workflow for _ in implementation.argnames])
            given = [Endpoint(*one) for one in answer or ()]  # also from plain tuples
        except Exception as error:  # noqa: BLE001 - foreign code
            problems.append(f"plug-in {implementation.plugin_name}: {type(error).__name__}: {error}")
            continue
        is_ours = implementation.function is swarmtask_endpoints
        for one in given:
            if is_ours or one.name.startswith(f"{implementation.plugin_name}:"):
                found.append(one)
            else:
                expected = f"expected one that begins with {implementation.plugin_name}:"
                problems.append(f"plug-in {implementation.plugin_name}: found the endpoint {one.name!r}, {expected}")
    return found, problems
