"""Which condition evaluates an alert: the table of all kinds, with those of plug-ins."""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_swarmtask.config import monitoring
from pytest_swarmtask.config.variables import expand_all
from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.relay.alerts import conditions, timed
from pytest_swarmtask.relay.alerts.conditions import AlertCondition, matching_types
from pytest_swarmtask.relay.alerts.evaluation import Evaluation
from pytest_swarmtask.relay.notify.wording import redactor_of, worded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_swarmtask.config.monitoring import AnyAlert
    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.plugins.hookspecs import Finding, SinkRequest
    from pytest_swarmtask.relay.alerts.conditions import Note
    from pytest_swarmtask.relay.alerts.past_runs import Past
    from pytest_swarmtask.relay.delivery.memory import Memory

_log = logging.getLogger("pytest_swarmtask.relay")


class PluginCondition(AlertCondition[monitoring.PluginAlert]):
    """A condition of an installed plug-in.

    Raises:
        ConfigError: no installed plug-in has the condition, or a variable that its options name is not set.
    """

    def __init__(self, alert: monitoring.PluginAlert, request: SinkRequest, memory: Memory) -> None:
        super().__init__(alert, request, memory)
        find: Callable[[Event], Finding | None] | None = request.plugins.hook.swarmtask_alert_condition(
            name=alert.condition, options=_options(alert, request), root=Path(request.project.root)
        )
        if find is None:
            raise ConfigError(f"alert {alert.name}: no installed plug-in has the condition {alert.condition!r}")
        self._find = find

    @cached_property
    def event_types(self) -> frozenset[str]:
        """All of the alert's events: the plug-in decides which of them resolve it."""
        return matching_types(self.alert.events)

    def evaluate(self, event: Event, past: Past, note: Note | None) -> Evaluation | None:  # noqa: ARG002 - not public
        """Call the plug-in. If it fails, the event is irrelevant, and the error is logged."""
        try:
            found = self._find(event)
            return None if found is None else Evaluation(str(found.subject), bool(found.holds), str(found.text))
        except Exception:  # noqa: BLE001 - foreign code
            _log.exception("alert %s: its condition failed", self.alert.name)
            return None


def _options(alert: monitoring.PluginAlert, request: SinkRequest) -> dict[str, Any]:
    try:
        options: dict[str, Any] = expand_all(alert.options, request.environ)
    except ConfigError as error:
        raise ConfigError(f"alert {alert.name}: options: {error}") from None
    return options


_CLASSES: dict[type[monitoring.Alert], type[AlertCondition[Any]]] = {
    monitoring.FailureAlert: conditions.FailureCondition,
    monitoring.DurationAlert: conditions.DurationCondition,
    monitoring.FailureRateAlert: conditions.FailureRateCondition,
    monitoring.ConsecutiveFailuresAlert: conditions.ConsecutiveFailuresCondition,
    monitoring.NewlyFailingAlert: conditions.NewlyFailingCondition,
    monitoring.FlakyAlert: conditions.FlakyCondition,
    monitoring.CoverageAlert: conditions.CoverageCondition,
    monitoring.SilenceAlert: timed.SilenceCondition,
    monitoring.DeliveryAlert: timed.DeliveryCondition,
    monitoring.PluginAlert: PluginCondition,
}


def alerts_of(request: SinkRequest) -> list[AnyAlert]:
    """Return the alerts that are enabled, with the variables of their messages filled in."""
    monitoring = request.workflow.monitoring
    return [_with_message(one, request) for one in monitoring.alerts if monitoring.enabled and one.enabled]


def _with_message(alert: AnyAlert, request: SinkRequest) -> AnyAlert:
    """Return the alert with the variables of its message filled in.

    If one of them is not set, the alert gets the usual message: it must not be lost for its wording.
    """
    if alert.message is None or "$" not in alert.message:
        return alert
    try:
        message: str | None = worded(alert.message, request.environ, redactor_of(request))
    except ConfigError as error:
        _log.warning("alert %s: message: %s; the usual message is sent", alert.name, error)
        message = None
    return msgspec.structs.replace(alert, message=message)


def conditions_of(alerts: Iterable[AnyAlert], request: SinkRequest, memory: Memory) -> list[AlertCondition[Any]]:
    """Return the conditions of alerts, in the same order.

    Raises:
        ConfigError: no installed plug-in has a condition that an alert names.
    """
    return [_CLASSES[type(alert)](alert, request, memory) for alert in alerts]
