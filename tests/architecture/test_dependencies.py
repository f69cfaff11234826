"""What an installation of the package brings with it."""

from __future__ import annotations

import importlib.metadata

from tests.ci.runner import requirements


def test_no_plugin_of_pytest_but_ours() -> None:
    """A base installation brings no further pytest plugin, which every pytest of that Python would load."""
    names = requirements("pytest-swarmtask") | {"pytest-swarmtask"}
    assert len(names) > 10
    plugins = {
        (name, point.name)
        for name in names
        for point in importlib.metadata.distribution(name).entry_points
        if point.group == "pytest11"
    }
    assert plugins == {("pytest-swarmtask", "swarmtask")}
