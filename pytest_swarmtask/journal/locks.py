"""Kernel locks on files. The kernel releases a lock when its process dies, so a lock shows that a process is alive.

Process ids would not do, because they are reused, and neither would timestamps, because clocks jump.

Some file systems have no locks. There nobody can tell whether a writer lives. Still only one relay of a key delivers,
as its lock file is the lock: one process alone can create it, and the holder renews its time. A file that was not
renewed for a while was left behind by a process that died.
"""

from __future__ import annotations

import errno
import os
import sys
import time

from pytest_swarmtask.core.files import only_regular, open_own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    _Answer = TypeVar("_Answer")

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


# -- lock files ----------------------------------------------------------------------------------------------------

_LEFT_BEHIND = 10.0
"""Seconds without a renewal after which a lock file counts as left behind, where the file system has no locks.

Longer than a busy machine keeps a relay from its work, and short, as the events of a killed relay wait for so long.
"""

RENEWAL = 1.0
"""Seconds between two renewals of a lock file by its holder."""


def open_locked(path: str) -> int | None:
    """Open a lock file, which is created if necessary, and take its lock. Return None if another process holds it.

    Where the file system has no locks, the holder calls `renew` every `RENEWAL` seconds.
    """
    while True:
        try:
            fd, is_new = _create_or_open(path)
        except FileNotFoundError:
            continue  # its holder has released it meanwhile
        locked = _lock(fd, shared=False)
        if locked is None:
            if is_new:
                return fd
            try:
                if not _remove_if_left_behind(path, fd):
                    return None
            finally:
                os.close(fd)
        elif not locked:
            held = not try_lock(fd, shared=True)  # else it was only another process that called `is_held`
            os.close(fd)
            if held:
                return None
        elif _is_of_this_name(path, fd):
            return fd
        else:
            os.close(fd)


def is_held(path: str) -> bool:
    """Whether a process holds this lock file."""
    try:
        fd = only_regular(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    except OSError:
        return False
    try:
        free = _lock(fd, shared=True)
        return _age(path, fd) <= _LEFT_BEHIND if free is None else not free
    finally:
        os.close(fd)


def renew(path: str, fd: int) -> bool:
    """Show that the holder of a lock file lives, where the file system has no locks.

    Returns:
        False if another process holds the lock by now: it took this one, which was suspended, for dead.
    """
    if _has_locks(fd):
        return True
    os.utime(fd)
    return _is_of_this_name(path, fd)


def release(path: str, fd: int) -> None:
    """Remove a lock file that this process holds, and release its lock."""
    try:
        if _is_of_this_name(path, fd):
            os.unlink(path)
    except OSError:
        pass  # the folder is not writable any more; Windows removes no open file
    finally:
        os.close(fd)


def has_locks(folder: str) -> bool:
    """Whether the file system of a folder has locks. A folder that cannot be written counts as one that has."""
    try:
        return _ask_new_file(folder, _has_locks)
    except OSError:
        return True


def _has_locks(fd: int) -> bool:
    return _lock(fd, shared=False) is not None


def _ask_new_file(folder: str, question: Callable[[int], _Answer]) -> _Answer:
    path = os.path.join(folder, f".{os.urandom(8).hex()}.new")
    fd = open_own(path, os.O_RDWR | os.O_EXCL)
    try:
        return question(fd)
    finally:
        os.close(fd)
        os.unlink(path)


def _create_or_open(path: str) -> tuple[int, bool]:
    flags = os.O_RDWR | getattr(os, "O_CLOEXEC", 0)
    try:
        return open_own(path, flags | os.O_EXCL), True
    except FileExistsError:
        return only_regular(path, flags | getattr(os, "O_NOFOLLOW", 0)), False


def _is_of_this_name(path: str, fd: int) -> bool:
    """Whether an open file still has this name: its holder may have unlinked it before it closed it."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def _age(path: str, fd: int) -> float:
    """Return the seconds since a lock file was renewed.

    They are counted by the clock of the file system, which may be that of another machine. A time in the future is as
    old as one in the past: a holder that lives corrects it at once.
    """
    renewed = os.fstat(fd).st_mtime
    try:
        now = _ask_new_file(os.path.dirname(path), os.fstat).st_mtime
    except OSError:
        now = time.time()  # whoever cannot write here takes no lock
    return abs(now - renewed)


def _remove_if_left_behind(path: str, fd: int) -> bool:
    """Remove a lock file that was not renewed for a while, or return False if another process holds or removes it.

    One process at a time looks and removes, which a lock file of its own ensures. Otherwise a process that has looked
    earlier could remove the file of the one that was quicker.
    """
    try:
        if _age(path, fd) <= _LEFT_BEHIND:
            return False
        beside = f"{path}.removal"
        lock = open_locked(beside)
        if lock is None:
            return False
        try:
            if _is_of_this_name(path, fd):
                os.unlink(path)
        finally:
            release(beside, lock)
    except OSError:
        return False  # whoever cannot remove the file does not get the lock
    return True
