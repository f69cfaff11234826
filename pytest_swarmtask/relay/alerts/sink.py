"""The sink of the alerts: it evaluates conditions, sends messages, and writes the metrics of `monitoring`."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from typing import TYPE_CHECKING

import msgspec

from pytest_swarmtask.config.load import load
from pytest_swarmtask.config.variables import expand
from pytest_swarmtask.core.errors import ConfigError, HistoryError
from pytest_swarmtask.core.event import SKIPPED
from pytest_swarmtask.core.project import ALERTS
from pytest_swarmtask.journal import locks
from pytest_swarmtask.plugins.hookspecs import SinkRequest, hookimpl
from pytest_swarmtask.plugins.sink import Delivered, Retry
from pytest_swarmtask.relay.alerts.conditions import NEVER, ended_well, subject_of
from pytest_swarmtask.relay.alerts.lookup import conditions_of
from pytest_swarmtask.relay.alerts.owners import OwnersOfTests
from pytest_swarmtask.relay.alerts.past_runs import OpenStarts, Past, query_past
from pytest_swarmtask.relay.alerts.prometheus import MetricsFile
from pytest_swarmtask.relay.alerts.state import AlertState
from pytest_swarmtask.relay.delivery.backlog import backlogs
from pytest_swarmtask.relay.delivery.matching import mismatch
from pytest_swarmtask.relay.delivery.memory import Memory
from pytest_swarmtask.relay.delivery.routes import Routes
from pytest_swarmtask.relay.notify.notifiers import Notifiers
from pytest_swarmtask.relay.notify.wording import redactor_of, worded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    import pluggy

    from pytest_swarmtask.config.monitoring import AnyAlert
    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.core.timing import Timing
    from pytest_swarmtask.plugins.sink import PendingEvent, SendResult
    from pytest_swarmtask.relay.alerts.conditions import AlertCondition
    from pytest_swarmtask.relay.alerts.evaluation import Evaluation

_log = logging.getLogger("pytest_swarmtask.relay")


@hookimpl
def swarmtask_sink(request: SinkRequest) -> AlertsSink | None:
    """Return the sink of the alerts."""
    return AlertsSink(request) if request.name == ALERTS else None


def check_alerts(project: Project, environ: Mapping[str, str], plugins: pluggy.PluginManager, timing: Timing) -> None:
    """Evaluate once the conditions that depend on time, and send messages that are due. Used when no relay is running.

    An invalid configuration and a database that cannot be used are logged.
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
    """Evaluates the conditions of alerts, and keeps their state. Used from one thread.

    Args:
        request: the endpoint whose sink this is.
        eager: send waiting messages at once, whatever has failed before, as a person asked for them.

    Raises:
        ConfigError: an alert needs a plug-in that is not installed.
    """

    max_events = 500
    max_bytes = 2_000_000
    max_age = 0.2

    def __init__(self, request: SinkRequest, *, eager: bool = False) -> None:
        workflow = request.workflow
        monitoring = workflow.monitoring
        self.name = request.identity
        self._project, self._environ = request.project, request.environ
        self._environment = request.environment
        self._timing = request.timing
        self._source = _source(workflow.task_integration.source, request)
        self._memory = Memory(request.project.database)
        enabled = [_with_message(one, request) for one in monitoring.alerts if monitoring.enabled and one.enabled]
        self._conditions = conditions_of(enabled, request, self._memory)
        owner = f"alerts@{self._environment}"
        self._notifiers = Notifiers(workflow, request, self._memory, owner, eager=eager)
        self._state = AlertState(self._memory, self._notifiers, self._environment, monitoring.quiet_hours)
        textfile = monitoring.metrics.textfile if monitoring.enabled else None
        self._metrics = MetricsFile(self._memory, _path(textfile, request)) if textfile else None
        self._owners = OwnersOfTests(request.project.root)
        self._routes = Routes(request.project, request.environ)
        self._looked: float | None = None

    def accepts(self, event_type: str) -> bool:
        """Whether a condition looks at events of this type, or they are counted for the metrics."""
        return self._metrics is not None or any(event_type in one.event_types for one in self._conditions)

    def send(self, events: Sequence[PendingEvent]) -> SendResult:
        """Evaluate the conditions with these events."""
        # By time, as segments are read one after the other: a fix must not be undone by the failure before it.
        ordered = sorted((pending.event for pending in events), key=lambda event: event.timestamp)
        try:
            if any(one.event_types for one in self._conditions):
                query_past(self._project, self._environ, lambda past: self._evaluate_all(ordered, past))
            if self._metrics is not None:
                self._metrics.count(ordered)
        except (HistoryError, sqlite3.Error, OSError) as error:
            return Retry(str(error), 1.0)
        return Delivered()

    def _evaluate_all(self, events: Iterable[Event], past: Past) -> None:
        for event in events:
            for condition in self._conditions:
                if event.event_type in condition.event_types:
                    self._evaluate(condition, event, past)

    def _evaluate(self, condition: AlertCondition[Any], event: Event, past: Past) -> None:
        """Evaluate one condition. A good end that `when` does not match can still resolve an active alert."""
        if event.status == SKIPPED and event.event_type.endswith("_FAILED"):
            return  # what was left out has neither failed nor succeeded
        alert = condition.alert
        is_matched = mismatch(alert.when, event, self._environment, past.branch(event)) is None
        if is_matched:
            condition.observe(event)
        elif not ended_well(event):
            return
        active = self._state.active(alert, subject_of(event, past))
        if not is_matched and active is None:
            return
        evaluation = condition.evaluate(event, past, active.note if active else None)
        if evaluation is not None and (is_matched or not evaluation.is_active):
            owners = tuple(self._owners.of(event)) if evaluation.is_active else ()
            self._state.update(
                alert, evaluation._replace(event=event, run=past.run(event), owners=owners), event.source
            )

    # -- as time passes ----------------------------------------------------------------------------------------

    def run_pending(self) -> float:
        """Send messages that are due, check the conditions that depend on time, and write the metrics."""
        try:
            self._state.run_pending()
            return min(self._notifiers.run_pending(), self._check())
        except (HistoryError, sqlite3.Error, OSError) as error:
            _log.warning("%s: %s", self.name, error)
            return self._timing.alerts_retry

    def _check(self) -> float:
        """Check the conditions that depend on time. Return the seconds until the next check, or infinity."""
        now = time.monotonic()
        if self._looked is not None and now - self._looked < self._timing.alerts_look:
            return self._looked + self._timing.alerts_look - now
        if self._looked is None:
            self._state.forget()
        self._looked = now
        lock = locks.open_locked(self._project.alerts_lock)
        if lock is None:
            return self._timing.alerts_look  # another relay is checking: no message shall be sent twice
        try:
            soonest = NEVER
            if any(one.reads_history for one in self._conditions):
                soonest = query_past(self._project, self._environ, self._check_history)
            if self._metrics is not None or any(one.reads_backlogs for one in self._conditions):
                soonest = min(soonest, self._check_backlogs())
            return soonest
        finally:
            locks.release(self._project.alerts_lock, lock)

    def _check_history(self, past: Past) -> float:
        starts = OpenStarts(past, self._environment)
        soonest = NEVER
        for condition in self._conditions:
            if condition.reads_history:
                active = self._state.active_subjects(condition.alert)
                evaluations, seconds = condition.check_history(starts, active)
                self._update(condition, evaluations)
                soonest = min(soonest, seconds)
        return soonest

    def _check_backlogs(self) -> float:
        found = backlogs(self._project, self._routes)
        for condition in self._conditions:
            self._update(condition, condition.check_backlogs(found))
        if self._metrics is not None:
            self._metrics.write(found)
        return self._timing.alerts_look if any(backlog.waiting for backlog in found.values()) else NEVER

    def _update(self, condition: AlertCondition[Any], evaluations: Iterable[Evaluation]) -> None:
        for evaluation in evaluations:
            self._state.update(condition.alert, evaluation, self._source)

    def close(self) -> None:
        """Close connections and the database."""
        self._notifiers.close()
        self._memory.close()


def _source(source: str | None, request: SinkRequest) -> str:
    """Return the name of the project for messages without an event, which would have it."""
    with contextlib.suppress(ConfigError):
        return expand(source or "", request.environ) or os.path.basename(request.project.root)
    return os.path.basename(request.project.root)


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


def _path(textfile: str, request: SinkRequest) -> str:
    return os.path.join(request.project.root, expand(textfile, request.environ))
