"""Whether a rule fires on an event; and if not, why not, in words."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.config.triggers import Emit, SetStatus
from pytest_swarmtask.core.roles import allows
from pytest_swarmtask.core.timestamps import local_time
from pytest_swarmtask.core.trace import CAUSED_BY
from pytest_swarmtask.relay.delivery.matching import is_among, mismatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_swarmtask.config.triggers import Trigger
    from pytest_swarmtask.config.workflow import AccessControl
    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.relay.triggers.firing_log import FiringLog

LONGEST_CHAIN = 5
"""Triggers, at most, that may set each other off."""


class ActionError(Exception):
    """Something that a rule does has failed; the message says why, in one line."""


class Firing(NamedTuple):
    """A rule that fires on an event.

    Attributes:
        rule: the rule.
        event: the event.
        values: what templates may name.
        environment: that of the event's run, empty without one.
    """

    rule: Trigger
    event: Event
    values: Mapping[str, object]
    environment: str


class Circumstances(NamedTuple):
    """What a rule may ask for beside the event: its environment, empty without one, and the branch of its run."""

    environment: str = ""
    branch: str | None = None


def why_not(rule: Trigger, event: Event, around: Circumstances, record: FiringLog) -> str | None:
    """Return why a rule does not fire on an event; None where it does."""
    if not rule.enabled:
        return "the rule is not enabled"
    if not is_among(event.event_type, rule.on):
        return f"event type is {event.event_type}, expected {' or '.join(rule.on)}"
    return (
        mismatch(rule.when, event, around.environment, around.branch)
        or _looped(rule, event)
        or _before(rule, event, record)
    )


def chain(event: Event) -> list[str]:
    """Return the triggers that led to an event, the last one last."""
    found = event.metadata.get(CAUSED_BY)
    return [str(name) for name in found] if isinstance(found, list) else []


def _looped(rule: Trigger, event: Event) -> str | None:
    """Keep rules from setting themselves off, and each other without end."""
    causes = chain(event)
    if rule.name in causes:
        return f"the rule itself led to this event ({' > '.join(causes)})"
    if len(causes) >= LONGEST_CHAIN:
        return f"{len(causes)} triggers led to this event, expected fewer than {LONGEST_CHAIN}"
    return None


def _before(rule: Trigger, event: Event, record: FiringLog) -> str | None:
    if record.has_fired_on(rule.name, event.id):
        return "it has fired on this event"
    if rule.once_per and record.has_fired_in(rule.name, occasion(rule, event)):
        return f"once_per {rule.once_per}: it has fired in this one"
    left = rule.cooldown - (time.time() - record.last(rule.name))
    if 0 < left <= rule.cooldown:  # a clock that was set back ends it
        return f"cooldown: {left:.0f} s are left"
    return None


def occasion(rule: Trigger, event: Event) -> str:
    """Return the run, task or day within which a rule fires once, as its `once_per` says."""
    if rule.once_per == "day":
        try:
            at = local_time(event.timestamp)
        except ValueError:
            at = dt.datetime.now().astimezone()
        return f"day {at:%Y-%m-%d}"
    return f"task {event.task_id or ''}" if rule.once_per == "task" else f"run {event.trace_id}"


def refusals(rule: Trigger, control: AccessControl, run_role: str | None) -> Iterator[str]:
    """Yield what the rule does that its role may not do. Without a role of its own it acts as that of the run."""
    name = rule.role or run_role
    role = control.roles.get(name) if name else None
    if name is None:
        return
    wanted = ["trigger:run", *(f"emit:{action.event_type}" for action in rule.do if isinstance(action, Emit))]
    if any(isinstance(action, SetStatus) for action in rule.do):
        wanted.append("task:sync")
    for one in wanted:
        if role is None or not allows(role.allow, one):
            yield f"the role {name} may not {one}"
