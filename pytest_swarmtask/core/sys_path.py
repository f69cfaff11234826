"""Where this process finds packages, before the project or its tests change that. So the plugin imports it first."""

from __future__ import annotations

import os
import sys


def _of_project() -> str:
    """Return the folder that `python -m pytest` adds: no module of it may take the place of one that a system lacks."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


_OF_PROJECT = _of_project()
AT_START = [entry for entry in sys.path if os.path.isabs(entry) and entry != _OF_PROJECT]
"""The entries of `sys.path` when the process started."""
