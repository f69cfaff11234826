"""Where a project begins, and whether its files may be obeyed.

`workflow.yaml` runs commands, and sends what is in the environment. So a `.taskmaster` that somebody else has put into
a folder above must not be obeyed (as with git: CVE-2022-24765), and none is made where it would be above the projects
of others.
"""

from __future__ import annotations

import errno
import os
import stat

from pytest_swarmtask.core.project import FOLDER, Project, is_under_ci

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

SAFE_DIRECTORY = "SWARMTASK_SAFE_DIRECTORY"
"""The variable with the folders whose files are obeyed whoever owns them, separated as in `PATH`; ``*`` means all."""

_VERSION_CONTROL = (".git", ".hg", ".svn", ".jj")
_PACKAGES = ("site-packages", "dist-packages")
_WRITABLE_BY_ALL = 0o002
_MOST_STEPS = 500
"""Folders and links on the way from a link to its target; the way through a circle of links never ends."""
_STICKY = 0o1000


def find_project(
    start: str, environ: Mapping[str, str], otherwise: str | None = None, *, stop: str | None = None
) -> Project:
    """Return the project that a folder belongs to.

    Its root is the nearest folder upwards that holds a `.taskmaster` which may be obeyed. The way up ends at the root
    of a checkout, at the home folder, and where another file system begins.

    Args:
        start: the folder.
        environ: the environment variables.
        otherwise: the root if there is no such folder. Without it, that is the root of the checkout, else `start`.
        stop: where the way up ends, too, unless it is in a checkout.
    """
    start = os.path.abspath(start)
    notice, found, checkout = "", "", ""
    for folder in _upwards(start):
        if not found and os.path.lexists(os.path.join(folder, FOLDER)):
            distrust = _distrust(folder, environ, start)
            notice = notice or distrust
            found = "" if distrust else folder
        if _is_checkout(folder):
            checkout = folder
            break
        if found and (stop is None or _is_within(found, stop)):
            break
    if found and not checkout and stop is not None and _is_within(start, stop) and not _is_within(found, stop):
        found = ""
    if found:
        return Project(found, notice=notice)
    root = os.path.abspath(otherwise or checkout or start)
    if os.path.lexists(os.path.join(root, FOLDER)):  # it is the one that may not be obeyed
        return Project(root, refusal=notice or _distrust(root, environ, start))
    return Project(root, notice=notice, refusal=_why_no_project(root, environ))


def working_directory(environ: Mapping[str, str]) -> str:
    """Return the working directory. If it was removed, the shell's `PWD` tells where it was.

    Raises:
        FileNotFoundError: it was removed, and the process had changed its directory before.
    """
    try:
        return os.getcwd()
    except FileNotFoundError:
        folder = environ.get("PWD", "")
        if not os.path.isabs(folder) or os.path.exists(folder):
            raise FileNotFoundError(errno.ENOENT, "the working directory was removed") from None
        return folder


def _upwards(start: str) -> Iterator[str]:
    """Yield a folder and those above it, up to the home folder or the edge of the file system."""
    yield start
    home = _home()  # not before: to look it up takes as long as all else here, and most starts are roots of projects
    folder, device = start, _device(start)
    while True:
        parent = os.path.dirname(folder)
        above = _device(parent)
        if folder in (parent, home) or (device is not None and above != device):
            return
        folder, device = parent, above
        yield folder


def _home() -> str:
    """Return the home folder of the user. `HOME` may be another one: pytest's own `pytester` sets it for each test."""
    try:
        from pwd import getpwuid  # built in, but for Windows

        return getpwuid(os.geteuid()).pw_dir
    except (ImportError, KeyError):  # as in containers, whose user has no entry
        return os.path.expanduser("~")


def _device(folder: str) -> int | None:
    """Return the file system that a folder is on, or None if the folder does not exist."""
    try:
        return os.stat(folder).st_dev
    except OSError:
        return None


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))


def _distrust(folder: str, environ: Mapping[str, str], start: str) -> str:
    """Return why the `.taskmaster` of a folder may not be obeyed, and how to trust it; or an empty text."""
    trusted = _trusted_users(folder, environ, start)
    marker = os.path.join(folder, FOLDER)
    config = os.path.join(marker, "config")
    for path in (marker, config, os.path.join(config, "workflow.yaml")):
        reason = _unsafe(path, folder, environ, trusted)
        if reason:
            how = f"trust it with {SAFE_DIRECTORY}={folder}"
            return f"{marker} is not obeyed, because {path} {reason}: {how}"
    return ""


def why_not_obeyed(path: str, project: Project, environ: Mapping[str, str], start: str) -> str:
    """Return what is wrong with the owner or the mode of a file of a project, or an empty text.

    For files that few projects have: `find_project` looks only at those that each session reads.

    Args:
        path: the file.
        project: the project, as `find_project` found it.
        environ: the environment variables.
        start: the folder from which the project was found.
    """
    return _unsafe(path, project.root, environ, _trusted_users(project.root, environ, os.path.abspath(start)))


def _trusted_users(folder: str, environ: Mapping[str, str], start: str) -> set[int]:
    """Return the users whose files are obeyed in a folder."""
    if not hasattr(os, "geteuid"):  # Windows
        return set()
    trusted = {0, os.geteuid(), *_who_called_sudo(environ)}
    # A CI service makes the checkout, often by another user. A folder above, such as `/builds`, may be anybody's.
    if is_under_ci(environ) and (folder == start or _is_checkout(folder)):
        trusted.add(os.stat(folder).st_uid)
    return trusted


def _is_checkout(folder: str) -> bool:
    return any(os.path.lexists(os.path.join(folder, name)) for name in _VERSION_CONTROL)


def _unsafe(path: str, folder: str, environ: Mapping[str, str], trusted: Container[int]) -> str:
    """Return what is wrong with the owner or the mode of a path and, if it is a link, of all that it leads through."""
    if not hasattr(os, "geteuid"):  # Windows
        return ""
    try:
        entries = [*_links(path), os.stat(path)]
    except OSError as error:
        # What does not exist is not obeyed, and a link to nothing is reported when it is read.
        return "leads through too many links" if error.errno == errno.ELOOP else ""
    for entry in entries:
        if entry.st_uid not in trusted:
            return "" if _is_safe(folder, environ) else f"belongs to another user (uid {entry.st_uid})"
    # A CI service makes its checkouts writable by all.
    if entries[-1].st_mode & _WRITABLE_BY_ALL and not is_under_ci(environ) and not _is_safe(folder, environ):
        return "is writable by all users"
    return ""


def _links(path: str) -> Iterator[os.stat_result]:
    """Yield the entry at a path and, if it is a link, each further link on the way to its target.

    Whoever owns one of them chooses which file is read.

    Raises:
        OSError: the way ends nowhere, or is too long.
    """
    place, names = os.path.split(path)
    place, ahead = os.path.realpath(place), [names]
    for _ in range(_MOST_STEPS):
        if not ahead:
            return
        name = ahead.pop()
        if name == os.pardir:
            place = os.path.dirname(place)
            continue
        entry = os.lstat(os.path.join(place, name))
        if not stat.S_ISLNK(entry.st_mode):
            place = os.path.join(place, name)
            continue
        yield entry
        target = os.readlink(os.path.join(place, name))
        place = os.sep if os.path.isabs(target) else place
        ahead += [part for part in reversed(target.split(os.sep)) if part not in ("", os.curdir)]
    raise OSError(errno.ELOOP, "too many links", path)


def _who_called_sudo(environ: Mapping[str, str]) -> list[int]:
    uid = environ.get("SUDO_UID", "")
    return [int(uid)] if os.geteuid() == 0 and uid.isdecimal() else []


def _is_safe(folder: str, environ: Mapping[str, str]) -> bool:
    named = environ.get(SAFE_DIRECTORY, "").split(os.pathsep)
    return "*" in named or folder in map(os.path.normpath, filter(None, named))


def _why_no_project(root: str, environ: Mapping[str, str]) -> str:
    """Return why no `.taskmaster` is made in a folder without being asked to, or an empty text."""
    if not os.path.exists(root):
        return f"nothing is recorded: {root} was removed"
    if root == os.path.dirname(root):
        reason = "the root of the file system"
    elif root == _home():
        reason = "the home folder"
    elif any(part in _PACKAGES for part in root.split(os.sep)):
        reason = "a folder of installed packages"
    elif _is_for_all(root, environ):
        reason = "a folder that all users may write to"
    else:
        return ""
    return f"nothing is recorded: {root} is {reason}. If it is a project, make the folder {os.path.join(root, FOLDER)}"


def _is_for_all(root: str, environ: Mapping[str, str]) -> bool:
    if not hasattr(os, "geteuid") or _is_safe(root, environ):
        return False
    try:
        mode = os.stat(root).st_mode
    except OSError:
        return False
    return bool(mode & _WRITABLE_BY_ALL) and (bool(mode & _STICKY) or not is_under_ci(environ))
