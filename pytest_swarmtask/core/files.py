"""Files that are written whole or not at all, and folders that only their owner can read.

`only_regular` opens what others may have put in place of a file. `replace_file` is the one way to write a whole file.
"""

from __future__ import annotations

import errno
import os
import stat

PRIVATE = 0o600
"""The mode of files that only their owner may read and write."""
_OTHERS = 0o077
_WRITERS = 0o022
_PRIME = 2**64 - 59
"""The largest prime that fits into the 64 bits of a span id. A remainder by a prime depends on all bytes."""


def private_folder(path: str) -> None:
    """Make a folder that only its owner can use, with a `.gitignore` that keeps it out of version control.

    A folder of ours that others could write to is closed to them, and what they have put into it is set aside.

    Raises:
        OSError: it cannot be made, or others have made it.
    """
    if not os.path.isdir(path):
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if not os.path.isdir(path):  # else another process was faster
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from None
    if os.stat(path).st_mode & _OTHERS or not _is_ours(path):
        _close_to_others(path)
    ignore = os.path.join(path, ".gitignore")
    if not os.path.exists(ignore):
        replace_file(ignore, b"*\n")


def _is_ours(path: str) -> bool:
    """Whether a path belongs to this user, to root, or to the owner of the folder that it is in."""
    return not hasattr(os, "geteuid") or os.lstat(path).st_uid in (
        os.geteuid(),
        0,
        os.stat(os.path.dirname(path)).st_uid,
    )


def _close_to_others(path: str) -> None:
    if not _is_ours(path):
        raise PermissionError(errno.EPERM, "belongs to another user", path)
    if not hasattr(os, "geteuid"):  # Windows has no such modes
        return
    try:
        os.chmod(path, 0o700)
    except PermissionError:
        if os.stat(path).st_mode & _WRITERS:
            raise PermissionError(errno.EPERM, "is writable by others", path) from None
    for name in os.listdir(path):
        inside = os.path.join(path, name)
        if not _is_ours(inside):
            os.rename(inside, os.path.join(path, f".foreign-{name}"))


def open_own(path: str, flags: int) -> int:
    """Open a file of this package to write it, and make it if there is none. A link in its place is not followed.

    Raises:
        OSError: it cannot be opened, or it is not a regular file.
    """
    return only_regular(path, flags | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), PRIVATE)


def only_regular(path: str, flags: int, mode: int = 0o666) -> int:
    """Open a regular file; for `open` as its `opener`.

    Others may have put something else in its place. A named pipe whose other end is closed would block for ever.

    Raises:
        OSError: it cannot be opened, or it is not a regular file.
    """
    fd = os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0), mode)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(errno.EINVAL, "not a regular file", path)


def replace_file(
    path: str,
    content: bytes,
    *,
    mode: int = PRIVATE,
    owner: tuple[int, int] | None = None,
    temporary: str | None = None,
) -> None:
    """Write a whole file in one step: a reader sees the old content or the new, never a part.

    Args:
        path: the file. A symbolic link is replaced, not followed.
        content: all of its content.
        mode: its permissions.
        owner: its user and group id, kept if the system permits; only root may give files away.
        temporary: where the content is written first, in the same folder. By default a name of its own, so that
            processes that write at the same time do not meet. A fixed name needs a lock around the call, and leaves
            no second file behind when the process is killed.

    Raises:
        OSError: it could not be written whole. The former content is still there.
    """
    beside = temporary or f"{path}.{os.getpid()}.{os.urandom(4).hex()}.new"
    once = os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) if temporary else os.O_EXCL
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | once, PRIVATE)
    try:
        try:
            _write_all(fd, content)
            if mode != PRIVATE or temporary:  # a killed process may have left a fixed name behind, with another mode
                os.chmod(beside, mode)
            if owner is not None:
                _give(beside, owner)
        finally:
            os.close(fd)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def _give(path: str, owner: tuple[int, int]) -> None:
    try:
        os.chown(path, *owner)
    except (OSError, AttributeError):  # not permitted, or Windows
        pass


def _write_all(fd: int, content: bytes) -> None:
    while content:
        count = os.write(fd, content)  # fewer bytes than asked for where the disk is nearly full
        if not count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        content = content[count:]


def checksum(content: bytes) -> str:
    """Return 16 hex digits that depend on all of the content.

    Not those of `zlib`: an emitter would need a twentieth of its time to load it.
    """
    return f"{int.from_bytes(content, 'big') % _PRIME:016x}"


def mode_of(path: str) -> int:
    """Return the permissions of a file; if there is none, those that a new file gets in this process."""
    try:
        return os.stat(path).st_mode & 0o7777
    except FileNotFoundError:
        umask = os.umask(0o077)
        os.umask(umask)
        return 0o666 & ~umask
