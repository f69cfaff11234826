"""The progress files of relays: written by each relay at work, and read by everybody who waits for it or watches it.

The relay's database has the same facts, but a bit later, and reading it needs SQLite. The watched process does not load
SQLite, so it reads the file, with `Project.read_progress`.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.core.files import replace_file
from pytest_swarmtask.core.project import BACKGROUND

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.relay.delivery.served_segment import ServedSegment
    from pytest_swarmtask.relay.delivery.worker import Delivery

_SUFFIX = ".json"


class ProgressFile:
    """Publishes how far a relay is.

    Args:
        project: whose deliveries these are.
        keys: of the relay; it has several if it does the work of several.
    """

    def __init__(self, project: Project, keys: Iterable[str]) -> None:
        self._paths = [project.progress(key) for key in keys]
        self._published: dict[str, Any] = {}

    def publish(self, served: Iterable[ServedSegment], deliveries: Iterable[Delivery]) -> None:
        """Write the file if anything has changed since the last call. Its fields: see `Project.read_progress`."""
        endpoints = {one.endpoint: {"state": one.state.state, "reason": one.state.reason} for one in deliveries}
        progress = {**_segments_and_runs(served), "endpoints": endpoints}
        if progress != self._published:
            self._published = progress
            content = json.dumps(progress).encode()
            for path in self._paths:
                with contextlib.suppress(OSError):  # readers go on with the last file that could be written
                    replace_file(path, content)


def _segments_and_runs(served: Iterable[ServedSegment]) -> dict[str, Any]:
    segments: dict[str, int] = {}
    runs: dict[str, dict[str, dict[str, int]]] = {}
    for one in served:
        name = one.segment.name
        # The end of a run waits for these offsets, so they leave out what it must not wait for: triggers and alerts,
        # which may take long, and deliveries that do not go on by themselves.
        awaited = [d for d in one.deliveries if d.trying and not d.endpoint.startswith(BACKGROUND)]
        segments[name] = min((delivery.position(name).offset for delivery in awaited), default=one.size)
        run = runs.setdefault(one.segment.trace_id, {})
        for delivery in one.deliveries:
            position = delivery.position(name)
            counts = run.setdefault(delivery.endpoint, {"waiting": 0, "dead": 0})
            counts["waiting"] += one.lines - position.lines
            counts["dead"] += position.dead
    return {"segments": segments, "runs": runs}


def has_delivered_everything(project: Project, key: str) -> bool:
    """Whether a relay has published that no event waits; False if it has published nothing yet."""
    runs = project.read_progress(key)["runs"]
    return bool(runs) and not any(counts["waiting"] for run in runs.values() for counts in run.values())


class DeliveryProgress:
    """The progress of all relays of a project, by run. Files that have not changed are not read again."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._changed: dict[str, int] = {}  # relay to the modification time of its file, in nanoseconds
        self._progress: dict[str, dict[str, Any]] = {}

    def read(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return by run and endpoint: ``waiting`` and ``dead`` (numbers of events), ``state`` and ``reason``."""
        try:
            files = [file for file in os.scandir(self._project.relay_folder) if file.name.endswith(_SUFFIX)]
            changed = {file.name.removesuffix(_SUFFIX): file.stat().st_mtime_ns for file in files}
        except OSError:
            return {}  # no relay has started yet, or a file was removed meanwhile
        self._progress = {
            relay: self._progress[relay] if self._changed.get(relay) == at else self._project.read_progress(relay)
            for relay, at in changed.items()
        }
        self._changed = changed
        runs: dict[str, dict[str, dict[str, Any]]] = {}
        # If two relays have served a run, the later file counts.
        for relay in sorted(changed, key=lambda relay: changed[relay]):
            progress = self._progress[relay]
            for run, endpoints in progress["runs"].items():
                for name, counts in endpoints.items():
                    state = progress["endpoints"].get(name, {"state": "ok", "reason": ""})
                    runs.setdefault(run, {})[name] = {**counts, **state}
        return runs
