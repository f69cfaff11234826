"""What tests of several folders share: a clean environment for child processes, and the events of a project."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

_OURS = ("PYTEST_", "TASKMASTER_", "AUTOMATION_", "SWARMTASK_", "WORKFLOW_", "TASKS_", "GITHUB_", "MAKE")
_NAMES = ("CI", "TRACEPARENT", "MFLAGS", "PY_COLORS", "FORCE_COLOR", "NO_COLOR", "COLUMNS", "PYTHONUNBUFFERED")


def clean_environ(**more: str) -> dict[str, str]:
    """Return the environment with `more`, and without what the present session, its make or its CI put there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS) and name not in _NAMES}
    return {**kept, **more}


def read_events(root: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the events in the journal of a project: segment by segment, oldest first, in the order written."""
    segments = sorted(Path(root, ".taskmaster", "events").glob("*.jsonl"))
    return [json.loads(line) for segment in segments for line in segment.read_bytes().splitlines()]
