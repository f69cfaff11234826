"""Which dependencies a checkout locks: a fact by which two sessions can be compared."""

from __future__ import annotations

import os
import zlib

from pytest_swarmtask.core.files import only_regular

_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml")
"""Lock files, whichever tool wrote them. The first one that exists counts."""
_MOST_BYTES = 8 << 20
"""Bytes of a file that are read. The lock of a thousand packages has two million."""
_PIN = b"=="
"""What a file of requirements has that names versions. One without says nothing about what is installed."""


def locked(root: str) -> dict[str, str]:
    """Return ``dependencies``, such as ``uv.lock 1a2b3c4d``, or nothing if the folder locks none.

    The number is a CRC-32 of the file: it tells a changed file from the same one, and its cost is not seen in the start
    of a session, as that of loading `hashlib` would be. Of requirements, all files count that pin a version.
    """
    names = os.listdir(root)
    lock = next((name for name in _LOCKS if name in names), None)
    if lock is not None:
        return {"dependencies": f"{lock} {zlib.crc32(_content(root, lock)):08x}"}
    pinned: list[str] = []
    checksum = 0
    for name in sorted(name for name in names if name.startswith("requirements") and name.endswith(".txt")):
        content = _content(root, name)
        if _PIN in content:
            pinned.append(name)
            checksum = zlib.crc32(content, checksum)
    return {"dependencies": f"{', '.join(pinned)} {checksum:08x}"} if pinned else {}


def _content(root: str, name: str) -> bytes:
    try:
        with open(os.path.join(root, name), "rb", opener=only_regular) as file:
            return file.read(_MOST_BYTES)
    except OSError:
        return b""
