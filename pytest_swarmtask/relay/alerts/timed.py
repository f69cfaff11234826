"""The kinds of alerts that are evaluated as time passes: silence, and deliveries that fail or pile up."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_swarmtask.config import monitoring
from pytest_swarmtask.core.project import RESERVED
from pytest_swarmtask.core.timestamps import seconds_of
from pytest_swarmtask.core.trace import Clock
from pytest_swarmtask.relay.alerts.conditions import NEVER, AlertCondition, matching_types, subject_of
from pytest_swarmtask.relay.alerts.evaluation import Evaluation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.relay.alerts.past_runs import OpenStarts
    from pytest_swarmtask.relay.alerts.state import ActiveAlert
    from pytest_swarmtask.relay.delivery.backlog import Backlog

HEARD = "heard"
"""Scope of the memory with the time of the last expected event, by environment and alert."""
_SPAN_DIGITS = 8
"""Digits of a span id in a subject: enough to tell two starts of one task apart."""


def seconds_since(timestamp: str) -> float:
    """Return the seconds since an event's timestamp, or 0 if that is not a valid one."""
    try:
        return time.time() - seconds_of(timestamp)
    except ValueError:
        return 0.0


class SilenceCondition(AlertCondition[monitoring.SilenceAlert]):
    """A start has no end for too long (`unfinished`), or an expected start did not come (`every`)."""

    reads_history = True

    @cached_property
    def event_types(self) -> frozenset[str]:
        """With `every`, the alert's events, whose times are remembered. Else none: the history has all starts."""
        return matching_types(self.alert.events) if self.alert.every else frozenset()

    def observe(self, event: Event) -> None:
        """Remember the time of an expected event."""
        self._remember(event.timestamp)

    def check_history(self, starts: OpenStarts, active: Mapping[str, ActiveAlert]) -> tuple[list[Evaluation], float]:
        """Look for starts that have no end for too long, and for an expected start that did not come."""
        evaluations, soonest = self._unfinished(starts, active) if self.alert.unfinished else ([], NEVER)
        overdue = self._overdue(is_local=starts.past.is_local) if self.alert.every else None
        # Not counted in `soonest`: a relay does not stay until the next expected start, the next one looks again.
        return evaluations + ([overdue] if overdue else []), soonest

    def _unfinished(self, starts: OpenStarts, active: Mapping[str, ActiveAlert]) -> tuple[list[Evaluation], float]:
        limit = self.alert.unfinished or 0.0
        evaluations, soonest = [], NEVER
        for event in starts.of(self.alert):
            age = seconds_since(event.timestamp)
            if age < limit:
                soonest = min(soonest, limit - age)
            else:
                evaluations.append(self._too_long(event, age, starts))
        for subject, one in active.items():
            span = one.note.get("span")
            if isinstance(span, str) and starts.past.has_ended(span):
                evaluations.append(Evaluation(subject, is_active=False, text=f"{subject} has ended"))
        return evaluations, soonest

    def _too_long(self, event: Event, age: float, starts: OpenStarts) -> Evaluation:
        name = event.task_id or event.event_type
        return Evaluation(
            f"{subject_of(event, starts.past)} ({event.span_id[:_SPAN_DIGITS]})",
            is_active=True,
            text=f"{name} has begun, and nothing was heard of its end for {_in_words(age)}",
            compared=f"the limit is {_in_words(self.alert.unfinished or 0.0)}",
            since=event.timestamp,
            note={"span": event.span_id},
            event=event,
            run=starts.past.run(event),
        )

    def _overdue(self, *, is_local: bool) -> Evaluation | None:
        """Return whether the expected start is late, or None as long as no time counts."""
        name, every = self.alert.name, self.alert.every or 0.0
        heard = self.memory.get(HEARD, self._key)
        at = heard.get("at") if heard else None
        if not isinstance(at, str):
            if is_local:  # the first look: time counts from now on
                self._remember(Clock().timestamp())
            return None  # a server has projects that never have such a start: there, time counts from the first one
        age = seconds_since(at)
        if age < every:
            return Evaluation(name, is_active=False, text=f"{name} was heard again")
        text = f"nothing was heard of {name} for {_in_words(age)}"
        return Evaluation(name, is_active=True, text=text, compared=f"expected every {_in_words(every)}", since=at)

    @property
    def _key(self) -> str:
        return f"{self.environment}\t{self.alert.name}"

    def _remember(self, timestamp: str) -> None:
        """Remember a time, unless a later one is remembered already."""
        before = self.memory.get(HEARD, self._key)
        if before is None or str(before.get("at")) < timestamp:
            self.memory.swap(HEARD, self._key, before, {"at": timestamp})


class DeliveryCondition(AlertCondition[monitoring.DeliveryAlert]):
    """Events for a webhook are waiting in great number or for long, or were refused."""

    reads_backlogs = True

    def check_backlogs(self, backlogs: Mapping[str, Backlog]) -> list[Evaluation]:
        """Compare the backlog of each endpoint with the limits."""
        return [self._evaluate(endpoint, backlogs[endpoint]) for endpoint in backlogs if self._is_about(endpoint)]

    def _is_about(self, endpoint: str) -> bool:
        """Whether the alert is about an endpoint, whose name is ``name@environment as role``."""
        name, _, environment = endpoint.partition(" as ")[0].partition("@")
        # Only webhooks and endpoints of plug-ins, not our own sinks: alerts themselves go through one of those.
        is_named = name not in RESERVED and any(fnmatchcase(name, glob) for glob in self.alert.webhooks)
        return is_named and environment == self.environment

    def _evaluate(self, endpoint: str, backlog: Backlog) -> Evaluation:
        alert, age = self.alert, seconds_since(backlog.oldest) if backlog.oldest else 0.0
        refused = alert.dead_letters is not None and backlog.dead >= alert.dead_letters
        problems = [
            (alert.waiting is not None and backlog.waiting > alert.waiting, f"waiting: {backlog.waiting}"),
            (alert.oldest is not None and age > alert.oldest, f"the oldest event has waited for {_in_words(age)}"),
            (refused, f"refused for good: {backlog.dead}"),
        ]
        texts = [text for is_found, text in problems if is_found]
        if not texts:
            return Evaluation(endpoint, is_active=False, text=f"deliveries to {endpoint} are in time")
        text = f"deliveries to {endpoint}: {', '.join(texts)}"
        step = "swarmtask replay" if refused else "swarmtask flush"
        return Evaluation(endpoint, is_active=True, text=text, since=backlog.oldest, next=step)


def _in_words(seconds: float) -> str:
    """Return a time in the largest unit of which there are at least two."""
    for size, noun in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {noun}"
    return f"{seconds:.0f} s"
