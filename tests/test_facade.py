"""The names that `import pytest_swarmtask` offers, and the modules that it loads."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

import pytest_swarmtask
from tests.lab import clean_environ

HEAVY = (
    "asyncio",
    "httpx",
    "msgspec",
    "pytest",
    "rich",
    "sqlite3",
    "yaml",
    "json",
    "re",
    "enum",
    "typing",
    "dataclasses",
)


def test_exports_are_pinned() -> None:
    """The package exports exactly these names, in sorted order."""
    assert pytest_swarmtask.__all__ == [
        "AccessError",
        "AutomationEventType",
        "AutomationIntegrator",
        "ConfigError",
        "Event",
        "EventTypeError",
        "SwarmtaskError",
        "UsageError",
        "__version__",
        "trigger_task_event",
    ]
    assert pytest_swarmtask.__all__ == sorted(pytest_swarmtask.__all__)


def test_every_export_is_there() -> None:
    """Each public name can be read, is listed by `dir`, and always gives the same object."""
    for name in pytest_swarmtask.__all__:
        assert getattr(pytest_swarmtask, name) is getattr(pytest_swarmtask, name)
        assert name in dir(pytest_swarmtask)


def test_an_unknown_name() -> None:
    """A name that is not exported raises an AttributeError, so `hasattr` and `from … import` work."""
    assert not hasattr(pytest_swarmtask, "nonsense")
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = pytest_swarmtask.nonsense


def test_the_version_is_the_distribution_s() -> None:
    """`__version__` equals the version in the package's metadata."""
    assert pytest_swarmtask.__version__ == metadata.version("pytest-swarmtask")


def loaded_by(code: str) -> set[str]:
    """Return the modules that this code loads in a bare interpreter, without the modules loaded at its start."""
    program = f"import sys; before = set(sys.modules); {code}; print(*(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}; {program}"],
        env=clean_environ(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stdout.split())


def test_importing_costs_next_to_nothing() -> None:
    """`import pytest_swarmtask` loads no other module."""
    assert loaded_by("import pytest_swarmtask") <= {"pytest_swarmtask", "__future__"}


def test_the_event_types_are_cheap() -> None:
    """Importing events and event types loads no framework, no configuration parser and no network module."""
    loaded = loaded_by("from pytest_swarmtask import AutomationEventType, Event")
    assert not loaded & {
        "asyncio",
        "httpx",
        "msgspec",
        "pytest",
        "rich",
        "sqlite3",
        "yaml",
        "socket",
        "typing",
        "dataclasses",
    }


def test_the_hub_loads_nothing_heavy() -> None:
    """Importing the integrator loads only the modules that recording needs. asyncio is not loaded."""
    loaded = loaded_by("from pytest_swarmtask import AutomationIntegrator, trigger_task_event")
    assert not loaded & {"asyncio", "httpx", "msgspec", "pytest", "rich", "sqlite3", "yaml", "socket"}
