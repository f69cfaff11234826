"""Routes: which endpoints the events of a segment must be delivered to, and the sinks of these endpoints."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.config.load import load
from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.files import only_regular
from pytest_swarmtask.core.timing import DEFAULTS
from pytest_swarmtask.journal.segments import LOCAL, route_of
from pytest_swarmtask.plugins.hookspecs import SinkRequest
from pytest_swarmtask.plugins.sink import Stopped
from pytest_swarmtask.relay.delivery.editing import EditingSink
from pytest_swarmtask.wire.evidence import without_evidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pluggy

    from pytest_swarmtask.config.workflow import Workflow
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.core.timing import Timing
    from pytest_swarmtask.plugins.sink import PendingEvent, SendResult, Sink


class MissingSink:
    """Takes the place of a sink that cannot be made: its endpoint is not configured any more, or is misconfigured.

    Its events wait, and `swarmtask status` shows the reason.
    """

    max_events = 1
    max_bytes = 1
    max_age = 0.0

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self._reason = reason

    def accepts(self, event_type: str) -> bool:  # noqa: ARG002 - the protocol's
        """Accept everything, so that nothing is skipped."""
        return True

    def send(self, records: Sequence[PendingEvent]) -> SendResult:  # noqa: ARG002 - the protocol's
        """Return the reason why nothing can be sent."""
        return Stopped(self._reason)

    def run_pending(self) -> float:
        """Do nothing."""
        return float("inf")

    def close(self) -> None:
        """Do nothing."""


class Routes:
    """The routes of a project's journal, read from their files when they are needed.

    Args:
        project: whose journal.
        environ: where variables are looked up, and the `WORKFLOW_ENVIRONMENT` of this process.
    """

    def __init__(self, project: Project, environ: Mapping[str, str]) -> None:
        self._project = project
        self._environ = environ
        self._workflows: dict[str, Workflow | None] = {}
        self._routes: dict[str, dict[str, Any]] = {}

    def relay_key(self, route: str) -> str | None:
        """Return the key of the relay that serves a route; None if its events need no delivery."""
        key = self._route(route).get("relay")
        return str(key) if key is not None else None

    def is_of_our_environment(self, route: str) -> bool:
        """Whether a route was written in the `WORKFLOW_ENVIRONMENT` of this process."""
        return (self._route(route).get("environment") or "") == self._environ.get("WORKFLOW_ENVIRONMENT", "")

    def endpoints(self, route: str) -> list[str]:
        """Return the endpoints of a route.

        Returns:
            ``name``, ``name@environment`` or ``name@environment as role``. Deliveries of the same endpoint by other
            environments or roles have other definitions and signatures, so their cursors are kept apart.
        """
        return [name + self._suffix(route) for name in self._route(route).get("endpoints", ())]

    def _suffix(self, route: str) -> str:
        content = self._route(route)
        environment = f"@{content['environment']}" if content.get("environment") else ""
        return f"{environment} as {content['role']}" if content.get("role") else environment

    def newest_route_to(self, endpoint: str) -> str:
        """Return the newest route that has an endpoint, or `LOCAL` if none has it."""
        try:
            files = sorted(os.scandir(self._project.routes), key=lambda file: file.stat().st_mtime, reverse=True)
        except OSError:
            return LOCAL
        routes = (file.name.removesuffix(".json") for file in files if file.name.endswith(".json"))
        return next((route for route in routes if endpoint in self.endpoints(route)), LOCAL)

    def sink(self, route: str, endpoint: str, plugins: pluggy.PluginManager, timing: Timing = DEFAULTS) -> Sink:
        """Return a new sink for an endpoint of a route, made by one of the plug-ins."""
        content = self._route(route)
        name = endpoint.removesuffix(self._suffix(route))
        environment = content.get("environment") or ""
        workflow = self._workflow(environment)
        if workflow is None:  # it may say that nothing is to be sent there
            return MissingSink(endpoint, "the configuration is not valid, see: swarmtask config validate")
        request = SinkRequest(
            name=name,
            identity=endpoint,
            project=self._project,
            environ=self._environ,
            workflow=workflow,
            registered=content.get("registered", {}).get(name),
            role=content.get("role"),
            environment=environment,
            plugins=plugins,
            timing=timing,
        )
        try:
            sink: Sink = plugins.hook.swarmtask_sink(request=request)
        except ConfigError as error:
            return MissingSink(endpoint, str(error))
        except Exception as error:  # noqa: BLE001 - somebody else's code
            return MissingSink(endpoint, f"a plug-in failed to make it: {type(error).__name__}: {error}")
        is_ours = type(sink).__module__.startswith("pytest_swarmtask.")
        if is_ours or getattr(sink, "evidence", False) is True:
            return sink
        # Nobody who installed a plug-in for plain events has agreed that tracebacks and output leave the machine.
        return EditingSink(sink, without_evidence)

    def _workflow(self, environment: str) -> Workflow | None:
        """Return the configuration of an environment, or None if it is not valid."""
        if environment not in self._workflows:
            environ = {**self._environ, "WORKFLOW_ENVIRONMENT": environment}
            try:
                self._workflows[environment] = load(self._project, environ).workflow
            except ConfigError:
                self._workflows[environment] = None
        return self._workflows[environment]

    def _route(self, route: str) -> dict[str, Any]:
        if route == LOCAL:
            return {}  # its events stay in the journal
        known = self._routes.get(route)
        if known is None:
            known = self._routes[route] = self._read(route)
            # The route's writer may have seen a newer configuration, with endpoints that the one read before lacks.
            self._workflows.clear()
        return known

    def _read(self, route: str) -> dict[str, Any]:
        """Return the content of a route's file.

        If the file is gone or damaged, the endpoints are unknown. Then the events wait for an endpoint that is named
        after the route, and `swarmtask status` shows it.
        """
        unknown = {"endpoints": [f"route {route}"], "relay": route}
        try:
            with open(self._project.route(route), "rb", opener=only_regular) as file:
                content = file.read()
            found = json.loads(content)
        except (OSError, ValueError):
            return unknown
        # A route is named by the checksum of its content, so other content is damage.
        return found if isinstance(found, dict) and route_of(content) == route else unknown
