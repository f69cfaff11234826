"""Names of modules."""

from __future__ import annotations

from fnmatch import fnmatch

from tests.lab import REPOSITORY


def test_pytest_takes_no_module_for_tests() -> None:
    """A project may have a copy of the package below its folder, and pytest would collect such a module there."""
    names = [path.name for path in (REPOSITORY / "pytest_swarmtask").rglob("*.py")]
    assert not [name for name in names if fnmatch(name, "test_*.py") or fnmatch(name, "*_test.py")]
