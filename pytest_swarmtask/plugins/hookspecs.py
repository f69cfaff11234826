"""The hooks of plug-ins: what other packages can add. `docs/plugins.md` has a whole example.

A plug-in is a module, or any object, with functions of these names under `hookimpl`. It is found by an entry point of
the group ``swarmtask``; the entry point's name is the plug-in's. A function may take any of the arguments given here.
The sinks of this package come in by the same door.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pluggy

from pytest_swarmtask.core.timing import DEFAULTS, Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path
    from typing import Any

    from pytest_swarmtask.config.workflow import Workflow
    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.plugins.sink import Sink

__all__ = ["Endpoint", "Finding", "SinkRequest", "hookimpl"]

NAME = "swarmtask"
"""The name of the entry-point group, of the markers, and what all hooks begin with."""
hookspec = pluggy.HookspecMarker(NAME)
hookimpl = pluggy.HookimplMarker(NAME)


class Endpoint(NamedTuple):
    """Something that events are owed to from now on.

    Attributes:
        name: unique and lasting, as deliveries are remembered under it. Those of plug-ins begin with the name of the
            plug-in and a colon, such as ``archive:file``.
        needs: names of the environment variables without which it is inactive.
        variables: names of all environment variables that deliveries depend on. Their values count as secrets.
    """

    name: str
    needs: Iterable[str] = ()
    variables: Iterable[str] = ()


class SinkRequest(NamedTuple):
    """An endpoint whose sink is asked for.

    Attributes:
        name: that of its `Endpoint`.
        identity: under which its deliveries are remembered: the name, the environment and the role.
        project: the project, with its root and the paths of its files.
        environ: where variables are looked up.
        workflow: the configuration that holds in the environment of the events, or None where it is not valid.
        registered: the definition of a webhook that was registered from Python, or None.
        role: the role whose secret signs, or None.
        environment: the `WORKFLOW_ENVIRONMENT` of the events, empty without one.
        plugins: the plug-in manager, with every plug-in registered.
        timing: waiting times of the sinks of this package.
    """

    name: str
    identity: str
    project: Project
    environ: Mapping[str, str]
    workflow: Workflow | None
    registered: Mapping[str, Any] | None
    role: str | None
    environment: str
    plugins: pluggy.PluginManager
    timing: Timing = DEFAULTS


class Finding(NamedTuple):
    """What the condition of an alert says.

    Attributes:
        subject: what it is about, such as a task id; each subject is warned of and resolved by itself.
        holds: whether there is something to warn of, or all is well again.
        text: one line that says what.
    """

    subject: str
    holds: bool
    text: str = ""


@hookspec
def swarmtask_event_metadata(
    event_type: str,
    task_id: str | None,
    metadata: Mapping[str, Any],
) -> Mapping[str, Any] | None:
    """Return what to add to the metadata of an event before it is written, or None.

    Called in the watched process, for every event: be quick, and open no connection. What the event has already is
    kept, and what is added goes through redaction. Whatever it raises is swallowed, and told once; one that takes
    longer than a second is not called again in this process.

    Args:
        event_type: one of `pytest_swarmtask.core.event.EVENT_TYPES`.
        task_id: what it happened to.
        metadata: a copy of what the event has, without secrets.
    """


@hookspec
def swarmtask_endpoints(workflow: Workflow) -> Iterable[Endpoint]:  # type: ignore[empty-body]
    """Return the endpoints that events are owed to, each with a sink of its own.

    Called when the configuration is compiled: when it, its environment or the installed packages have changed.

    Args:
        workflow: the configuration of the project.
    """


@hookspec(firstresult=True)
def swarmtask_sink(request: SinkRequest) -> Sink | None:
    """Return a new sink for an endpoint, or None where the endpoint is none of yours. Called in the relay.

    Raises:
        ConfigError: it cannot be made as things are: the events wait, and `swarmtask status` says why.
    """


@hookspec(firstresult=True)
def swarmtask_alert_condition(
    name: str, options: Mapping[str, Any], root: Path
) -> Callable[[Event], Finding | None] | None:
    """Return the condition of an alert of ``kind: plugin``, or None where it is none of yours. Called in the relay.

    The condition is asked about each event that the alert's `when` lets through; None says nothing about it.

    Args:
        name: what the alert calls its `condition`.
        options: what it is given.
        root: the project's folder.
    """


@hookspec(firstresult=True)
def swarmtask_notifier(
    name: str, options: Mapping[str, Any], environ: Mapping[str, str]
) -> Callable[[str, str], None] | None:
    """Return what sends messages for a notifier of ``kind: plugin``, or None where it is none of yours.

    It is called in the relay with the title and the text of a message, and raises where that could not be sent.

    Args:
        name: what the notifier calls its `plugin`.
        options: what it is given; templates are not filled.
        environ: where variables are looked up.
    """
