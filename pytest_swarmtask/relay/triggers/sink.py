"""The rules of `automation_triggers` as a sink: events come in, and what rules say is done.

A rule fires at most once on an event: that it does is written down first. So a relay that is killed in the middle of a
deployment does not deploy twice.
"""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.facts import ci, git
from pytest_swarmtask.core.project import TRIGGERS
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.plugins.hookspecs import hookimpl
from pytest_swarmtask.plugins.sink import Delivered, Retry
from pytest_swarmtask.redaction.redactor import Redactor
from pytest_swarmtask.relay.delivery.matching import is_among
from pytest_swarmtask.relay.delivery.memory import Memory
from pytest_swarmtask.relay.delivery.templates import variables
from pytest_swarmtask.relay.notify.notifiers import Notifiers
from pytest_swarmtask.relay.tasks.titles import titled
from pytest_swarmtask.relay.triggers.actions import Actions
from pytest_swarmtask.relay.triggers.firing_log import FiringLog
from pytest_swarmtask.relay.triggers.rules import ActionError, Circumstances, Firing, occasion, refusals, why_not

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_swarmtask.config.triggers import AnyAction, Trigger
    from pytest_swarmtask.config.workflow import Workflow
    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.plugins.hookspecs import SinkRequest
    from pytest_swarmtask.plugins.sink import PendingEvent, SendResult, Sink

_log = logging.getLogger("pytest_swarmtask.relay")
_MOST_RUNS = 1000


@hookimpl
def swarmtask_sink(request: SinkRequest) -> Sink | None:
    """Return the sink of the triggers."""
    if request.name != TRIGGERS:
        return None
    if request.workflow is None:
        raise ConfigError("the configuration is not valid, see: swarmtask config validate")
    return titled(TriggersSink(request, request.workflow), request)


def redactor_of(workflow: Workflow, request: SinkRequest) -> Redactor:
    """Return what hides secrets in what triggers write down."""
    redact = workflow.task_integration.redact
    webhooks = (name for webhook in workflow.task_integration.webhooks for name in webhook.variables())
    roles = (name for role in workflow.access_control.roles.values() for name in role.secrets())
    return Redactor(request.environ, redact.keys, redact.allow, {*webhooks, *roles})


class TriggersSink:
    """Has rules act on events, one event after the other. Used from one thread at a time."""

    max_events = 1
    max_bytes = 1_000_000
    max_age = 0.0

    def __init__(self, request: SinkRequest, workflow: Workflow) -> None:
        self.name = request.identity
        self._request = request
        self._control = workflow.access_control
        section = workflow.automation_triggers
        self._rules = [rule for rule in section.rules if rule.enabled and section.enabled]
        memory = Memory(request.project.database)
        self._firings = FiringLog(memory)
        self._notifiers = Notifiers(workflow, request, memory, "triggers")
        self._actions = Actions(request, workflow, redactor_of(workflow, request), self._notifiers)
        self._branches: dict[str, str | None] = {}
        self._tidy = False

    def accepts(self, event_type: str) -> bool:
        """Tell whether a rule listens to events of this type."""
        return any(is_among(event_type, rule.on) for rule in self._rules)

    def send(self, records: Sequence[PendingEvent]) -> SendResult:
        """Have each rule that matches an event act on it."""
        try:
            if not self._tidy:
                self._firings.forget()
                self._tidy = True
            for record in records:
                around = Circumstances(self._request.environment, self._branch(record.event))
                for rule in self._rules:
                    if why_not(rule, record.event, around, self._firings) is None:
                        self._fire(rule, record)
        except (sqlite3.Error, OSError) as error:
            return Retry(f"the relay's database cannot be used: {error}")
        return Delivered()

    def _fire(self, rule: Trigger, record: PendingEvent) -> None:
        event = record.event
        if not self._firings.fire(rule.name, event.id, occasion(rule, event) if rule.once_per else None):
            return  # another relay was faster
        environment = self._request.environment
        values = variables(event, name=rule.name, environment=environment)
        firing = Firing(rule, event, values, environment)
        refused = next(refusals(rule, self._control, self._request.role), None)
        if refused:
            self._failed(firing, refused)
            return
        for number, action in enumerate(rule.do, 1):
            problem = self._problem(action, firing, record)
            if problem:
                self._failed(firing, f"action {number} ({type(action).__struct_config__.tag}): {problem}")
                return  # what comes after relies on it

    def _problem(self, action: AnyAction, firing: Firing, record: PendingEvent) -> str | None:
        """Do one thing; return what has gone wrong, or None."""
        try:
            self._actions.do(action, firing, record)
        except ActionError as error:
            return str(error)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - whatever one rule does, the others act
            _log.exception("trigger %s", firing.rule.name)
            return f"unexpected {type(error).__name__}, see the relay's log"
        return None

    def _failed(self, firing: Firing, reason: str) -> None:
        where = f"{firing.event.event_type} {firing.event.task_id or ''}".strip()
        _log.warning("trigger %s on %s: %s", firing.rule.name, neutral(where), neutral(reason))
        self._firings.fail(firing.rule.name, reason)

    def _branch(self, event: Event) -> str | None:
        """Return the branch of an event's run: what an event of it has said, else that of the checkout."""
        said = event.metadata.get("branch")
        if isinstance(said, str) or event.trace_id not in self._branches:
            if len(self._branches) >= _MOST_RUNS:
                self._branches.clear()
            self._branches[event.trace_id] = said if isinstance(said, str) else self._checkout()
        return self._branches[event.trace_id]

    def _checkout(self) -> str | None:
        return branch_of(self._request.project.root, self._request.environ)

    def run_pending(self) -> float:
        """Tell people again what they could not be told; return the seconds until that is so again."""
        try:
            return self._notifiers.run_pending()
        except (sqlite3.Error, OSError):
            return float("inf")

    def close(self) -> None:
        """Let go of the database and of connections."""
        self._notifiers.close()
        self._firings.close()


def branch_of(root: str, environ: Mapping[str, str]) -> str | None:
    """Return the branch that a project is on, as events of a session would say it."""
    return {**git.head(root), **ci.facts(environ)}.get("branch")
