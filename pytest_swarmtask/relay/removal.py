"""The files of a journal's folder: how much room they take, and how to remove all of them."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.journal import locks
from pytest_swarmtask.journal.segments import segments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_swarmtask.core.project import Project


class Usage(NamedTuple):
    """The room that files of one kind take.

    Attributes:
        size: their bytes.
        files: how many there are.
        since: when the oldest of them was last written, in seconds since the epoch. 0 if there is none.
    """

    size: int = 0
    files: int = 0
    since: float = 0.0


def usage(project: Project) -> dict[str, Usage]:
    """Return the room that the journal, the history, the deliveries and other files take, by these words."""
    found = {"journal": Usage(), "history": Usage(), "deliveries": Usage(), "other": Usage()}
    for path in _files(project.journal):
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile
            state, kind = os.stat(path), _kind(os.path.relpath(path, project.journal))
            size, files, since = found[kind]
            found[kind] = Usage(size + state.st_size, files + 1, min(since or state.st_mtime, state.st_mtime))
    return found


def _kind(path: str) -> str:
    if path.startswith("history.sqlite"):
        return "history"
    folder = path.partition(os.sep)[0]
    if folder in ("relay", "routes"):
        return "deliveries"
    return "journal" if ".jsonl" in path else "other"


def is_in_use(project: Project) -> bool:
    """Whether a process records into this journal, or a relay delivers from it."""
    paths = [project.segment(segment.name) for segment in segments(project.journal)]
    return any(map(locks.is_locked, paths)) or any(
        locks.is_held(path) for path in _files(project.relay_folder) if path.endswith(".lock")
    )


def remove_all(project: Project, began: float) -> None:
    """Remove the folder of the journal, and the folder above it if it is empty then.

    A process may begin to record meanwhile. The files that it writes stay.

    Args:
        project: the project.
        began: seconds since the epoch. Files that were written later stay.

    Raises:
        OSError: a file cannot be removed.
    """
    for path in _files(project.journal):
        with contextlib.suppress(FileNotFoundError):
            if os.lstat(path).st_mtime < began and not locks.is_locked(path):
                os.unlink(path)
    for folder, _, _ in os.walk(project.journal, topdown=False):
        _remove_if_empty(folder)
    _remove_if_empty(os.path.dirname(project.journal))


def _remove_if_empty(folder: str) -> None:
    with contextlib.suppress(OSError):  # files that are not ours, or that were written meanwhile
        os.rmdir(folder)


def _files(folder: str) -> Iterator[str]:
    for parent, _, names in os.walk(folder):
        yield from (os.path.join(parent, name) for name in names)
