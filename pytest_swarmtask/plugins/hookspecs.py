"""The hooks that a plug-in can implement. `docs/plugins.md` has a complete example.

A plug-in is a module, or any other object, with functions that have the names of these hooks and are marked with
`hookimpl`. It is found by an entry point of the group ``swarmtask``; the name of the entry point is the plug-in's name.
A function may leave out arguments that it does not need. This package implements its own sinks with the same hooks.
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
"""The name of the entry-point group and of the plug-in manager's project. All hooks begin with it."""
hookspec = pluggy.HookspecMarker(NAME)
hookimpl = pluggy.HookimplMarker(NAME)


class Endpoint(NamedTuple):
    """A receiver of events. From now on, every event must be delivered to it.

    Attributes:
        name: a unique name, which must not change, because deliveries are remembered under it. The name of a plug-in's
            endpoint begins with the plug-in's name and a colon, such as ``archive:file``.
        needs: names of environment variables. While one of them is unset or empty, the endpoint is inactive. Of
            ``A or B`` it is enough that one is set.
        variables: names of all environment variables that deliveries depend on. Their values are hidden in events, and
            two runs in which they differ do not share a relay.
    """

    name: str
    needs: Iterable[str] = ()
    variables: Iterable[str] = ()


class SinkRequest(NamedTuple):
    """An endpoint for which the relay needs a sink.

    Attributes:
        name: the name of the `Endpoint`.
        identity: the name under which deliveries are remembered: the endpoint's name, environment and role. A sink
            uses it as its own name.
        project: the project: its root and the paths of its files.
        environ: the environment variables of the run, in which the sink looks up addresses and secrets.
        workflow: the configuration in the environment of the events. While it is not valid, no sink is made.
        registered: the definition of a webhook that was registered from Python, or None.
        role: the role whose secret signs deliveries, or None.
        environment: the `WORKFLOW_ENVIRONMENT` of the events, empty without one.
        plugins: the plug-in manager, with all plug-ins registered.
        timing: waiting times of the sinks of this package. A plug-in does not need them.
    """

    name: str
    identity: str
    project: Project
    environ: Mapping[str, str]
    workflow: Workflow
    registered: Mapping[str, Any] | None
    role: str | None
    environment: str
    plugins: pluggy.PluginManager
    timing: Timing = DEFAULTS


class Finding(NamedTuple):
    """What the condition of an alert finds in an event.

    Attributes:
        subject: what the finding is about, such as a task id. Each subject gets its own warning, and is resolved alone.
        holds: True if there is something to warn of, False if all is well again.
        text: what happened, in one line.
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
    """Add metadata to an event before it is written.

    Called in the watched process, in a thread of its own, for every event: be quick, and open no connection.
    Metadata that the event has already is never replaced, and added metadata goes through redaction. If a plug-in
    raises an error or takes longer than a second, one warning says so, and this process does not call it again.

    Args:
        event_type: one of `pytest_swarmtask.core.event.EVENT_TYPES`.
        task_id: the task, test, build or deployment that the event is about, or None.
        metadata: a copy of the event's metadata, without secrets.

    Returns:
        The metadata to add, or None.
    """


@hookspec
def swarmtask_endpoints(workflow: Workflow) -> Iterable[Endpoint]:  # type: ignore[empty-body]
    """Return the endpoints of the plug-in. Each gets events through a sink of its own, see `swarmtask_sink`.

    Called when the configuration is compiled: after `workflow.yaml`, the environment or the installed packages have
    changed. Endpoints of any other name than ``PLUGIN:…`` are refused.

    Args:
        workflow: the configuration of the project.
    """


@hookspec(firstresult=True)
def swarmtask_sink(request: SinkRequest) -> Sink | None:
    """Return a new sink for an endpoint, or None if the endpoint belongs to another plug-in. Called in the relay.

    Args:
        request: the endpoint, and what its sink may need.

    Raises:
        ConfigError: the sink cannot be made before a person changes something. The events wait, and `swarmtask status`
            shows the message.
    """


@hookspec(firstresult=True)
def swarmtask_alert_condition(
    name: str, options: Mapping[str, Any], root: Path
) -> Callable[[Event], Finding | None] | None:
    """Return the condition of an alert of ``kind: plugin``, or None if it is not one of yours. Called in the relay.

    The relay calls the condition with each event that the alert's `events` and `when` match. The condition returns
    None if the event is irrelevant to it. If it raises an error, the relay logs that and goes on.

    Args:
        name: the alert's `condition`.
        options: the alert's `options`, with each `${NAME}` replaced by the variable.
        root: the root folder of the project.
    """


@hookspec(firstresult=True)
def swarmtask_notifier(
    name: str, options: Mapping[str, Any], environ: Mapping[str, str]
) -> Callable[[str, str], None] | None:
    """Return the function that sends messages for a notifier of ``kind: plugin``, or None if it is not one of yours.

    The relay calls the function with the title and the text of each message. If it raises an error, the message is
    sent again later, a few times. The text of the error is not logged, as it may contain a secret.

    Args:
        name: the notifier's `plugin`.
        options: the notifier's `options`, with each `${NAME}` replaced by the variable; templates are not filled.
        environ: the environment variables of the run.
    """
