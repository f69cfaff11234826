"""Records tests, builds and deployments as events: a pytest plugin, an emitter for build tools, an API for Python."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_swarmtask.core.errors import AccessError, ConfigError, EventTypeError, SwarmtaskError, UsageError
    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.core.event_types import AutomationEventType
    from pytest_swarmtask.sources.python.integrator import AutomationIntegrator, trigger_task_event

__version__ = "0.1.0"
__all__ = [
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

_HOME = {
    "AccessError": "core.errors",
    "AutomationEventType": "core.event_types",
    "AutomationIntegrator": "sources.python.integrator",
    "ConfigError": "core.errors",
    "Event": "core.event",
    "EventTypeError": "core.errors",
    "SwarmtaskError": "core.errors",
    "UsageError": "core.errors",
    "trigger_task_event": "sources.python.integrator",
}


def __getattr__(name: str) -> object:
    """Load an exported name when it is first used, so that `import pytest_swarmtask` alone costs next to nothing."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
