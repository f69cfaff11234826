"""Who wrote commits, as the local repository says."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_LOG = ("log", "--no-walk", "--ignore-missing", "--stdin", "--no-show-signature", "--format=%H %aN")
"""Nothing that the repository's configuration can turn into a command, such as the check of a signature."""
_PATIENCE = 2.0
"""Seconds to wait for git. It takes some milliseconds."""
_MOST = 60
"""Characters of a name that are shown."""


def commit_authors(root: str, commits: Iterable[str | None]) -> dict[str, str]:
    """Return the names of the authors of commits. Those that git does not know are left out.

    Args:
        root: the project's folder. If it is empty, as on a server, no author is known.
        commits: hashes. Anything else is left out, too.
    """
    wanted = {commit for commit in commits if commit and _COMMIT.fullmatch(commit)}
    if not root or not wanted:
        return {}
    command = ("git", "-C", root, *_LOG)
    try:
        done = subprocess.run(
            command,
            input="".join(f"{commit}\n" for commit in sorted(wanted)).encode(),
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
            env={**os.environ, "GIT_NO_LAZY_FETCH": "1"},  # a partial clone would ask the network for the commits
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    # If git knows none of the commits, it shows the head, which nobody has asked for.
    found = (line.partition(" ") for line in done.stdout.decode(errors="replace").splitlines())
    return {commit: name.strip()[:_MOST] for commit, _, name in found if commit in wanted and name.strip()}
