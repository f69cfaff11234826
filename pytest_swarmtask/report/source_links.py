"""Links to lines of code on the site of the repository, at the commit of a run."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from pytest_swarmtask.core.facts.git import top_folder
from pytest_swarmtask.core.facts.remote import origin

if TYPE_CHECKING:
    from collections.abc import Callable

_FORMS = {
    "github": "{repository}/blob/{commit}/{path}#L{line}",
    "gitlab": "{repository}/-/blob/{commit}/{path}#L{line}",
    "gitea": "{repository}/src/commit/{commit}/{path}#L{line}",
    "bitbucket": "{repository}/src/{commit}/{path}#lines-{line}",
}
"""The address of a line on each service."""
_HOSTS = {"codeberg.org": "gitea", "bitbucket.org": "bitbucket"}
_WORDS = {"github": "github", "gitlab": "gitlab", "gitea": "gitea", "forgejo": "gitea"}
"""Words in the name of a host that tell the service. A company's own host usually has one: `gitlab.example.com`."""
_PLACE = re.compile(r"(?P<path>.+?):(?P<line>[1-9][0-9]*)")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_INSTALLED = {"site-packages", "dist-packages"}
"""Folders of installed packages. They may be below the project, but they are not in its repository."""


def linker(root: str, commit: str | None) -> Callable[[str | None], str | None]:
    """Return a function that turns a place, such as `tests/test_shop.py:12`, into an address or None.

    Args:
        root: the project's folder, which places are relative to. It may be below the top folder of its repository.
            If it is empty, as on a server, there are no links.
        commit: the commit of the run; None if it is unknown, and there are no links. A run with uncommitted changes has
            links, too: most files are as they were committed, and in the others the line is near.
    """
    if not root:
        return lambda _: None
    repository, top = origin(root), top_folder(root)
    form = _form(repository.host) if repository else None
    if repository is None or top is None or form is None or not _COMMIT.fullmatch(commit or ""):
        return lambda _: None
    base = f"{repository.address}/{quote(repository.path, safe='/~')}"

    def link(place: str | None) -> str | None:
        found = _PLACE.fullmatch(place or "")
        path = _in_repository(found["path"], root, top) if found else None
        if found is None or path is None:
            return None
        return form.format(repository=base, commit=commit, path=quote(path), line=found["line"])

    return link


def _form(host: str) -> str | None:
    """Return the form of links to a host, None if its service is unknown."""
    service = _HOSTS.get(host) or next((service for word, service in _WORDS.items() if word in host), None)
    return _FORMS[service] if service else None


def _in_repository(path: str, root: str, top: str) -> str | None:
    """Return the path of a file relative to the top folder, with slashes; None if it is no file of the repository."""
    relative = os.path.relpath(os.path.join(os.path.abspath(root), path), top).replace(os.sep, "/")
    parts = relative.split("/")
    return None if parts[0] == ".." or os.path.isabs(relative) or _INSTALLED.intersection(parts) else relative
