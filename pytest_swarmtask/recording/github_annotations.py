"""Annotations of GitHub Actions: relays leave them in a file, because their own output is not in the job's log."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.core.project import Project


def take_annotations(project: Project, environ: Mapping[str, str]) -> list[str]:
    """Return the lines to print into the log of this job; none outside of GitHub Actions.

    Of several processes, each line goes to one only, so that it is printed once.
    """
    if environ.get("GITHUB_ACTIONS") != "true":
        return []
    path = project.annotations
    taken = f"{path}.{os.getpid()}"
    try:
        os.rename(path, taken)
        with open(taken, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
        os.unlink(taken)
    except OSError:
        return []  # there are none, or another process was faster
    return [line for line in lines if line.startswith("::")]
