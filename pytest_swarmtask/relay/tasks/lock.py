"""Task Master's own lock: an empty directory beside its file, which is made with mkdir and removed at the end.

Some of Task Master's commands use a file of the same name instead. Directory and file exclude each other, too.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.core.service_errors import TaskManagerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STALE = 10.0
"""Seconds after which a lock counts as left behind by a process that died, as in Task Master."""
_PATIENCE = 3.0
"""Seconds to wait for the lock. The caller may try again later."""
_PAUSE = 0.02
"""Seconds between two attempts to get the lock."""


@contextlib.contextmanager
def locked(path: str) -> Iterator[Callable[[], bool]]:
    """Hold the lock of a file. Keep it for well below a second: Task Master itself gives up soon after.

    Yields:
        A function that returns whether the lock is still ours. Another process removes it if ours was suspended so
        long that it seemed dead.

    Raises:
        TaskManagerError: another program holds the lock all the time, or it cannot be made.
    """
    lock = f"{path}.lock"
    deadline = time.monotonic() + _PATIENCE
    while (ours := _try_to_lock(lock)) is None:
        if time.monotonic() > deadline:
            raise TaskManagerError(f"{path} is locked by another program ({lock})", passing=True)
        time.sleep(_PAUSE)
    try:
        yield lambda: _identity(lock) == ours
    finally:
        if _identity(lock) == ours:
            with contextlib.suppress(OSError):  # another process has just taken it over
                os.rmdir(lock)


def _try_to_lock(lock: str) -> tuple[int, int] | None:
    """Make the lock and return its identity, or return None if another program holds it."""
    try:
        os.mkdir(lock)
    except FileExistsError:
        _clear_if_stale(lock)
        return None
    except OSError as error:
        raise TaskManagerError(f"{lock} cannot be made: {error.strerror}") from None
    return _identity(lock)


def _identity(lock: str) -> tuple[int, int] | None:
    """Return what tells this lock from a later one of the same name, or None if there is no lock."""
    try:
        stat = os.lstat(lock)
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def _clear_if_stale(lock: str) -> None:
    with contextlib.suppress(OSError):  # it was released meanwhile, or another process was quicker
        if time.time() - os.lstat(lock).st_mtime > STALE:
            if os.path.isdir(lock):
                os.rmdir(lock)
            else:
                os.unlink(lock)
