"""The remote `origin` of a checkout, read from the file `.git/config`, and its address on the web."""

from __future__ import annotations

import os
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from pytest_swarmtask.core.facts.git import common_folder, read_text

_MOST_CONFIG = 1 << 20
"""Characters of the file that are read; a checkout with a thousand branches has a tenth of that."""
_SECTION = re.compile(r"\[\s*([\w.-]+)(?:\s+\"((?:[^\"\\]|\\.)*)\")?\s*\]")
_URL = re.compile(r"url\s*=\s*(\"?)([^\s\"#;]+)\1\s*(?:[#;].*)?", re.IGNORECASE)
_SCP_LIKE = re.compile(r"(?:[^/@:]+@)?(?P<host>[^/@:]+):(?P<path>(?!//).+)")
"""What ssh and scp take for a host and a path: `git@host:owner/repository.git`."""
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_SSH_HOSTS = {
    "ssh.github.com": "github.com",
    "altssh.gitlab.com": "gitlab.com",
    "altssh.bitbucket.org": "bitbucket.org",
}
"""Hosts that speak only ssh, for networks that let nothing but port 443 through, and the hosts of their pages."""


class Remote(NamedTuple):
    """Where a repository is on the web.

    Attributes:
        host: the name of the host, in lower case.
        address: the address of the host, such as `https://git.example.com:8443`. It never has a user or a password.
        path: owner and name of the repository, with slashes between them, without `.git`.
    """

    host: str
    address: str
    path: str


def origin(root: str) -> Remote | None:
    """Return the remote `origin` of the checkout around a folder; None if it has none, or none on another host."""
    folder = common_folder(root)
    url = "" if folder is None else _origin_url(read_text(os.path.join(folder, "config"), _MOST_CONFIG))
    return parse(url)


def _origin_url(config: str) -> str:
    """Return the first `url` of `[remote "origin"]`, which git fetches from; "" if there is none."""
    inside = False
    for line in map(str.strip, config.splitlines()):
        section = _SECTION.match(line)
        if section:
            inside = (section[1].lower(), section[2]) == ("remote", "origin")
        found = _URL.fullmatch(line[section.end() :].strip() if section else line) if inside else None
        if found:
            return found[2]
    return ""


def parse(url: str) -> Remote | None:
    """Return where the repository of a git URL is on the web; None for a path, or for a URL that is none."""
    scheme, host, port, path = _parts(url)
    path = path.strip("/").removesuffix(".git").strip("/")
    if not _HOST.fullmatch(host) or "/" not in path:
        return None
    if scheme in ("https", "http"):
        return Remote(host, f"{scheme}://{host}{f':{port}' if port else ''}", path)
    host = _SSH_HOSTS.get(host, host)
    # The port of ssh is not the port of the pages.
    return Remote(host, f"https://{host}", path) if scheme in ("ssh", "git+ssh", "git") else None


def _parts(url: str) -> tuple[str, str, int | None, str]:
    """Return scheme, host, port and path of a git URL; empty texts for what it does not have."""
    scp_like = None if "://" in url else _SCP_LIKE.fullmatch(url)
    if scp_like:
        return "ssh", scp_like["host"].lower(), None, scp_like["path"]
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port, parts.path
    except ValueError:  # brackets that are no IPv6 address, or a port that is no number
        return "", "", None, ""
