"""Where this process finds packages, before the project or its tests change that. So the plugin imports it first."""

from __future__ import annotations

import os
import sys

from pytest_swarmtask.core.search import working_directory

_OF_PROJECT = working_directory(os.environ)
"""`python -m pytest` adds it. A module of the project must not take the place of one that this system lacks."""

AT_START = [entry for entry in sys.path if os.path.isabs(entry) and entry != _OF_PROJECT]
"""The entries of `sys.path` when the process started."""
