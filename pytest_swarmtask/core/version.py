"""The version of the package that is installed."""

from __future__ import annotations

import functools
from importlib import metadata


@functools.cache  # it reads a file
def installed_version() -> str:
    """Return the version, or ``unknown`` if the package is only on the path and not installed."""
    try:
        return metadata.version("pytest-swarmtask")
    except metadata.PackageNotFoundError:
        return "unknown"
