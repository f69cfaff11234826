"""Whether a rule fires on an event, and if not, the reason in words."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.core.roles import allows
from pytest_swarmtask.core.timestamps import local_time
from pytest_swarmtask.core.trace import CAUSED_BY
from pytest_swarmtask.relay.delivery.matching import is_among, mismatch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_swarmtask.config.triggers import Trigger
    from pytest_swarmtask.config.workflow import AccessControl
    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.relay.triggers.firing_log import FiringLog

LONGEST_CHAIN = 5
"""How many triggers in a row may lead to each other, as docs/automation.md promises."""


class Circumstances(NamedTuple):
    """What a rule's `when` may ask for that the event itself does not say.

    Attributes:
        environment: the `WORKFLOW_ENVIRONMENT` of the event's run, empty without one.
        branch: the branch of the event's run, or None if it is not known.
    """

    environment: str = ""
    branch: str | None = None


def why_not(rule: Trigger, event: Event, around: Circumstances, log: FiringLog) -> str | None:
    """Return why a rule does not fire on an event, or None if it fires."""
    if not rule.enabled:
        return "the rule is not enabled"
    if not is_among(event.event_type, rule.on):
        return f"event type is {event.event_type}, expected {' or '.join(rule.on)}"
    return (
        mismatch(rule.when, event, around.environment, around.branch)
        or _why_endless(rule, event)
        or _why_again(rule, event, log)
    )


def triggers_that_led_to(event: Event) -> list[str]:
    """Return the names of the triggers that led to an event, the last one last."""
    found = event.metadata.get(CAUSED_BY)
    return [str(name) for name in found] if isinstance(found, list) else []


def _why_endless(rule: Trigger, event: Event) -> str | None:
    """Return why the rule might set itself off, or rules each other without end; None if it cannot."""
    causes = triggers_that_led_to(event)
    if rule.name in causes:
        return f"the rule itself led to this event ({' > '.join(causes)})"
    if len(causes) >= LONGEST_CHAIN:
        return f"{len(causes)} triggers led to this event, expected fewer than {LONGEST_CHAIN}"
    return None


def _why_again(rule: Trigger, event: Event, log: FiringLog) -> str | None:
    """Return which earlier firing keeps the rule from firing again, or None."""
    if log.has_fired_on(rule.name, event.id):
        return "it has fired on this event"
    if rule.once_per and log.has_fired_in(rule.name, occasion(rule, event)):
        return f"once_per {rule.once_per}: it has fired in this one"
    left = rule.cooldown - (time.time() - log.last_fired(rule.name))
    if 0 < left <= rule.cooldown:  # if the clock was set back, more than the cooldown may be left; then it is over
        return f"cooldown: {left:.0f} s are left"
    return None


def occasion(rule: Trigger, event: Event) -> str:
    """Return the run, task or day within which the rule fires only once, according to its `once_per`."""
    if rule.once_per == "day":
        try:
            at = local_time(event.timestamp)
        except ValueError:  # an event that another program wrote
            at = dt.datetime.now().astimezone()
        return f"day {at:%Y-%m-%d}"
    return f"task {event.task_id or ''}" if rule.once_per == "task" else f"run {event.trace_id}"


def refusal(permissions: Iterable[str], rule: Trigger, control: AccessControl, run_role: str | None) -> str | None:
    """Return which of these permissions the rule's role lacks, in words, or None if it has them all.

    Args:
        permissions: what the rule's actions need.
        rule: the rule. Without a `role` of its own it acts as the role of the run.
        control: the roles.
        run_role: the role as which the event's run signs, or None.
    """
    name = rule.role or run_role
    if name is None:
        return None
    role = control.roles.get(name)
    missing = (one for one in permissions if role is None or not allows(role.allow, one))
    return next((f"the role {name} may not {permission}" for permission in missing), None)
