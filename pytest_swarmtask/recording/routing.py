"""Which endpoints events must be delivered to: the writer of route files. `relay.delivery.routes` reads them.

A route file lists the endpoints of the segments that have its name in theirs. Loaded only where there is an endpoint.
"""

from __future__ import annotations

import os
import zlib

from pytest_swarmtask.core.fastjson import dumps
from pytest_swarmtask.core.files import only_regular, private_folder, replace_file
from pytest_swarmtask.core.project import BACKGROUND
from pytest_swarmtask.journal.segments import LOCAL, route_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.recording.settings import Settings


class Routing:
    """The endpoints of this process: those of the configuration, and those that user code registers.

    Args:
        settings: the configured endpoints.
        environ: the variables that deliveries depend on.
    """

    __slots__ = ("_environ", "_registered", "_settings", "_variables")

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._registered: dict[str, dict[str, Any]] = {}
        self._variables: dict[str, list[str]] = {}

    def register(self, definition: Mapping[str, Any], variables: Iterable[str]) -> None:
        """Add an endpoint; it replaces one of the same name.

        Args:
            definition: as a webhook in `workflow.yaml`.
            variables: names of the environment variables that it depends on.
        """
        self._registered[definition["name"]] = dict(definition)
        self._variables[definition["name"]] = list(variables)

    def unregister(self, name: str) -> None:
        """Remove an endpoint that was registered; do nothing if there is none of this name."""
        self._registered.pop(name, None)
        self._variables.pop(name, None)

    def save(self) -> tuple[str, str, bool]:
        """Write the file of the route to all endpoints, if it does not exist yet.

        Returns:
            The route (`LOCAL` if there is no endpoint), the key of the relay that serves it, and whether the end of a
            run waits for one of the endpoints.

        Raises:
            OSError: the file cannot be written.
        """
        settings = self._settings
        names = sorted({*settings.endpoints, *self._registered})
        if not names or not settings.enabled:
            return LOCAL, "", False
        relay = self.relay_key()
        content: dict[str, Any] = {
            "endpoints": names,
            "environment": settings.environment,
            "registered": self._registered,
            "relay": relay,
        }
        if settings.access.secrets:  # all events of a segment are of one role, whose secret signs them, too
            content["role"] = settings.access.role
        encoded = dumps(content).encode()
        route = route_of(encoded)
        _write(settings.project, route, encoded)
        return route, relay, not set(BACKGROUND).issuperset(names)

    def relay_key(self) -> str:
        """Return the key of the relay that delivers with this process's values of the variables.

        The key is a checksum of secrets that names files. It has 16 bits, which tell a few environments apart but are
        too few for finding a secret.
        """
        names = {*self._settings.variables, *(name for names in self._variables.values() for name in names)}
        values = [f"{name}={self._environ.get(name)}" for name in sorted(names)]
        text = "\0".join([self._settings.environment or "", *values])
        return f"{zlib.crc32(text.encode('utf-8', 'surrogateescape')) & 0xFFFF:04x}"


def _write(project: Project, route: str, content: bytes) -> None:
    path = project.route(route)
    if not _is_intact(path, content):
        private_folder(project.journal)
        private_folder(project.routes)
        replace_file(path, content)


def _is_intact(path: str, content: bytes) -> bool:
    """Whether a file exists with this content. If so, mark it as used now, so that `relay.retention` keeps it."""
    try:
        with open(path, "rb", opener=only_regular) as file:
            if file.read() != content:
                return False
        os.utime(path)
    except FileNotFoundError:
        return False
    except OSError:
        pass  # it belongs to another user
    return True
