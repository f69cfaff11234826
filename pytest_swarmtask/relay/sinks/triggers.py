"""The rules of `automation_triggers` as a sink."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_swarmtask.hookspecs import hookimpl

if TYPE_CHECKING:
    from pytest_swarmtask.hookspecs import SinkRequest
    from pytest_swarmtask.relay.sinks import Sink


@hookimpl
def swarmtask_sink(request: SinkRequest) -> Sink | None:  # noqa: ARG001
    """Return the sink of the triggers."""
    return None
