"""Task Master's own lock: a directory beside its file, made with mkdir, kept empty, removed in the end.

Some of its commands use a file of the same name in the same way, so either is in the way of the other.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import TaskManagerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STALE = 10.0
"""Seconds after which a lock was left behind by a process that died."""
_PATIENCE = 3.0
_PAUSE = 0.02


@contextlib.contextmanager
def locked(path: str) -> Iterator[Callable[[], bool]]:
    """Hold the lock of a file; for well below a second, because Task Master's own patience ends soon after.

    Yields:
        What tells whether it is still ours: somebody may have thought that we were dead, when we were asleep.

    Raises:
        TaskManagerError: somebody else holds it all the time, or it cannot be made.
    """
    lock = f"{path}.lock"
    deadline = time.monotonic() + _PATIENCE
    while (ours := _take(lock)) is None:
        if time.monotonic() > deadline:
            raise TaskManagerError(f"{path} is locked by another program ({lock})", passing=True)
        time.sleep(_PAUSE)
    try:
        yield lambda: _identity(lock) == ours
    finally:
        if _identity(lock) == ours:
            with contextlib.suppress(OSError):  # taken over in this very moment
                os.rmdir(lock)


def _take(lock: str) -> tuple[int, int] | None:
    """Return the identity of the lock once it is ours, or None where it is somebody else's."""
    try:
        os.mkdir(lock)
    except FileExistsError:
        _clear_if_stale(lock)
        return None
    except OSError as error:
        raise TaskManagerError(f"{lock} cannot be made: {error.strerror}") from None
    return _identity(lock)


def _identity(lock: str) -> tuple[int, int] | None:
    try:
        stat = os.lstat(lock)
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def _clear_if_stale(lock: str) -> None:
    with contextlib.suppress(OSError):  # released meanwhile, or somebody else was quicker
        if time.time() - os.lstat(lock).st_mtime > STALE:
            if os.path.isdir(lock):
                os.rmdir(lock)
            else:
                os.unlink(lock)
