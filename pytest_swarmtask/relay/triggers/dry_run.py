"""Which rules would fire on events, what they would do, and why the others would not; nothing is done."""

from __future__ import annotations

import contextlib
import json
import shlex
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.config.triggers import CallWebhook, Emit, Notify, RunCommand, SetStatus
from pytest_swarmtask.relay.delivery.templates import fill, fill_all, variables
from pytest_swarmtask.relay.triggers.commands import argument
from pytest_swarmtask.relay.triggers.firing_log import DryRunMemory, FiringLog
from pytest_swarmtask.relay.triggers.rules import ActionError, Circumstances, occasion, refusals, why_not

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_swarmtask.config.triggers import AnyAction, Trigger
    from pytest_swarmtask.config.workflow import Workflow
    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.core.roles import Access


class RuleOutcome(NamedTuple):
    """What a rule would do on an event.

    Attributes:
        rule: its name.
        reason: why it would do nothing, or None.
        actions: what it would do, one line each; `${NAME}` stays as it is written.
    """

    rule: str
    reason: str | None
    actions: list[str]


def dry_run(
    workflow: Workflow, project: Project, access: Access, around: Circumstances, events: Iterable[Event]
) -> Iterator[tuple[Event, list[RuleOutcome]]]:
    """Yield each event with what each rule would do on it, as if they came now, one after the other.

    Raises:
        sqlite3.Error: what the rules remember cannot be read.
    """
    with contextlib.closing(DryRunMemory(project.database)) as memory:
        record = FiringLog(memory)
        for event in events:
            yield event, [_verdict(workflow, access, around, rule, event, record) for rule in _rules(workflow)]


def _rules(workflow: Workflow) -> list[Trigger]:
    return workflow.automation_triggers.rules


def _verdict(  # noqa: PLR0913, PLR0917 - all that matters
    workflow: Workflow, access: Access, around: Circumstances, rule: Trigger, event: Event, record: FiringLog
) -> RuleOutcome:
    reason = None if workflow.automation_triggers.enabled else "automation_triggers is not enabled"
    if not access.may("trigger:run"):
        reason = reason or access.refusal("trigger:run")
    reason = reason or why_not(rule, event, around, record)
    if reason is None:
        record.fire(rule.name, event.id, occasion(rule, event) if rule.once_per else None)
        run_role = access.role if access.secrets else None
        reason = next(refusals(rule, workflow.access_control, run_role), None)
    if reason is not None:
        return RuleOutcome(rule.name, reason, [])
    values = variables(event, name=rule.name, environment=around.environment)
    return RuleOutcome(rule.name, None, [described(action, event, values) for action in rule.do])


def described(action: AnyAction, event: Event, values: Mapping[str, object]) -> str:
    """Return what an action would do, in one line."""
    if isinstance(action, RunCommand):
        try:
            words = [action.command[0], *(argument(one, values) for one in action.command[1:])]
        except ActionError as error:
            return f"run would fail: {error}"
        return f"run {shlex.join(words)}"
    if isinstance(action, CallWebhook):
        return (
            f"send {'the event' if action.body is None else _json(fill_all(action.body, values))} to {action.webhook}"
        )
    task_id = event.task_id if isinstance(action, Notify) or action.task_id is None else fill(action.task_id, values)
    if isinstance(action, SetStatus):
        return f"set the status of {task_id} to {action.status}"
    if isinstance(action, Emit):
        metadata = f" {_json(fill_all(action.metadata, values))}" if action.metadata else ""
        return f"emit {action.event_type} {task_id or ''}".rstrip() + metadata
    said = "what happened" if action.message is None else fill(action.message, values)
    return f"tell {', '.join(action.to)}: {said}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
