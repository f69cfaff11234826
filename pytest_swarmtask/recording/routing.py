"""To whom events are owed, as who records them writes it: the route of a segment, and the file that says what it is.

Loaded only where there is an endpoint. The other side is `relay.routes`.
"""

from __future__ import annotations

import os
import zlib

from pytest_swarmtask.core.fastjson import dumps
from pytest_swarmtask.core.files import private_folder, replace_file
from pytest_swarmtask.core.project import BACKGROUND
from pytest_swarmtask.journal.segments import LOCAL, route_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.recording.settings import Settings


class Routing:
    """The endpoints of a process: those of the configuration, and those that its code has registered."""

    __slots__ = ("_environ", "_registered", "_settings", "_variables")

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._registered: dict[str, dict[str, Any]] = {}
        self._variables: dict[str, list[str]] = {}

    def register(self, definition: Mapping[str, Any], variables: Iterable[str]) -> None:
        """Add an endpoint, or another of its name in its stead."""
        self._registered[definition["name"]] = dict(definition)
        self._variables[definition["name"]] = list(variables)

    def unregister(self, name: str) -> None:
        """Forget an endpoint that was registered, if it was."""
        self._registered.pop(name, None)
        self._variables.pop(name, None)

    def save(self) -> tuple[str, str, bool]:
        """Return the route to all endpoints, once its file stands on disk, and the key of the relay that serves it.

        The third value tells whether the end of a run waits for one of them.

        Raises:
            OSError: the file cannot be written.
        """
        settings = self._settings
        names = sorted({*settings.endpoints, *self._registered})
        if not names or not settings.enabled:
            return LOCAL, "", False
        relay = self.relay_key()
        owed: dict[str, Any] = {
            "endpoints": names,
            "environment": settings.environment,
            "registered": self._registered,
            "relay": relay,
        }
        if settings.access.secrets:  # what is in a segment is of one role, whose key signs it too
            owed["role"] = settings.access.role
        content = dumps(owed).encode()
        route = route_of(content)
        _write(settings.project, route, content)
        return route, relay, not set(BACKGROUND).issuperset(names)

    def relay_key(self) -> str:
        """Return the key of the relay that delivers with our values of the variables.

        It stands on disk, so it has only 16 bits: enough to tell environments apart, too few to tell a value.
        """
        names = {*self._settings.variables, *(name for names in self._variables.values() for name in names)}
        values = [f"{name}={self._environ.get(name)}" for name in sorted(names)]
        text = "\0".join([self._settings.environment or "", *values])
        return f"{zlib.crc32(text.encode('utf-8', 'surrogateescape')) & 0xFFFF:04x}"


def _write(project: Project, route: str, content: bytes) -> None:
    folder = project.routes
    path = os.path.join(folder, f"{route}.json")
    if not _is_kept(path, content):
        private_folder(project.journal)
        private_folder(folder)
        replace_file(path, content)


def _is_kept(path: str, content: bytes) -> bool:
    """Tell whether a file is there and undamaged; then it counts as used, and is kept on (see `relay.retention`)."""
    try:
        with open(path, "rb") as file:
            if file.read() != content:
                return False
        os.utime(path)
    except FileNotFoundError:
        return False
    except OSError:
        pass  # it belongs to somebody else
    return True
