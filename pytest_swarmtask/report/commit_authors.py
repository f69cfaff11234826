"""Who wrote a commit, as the local repository says."""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_LOG = ("log", "-1", "--no-show-signature", "--format=%aN")
"""Nothing that the repository's configuration can turn into a command, such as the check of a signature."""
_PATIENCE = 2.0
"""Seconds to wait for git. It takes some milliseconds."""
_MOST = 60
"""Characters of a name that are shown."""


def author_finder(root: str) -> Callable[[str | None], str | None]:
    """Return a function that turns a commit into the name of its author, or None if git does not know it.

    Args:
        root: the project's folder. If it is empty, as on a server, no author is known.
    """

    @cache
    def author(commit: str | None) -> str | None:
        if not root or not _COMMIT.fullmatch(commit or ""):
            return None
        command = ("git", "-C", root, *_LOG, str(commit), "--")
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PATIENCE,
                check=False,
                env={**os.environ, "GIT_NO_LAZY_FETCH": "1"},  # a partial clone would ask the network for the commit
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.decode(errors="replace").strip()[:_MOST] or None

    return author
