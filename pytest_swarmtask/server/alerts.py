"""The alerts of a server: the conditions and notifiers of relays, with the history of a whole team.

Of all processes that serve one database, one at a time evaluates. It writes its findings and the messages to people in
one transaction with the note of which events are evaluated. It sends the messages only after that. So a process that is
killed loses no message, and the next one finds no problem a second time.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.config.monitoring import DeliveryAlert
from pytest_swarmtask.config.variables import expand
from pytest_swarmtask.core.errors import ConfigError, JournalError
from pytest_swarmtask.core.event import Event
from pytest_swarmtask.core.service_errors import StoreAwayError
from pytest_swarmtask.history import evaluated
from pytest_swarmtask.history.evaluated import NextEvents
from pytest_swarmtask.history.retention import EVERY
from pytest_swarmtask.relay.alerts.conditions import NEVER
from pytest_swarmtask.relay.alerts.evaluator import Evaluator
from pytest_swarmtask.relay.alerts.lookup import alerts_of, conditions_of
from pytest_swarmtask.relay.alerts.past_runs import Past
from pytest_swarmtask.relay.alerts.state import FORGOTTEN, SCOPE, AlertState
from pytest_swarmtask.relay.delivery.memory import DraftMemory
from pytest_swarmtask.relay.http.url import parse_url
from pytest_swarmtask.relay.notify.notifiers import Notifiers
from pytest_swarmtask.server.guide import ServerGuide
from pytest_swarmtask.server.memory import StoreMemory, items

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pytest_swarmtask.config.monitoring import AnyAlert, Monitoring
    from pytest_swarmtask.history.store import HistoryStore
    from pytest_swarmtask.plugins.hookspecs import SinkRequest

_log = logging.getLogger("swarmtask")

_OWNER = "alerts"
"""The owner of the messages, see `Notifiers`."""
_AT_ONCE = 500
"""Events that are evaluated together. It bounds what is evaluated again if another process was faster."""
_FAR = 10_000
"""If a project has no new events, it notes after so many events of other projects that it has looked at them."""
_LOOK = 5.0
"""Seconds between two checks of the conditions that depend on time, and of messages that other processes left."""
_SHARE = 1
"""The pause after a round is at least as many times as long as the round took, so that requests are answered, too."""
_GRACE = 15.0
"""Seconds to wait at the end for a message that is being sent. An HTTP request takes 10 at most."""


def announcement(monitoring: Monitoring) -> str:
    """Return one line that says which alerts a server evaluates, and which it does not; empty if there are none."""
    reasons = {alert.name: _why_not(alert, monitoring) for alert in monitoring.alerts}
    done = ", ".join(name for name, reason in reasons.items() if not reason) or "none"
    left = ", ".join(f"{name} ({reason})" for name, reason in reasons.items() if reason)
    return f"Alerts: {done}{f'; not evaluated: {left}' if left else ''}" if reasons else ""


def _why_not(alert: AnyAlert, monitoring: Monitoring) -> str:
    """Return why a server does not evaluate an alert, or an empty text."""
    if not (alert.enabled and monitoring.enabled):
        return "not enabled"
    return "a server has no deliveries" if isinstance(alert, DeliveryAlert) else ""


def _evaluated_alerts(request: SinkRequest) -> list[AnyAlert]:
    return [alert for alert in alerts_of(request) if not isinstance(alert, DeliveryAlert)]


def check_alerts(request: SinkRequest) -> None:
    """Check what alerts and their notifiers need.

    Raises:
        ConfigError: a plug-in or a variable is missing, or the server's own address cannot be used.
    """
    memory = DraftMemory(lambda _: ())
    alerts = _evaluated_alerts(request)
    address_of(request)
    conditions_of(alerts, request, memory)
    notifiers = Notifiers(request.workflow, request, memory, _OWNER)
    try:
        notifiers.check(sorted({name for alert in alerts for name in alert.notify}))
    except ConfigError as error:
        raise ConfigError(f"{error} (alerts are those of the server's own folder; --root names another one)") from None
    finally:
        notifiers.close()


class ServerAlerts:
    """A thread that evaluates the alerts of all projects, and sends their messages.

    Args:
        store: the store.
        request: stands for the server: its configuration, variables and plug-ins.
        told: called with the name of a notifier and whether its message was sent, or has failed for good.
        trouble: called with each problem. The next round tries again.

    Attributes:
        are_any: whether there is any alert to evaluate.
    """

    def __init__(
        self,
        store: HistoryStore,
        request: SinkRequest,
        told: Callable[[str, bool], None],
        trouble: Callable[[Exception], None],
    ) -> None:
        self._alerts = _evaluated_alerts(request)
        self.are_any = bool(self._alerts)
        self._store = store
        self._request = request
        self._told = told
        self._trouble = trouble
        self._projects: dict[str, _ProjectAlerts] = {}
        self._newest: Mapping[str, int] = {}
        self._wake = threading.Event()
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def start(self) -> None:
        """Begin, with the events that come from now on, or where the last process has stopped.

        Raises:
            StoreAwayError: the database cannot be used now.
        """
        with self._store.writing("") as db:
            if not self.are_any:
                evaluated.end(db)
                return
            evaluated.begin(db)
        self._thread.start()

    def stop(self) -> None:
        """End after the present round."""
        self._is_ending = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_GRACE)

    def evaluate_until(self, newest: Mapping[str, int]) -> None:
        """Evaluate the events of each project up to an id, soon. The totals of their runs must be computed."""
        self._newest = {**self._newest, **newest}
        self._wake.set()

    def _run(self) -> None:
        pause = _LOOK
        while not self._is_ending:
            self._wake.wait(pause)
            self._wake.clear()
            began = time.monotonic()
            pause = self._round()
            time.sleep(_SHARE * min(time.monotonic() - began, _LOOK))
        for project in self._projects.values():
            project.close()

    def _round(self) -> float:
        """Do one round of work. Return the seconds until the next round, at most `_LOOK`."""
        pauses = [_LOOK]
        try:
            with self._store.alone() as is_alone:
                if not is_alone:
                    return _LOOK
                for name, newest in self._newest.items():
                    pauses.append(self._try(self._of(name).evaluate, newest))
            # Not alone any more: a notifier that hangs here must not keep another process from evaluating.
            pauses += [self._try(project.send) for project in self._projects.values()]
        except Exception as error:  # noqa: BLE001 - whatever it is, the next round tries again
            self._trouble(error)
        return min(pauses)

    def _try(self, work: Callable[..., float], *arguments: int) -> float:
        """Do something for a project. An error is reported and not raised, so that other projects get their turn."""
        try:
            return work(*arguments)
        except StoreAwayError:
            raise
        except Exception as error:  # noqa: BLE001
            self._trouble(error)
            return _LOOK

    def _of(self, project: str) -> _ProjectAlerts:
        if project not in self._projects:
            self._projects[project] = _ProjectAlerts(self._store, project, self._request, self._alerts, self._told)
        return self._projects[project]


class _ProjectAlerts:
    """The alerts of one project."""

    def __init__(
        self,
        store: HistoryStore,
        project: str,
        request: SinkRequest,
        alerts: Sequence[AnyAlert],
        told: Callable[[str, bool], None],
    ) -> None:
        workflow = request.workflow
        self._store = store
        self._project = project
        self._memory = StoreMemory(store, project)
        self._draft = DraftMemory(lambda _: ())
        self._notifiers = Notifiers(workflow, request, self._memory, _OWNER, told=told)
        waiting = Notifiers(workflow, request, self._draft, _OWNER)
        guide = ServerGuide(project, address_of(request))
        self._state = AlertState(self._draft, waiting.add, guide, "", workflow.monitoring.quiet_hours)
        conditions = conditions_of(alerts, request, self._draft)
        self._evaluator = Evaluator(conditions, self._state)
        self._most = _AT_ONCE
        self._look_at = self._send_at = self._forget_at = 0.0

    def evaluate(self, newest: int) -> float:
        """Evaluate the next events, up to an id, and what depends on time. Return 0 if there are more, or infinity."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK
            self._look()
        with self._store.reading(self._project) as db:
            events = evaluated.next_events(db, newest, self._most)
        if not events.lines and events.until - events.after < _FAR:
            return NEVER
        is_done = self._evaluate(events)
        return 0.0 if not is_done or events.until < newest else NEVER

    def send(self) -> float:
        """Send the messages that are due. Return the seconds until there are more, or infinity."""
        now = time.monotonic()
        if now >= self._send_at:
            self._send_at = now + min(_LOOK, self._notifiers.run_pending())
        return self._send_at - now

    def close(self) -> None:
        """Close the connections of the notifiers."""
        self._notifiers.close()

    def _evaluate(self, events: NextEvents) -> bool:
        """Evaluate events, and return whether the result is written.

        If that fails, half as many are tried, down to one. That one is logged and left out, so that people hear of
        others.
        """
        try:
            with self._past() as past:
                self._evaluator.evaluate(_decoded(events.lines), past)
            is_written = self._save(events)
        except StoreAwayError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever an event holds
            if len(events.lines) > 1:
                self._most = len(events.lines) // 2
                return False
            facts = {"project": self._project, "number": events.until, "why": str(error)}
            _log.exception("event not evaluated", extra={"facts": facts})
            self._draft.begin(lambda _: ())
            is_written = self._save(events)
        self._most = min(_AT_ONCE, 2 * self._most)
        return is_written

    def _look(self) -> None:
        """Evaluate the conditions that depend on time, and add the messages that waited for the end of quiet hours."""
        self._send_at = 0.0  # another process may have left messages
        if time.monotonic() >= self._forget_at:
            self._forget_at = time.monotonic() + EVERY
            self._memory.forget_before(SCOPE, time.time() - FORGOTTEN)
        with self._past() as past:
            if self._evaluator.reads_history:
                self._evaluator.check_history(past)
            self._state.run_pending()
        if self._draft.changes:
            self._save(NextEvents([], 0, 0))

    @contextlib.contextmanager
    def _past(self) -> Iterator[Past]:
        """Begin a new draft, and lend the history as it is at one moment."""
        with self._store.reading(self._project) as db:
            self._draft.begin(lambda scope: items(db, scope))
            yield Past(db, None)

    def _save(self, events: NextEvents) -> bool:
        self._send_at = 0.0 if self._draft.changes else self._send_at
        return self._memory.save(self._draft, events)


def address_of(request: SinkRequest) -> str:
    """Return the address at which people reach the server, without a slash at its end; empty if it is not known.

    Raises:
        ConfigError: a variable is not set, or it is no URL once its variables are filled in.
    """
    url = request.workflow.server.url
    if url is None:
        return ""
    try:
        return parse_url(expand(url, request.environ)).absolute.rstrip("/")
    except ConfigError as error:
        raise ConfigError(f"server.url: {error}") from None


def _decoded(lines: Iterable[str]) -> Iterator[Event]:
    for line in lines:
        with contextlib.suppress(JournalError):
            yield Event.decode(line.encode())
