"""The relay's own plug-ins: the sinks of webhooks, the task manager, triggers and alerts."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pytest_swarmtask.plugins import registry
from pytest_swarmtask.relay.alerts import sink as alerts
from pytest_swarmtask.relay.tasks import sink as tasks
from pytest_swarmtask.relay.triggers import sink as triggers
from pytest_swarmtask.relay.webhook import lookup as webhooks

if TYPE_CHECKING:
    import pluggy


@functools.cache  # a search for entry points takes milliseconds, and what is installed does not change meanwhile
def relay_plugins() -> pluggy.PluginManager:
    """Return a plug-in manager with the relay's own plug-ins and all installed ones."""
    return registry.plugin_manager([webhooks, tasks, triggers, alerts])[0]
