"""What holds: each alert's subjects are told of once, again after a while, and once more when all is well."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_swarmtask.core.trace import Clock
from pytest_swarmtask.relay.alerts import messages
from pytest_swarmtask.relay.notify.message import Message  # noqa: TC001 - msgspec looks it up

if TYPE_CHECKING:
    from pytest_swarmtask.config.monitoring import Alert
    from pytest_swarmtask.relay.alerts.evaluation import Evaluation
    from pytest_swarmtask.relay.delivery.memory import Memory
    from pytest_swarmtask.relay.notify.notifiers import Notifiers

SCOPE = "firing"
"""Where in the memory it stands what holds."""
_SEPARATOR = "\t"
_CRITICAL = "critical"
_FORGOTTEN = 30 * 86400.0
"""Seconds after which what was not found again holds no more: a test that was deleted never passes."""


class ActiveAlert(msgspec.Struct, frozen=True):
    """What is remembered of an alert that holds for a subject.

    Attributes:
        alert, subject: which.
        environment: of what events, or empty.
        message: what was or is to be told.
        notify: whom.
        told: when that was, seconds since the epoch; 0 where it waits for the end of quiet hours.
        times: how often it was found.
        note: what the condition wants to find again.
    """

    alert: str
    subject: str
    environment: str
    message: Message
    notify: list[str]
    told: float
    times: int
    note: dict[str, Any]


class AlertState:
    """What holds in one environment. Used from one thread; it stands in the memory, so it outlives the relay.

    Args:
        memory: where it is kept.
        notifiers: who tells.
        environment: whose events these are, or empty.
        quiet_hours: local times such as ``22:00-07:00`` in which only what is critical is told, or None.
    """

    def __init__(self, memory: Memory, notifiers: Notifiers, environment: str, quiet_hours: str | None) -> None:
        self._memory = memory
        self._notifiers = notifiers
        self._environment = environment
        self._quiet_hours = quiet_hours

    def held(self, alert: Alert, subject: str) -> ActiveAlert | None:
        """Return what is remembered of an alert that holds for a subject, or None."""
        return _read(self._memory.get(SCOPE, self._key(alert, subject)))

    def all_of(self, alert: Alert) -> dict[str, ActiveAlert]:
        """Return for which subjects an alert holds."""
        found = (_read(value) for _, value in self._memory.items(SCOPE))
        held = [one for one in found if one and one.environment == self._environment]
        return {one.subject: one for one in held if one.alert == alert.name}

    def _key(self, alert: Alert, subject: str) -> str:
        return _SEPARATOR.join((self._environment, alert.name, subject))

    def take(self, alert: Alert, case: Evaluation, project: str) -> None:
        """Take what a condition says, and tell people what is new in it.

        Raises:
            sqlite3.Error: the memory cannot be used; the case is to be taken again.
        """
        key = self._key(alert, case.subject)
        before = self._memory.get(SCOPE, key)
        old = _read(before)
        if case.holds:
            new = self._found(alert, case, project, old)
            self._memory.swap(SCOPE, key, before, msgspec.to_builtins(new))
        elif before is not None:
            if old is not None and old.told and alert.resolved:
                self._notifiers.tell(old.notify, messages.resolved(old.message, case, _at(case)))
            self._memory.swap(SCOPE, key, before, None)

    def _found(self, alert: Alert, case: Evaluation, project: str, old: ActiveAlert | None) -> ActiveAlert:
        """Return what is remembered of a case that holds, and tell it if it is time to.

        Told first and remembered then: who is killed in between tells twice rather than never.
        """
        since = old.message.since if old else case.since or _at(case)
        message = messages.message(alert, case, project, since)
        told = old.told if old else 0.0
        if not 0 <= time.time() - told < alert.repeat and not self._is_quiet(alert.severity):
            self._notifiers.tell(alert.notify, message)
            told = time.time()
        times = old.times + 1 if old else 1
        note = case.note
        return ActiveAlert(alert.name, case.subject, self._environment, message, alert.notify, told, times, note)

    def forget(self) -> None:
        """Forget, silently, what has not been found again for a month."""
        self._memory.forget_before(SCOPE, time.time() - _FORGOTTEN)

    def run_pending(self) -> None:
        """Tell what was found in quiet hours, once they are over."""
        for key, value in self._memory.items(SCOPE):
            one = _read(value)
            if one is None or one.told or one.environment != self._environment:
                continue
            if not self._is_quiet(one.message.severity):
                self._notifiers.tell(one.notify, one.message)
                told = msgspec.structs.replace(one, told=time.time())
                self._memory.swap(SCOPE, key, value, msgspec.to_builtins(told))

    def _is_quiet(self, severity: str) -> bool:
        return severity != _CRITICAL and self._quiet_hours is not None and _is_within(self._quiet_hours)


def _is_within(hours: str) -> bool:
    """Tell whether it is now, by the local clock, within hours that may go over midnight."""
    begin, _, end = hours.partition("-")
    now = time.strftime("%H:%M", time.localtime())
    return begin <= now < end if begin <= end else now >= begin or now < end


def firing(memory: Memory) -> list[ActiveAlert]:
    """Return all that holds, of all environments."""
    return [one for one in (_read(value) for _, value in memory.items(SCOPE)) if one]


def _read(value: dict[str, Any] | None) -> ActiveAlert | None:
    try:
        return None if value is None else msgspec.convert(value, ActiveAlert)
    except msgspec.ValidationError:
        return None  # damaged, or of another version


def _at(case: Evaluation) -> str:
    """Return when something was found to be so."""
    return case.event.timestamp if case.event else Clock().timestamp()
