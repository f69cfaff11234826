"""The action `emit`: write another event into the run of the event on which the rule fired."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.config.variables import expand
from pytest_swarmtask.core.event import EVENT_TYPES, MAX_FACTS, SHARED, Event
from pytest_swarmtask.core.files import only_regular, replace_file
from pytest_swarmtask.core.trace import CAUSED_BY, Clock, Ids, derived_span
from pytest_swarmtask.journal.segments import LOCAL, Journal, Segment, route_of
from pytest_swarmtask.relay.delivery.templates import fill, fill_all
from pytest_swarmtask.relay.triggers.interface import ActionError
from pytest_swarmtask.relay.triggers.rules import triggers_that_led_to

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.config.triggers import Emit
    from pytest_swarmtask.config.workflow import AccessControl
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.relay.triggers.interface import ActionContext, Firing


class EmitAction:
    """Emits an event, which is delivered to the same endpoints as the event on which the rule fired."""

    def __init__(self, definition: Emit) -> None:
        self._definition = definition

    def execute(self, firing: Firing, context: ActionContext) -> None:
        """Write the event into a segment of its own."""
        ids, clock = Ids(), Clock()
        line = self._event(firing, context, ids, clock).encode()
        if len(line) > MAX_FACTS:
            raise ActionError(f"the event would have {len(line)} bytes, expected at most {MAX_FACTS}")
        journal = Journal(context.project.journal, firing.event.trace_id, ids, clock)
        try:
            segment, role = firing.pending.segment, firing.rule.role
            journal.reroute(_route(context.project, context.workflow.access_control, segment, role))
            journal.append(line)
        except OSError as error:
            raise ActionError(f"the event could not be written: {error}") from None
        finally:
            journal.close()

    def describe(self, values: Mapping[str, object]) -> str:
        """Return type, task and metadata of the event; the metadata that every emitted event has is left out."""
        action = self._definition
        task_id = values["task_id"] if action.task_id is None else fill(action.task_id, values)
        metadata = f" {json.dumps(fill_all(action.metadata, values), ensure_ascii=False)}" if action.metadata else ""
        return f"emit {action.event_type} {task_id or ''}".rstrip() + metadata

    def required_permissions(self) -> list[str]:
        """Return the permission to emit events of this type."""
        return [f"emit:{self._definition.event_type}"]

    def _event(self, firing: Firing, context: ActionContext, ids: Ids, clock: Clock) -> Event:
        """Return the event.

        Raises:
            UnsetVariableError: a variable that the definition names is not set.
        """

        def text(template: str) -> str:
            return fill(expand(template, context.environ), firing.values)

        action, cause, name = self._definition, firing.event, str(self._definition.event_type)
        task_id = cause.task_id if action.task_id is None else text(action.task_id)
        kind, _, verb = name.partition("_")
        now = clock.timestamp()
        metadata: dict[str, Any] = {"timestamp": now, "workflow": cause.source, "action": kind.lower()}
        if verb != "STARTED":
            metadata["success"] = verb not in ("FAILED", "SKIPPED")
        metadata |= {key: text(template) for key, template in action.metadata.items()}
        # Last, so that a rule's own metadata cannot hide them: they keep triggers from setting each other off forever.
        led_here = [*triggers_that_led_to(cause), firing.rule.name]
        metadata |= {"trigger": firing.rule.name, CAUSED_BY: led_here, "cause": cause.id}
        return Event(
            # Its span may be ended by another process: a later trigger emits the end of what this one starts.
            f"{ids.event()}{SHARED}",
            name,
            task_id if task_id is None else context.redactor.plain(task_id),
            EVENT_TYPES[name],
            now,
            cause.source,
            cause.trace_id,
            derived_span(cause.trace_id, cause.span_id, kind, task_id),
            cause.span_id,
            context.redactor.metadata(metadata),
        )


def _route(project: Project, control: AccessControl, segment: str, role: str | None) -> str:
    """Return the route of the emitted event: its cause's, but signed by the rule's role if that has a secret.

    Args:
        project: the project.
        control: the roles.
        segment: name of the segment that contains the cause.
        role: the rule's role, or None to sign like the cause.
    """
    found = Segment.parse(segment)
    if found is None or found.route == LOCAL or role is None:
        return found.route if found else LOCAL
    with open(project.route(found.route), "rb", opener=only_regular) as file:
        content = json.loads(file.read())
    content.pop("role", None)
    if control.roles[role].secrets():
        content["role"] = role
    text = json.dumps(content, sort_keys=True).encode()
    route = route_of(text)
    path = os.path.join(project.routes, f"{route}.json")
    if not os.path.exists(path):
        replace_file(path, text)
    return route
