"""The sink of the alerts: it evaluates conditions, sends messages, and writes the metrics of `monitoring`."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.config.load import load
from pytest_swarmtask.config.variables import expand
from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.project import ALERTS
from pytest_swarmtask.core.service_errors import HistoryError
from pytest_swarmtask.journal import locks
from pytest_swarmtask.plugins.hookspecs import SinkRequest, hookimpl
from pytest_swarmtask.plugins.sink import Delivered, Retry
from pytest_swarmtask.relay.alerts.conditions import NEVER
from pytest_swarmtask.relay.alerts.evaluator import Evaluator
from pytest_swarmtask.relay.alerts.lookup import alerts_of, conditions_of
from pytest_swarmtask.relay.alerts.messages import LocalGuide
from pytest_swarmtask.relay.alerts.owners import OwnersOfTests
from pytest_swarmtask.relay.alerts.past_runs import query_past
from pytest_swarmtask.relay.alerts.prometheus import MetricsFile
from pytest_swarmtask.relay.alerts.state import FORGOTTEN, SCOPE, AlertState
from pytest_swarmtask.relay.delivery.backlog import backlogs
from pytest_swarmtask.relay.delivery.memory import RelayMemory
from pytest_swarmtask.relay.delivery.routes import Routes
from pytest_swarmtask.relay.notify.notifiers import Notifiers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeVar

    import pluggy

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.core.timing import Timing
    from pytest_swarmtask.plugins.sink import PendingEvent, SendResult
    from pytest_swarmtask.relay.alerts.past_runs import Past

    Answer = TypeVar("Answer")

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
        self._memory = RelayMemory(request.project.database)
        owner = f"alerts@{self._environment}"
        self._notifiers = Notifiers(workflow, request, self._memory, owner, eager=eager)
        guide = LocalGuide(_source(workflow.task_integration.source, request))
        self._state = AlertState(self._memory, self._notifiers.send, guide, self._environment, monitoring.quiet_hours)
        conditions = conditions_of(alerts_of(request), request, self._memory)
        self._evaluator = Evaluator(conditions, self._state, OwnersOfTests(request.project.root).of)
        textfile = monitoring.metrics.textfile if monitoring.enabled else None
        self._metrics = MetricsFile(self._memory, _path(textfile, request)) if textfile else None
        self._routes = Routes(request.project, request.environ)
        self._looked: float | None = None

    def accepts(self, event_type: str) -> bool:
        """Whether a condition looks at events of this type, or they are counted for the metrics."""
        return self._metrics is not None or self._evaluator.accepts(event_type)

    def send(self, events: Sequence[PendingEvent]) -> SendResult:
        """Evaluate the conditions with these events."""
        found = [pending.event for pending in events]
        try:
            if self._evaluator.reads_events:
                self._query(lambda past: self._evaluator.evaluate(found, past))
            if self._metrics is not None:
                self._metrics.count(found)
        except (HistoryError, sqlite3.Error, OSError) as error:
            return Retry(str(error), 1.0)
        return Delivered()

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
            self._memory.forget_before(SCOPE, time.time() - FORGOTTEN)
        self._looked = now
        lock = locks.open_locked(self._project.alerts_lock)
        if lock is None:
            return self._timing.alerts_look  # another relay is checking: no message shall be sent twice
        try:
            soonest = NEVER
            if self._evaluator.reads_history:
                soonest = self._query(self._evaluator.check_history)
            if self._metrics is not None or self._evaluator.reads_backlogs:
                soonest = min(soonest, self._check_backlogs())
            return soonest
        finally:
            locks.release(self._project.alerts_lock, lock)

    def _check_backlogs(self) -> float:
        found = backlogs(self._project, self._routes)
        self._evaluator.check_backlogs(found)
        if self._metrics is not None:
            self._metrics.write(found)
        return self._timing.alerts_look if any(backlog.waiting for backlog in found.values()) else NEVER

    def _query(self, question: Callable[[Past], Answer]) -> Answer:
        return query_past(self._project, self._environ, self._environment, question)

    def close(self) -> None:
        """Close connections and the database."""
        self._notifiers.close()
        self._memory.close()


def _source(source: str | None, request: SinkRequest) -> str:
    """Return the name of the project for messages without an event, which would have it."""
    with contextlib.suppress(ConfigError):
        return expand(source or "", request.environ) or os.path.basename(request.project.root)
    return os.path.basename(request.project.root)


def _path(textfile: str, request: SinkRequest) -> str:
    return os.path.join(request.project.root, expand(textfile, request.environ))
