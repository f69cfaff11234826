"""The sink of the triggers: it gets events and carries out the actions of the rules that match them.

A rule fires at most once on an event. The firing is written to the database before the actions begin, so a relay that
is killed in the middle of a deployment does not deploy twice.
"""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.facts import ci, git
from pytest_swarmtask.core.project import TRIGGERS
from pytest_swarmtask.core.service_errors import EndpointError
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.plugins.hookspecs import hookimpl
from pytest_swarmtask.plugins.sink import Delivered, Retry
from pytest_swarmtask.relay.delivery.matching import is_among
from pytest_swarmtask.relay.delivery.memory import RelayMemory
from pytest_swarmtask.relay.delivery.templates import variables
from pytest_swarmtask.relay.notify.notifiers import Notifiers
from pytest_swarmtask.relay.notify.wording import redactor_of
from pytest_swarmtask.relay.tasks.titles import titled
from pytest_swarmtask.relay.triggers.actions import action_of, required_permissions
from pytest_swarmtask.relay.triggers.firing_log import FiringLog, forget_firings
from pytest_swarmtask.relay.triggers.interface import ActionContext, ActionError, Firing
from pytest_swarmtask.relay.triggers.rules import Circumstances, occasion, refusal, why_not

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_swarmtask.config.triggers import AnyAction, Trigger
    from pytest_swarmtask.config.workflow import Workflow
    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.plugins.hookspecs import SinkRequest
    from pytest_swarmtask.plugins.sink import PendingEvent, SendResult, Sink

_log = logging.getLogger("pytest_swarmtask.relay")
_MOST_RUNS = 1000
"""Runs whose branch is remembered. The limit bounds the memory of a relay that lives for very long."""


@hookimpl
def swarmtask_sink(request: SinkRequest) -> Sink | None:
    """Return the sink of the triggers, whose events carry the titles of their tasks."""
    if request.name != TRIGGERS:
        return None
    return titled(TriggersSink(request, request.workflow), request)


class TriggersSink:
    """Lets rules act on events, one event after the other. Used from one thread at a time.

    Args:
        request: the endpoint whose sink this is.
        workflow: its configuration.
    """

    max_events = 1  # rules act on each event by itself, so a batch would gain nothing
    max_bytes = 1_000_000
    max_age = 0.0

    def __init__(self, request: SinkRequest, workflow: Workflow) -> None:
        self.name = request.identity
        self._request = request
        self._control = workflow.access_control
        section = workflow.automation_triggers
        self._rules = [rule for rule in section.rules if rule.enabled and section.enabled]
        self._memory = RelayMemory(request.project.database)
        self._firings = FiringLog(self._memory)
        self._notifiers = Notifiers(workflow, request, self._memory, "triggers")
        redactor = redactor_of(request)
        self._context = ActionContext(
            request.project, request.environ, workflow, redactor, self._notifiers, request.timing
        )
        self._branches: dict[str, str | None] = {}
        self._has_forgotten = False

    def accepts(self, event_type: str) -> bool:
        """Whether a rule listens to events of this type."""
        return any(is_among(event_type, rule.on) for rule in self._rules)

    def send(self, events: Sequence[PendingEvent]) -> SendResult:
        """Let each rule that matches an event act on it."""
        try:
            if not self._has_forgotten:  # once for each relay is often enough
                forget_firings(self._memory)
                self._has_forgotten = True
            for pending in events:
                around = Circumstances(self._request.environment, self._branch(pending.event))
                for rule in self._rules:
                    if why_not(rule, pending.event, around, self._firings) is None:
                        self._fire(rule, pending)
        except (sqlite3.Error, OSError) as error:
            return Retry(f"the relay's database cannot be used: {error}")
        return Delivered()

    def _fire(self, rule: Trigger, pending: PendingEvent) -> None:
        event = pending.event
        if not self._firings.fire(rule.name, event.id, occasion(rule, event) if rule.once_per else None):
            return  # another relay was faster
        environment = self._request.environment
        firing = Firing(rule, pending, variables(event, name=rule.name, environment=environment), environment)
        refused = refusal(required_permissions(rule.do), rule, self._control, self._request.role)
        if refused:
            self._record_failure(firing, refused)
            return
        for number, definition in enumerate(rule.do, 1):
            problem = self._execute(definition, firing)
            if problem:
                kind = type(definition).__struct_config__.tag
                self._record_failure(firing, f"action {number} ({kind}): {problem}")
                return  # later actions may rely on this one

    def _execute(self, definition: AnyAction, firing: Firing) -> str | None:
        """Execute an action. Return why it failed, or None."""
        try:
            action_of(definition).execute(firing, self._context)
        except (ActionError, ConfigError, EndpointError) as error:
            return str(error)
        except sqlite3.Error:  # the same database as ours: `send` is to be tried again
            raise
        except Exception as error:  # noqa: BLE001 - other rules still have to act
            _log.exception("trigger %s", firing.rule.name)
            return f"unexpected {type(error).__name__}, see the relay's log"
        return None

    def _record_failure(self, firing: Firing, reason: str) -> None:
        where = f"{firing.event.event_type} {firing.event.task_id or ''}".strip()
        _log.warning("trigger %s on %s: %s", firing.rule.name, neutral(where), neutral(reason))
        self._firings.fail(firing.rule.name, reason)

    def _branch(self, event: Event) -> str | None:
        """Return the branch of an event's run: the branch that an event of the run named, or else the checkout's."""
        named = event.metadata.get("branch")
        if isinstance(named, str) or event.trace_id not in self._branches:
            if len(self._branches) >= _MOST_RUNS:
                self._branches.clear()
            root, environ = self._request.project.root, self._request.environ
            self._branches[event.trace_id] = named if isinstance(named, str) else branch_of(root, environ)
        return self._branches[event.trace_id]

    def run_pending(self) -> float:
        """Send messages that are waiting. Return the seconds until the next is due, or infinity if there is none."""
        try:
            return self._notifiers.run_pending()
        except (sqlite3.Error, OSError):
            return float("inf")  # the messages stay in the database for the next relay

    def close(self) -> None:
        """Close the database and connections."""
        self._notifiers.close()
        self._memory.close()


def branch_of(root: str, environ: Mapping[str, str]) -> str | None:
    """Return the branch of a project's checkout, determined as for the events of a session, or None."""
    return {**git.head(root), **ci.facts(environ)}.get("branch")
