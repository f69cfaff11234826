"""The plug-in manager: finds installed plug-ins by their entry points, and registers those that can be used.

The search for entry points takes milliseconds, so the watched process never searches: the compiled configuration lists
the plug-ins that it needs.
"""

from __future__ import annotations

import functools
import importlib
import os
from typing import TYPE_CHECKING, NamedTuple

import pluggy

from pytest_swarmtask.plugins import hookspecs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import EntryPoint
    from types import ModuleType


class Plugin(NamedTuple):
    """An installed plug-in.

    Attributes:
        name: the name of its entry point.
        entry_point: the object to load, as ``module:object``.
        package: the distribution that contains it, with its version.
        problem: why it cannot be used, or None.
    """

    name: str
    entry_point: str
    package: str
    problem: str | None = None


def installed() -> list[Plugin]:
    """Return the installed plug-ins. Those that cannot be used have a `problem`."""
    return plugin_manager(())[1]


def plugin_manager(builtin: Iterable[ModuleType]) -> tuple[pluggy.PluginManager, list[Plugin]]:
    """Return a plug-in manager with all installed plug-ins registered, and the list of them.

    Args:
        builtin: modules of this package that implement hooks. pluggy calls the hooks of the last one first.
    """
    manager = _empty_manager()
    found = sorted(set(map(_plugin, _entry_points())), key=lambda plugin: plugin.name)
    plugins = [_registered(manager, plugin) for plugin in found]
    for module in builtin:
        manager.register(module, module.__name__)
    return manager, plugins


def folders() -> list[str]:
    """Return the folders in which this package and plug-ins are installed. Installing another package changes them."""
    from importlib import metadata

    try:
        ours = [metadata.distribution("pytest-swarmtask")]
    except metadata.PackageNotFoundError:  # run from a copy of the source
        ours = []
    theirs = [entry.dist for entry in _entry_points() if entry.dist]
    found = {os.path.abspath(str(dist.locate_file(""))) for dist in (*ours, *theirs)}
    return sorted(filter(os.path.isdir, found))  # a distribution may be in an archive


def adding_metadata(manager: pluggy.PluginManager, found: Iterable[Plugin]) -> list[list[str]]:
    """Return name and entry point of each plug-in that implements `swarmtask_event_metadata`."""
    adding = {implementation.plugin_name for implementation in manager.hook.swarmtask_event_metadata.get_hookimpls()}
    return [[plugin.name, plugin.entry_point] for plugin in found if plugin.name in adding]


def single_plugin(name: str, entry_point: str) -> pluggy.PluginManager:
    """Return a plug-in manager with one plug-in only.

    Raises:
        Exception: any error from importing or registering the plug-in.
    """
    manager = _empty_manager()
    manager.register(load(entry_point), name)
    return manager


def _empty_manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.NAME)
    manager.add_hookspecs(hookspecs)
    return manager


def _entry_points() -> Iterable[EntryPoint]:
    from importlib import metadata  # importing it takes as long as a whole emitter

    return metadata.entry_points(group=hookspecs.NAME)


def _plugin(entry: EntryPoint) -> Plugin:
    dist = entry.dist
    return Plugin(entry.name, entry.value, f"{dist.name} {dist.version}" if dist else "unknown")


def _registered(manager: pluggy.PluginManager, plugin: Plugin) -> Plugin:
    """Register a plug-in. Return it, with `problem` set if it could not be registered."""
    try:
        manager.register(load(plugin.entry_point), plugin.name)
    except Exception as error:  # noqa: BLE001 - foreign code
        return plugin._replace(problem=f"{type(error).__name__}: {error}")
    return plugin


def load(entry_point: str) -> object:
    """Import and return the object that an entry point names as ``module:object``."""
    module, _, attributes = entry_point.partition(":")
    names = filter(None, attributes.split("."))
    return functools.reduce(getattr, names, importlib.import_module(module.strip()))
