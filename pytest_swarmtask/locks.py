"""Kernel locks on files: who holds one is alive, and death lets go of it.

They answer "is that process still there?" without pids, which are reused, and without clocks, which jump.
On Windows the last byte of the file's possible range is locked instead.
"""

from __future__ import annotations

import os

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_FAR = 0x7FFF0000


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Take the lock of an open file for as long as it is open, without waiting.

    Returns:
        False when another holds it. A file system that knows no locks answers True.
    """
    try:
        if fcntl is not None:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        else:
            _windows(fd, "LK_NBLCK")
    except BlockingIOError:
        return False
    except OSError as error:
        return fcntl is not None and error.errno not in _HELD
    return True


def unlock(fd: int) -> None:
    """Let go of the lock without closing the file."""
    try:
        if fcntl is not None:
            fcntl.flock(fd, fcntl.LOCK_UN)
        else:
            _windows(fd, "LK_UNLCK")
    except OSError:
        return


def is_locked(path: str) -> bool:
    """Tell whether someone holds the lock of this file; a file that is not there is not locked."""
    try:
        fd = os.open(path, os.O_RDONLY if fcntl is not None else os.O_RDWR)
    except OSError:
        return False
    try:
        return not try_lock(fd, shared=True)
    finally:
        os.close(fd)


def open_locked(path: str) -> int | None:
    """Open a lock file, creating it, and hold its lock; None when another holds it.

    A holder may unlink its file before it lets go, so what was locked must still be what the name means.
    """
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        if not try_lock(fd):
            os.close(fd)
            return None
        try:
            if os.stat(path).st_ino == os.fstat(fd).st_ino:
                return fd
        except FileNotFoundError:
            pass
        os.close(fd)


def _windows(fd: int, mode: str) -> None:
    import msvcrt

    os.lseek(fd, _FAR, os.SEEK_SET)
    msvcrt.locking(fd, getattr(msvcrt, mode), 1)  # type: ignore[attr-defined]


def _held_errnos() -> frozenset[int]:
    import errno

    return frozenset((errno.EACCES, errno.EAGAIN, errno.EDEADLK))


_HELD = _held_errnos()
