"""Where a project begins, and where its files are."""

from __future__ import annotations

import os

from pytest_swarmtask.core.fastjson import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def relay_folder(journal: str) -> str:
    """Return where relays keep their locks, progress, database and log."""
    return os.path.join(journal, "relay")


def lock_file(journal: str, relay: str) -> str:
    """Return the file whose lock a relay holds while it lives."""
    return os.path.join(relay_folder(journal), f"{relay}.lock")


def progress_file(journal: str, relay: str) -> str:
    """Return the file in which a relay says how far it is."""
    return os.path.join(relay_folder(journal), f"{relay}.json")


def hurry_file(journal: str, relay: str) -> str:
    """Return the file whose existence tells a relay that somebody waits for the last events."""
    return os.path.join(relay_folder(journal), f"{relay}.hurry")


def yield_file(journal: str, relay: str) -> str:
    """Return the file whose existence asks a relay whose runs are over to leave the rest to another."""
    return os.path.join(relay_folder(journal), f"{relay}.yield")


def annotations_file(journal: str) -> str:
    """Return the file in which relays leave what is to be said in the log of a GitHub Actions job."""
    return os.path.join(relay_folder(journal), "annotations")


def read_progress(journal: str, relay: str) -> dict[str, Any]:
    """Return what a relay last said.

    ``segments``: name to bytes settled; ``endpoints``: name to ``state`` and ``reason``; ``runs``: trace id to
    endpoint to ``waiting`` and ``dead``, numbers of events.
    """
    nothing: dict[str, Any] = {"segments": {}, "endpoints": {}, "runs": {}}
    try:
        with open(progress_file(journal, relay), encoding="utf-8") as file:
            progress = loads(file.read())
    except (OSError, ValueError):
        return nothing
    return progress if isinstance(progress, dict) else nothing


FOLDER = ".taskmaster"


TASKS = "task:sync"


TRIGGERS = "trigger:run"


ALERTS = "monitoring:alerts"
"""The endpoints that are the task manager, the triggers and the alerts. No webhook of the file has such a name. One
that is named like a control needs it."""


RESERVED = (TASKS, TRIGGERS, ALERTS)


BACKGROUND = (TRIGGERS, ALERTS)
"""Those that nobody waits for at the end of a run: a command of a trigger may take its time."""


NAME = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
"""What names in `workflow.yaml` look like, those of webhooks among them."""


NAME_IN_WORDS = "a name of at most 64 letters, digits, '.', '_' and '-' that starts with a letter or digit"


def find_root(start: str, otherwise: str | None = None) -> str:
    """Return the project's folder: the nearest one upwards that holds `.taskmaster`.

    Where there is none: `otherwise`, else the nearest one that holds `.git`, else `start`.
    """
    start = os.path.abspath(start)
    return _upwards(start, FOLDER) or otherwise or _upwards(start, ".git") or start


def _upwards(start: str, name: str) -> str | None:
    folder = start
    while not os.path.exists(os.path.join(folder, name)):
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent
    return folder


def journal_folder(root: str) -> str:
    """Return where the journal of a project is."""
    return os.path.join(root, FOLDER, "events")


def workflow_file(root: str) -> str:
    """Return where the configuration of a project is."""
    return os.path.join(root, FOLDER, "config", "workflow.yaml")


def under_ci(environ: Mapping[str, str]) -> bool:
    """Tell whether a CI service runs this, by the variable that all of them set."""
    return environ.get("CI", "").lower() not in ("", "0", "false", "no")


def switched_off(environ: Mapping[str, str]) -> bool:
    """Tell whether `SWARMTASK_DISABLED` switches recording off."""
    return environ.get("SWARMTASK_DISABLED", "") not in ("", "0")


def database(relay_folder: str) -> str:
    """Return where the database is."""
    return os.path.join(relay_folder, "relay.db")
