"""The action `emit`: one more event in the run of the one that set it off, owed to whom that was owed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.config.variables import expand
from pytest_swarmtask.core.event import EVENT_TYPES, MAX_EVENT, SHARED, Event
from pytest_swarmtask.core.files import replace_file
from pytest_swarmtask.core.trace import CAUSED_BY, Clock, Ids, derived_span
from pytest_swarmtask.journal.segments import LOCAL, Journal, Segment, route_of
from pytest_swarmtask.relay.delivery.templates import fill
from pytest_swarmtask.relay.triggers.rules import ActionError, chain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.config.triggers import Emit
    from pytest_swarmtask.config.workflow import AccessControl
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.redaction.redactor import Redactor
    from pytest_swarmtask.relay.triggers.rules import Firing


class Emitter:
    """Writes events of triggers into a journal, each in a segment of its own that nobody holds.

    Args:
        project: the project whose journal this is.
        environ: where variables are looked up.
        redactor: what is written goes through it.
        control: which role has secrets to sign with.
    """

    def __init__(
        self, project: Project, environ: Mapping[str, str], redactor: Redactor, control: AccessControl
    ) -> None:
        self._project = project
        self._environ = environ
        self._redactor = redactor
        self._control = control
        self._ids = Ids()
        self._clock = Clock()

    def emit(self, action: Emit, firing: Firing, segment: str) -> None:
        """Write the event that an action describes.

        Args:
            action: what to emit.
            firing: what it is emitted for.
            segment: name of the segment in which the event stands that the rule fires on.

        Raises:
            ActionError: it is too long, or the journal cannot be written.
            UnsetVariableError: a variable that it names is not set.
        """
        line = self.event(action, firing).encode()
        if len(line) > MAX_EVENT:
            raise ActionError(f"the event would have {len(line)} bytes, expected at most {MAX_EVENT}")
        journal = Journal(self._project.journal, firing.event.trace_id, self._ids, self._clock)
        try:
            journal.reroute(self._route(segment, firing.rule.role))
            journal.append(line)
        except OSError as error:
            raise ActionError(f"the event could not be written: {error}") from None
        finally:
            journal.close()
            self._ids.renew()

    def event(self, action: Emit, firing: Firing) -> Event:
        """Return the event that an action describes."""
        cause, name = firing.event, str(action.event_type)
        task_id = cause.task_id if action.task_id is None else self._text(action.task_id, firing)
        kind, _, verb = name.partition("_")
        now = self._clock.timestamp()
        metadata: dict[str, Any] = {"timestamp": now, "workflow": cause.source, "action": kind.lower()}
        if verb != "STARTED":
            metadata["success"] = verb not in ("FAILED", "SKIPPED")
        metadata |= {key: self._text(text, firing) for key, text in action.metadata.items()}
        metadata |= {"trigger": firing.rule.name, CAUSED_BY: [*chain(cause), firing.rule.name], "cause": cause.id}
        return Event(
            f"{self._ids.event()}{SHARED}",  # another trigger may end what this begins
            name,
            task_id if task_id is None else self._redactor.plain(task_id),
            EVENT_TYPES[name],
            now,
            cause.source,
            cause.trace_id,
            derived_span(cause.trace_id, cause.span_id, kind, task_id),
            cause.span_id,
            self._redactor.metadata(metadata),
        )

    def _text(self, template: str, firing: Firing) -> str:
        return fill(expand(template, self._environ), firing.values)

    def _route(self, segment: str, role: str | None) -> str:
        """Return the route of the event: that of its cause, signed by the rule's role where that has a secret."""
        found = Segment.parse(segment)
        if found is None or found.route == LOCAL or role is None:
            return found.route if found else LOCAL
        folder = self._project.routes
        owed = json.loads(Path(folder, f"{found.route}.json").read_bytes())
        owed.pop("role", None)
        if self._control.roles[role].secrets():
            owed["role"] = role
        content = json.dumps(owed, sort_keys=True).encode()
        if not os.path.exists(os.path.join(folder, f"{route_of(content)}.json")):
            replace_file(os.path.join(folder, f"{route_of(content)}.json"), content)
        return route_of(content)
