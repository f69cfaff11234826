"""Kernel locks on files: who holds one is alive, and death lets go of it.

They answer "is that process still there?" without pids, which are reused, and without clocks, which jump.
On Windows a byte far behind the end of the file is locked instead.
"""

from __future__ import annotations

import errno
import os
import sys

if sys.platform == "win32":
    import msvcrt

    _FAR = 0x7FFF0000
    _HELD = (errno.EACCES, errno.EDEADLK)

    def _lock(fd: int, *, shared: bool) -> bool | None:  # noqa: ARG001 - Windows has no shared ones here
        try:
            os.lseek(fd, _FAR, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            return False if error.errno in _HELD else None
        return True

else:
    import fcntl

    def _lock(fd: int, *, shared: bool) -> bool | None:
        """Take the lock; False when another holds it, None where the file system knows no locks."""
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return None
        return True


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Take the lock of an open file for as long as it is open, without waiting.

    Returns:
        False when another holds it. A file system that knows no locks answers True.
    """
    return _lock(fd, shared=shared) is not False


def is_locked(path: str) -> bool:
    """Tell whether someone holds the lock of this file; a file that is not there is not locked."""
    return _look(path) is False


def is_free(path: str) -> bool:
    """Tell whether it is certain that nobody holds the lock of this file: not where none could be held."""
    return _look(path) is True


def _look(path: str) -> bool | None:
    try:
        fd = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    except OSError:
        return None
    try:
        return _lock(fd, shared=True)
    finally:
        os.close(fd)


def open_locked(path: str) -> int | None:
    """Open a lock file, creating it, and hold its lock; None when another holds it.

    A holder may unlink its file before it lets go, so what was locked must still be what the name means.
    """
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        if not try_lock(fd):
            held = not try_lock(fd, shared=True)  # else it was only somebody who asked with `is_locked`
            os.close(fd)
            if held:
                return None
            continue
        try:
            if os.path.samestat(os.stat(path), os.fstat(fd)):
                return fd
        except FileNotFoundError:
            pass
        os.close(fd)
