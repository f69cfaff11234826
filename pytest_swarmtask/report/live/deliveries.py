"""How far relays are with the deliveries of present runs, according to the progress files that relays write."""

from __future__ import annotations

import os
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_swarmtask.core.project import Project

_SUFFIX = ".json"


class DeliveryProgress:
    """Reads the progress files of relays. A file that has not changed is not read again."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._seen: dict[str, int] = {}
        self._known: dict[str, dict[str, Any]] = {}

    def read(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return the deliveries, by trace id and endpoint.

        Each has ``waiting`` and ``dead`` (numbers of events), and ``state`` and ``reason`` (of the endpoint).
        """
        try:
            files = [file for file in os.scandir(self._project.relay_folder) if file.name.endswith(_SUFFIX)]
            times = {file.name.removesuffix(_SUFFIX): file.stat().st_mtime_ns for file in files}
        except OSError:
            return {}  # no relay has run yet, or a file was removed meanwhile
        self._known = {
            relay: self._known[relay] if self._seen.get(relay) == changed else self._project.read_progress(relay)
            for relay, changed in times.items()
        }
        self._seen = times
        runs: dict[str, dict[str, dict[str, Any]]] = {}
        # Two relays may report on one run if one has taken over from the other. The newer file comes last, and counts.
        for relay in sorted(times, key=lambda relay: times[relay]):
            progress = self._known[relay]
            for run, endpoints in progress.get("runs", {}).items():
                for name, counts in endpoints.items():
                    state = progress.get("endpoints", {}).get(name, {"state": "ok", "reason": ""})
                    runs.setdefault(run, {})[name] = {**counts, **state}
        return runs
