"""From a segment's route to the sinks that it is owed to."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.config.load import load
from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.timing import DEFAULTS
from pytest_swarmtask.journal.segments import LOCAL, route_of
from pytest_swarmtask.plugins.hookspecs import SinkRequest
from pytest_swarmtask.plugins.sink import Stopped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pluggy

    from pytest_swarmtask.config.workflow import Workflow
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.core.timing import Timing
    from pytest_swarmtask.plugins.sink import PendingEvent, SendResult, Sink


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

    def send(self, records: Sequence[PendingEvent]) -> SendResult:  # noqa: ARG002 - the protocol's
        """Say what is missing."""
        return Stopped(self._reason)

    def run_pending(self) -> float:
        """Do nothing."""
        return float("inf")

    def close(self) -> None:
        """Do nothing."""


class Routes:
    """Knows the sinks of each route of a journal.

    Args:
        project: the project whose journal this is.
        environ: where variables are looked up, and whose `WORKFLOW_ENVIRONMENT` the run has.
    """

    def __init__(self, project: Project, environ: Mapping[str, str]) -> None:
        self._project = project
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
        folder = self._project.routes
        try:
            files = sorted(os.scandir(folder), key=lambda file: file.stat().st_mtime, reverse=True)
        except OSError:
            return LOCAL
        routes = (file.name.removesuffix(".json") for file in files if file.name.endswith(".json"))
        return next((route for route in routes if endpoint in self.endpoints(route)), LOCAL)

    def sink(self, route: str, endpoint: str, plugins: pluggy.PluginManager, timing: Timing = DEFAULTS) -> Sink:
        """Return a new sink for an endpoint of a route, made by one of the plug-ins."""
        content = self._route(route)
        name = endpoint.removesuffix(self._suffix(route))
        environment = content.get("environment") or ""
        request = SinkRequest(
            name,
            endpoint,
            self._project,
            self._environ,
            self._workflow(environment),
            content.get("registered", {}).get(name),
            content.get("role"),
            environment,
            plugins,
            timing,
        )
        try:
            sink: Sink = plugins.hook.swarmtask_sink(request=request)
        except ConfigError as error:
            return MissingSink(endpoint, str(error))
        except Exception as error:  # noqa: BLE001 - somebody else's code
            return MissingSink(endpoint, f"a plug-in failed to make it: {type(error).__name__}: {error}")
        return sink

    def _workflow(self, environment: str) -> Workflow | None:
        """Return the configuration of an environment; None where it is not valid: capture goes by defaults then."""
        if environment not in self._configured:
            environ = {**self._environ, "WORKFLOW_ENVIRONMENT": environment}
            try:
                self._configured[environment] = load(self._project, environ).workflow
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
            content = Path(self._project.route(route)).read_bytes()
            found = json.loads(content)
        except (OSError, ValueError):
            return nobody_knows
        return found if isinstance(found, dict) and route_of(content) == route else nobody_knows
