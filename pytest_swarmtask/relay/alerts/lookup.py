"""Which alerts are asked about which events, and by what condition; conditions of plug-ins among them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.config.monitoring import FailureAlert, PluginAlert
from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.event import EVENT_TYPES
from pytest_swarmtask.relay.alerts.conditions import CONDITIONS
from pytest_swarmtask.relay.alerts.evaluation import Evaluation
from pytest_swarmtask.relay.delivery.matching import is_among

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_swarmtask.config.monitoring import AnyAlert
    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.plugins.hookspecs import Finding, SinkRequest
    from pytest_swarmtask.relay.alerts.conditions import Condition

_log = logging.getLogger("pytest_swarmtask.relay")


class ActiveCondition(NamedTuple):
    """An alert, its condition, and the types of the events that it is asked about."""

    alert: AnyAlert
    condition: Condition
    types: frozenset[str]


def active_conditions(alerts: Iterable[AnyAlert], request: SinkRequest) -> list[ActiveCondition]:
    """Return those alerts that are asked about events.

    Raises:
        ConfigError: no plug-in has a condition that an alert names.
    """
    found = []
    for alert in alerts:
        if isinstance(alert, PluginAlert):
            found.append(ActiveCondition(alert, _of_plugin(alert, request), _matching(alert.events)))
        elif type(alert) in CONDITIONS:
            condition, types = CONDITIONS[type(alert)]
            found.append(ActiveCondition(alert, condition, frozenset(types) if types else _types(alert)))
    return found


def _matching(globs: Iterable[str]) -> frozenset[str]:
    return frozenset(name for name in EVENT_TYPES if is_among(name, globs))


def _types(alert: AnyAlert) -> frozenset[str]:
    """Return the ends among an alert's events; of an alert for failures also what resolves them."""
    types = _matching(alert.events)  # type: ignore[union-attr] # those without are in CONDITIONS with their types
    if isinstance(alert, FailureAlert):
        kinds = {name.partition("_")[0] for name in types}
        return types.union(name for kind in kinds for name in (f"{kind}_COMPLETED", f"{kind}_PASSED"))
    return frozenset(name for name in types if not name.endswith(("_STARTED", "_SKIPPED")))


def _of_plugin(alert: PluginAlert, request: SinkRequest) -> Condition:
    ask: Callable[[Event], Finding | None] | None = request.plugins.hook.swarmtask_alert_condition(
        name=alert.condition, options=alert.options, root=Path(request.project.root)
    )
    if ask is None:
        raise ConfigError(f"alert {alert.name}: no installed plug-in has the condition {alert.condition!r}")
    asked_for = ask

    def condition(_alert: object, event: Event, _past: object, _held: object) -> Evaluation | None:
        try:
            finding = asked_for(event)
            return None if finding is None else Evaluation(str(finding.subject), bool(finding.holds), str(finding.text))
        except Exception:  # noqa: BLE001 - somebody else's code
            _log.exception("alert %s: its condition failed", alert.name)
            return None

    return condition
