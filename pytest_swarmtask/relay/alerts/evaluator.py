"""Evaluates the conditions of alerts, in a relay and on a server, and updates the state of the alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_swarmtask.core.event import SKIPPED
from pytest_swarmtask.relay.alerts.conditions import NEVER, ended_well, subject_of
from pytest_swarmtask.relay.alerts.past_runs import OpenStarts
from pytest_swarmtask.relay.delivery.matching import mismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.relay.alerts.conditions import AlertCondition
    from pytest_swarmtask.relay.alerts.past_runs import Past
    from pytest_swarmtask.relay.alerts.state import AlertState
    from pytest_swarmtask.relay.delivery.backlog import Backlog


class Evaluator:
    """Evaluates conditions with events, and as time passes. Used from one thread.

    Args:
        conditions: the conditions.
        state: the state of their alerts.
        owners: returns the owners of the test that an event is about.

    Attributes:
        reads_events, reads_history, reads_backlogs: what the conditions look at.
    """

    def __init__(
        self,
        conditions: Sequence[AlertCondition[Any]],
        state: AlertState,
        owners: Callable[[Event], list[str]] = lambda _: [],
    ) -> None:
        self._conditions = conditions
        self._state = state
        self._owners = owners
        self.reads_events = any(one.event_types for one in conditions)
        self.reads_history = any(one.reads_history for one in conditions)
        self.reads_backlogs = any(one.reads_backlogs for one in conditions)

    def accepts(self, event_type: str) -> bool:
        """Whether a condition looks at events of this type."""
        return any(event_type in one.event_types for one in self._conditions)

    def evaluate(self, events: Iterable[Event], past: Past) -> None:
        """Evaluate the conditions with events, of which the history knows."""
        looked_at = [event for event in events if self.accepts(event.event_type)]
        past.expect(looked_at)
        # By time, as they come from several writers: a fix must not be undone by the failure before it.
        for event in sorted(looked_at, key=lambda event: event.timestamp):
            for condition in self._conditions:
                if event.event_type in condition.event_types:
                    self._evaluate(condition, event, past)

    def _evaluate(self, condition: AlertCondition[Any], event: Event, past: Past) -> None:
        """Evaluate one condition. A good end that `when` does not match can still resolve an active alert."""
        if event.status == SKIPPED and event.event_type.endswith("_FAILED"):
            return  # what was left out has neither failed nor succeeded
        alert = condition.alert
        is_matched = mismatch(alert.when, event, past.environment(event), past.branch(event)) is None
        if is_matched:
            condition.observe(event)
        elif not ended_well(event):
            return
        active = self._state.active(alert, subject_of(event, past))
        if not is_matched and active is None:
            return
        evaluation = condition.evaluate(event, past, active.note if active else None)
        if evaluation is not None and (is_matched or not evaluation.is_active):
            owners = tuple(self._owners(event)) if evaluation.is_active else ()
            self._state.update(alert, evaluation._replace(event=event, run=past.run(event), owners=owners))

    def check_history(self, past: Past) -> float:
        """Evaluate the conditions as time passes. Return the seconds until that is needed again, or infinity."""
        starts = OpenStarts(past)
        soonest = NEVER
        for condition in self._conditions:
            if condition.reads_history:
                active = self._state.active_subjects(condition.alert)
                evaluations, seconds = condition.check_history(starts, active)
                for evaluation in evaluations:
                    self._state.update(condition.alert, evaluation)
                soonest = min(soonest, seconds)
        return soonest

    def check_backlogs(self, backlogs: Mapping[str, Backlog]) -> None:
        """Evaluate the conditions with the deliveries that are waiting, by endpoint."""
        for condition in self._conditions:
            for evaluation in condition.check_backlogs(backlogs):
                self._state.update(condition.alert, evaluation)
