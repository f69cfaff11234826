"""Kernel locks on files. The kernel releases a lock when its process dies, so a lock shows that a process is alive.

Process ids would not do, because they are reused, and neither would timestamps, because clocks jump.
"""

from __future__ import annotations

import errno
import os
import sys

from pytest_swarmtask.core.files import only_regular, open_own

if sys.platform == "win32":
    import msvcrt

    # Windows locks ranges of bytes, and others could not read a locked one. So lock a byte far behind the end of file.
    _FAR = 0x7FFF0000
    _HELD = (errno.EACCES, errno.EDEADLK)

    def _lock(fd: int, *, shared: bool) -> bool | None:  # noqa: ARG001 - `msvcrt` has no shared locks
        try:
            os.lseek(fd, _FAR, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            return False if error.errno in _HELD else None
        return True

else:
    import fcntl

    def _lock(fd: int, *, shared: bool) -> bool | None:
        """Take the lock. Return False if another process holds it, None if the file system has no locks."""
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return None
        return True


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Take the lock of an open file, without waiting. It is released when the file is closed.

    Returns:
        False if another process holds the lock. True if the file system has no locks, where work must go on without.
    """
    return _lock(fd, shared=shared) is not False


def inherit(fd: int) -> bool:
    """Take the lock of a dead process's file, without waiting. It is released when the file is closed.

    Returns:
        False if another process holds the lock, or if the file system has no locks, so that two could be the heir.
    """
    while True:
        taken = _lock(fd, shared=False)
        if taken is not False:
            return taken is True
        if not _lock(fd, shared=True):  # else it was only another process that called `is_locked`
            return False


def is_locked(path: str) -> bool:
    """Whether a process holds the lock of this file. A file that does not exist is not locked."""
    return _ask(path) is False


def is_free(path: str) -> bool:
    """Whether certainly no process holds the lock of this file: never where the file system has no locks."""
    return _ask(path) is True


def _ask(path: str) -> bool | None:
    try:
        fd = only_regular(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    except OSError:
        return None
    try:
        return _lock(fd, shared=True)
    finally:
        os.close(fd)


def open_locked(path: str) -> int | None:
    """Open a lock file, which is created if necessary, and take its lock. Return None if another process holds it.

    A holder may unlink its file before it closes it, so the locked file may not be the one of this name any more. Then
    try again.
    """
    while True:
        fd = open_own(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
        if not try_lock(fd):
            held = not try_lock(fd, shared=True)  # else it was only another process that called `is_locked`
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
