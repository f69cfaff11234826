"""The commit and branch of a checkout, read from the files of `.git`, and whether it has changes, asked of git.

Reading the files takes much less time than a git process.
"""

from __future__ import annotations

import os
import select
import signal

from pytest_swarmtask.core.files import only_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HASH_LENGTHS = (40, 64)
"""Hex digits of SHA-1 and of SHA-256, the two hashes of git."""
# Git must not take the lock of the index to refresh it, nor start a file system monitor, which would outlive it.
_STATUS = ("--no-optional-locks", "-c", "core.fsmonitor=false", "status", "--porcelain", "--untracked-files=no")
_ORIGIN = "ref: refs/remotes/origin/"
_PATIENCE = 1000
"""Milliseconds to wait for git, at most, as it may take long in a large checkout."""
_NAMES = ((os, "posix_spawnp pipe read close waitpid kill"), (select, "poll"))
_REAL: tuple[Any, ...] = tuple(getattr(module, name, None) for module, names in _NAMES for name in names.split())
"""The real functions, since a test suite may patch or forbid those that start processes; None for one that the system
does not have.
"""
_known: list[bool | None] = []


def head(root: str) -> dict[str, str]:
    """Return ``commit`` and ``branch`` of the checkout around a folder, each if it is known."""
    folder = _git_folder(root)
    if folder is None:
        return {}
    text = read_text(os.path.join(folder, "HEAD"))
    if not text.startswith("ref: "):  # a detached head
        return {"commit": text} if _is_hash(text) else {}
    name = text.removeprefix("ref: ")
    common = _common(folder)
    commit = read_text(os.path.join(common, name)) or _packed(common, name)
    found = {"branch": name.removeprefix("refs/heads/")}
    if _is_hash(commit):
        found["commit"] = commit
    return found


def default_branch(root: str) -> str:
    """Return the branch that the remote `origin` calls its default, as `git clone` has noted it; "" if unknown."""
    folder = _git_folder(root)
    text = "" if folder is None else read_text(os.path.join(_common(folder), "refs", "remotes", "origin", "HEAD"))
    return text.removeprefix(_ORIGIN) if text.startswith(_ORIGIN) else ""


def top_folder(root: str) -> str | None:
    """Return the top folder of the checkout around a folder, the one that has `.git`; None if there is none."""
    folder = os.path.abspath(root)
    while not os.path.exists(os.path.join(folder, ".git")):
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent
    return folder


def common_folder(root: str) -> str | None:
    """Return the git folder that all worktrees of the checkout around a folder share; None if there is none."""
    folder = _git_folder(root)
    return None if folder is None else _common(folder)


def read_text(path: str, size: int = 4096) -> str:
    """Return the beginning of a file, without spaces around it; "" if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace", opener=only_regular) as file:
            return file.read(size).strip()
    except OSError:
        return ""


def dirty(root: str) -> bool | None:
    """Whether tracked files of the checkout around a folder differ from its commit; None if that is unknown.

    Git is asked once in the life of a process, and waited for at most a second. Never raises.
    """
    if not _known:
        try:
            _known.append(None if _git_folder(root) is None else _asked(root))
        except Exception:  # noqa: BLE001 - no git, no process to be had, no poll on this system
            _known.append(None)
    return _known[0]


def _asked(root: str) -> bool | None:
    spawn, pipe, read, close, waitpid, kill, poll = _REAL
    output, theirs = pipe()
    try:
        try:
            pid = _started(spawn, root, theirs)
        finally:
            close(theirs)
        ready = poll()
        ready.register(output)
        said = read(output, 1) if ready.poll(_PATIENCE) else None
        if said != b"":
            kill(pid, signal.SIGKILL)  # it takes too long, or one byte is answer enough; it has no lock that would stay
        if said is None and not ready.poll(_PATIENCE):
            return None  # it cannot even be killed: a dead file system blocks it
        status = waitpid(pid, 0)[1]
    finally:
        close(output)
    if said:
        return True
    return False if said is not None and status == 0 else None


def _started(spawn: Any, root: str, output: int) -> int:
    if output < 4:
        raise OSError("a standard file is closed, and its number would be taken for it")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or "CONFIG" in name}
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        (os.POSIX_SPAWN_DUP2, 0, 2),
    ]
    pid: int = spawn("git", ["git", "-C", root, *_STATUS], environ, file_actions=files, setsid=True)
    return pid


def _git_folder(root: str) -> str | None:
    top = top_folder(root)
    if top is None:
        return None
    path = os.path.join(top, ".git")
    # In a worktree or submodule it is a file with the path of the folder.
    return path if os.path.isdir(path) else os.path.join(top, read_text(path).removeprefix("gitdir: "))


def _common(folder: str) -> str:
    return os.path.normpath(os.path.join(folder, read_text(os.path.join(folder, "commondir")) or "."))


def _packed(common: str, name: str) -> str:
    for line in read_text(os.path.join(common, "packed-refs"), 1 << 22).splitlines():
        commit, _, packed = line.partition(" ")
        if packed == name:
            return commit
    return ""


def _is_hash(text: str) -> bool:
    return len(text) in _HASH_LENGTHS and all(character in "0123456789abcdef" for character in text)
