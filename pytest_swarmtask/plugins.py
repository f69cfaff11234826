"""The door of plug-ins: finding them by their entry points, and taking in those that can be used.

Looking for entry points costs milliseconds, so capture never does: what it needs to know stands in the compiled
configuration.
"""

from __future__ import annotations

import functools
import importlib
import os
from typing import TYPE_CHECKING, NamedTuple

import pluggy

from pytest_swarmtask import hookspecs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import EntryPoint

_ENDPOINTS = ("pytest_swarmtask.config.endpoints",)
_SINKS = tuple(f"pytest_swarmtask.relay.sinks.{name}" for name in ("webhooks", "tasks", "triggers", "alerts"))
"""The modules of ours that come in by the same door. Webhooks are asked last: their names may be any."""


class Plugin(NamedTuple):
    """An installed plug-in.

    Attributes:
        name: its entry point's.
        value: where it is, as ``module:object``.
        package: the distribution that brings it, with its version.
        problem: why it cannot be used, or None.
    """

    name: str
    value: str
    package: str
    problem: str | None = None


def installed() -> list[Plugin]:
    """Return the plug-ins that are installed, and whether they can be used."""
    door = manager()
    return [_taken_in(door, plugin) for plugin in _found()]


def for_configuration() -> tuple[pluggy.PluginManager, list[Plugin]]:
    """Return what answers `swarmtask_endpoints`, and the plug-ins in it or beside it."""
    return _opened(_ENDPOINTS)


def for_relay() -> tuple[pluggy.PluginManager, list[Plugin]]:
    """Return what answers the hooks of the relay, and the plug-ins in it or beside it."""
    return _opened(_SINKS)


def folders() -> list[str]:
    """Return the folders in which this package and the plug-ins are installed: they change with what is in them."""
    from importlib import metadata

    try:
        ours = [metadata.distribution("pytest-swarmtask")]
    except metadata.PackageNotFoundError:
        ours = []
    theirs = [entry.dist for entry in _entry_points() if entry.dist]
    found = {os.path.abspath(str(dist.locate_file(""))) for dist in (*ours, *theirs)}
    return sorted(filter(os.path.isdir, found))  # not what is in an archive


def adding_metadata(door: pluggy.PluginManager, found: Iterable[Plugin]) -> list[list[str]]:
    """Return name and place of the plug-ins that have the hook for metadata."""
    able = {implementation.plugin_name for implementation in door.hook.swarmtask_event_metadata.get_hookimpls()}
    return [[plugin.name, plugin.value] for plugin in found if plugin.name in able]


def _opened(ours: Iterable[str]) -> tuple[pluggy.PluginManager, list[Plugin]]:
    door = manager()
    plugins = [_taken_in(door, plugin) for plugin in _found()]
    for name in ours:  # the last to come in is the first to be asked
        door.register(importlib.import_module(name), name)
    return door, plugins


def manager() -> pluggy.PluginManager:
    """Return an open door, with nobody in it."""
    made = pluggy.PluginManager(hookspecs.NAME)
    made.add_hookspecs(hookspecs)
    return made


def _found() -> list[Plugin]:
    return sorted(set(map(_plugin, _entry_points())), key=lambda plugin: plugin.name)


def _entry_points() -> Iterable[EntryPoint]:
    from importlib import metadata  # as much time as an emitter takes

    return metadata.entry_points(group=hookspecs.NAME)


def _plugin(entry: EntryPoint) -> Plugin:
    dist = entry.dist
    return Plugin(entry.name, entry.value, f"{dist.name} {dist.version}" if dist else "unknown")


def _taken_in(door: pluggy.PluginManager, plugin: Plugin) -> Plugin:
    """Take a plug-in in; return it with the reason where that cannot be."""
    try:
        door.register(load(plugin.value), plugin.name)
    except Exception as error:  # noqa: BLE001 - somebody else's code
        return plugin._replace(problem=f"{type(error).__name__}: {error}")
    return plugin


def load(place: str) -> object:
    """Return what an entry point leads to, given as ``module:object``."""
    module, _, attributes = place.partition(":")
    names = filter(None, attributes.split("."))
    return functools.reduce(getattr, names, importlib.import_module(module.strip()))
