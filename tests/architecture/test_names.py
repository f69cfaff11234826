"""Names of modules."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest_swarmtask


def test_pytest_takes_no_module_for_tests() -> None:
    """A project may have a copy of the package below its folder, and pytest would collect such a module there."""
    names = [path.name for path in Path(pytest_swarmtask.__file__).parent.rglob("*.py")]
    assert names
    assert not [name for name in names if fnmatch(name, "test_*.py") or fnmatch(name, "*_test.py")]
