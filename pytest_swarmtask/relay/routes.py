"""From a segment's route to the sinks that it is owed to."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_swarmtask.config.load import load
from pytest_swarmtask.config.model import Webhook
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
        self._configured: dict[str, dict[str, Webhook]] = {}
        self._invalid = False
        self._routes: dict[str, dict[str, Any]] = {}

    def relay(self, route: str) -> str | None:
        """Return the key of the relay that a route belongs to; None where it is owed to nobody."""
        key = self._route(route).get("relay")
        return str(key) if key is not None else None

    def is_at_home(self, route: str) -> bool:
        """Tell whether a route is of the environment that we are in."""
        return (self._route(route).get("environment") or "") == self._environ.get("WORKFLOW_ENVIRONMENT", "")

    def endpoints(self, route: str) -> list[str]:
        """Return the endpoints that a route names: ``name``, or ``name@environment``."""
        content = self._route(route)
        suffix = f"@{content['environment']}" if content.get("environment") else ""
        return [name + suffix for name in content.get("endpoints", ())]

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
        environment = content.get("environment") or ""
        name = endpoint.removesuffix(f"@{environment}") if environment else endpoint
        from pytest_swarmtask.relay.sinks.webhook import WebhookSink  # an HTTP client that `status` can do without

        try:
            if name in content.get("registered", {}):
                return WebhookSink(msgspec.convert(content["registered"][name], Webhook), self._environ)
            return WebhookSink(self._webhook(environment, name), self._environ)
        except (ConfigError, msgspec.ValidationError) as error:
            return MissingSink(endpoint, str(error))

    def _webhook(self, environment: str, name: str) -> Webhook:
        configured = self._configured.get(environment)
        if configured is None:
            configured = self._configured[environment] = self._load(environment)
        if name in configured:
            return configured[name]
        if name == _DEFAULT.name:
            return _DEFAULT
        if self._invalid:
            raise ConfigError(f"webhook {name!r}: the configuration is not valid, see: swarmtask config validate")
        raise ConfigError(f"no webhook is named {name!r} in the configuration any more")

    def _load(self, environment: str) -> dict[str, Webhook]:
        environ = {**self._environ, "WORKFLOW_ENVIRONMENT": environment}
        try:
            webhooks = load(self._root, environ).workflow.task_integration.webhooks
        except ConfigError:
            self._invalid = True
            return {}  # capture went by the defaults, too
        return {webhook.name: webhook for webhook in webhooks}

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
