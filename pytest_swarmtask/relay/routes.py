"""From a segment's route to the sinks that it is owed to."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_swarmtask.config.load import load
from pytest_swarmtask.config.model import Webhook, Workflow
from pytest_swarmtask.config.settings import TASKS
from pytest_swarmtask.errors import ConfigError
from pytest_swarmtask.journal import LOCAL, route_of
from pytest_swarmtask.relay.sinks import Stopped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_swarmtask.relay.sinks import Record, Sink, Verdict

_DEFAULT = Webhook(name="default", url="${TASKMASTER_WEBHOOK_URL}")


class MissingSink:
    """Stands for an endpoint that segments are owed to and that the configuration knows no longer: events wait."""

    max_events = 1
    max_bytes = 1
    max_age = 0.0

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self._reason = reason

    def accepts(self, event_type: str) -> bool:  # noqa: ARG002 - the protocol's
        """Keep everything."""
        return True

    def send(self, records: Sequence[Record]) -> Verdict:  # noqa: ARG002 - the protocol's
        """Say what is missing."""
        return Stopped(self._reason)

    def tend(self) -> float:
        """Do nothing."""
        return float("inf")

    def close(self) -> None:
        """Do nothing."""


class Routes:
    """Knows the sinks of each route of a journal.

    Args:
        journal: the journal's folder.
        environ: where variables are looked up, and whose `WORKFLOW_ENVIRONMENT` the run has.
    """

    def __init__(self, journal: str, environ: Mapping[str, str]) -> None:
        self._journal = journal
        self._root = Path(journal).parent.parent
        self._environ = environ
        self._configured: dict[str, Workflow | None] = {}
        self._routes: dict[str, dict[str, Any]] = {}

    def relay(self, route: str) -> str | None:
        """Return the key of the relay that a route belongs to; None where it is owed to nobody."""
        key = self._route(route).get("relay")
        return str(key) if key is not None else None

    def is_at_home(self, route: str) -> bool:
        """Tell whether a route is of the environment that we are in."""
        return (self._route(route).get("environment") or "") == self._environ.get("WORKFLOW_ENVIRONMENT", "")

    def endpoints(self, route: str) -> list[str]:
        """Return the endpoints that a route names: ``name``, ``name@environment``, ``name as role`` where it signs."""
        return [name + self._suffix(route) for name in self._route(route).get("endpoints", ())]

    def _suffix(self, route: str) -> str:
        content = self._route(route)
        environment = f"@{content['environment']}" if content.get("environment") else ""
        return f"{environment} as {content['role']}" if content.get("role") else environment

    def leading_to(self, endpoint: str) -> str:
        """Return the newest route that names an endpoint; `LOCAL` where none does."""
        folder = os.path.join(self._journal, "routes")
        try:
            files = sorted(os.scandir(folder), key=lambda file: file.stat().st_mtime, reverse=True)
        except OSError:
            return LOCAL
        routes = (file.name.removesuffix(".json") for file in files if file.name.endswith(".json"))
        return next((route for route in routes if endpoint in self.endpoints(route)), LOCAL)

    def sink(self, route: str, endpoint: str) -> Sink:
        """Return a new sink for an endpoint of a route."""
        content = self._route(route)
        name = endpoint.removesuffix(self._suffix(route))
        workflow = self._workflow(content.get("environment") or "")
        try:
            if name == TASKS:
                return self._tasks_sink(endpoint, workflow)
            return self._webhook_sink(self._webhook(content, name), workflow)
        except (ConfigError, msgspec.ValidationError) as error:
            return MissingSink(endpoint, str(error))

    def _tasks_sink(self, endpoint: str, workflow: Workflow | None) -> Sink:
        from pytest_swarmtask.relay.sinks.tasks import TaskManagerSink
        from pytest_swarmtask.relay.tasks import task_manager

        if workflow is None:
            raise ConfigError("the configuration is not valid, see: swarmtask config validate")
        definition = workflow.task_integration.task_manager
        if not definition.enabled:
            raise ConfigError("task_manager is not enabled in the configuration any more")
        manager = task_manager(definition, str(self._root), self._environ)
        return TaskManagerSink(endpoint, manager, definition.status_map)

    def _webhook_sink(self, webhook: Webhook, workflow: Workflow | None) -> Sink:
        from pytest_swarmtask.relay.sinks.webhook import WebhookSink  # an HTTP client that `status` can do without

        sink = WebhookSink(webhook, self._environ, self._root)
        tasks = workflow.task_integration.task_manager if workflow else None
        if tasks is None or not (tasks.enabled and tasks.titles and tasks.kind == "taskmaster"):
            return sink
        from pytest_swarmtask.relay.sinks.titled import TitledSink, Titles
        from pytest_swarmtask.relay.tasks.taskmaster import TaskMasterFile

        file = TaskMasterFile.configured(tasks, str(self._root), self._environ)
        return TitledSink(sink, Titles(file, self._environ))

    def _webhook(self, content: dict[str, Any], name: str) -> Webhook:
        """Return what a route's endpoint is now, with the key of the role that the route is of."""
        workflow = self._workflow(content.get("environment") or "")
        registered = content.get("registered", {})
        found = msgspec.convert(registered[name], Webhook) if name in registered else _named(name, workflow)
        if not content.get("role"):
            return found
        role = workflow.access_control.roles.get(content["role"]) if workflow else None
        if role is None:
            raise _unknown("role", content["role"], workflow)
        # Beside the webhook's own secret: those who know nothing of roles can verify it, too.
        return found.also_signed(role.secrets())

    def _workflow(self, environment: str) -> Workflow | None:
        """Return the configuration of an environment; None where it is not valid: capture goes by defaults then."""
        if environment not in self._configured:
            environ = {**self._environ, "WORKFLOW_ENVIRONMENT": environment}
            try:
                self._configured[environment] = load(self._root, environ).workflow
            except ConfigError:
                self._configured[environment] = None
        return self._configured[environment]

    def _route(self, route: str) -> dict[str, Any]:
        if route == LOCAL:
            return {}
        known = self._routes.get(route)
        if known is None:
            known = self._routes[route] = self._read(route)
        return known

    def _read(self, route: str) -> dict[str, Any]:
        """Return whom a route is owed to.

        Where its file is gone or damaged nobody can say so: the events wait, visibly, under its own name.
        """
        nobody_knows = {"endpoints": [f"route {route}"], "relay": route}
        try:
            content = Path(os.path.join(self._journal, "routes", f"{route}.json")).read_bytes()
            found = json.loads(content)
        except (OSError, ValueError):
            return nobody_knows
        return found if isinstance(found, dict) and route_of(content) == route else nobody_knows


def _named(name: str, workflow: Workflow | None) -> Webhook:
    webhooks = workflow.task_integration.webhooks if workflow else []
    found = next((webhook for webhook in webhooks if webhook.name == name), None)
    if found is not None:
        return found
    if name == _DEFAULT.name:
        return _DEFAULT
    raise _unknown("webhook", name, workflow)


def _unknown(noun: str, name: str, workflow: Workflow | None) -> ConfigError:
    if workflow is None:
        return ConfigError(f"{noun} {name!r}: the configuration is not valid, see: swarmtask config validate")
    return ConfigError(f"no {noun} is named {name!r} in the configuration any more")
