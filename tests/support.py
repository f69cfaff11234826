"""What tests of several folders share: a clean environment for child processes, and the events of a project."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pytest_swarmtask.core.project import Project

_OURS = ("PYTEST_", "TASKMASTER_", "AUTOMATION_", "SWARMTASK_", "WORKFLOW_", "TASKS_", "GITHUB_", "MAKE")
_NAMES = ("CI", "TRACEPARENT", "MFLAGS", "PY_COLORS", "FORCE_COLOR", "NO_COLOR", "COLUMNS", "PYTHONUNBUFFERED")


def clean_environ(**more: str) -> dict[str, str]:
    """Return the environment with `more`, and without what the present session, its make or its CI put there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS) and name not in _NAMES}
    return {**kept, **more}


def bound_by_modes() -> list[str]:
    """Return the beginning of a command that has to obey the modes of files, as root has not; else skip the test."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere, and nothing here takes that from it")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def project_of(journal: Path) -> Project:
    """Return the project of a journal's folder."""
    return Project(str(journal.parents[1]))


def read_events(root: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the events in the journal of a project: segment by segment, oldest first, in the order written."""
    segments = sorted(Path(root, ".taskmaster", "events").glob("*.jsonl"))
    return [json.loads(line) for segment in segments for line in segment.read_bytes().splitlines()]
