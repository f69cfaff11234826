"""Show which rules would fire on events, what they would do, and why other rules would not fire; do nothing."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.relay.delivery.memory import DraftMemory, RelayMemory
from pytest_swarmtask.relay.delivery.templates import variables
from pytest_swarmtask.relay.triggers.actions import action_of, required_permissions
from pytest_swarmtask.relay.triggers.firing_log import FiringLog
from pytest_swarmtask.relay.triggers.rules import Circumstances, occasion, refusal, why_not

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_swarmtask.config.triggers import Trigger
    from pytest_swarmtask.config.workflow import Workflow
    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.core.roles import Access


class RuleOutcome(NamedTuple):
    """What one rule would do on one event.

    Attributes:
        rule: its name.
        reason: why it would do nothing, or None if it would fire.
        actions: what it would do, one line for each action; `${NAME}` is shown as it is written.
    """

    rule: str
    reason: str | None
    actions: list[str]


def dry_run(
    workflow: Workflow, project: Project, access: Access, around: Circumstances, events: Iterable[Event]
) -> Iterator[tuple[Event, list[RuleOutcome]]]:
    """Yield each event with what each rule would do on it, as if the events happened now, one after the other.

    Raises:
        sqlite3.Error: the relay's database, with the earlier firings of the rules, cannot be read.
    """
    with contextlib.closing(RelayMemory(project.database)) as memory:
        is_there = os.path.exists(project.database)  # else reading would create it
        log = FiringLog(DraftMemory(memory.items if is_there else lambda _: ()))
        for event in events:
            yield (
                event,
                [_outcome(workflow, access, around, rule, event, log) for rule in workflow.automation_triggers.rules],
            )


def _outcome(  # noqa: PLR0913, PLR0917 - everything that a firing depends on
    workflow: Workflow, access: Access, around: Circumstances, rule: Trigger, event: Event, log: FiringLog
) -> RuleOutcome:
    reason = None if workflow.automation_triggers.enabled else "automation_triggers is not enabled"
    if not access.may("trigger:run"):
        reason = reason or access.refusal("trigger:run")
    reason = reason or why_not(rule, event, around, log)
    if reason is None:
        # As in the relay, a rule counts as fired before its permissions are checked.
        log.fire(rule.name, event.id, occasion(rule, event) if rule.once_per else None)
        run_role = access.role if access.secrets else None
        reason = refusal(required_permissions(rule.do), rule, workflow.access_control, run_role)
    if reason is not None:
        return RuleOutcome(rule.name, reason, [])
    values = variables(event, name=rule.name, environment=around.environment)
    return RuleOutcome(rule.name, None, [action_of(action).describe(values) for action in rule.do])
