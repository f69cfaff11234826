"""Putting a whole file in its place, or leaving everything as it was."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Write a file in one step, with its folders; the mode of a former one is kept, a link is followed.

    Raises:
        UsageError: it cannot be written; what was there still is.
    """
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    temporary = ""
    try:
        os.makedirs(folder, exist_ok=True)
        mode = os.stat(target).st_mode & 0o7777 if os.path.exists(target) else 0o666 & ~_umask()
        handle, temporary = tempfile.mkstemp(prefix=".swarmtask-", dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except OSError as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None


def _umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
