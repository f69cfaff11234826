"""Annotations of GitHub Actions: relays leave them in a file, because their own output is not in the job's log."""

from __future__ import annotations

import os

from pytest_swarmtask.core.files import only_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.core.project import Project

_MOST = 10
"""Annotations of a kind that GitHub shows of one step. It drops the others without a word."""


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
        with open(taken, encoding="utf-8", errors="replace", opener=only_regular) as file:
            lines = file.read().splitlines()
        os.unlink(taken)
    except OSError:
        return []  # there are none, or another process was faster
    return _limited([line for line in lines if line.startswith("::")])


def _limited(lines: list[str]) -> list[str]:
    """Return at most `_MOST` lines of a kind. The last one says how many are left out."""
    by_kind: dict[str, list[str]] = {}
    for line in lines:
        by_kind.setdefault(line[2:].partition("::")[0].partition(" ")[0], []).append(line)
    shown: list[str] = []
    for kind, its_lines in by_kind.items():
        if len(its_lines) > _MOST:
            left_out = len(its_lines) - _MOST + 1
            its_lines[_MOST - 1 :] = [f"::{kind} title=swarmtask::and {left_out} more; see: swarmtask report"]
        shown += its_lines
    return shown
