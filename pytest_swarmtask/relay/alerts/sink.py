"""The alerts and figures of `monitoring` as a sink."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.config.load import load
from pytest_swarmtask.config.monitoring import DeliveryAlert, SilenceAlert
from pytest_swarmtask.config.variables import expand
from pytest_swarmtask.core.errors import ConfigError, HistoryError
from pytest_swarmtask.core.project import ALERTS
from pytest_swarmtask.journal import locks
from pytest_swarmtask.plugins.hookspecs import SinkRequest, hookimpl
from pytest_swarmtask.plugins.sink import Delivered, Retry
from pytest_swarmtask.relay.alerts import timed
from pytest_swarmtask.relay.alerts.conditions import ended_well, subject_of
from pytest_swarmtask.relay.alerts.lookup import ActiveCondition, active_conditions
from pytest_swarmtask.relay.alerts.past_runs import Past, ask_past
from pytest_swarmtask.relay.alerts.prometheus import Figures
from pytest_swarmtask.relay.alerts.state import AlertState
from pytest_swarmtask.relay.delivery.backlog import backlogs
from pytest_swarmtask.relay.delivery.matching import is_among, mismatch
from pytest_swarmtask.relay.delivery.memory import Memory
from pytest_swarmtask.relay.delivery.routes import Routes
from pytest_swarmtask.relay.notify.notifiers import Notifiers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pluggy

    from pytest_swarmtask.config.monitoring import AnyAlert
    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.core.timing import Timing
    from pytest_swarmtask.plugins.sink import PendingEvent, SendResult
    from pytest_swarmtask.relay.alerts.evaluation import Evaluation

_log = logging.getLogger("pytest_swarmtask.relay")

_NEVER = float("inf")


@hookimpl
def swarmtask_sink(request: SinkRequest) -> AlertsSink | None:
    """Return the sink of the alerts."""
    return AlertsSink(request) if request.name == ALERTS else None


def check_alerts(project: Project, environ: Mapping[str, str], plugins: pluggy.PluginManager, timing: Timing) -> None:
    """Look once at what no event brings about, and tell what is due: for when no relay is at work.

    A configuration that cannot be followed, or a database that cannot be used, is logged.
    """
    environment = environ.get("WORKFLOW_ENVIRONMENT", "")
    identity = f"{ALERTS}@{environment}" if environment else ALERTS
    try:
        workflow = load(project, environ).workflow
        if workflow.monitoring.enabled and (workflow.monitoring.alerts or workflow.monitoring.metrics.textfile):
            request = SinkRequest(
                ALERTS, identity, project, environ, workflow, None, None, environment, plugins, timing
            )
            with contextlib.closing(AlertsSink(request, eager=True)) as sink:
                sink.run_pending()
    except ConfigError as error:
        _log.warning("alerts: %s", error)


class AlertsSink:
    """Asks the conditions of alerts about events, keeps what holds, and has people told. Used from one thread.

    Args:
        request: the endpoint.
        eager: tell at once what could not be told before: a person asked for it.

    Raises:
        ConfigError: an alert cannot be followed as things are.
    """

    max_events = 500
    max_bytes = 2_000_000
    max_age = 0.2

    def __init__(self, request: SinkRequest, *, eager: bool = False) -> None:
        workflow = request.workflow
        if workflow is None:
            raise ConfigError("the configuration is not valid, see: swarmtask config validate")
        monitoring = workflow.monitoring
        in_force = [alert for alert in monitoring.alerts if monitoring.enabled and alert.enabled]
        self.name = request.identity
        self._project, self._environ = request.project, request.environ
        self._environment = request.environment
        self._timing = request.timing
        self._source = _source(workflow.task_integration.source, request)
        self._silences = [alert for alert in in_force if isinstance(alert, SilenceAlert)]
        self._deliveries = [alert for alert in in_force if isinstance(alert, DeliveryAlert)]
        self._asked = active_conditions(in_force, request)
        self._memory = Memory(request.project.database)
        owner = f"alerts@{self._environment}"
        self._notifiers = Notifiers(workflow, request, self._memory, owner, eager=eager)
        quiet_hours = monitoring.quiet_hours
        self._state = AlertState(self._memory, self._notifiers, self._environment, quiet_hours)
        textfile = monitoring.metrics.textfile if monitoring.enabled else None
        self._figures = Figures(self._memory, _path(textfile, request)) if textfile else None
        self._routes = Routes(request.project, request.environ)
        self._looked: float | None = None

    def accepts(self, event_type: str) -> bool:
        """Tell whether an alert looks at events of this type, or they are counted."""
        return (
            self._figures is not None
            or any(event_type in one.types for one in self._asked)
            or any(alert.every and is_among(event_type, alert.events) for alert in self._silences)
        )

    def send(self, records: Sequence[PendingEvent]) -> SendResult:
        """Ask the conditions about these events."""
        # Of several segments, what came first may be read last; a fix must not be undone by the failure before it.
        events = sorted((record.event for record in records), key=lambda event: event.timestamp)
        try:
            if self._asked or self._silences:
                ask_past(self._project, self._environ, lambda past: self._look_at(events, past))
            if self._figures is not None:
                self._figures.count(events)
        except (HistoryError, sqlite3.Error, OSError) as error:
            return Retry(str(error), 1.0)
        return Delivered()

    def _look_at(self, events: Sequence[Event], past: Past) -> None:
        for event in events:
            for one in self._asked:
                if event.event_type in one.types:
                    self._ask(one, event, past)
            for alert in self._silences:
                if alert.every and is_among(event.event_type, alert.events) and self._is_about(alert, event, past):
                    timed.hear(alert, self._memory, self._environment, event.timestamp)

    def _is_about(self, alert: AnyAlert, event: Event, past: Past) -> bool:
        return mismatch(alert.when, event, self._environment, past.branch(event)) is None

    def _ask(self, one: ActiveCondition, event: Event, past: Past) -> None:
        """Ask one condition. A good end that the alert is not about can still resolve what it was about."""
        is_about = self._is_about(one.alert, event, past)
        if not is_about and not ended_well(event):
            return
        held = self._state.held(one.alert, subject_of(event, past))
        if not is_about and held is None:
            return
        case = one.condition(one.alert, event, past, held.note if held else None)
        if case is not None and (is_about or not case.holds):
            known = case._replace(event=event, run=past.run(event))
            self._state.take(one.alert, known, event.source)

    # -- what no event brings about ----------------------------------------------------------------------------

    def run_pending(self) -> float:
        """Tell what is due, look for silence and at deliveries, and write the figures."""
        try:
            self._state.run_pending()
            return min(self._notifiers.run_pending(), self._look())
        except (HistoryError, sqlite3.Error, OSError) as error:
            _log.warning("%s: %s", self.name, error)
            return self._timing.alerts_retry

    def _look(self) -> float:
        now = time.monotonic()
        if self._looked is not None and now - self._looked < self._timing.alerts_look:
            return self._looked + self._timing.alerts_look - now
        if self._looked is None:
            self._state.forget()
        self._looked = now
        lock = locks.open_locked(self._project.alerts_lock)
        if lock is None:
            return self._timing.alerts_look  # another relay looks just now: nothing shall be told twice
        try:
            silent = ask_past(self._project, self._environ, self._look_for_silence) if self._silences else _NEVER
            return min(silent, self._look_at_deliveries())
        finally:
            os.close(lock)

    def _look_for_silence(self, past: Past) -> float:
        starts = timed.Starts(past, self._environment)
        soonest = _NEVER
        for alert in self._silences:
            cases: list[Evaluation] = []
            if alert.unfinished:
                found, left = timed.unfinished(alert, starts, past, self._state.all_of(alert))
                cases, soonest = cases + found, min(soonest, left)
            if alert.every:
                # The relay does not stay for that: the next one looks again, or `flush`.
                case = timed.overdue(alert, self._memory, self._environment)
                cases += [case] if case else []
            self._take(alert, cases)
        return soonest

    def _look_at_deliveries(self) -> float:
        if not self._deliveries and self._figures is None:
            return _NEVER
        found = backlogs(self._project, self._routes)
        for alert in self._deliveries:
            self._take(alert, timed.delivery(alert, found, self._environment))
        if self._figures is not None:
            self._figures.write(found)
        return self._timing.alerts_look if any(backlog.waiting for backlog in found.values()) else _NEVER

    def _take(self, alert: AnyAlert, cases: Sequence[Evaluation]) -> None:
        for case in cases:
            self._state.take(alert, case, self._source)

    def close(self) -> None:
        """Let go of connections and of the database."""
        self._notifiers.close()
        self._memory.close()


def _source(source: str | None, request: SinkRequest) -> str:
    with contextlib.suppress(ConfigError):
        return expand(source or "", request.environ) or os.path.basename(request.project.root)
    return os.path.basename(request.project.root)


def _path(textfile: str, request: SinkRequest) -> str:
    return os.path.join(request.project.root, expand(textfile, request.environ))
