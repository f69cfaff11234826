"""Active alerts: people get a message when one becomes active, again after a while, and when it is resolved."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_swarmtask.core.trace import Clock
from pytest_swarmtask.relay.alerts import messages
from pytest_swarmtask.relay.notify.message import Message  # noqa: TC001 - msgspec looks it up

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_swarmtask.config.monitoring import Alert
    from pytest_swarmtask.relay.alerts.evaluation import Evaluation
    from pytest_swarmtask.relay.alerts.messages import Guide
    from pytest_swarmtask.relay.delivery.memory import Memory

SCOPE = "firing"
"""Scope of the memory with the active alerts."""
_SEPARATOR = "\t"
_CRITICAL = "critical"
FORGOTTEN = 30 * 86400.0
"""Seconds without a new evaluation after which an alert is dropped: a test that was deleted never passes."""
_LONGEST_KEY = 2000
"""Bytes of a key. PostgreSQL's indexes take 2,700, and the names in it may be longer."""


class ActiveAlert(msgspec.Struct, frozen=True):
    """An alert that is active for one subject. It is stored in databases, so field names must not change.

    Attributes:
        alert: the alert's name.
        subject: the subject of the evaluation.
        environment: the `WORKFLOW_ENVIRONMENT` of the events, or empty.
        message: the message that was sent, or will be.
        notify: the notifiers that send it.
        told: when it was last sent, in seconds since the epoch, or 0 while it waits for the end of quiet hours.
        times: how often the condition was found.
        note: what the condition gets back at its next evaluation.
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
    """The active alerts of one environment. Used from one thread. The memory has them, so they outlive the process.

    Args:
        memory: where they are stored.
        send: sends a message through the notifiers of these names.
        guide: tells in messages where people learn more.
        environment: the `WORKFLOW_ENVIRONMENT` of the events, or empty.
        quiet_hours: local times such as ``22:00-07:00`` in which only critical alerts are sent, or None.
    """

    def __init__(
        self,
        memory: Memory,
        send: Callable[[Sequence[str], Message], None],
        guide: Guide,
        environment: str,
        quiet_hours: str | None,
    ) -> None:
        self._memory = memory
        self._send = send
        self._guide = guide
        self._environment = environment
        self._quiet_hours = quiet_hours

    def active(self, alert: Alert, subject: str) -> ActiveAlert | None:
        """Return the alert if it is active for a subject, or None."""
        return _read(self._memory.get(SCOPE, self._key(alert, subject)))

    def active_subjects(self, alert: Alert) -> dict[str, ActiveAlert]:
        """Return the subjects for which an alert is active."""
        own = [one for one in active_alerts(self._memory) if one.environment == self._environment]
        return {one.subject: one for one in own if one.alert == alert.name}

    def _key(self, alert: Alert, subject: str) -> str:
        key = _SEPARATOR.join((self._environment, alert.name, subject))
        return key if len(key.encode("utf-8", "replace")) <= _LONGEST_KEY else _shortened(key)

    def update(self, alert: Alert, evaluation: Evaluation) -> None:
        """Update the alert's state with an evaluation, and send a message if there is something new to say.

        Args:
            alert: the alert.
            evaluation: the evaluation.

        Raises:
            sqlite3.Error: the memory cannot be used; the update has to be repeated.
        """
        key = self._key(alert, evaluation.subject)
        before = self._memory.get(SCOPE, key)
        old = _read(before)
        if evaluation.is_active:
            new = self._updated(alert, evaluation, old)
            self._memory.swap(SCOPE, key, before, msgspec.to_builtins(new))
        elif before is not None:
            if old is not None and old.told and alert.resolved:  # without a first message, nobody misses the second
                now = _time_of(evaluation)
                self._send(old.notify, messages.resolved(old.message, evaluation, self._guide, now))
            self._memory.swap(SCOPE, key, before, None)

    def _updated(self, alert: Alert, evaluation: Evaluation, old: ActiveAlert | None) -> ActiveAlert:
        """Return the new state of an active alert, and send its message if that is due.

        The message is sent before the state is stored: if the relay is killed in between, people get the message
        twice rather than never.
        """
        since = old.message.since if old else evaluation.since or _time_of(evaluation)
        message = messages.message(alert, evaluation, self._guide, since)
        told = old.told if old else 0.0
        # A time in the future was stored before the clock was set back; it must not delay the message.
        if not 0 <= time.time() - told < alert.repeat and not self._is_quiet(alert.severity):
            self._send(alert.notify, message)
            told = time.time()
        return ActiveAlert(
            alert=alert.name,
            subject=evaluation.subject,
            environment=self._environment,
            message=message,
            notify=alert.notify,
            told=told,
            times=old.times + 1 if old else 1,
            note=evaluation.note,
        )

    def run_pending(self) -> None:
        """Send the messages that waited for the end of quiet hours, if these are over."""
        for key, value in self._memory.items(SCOPE):
            one = _read(value)
            if one is None or one.told or one.environment != self._environment:
                continue
            if not self._is_quiet(one.message.severity):
                self._send(one.notify, one.message)
                sent = msgspec.structs.replace(one, told=time.time())
                self._memory.swap(SCOPE, key, value, msgspec.to_builtins(sent))

    def _is_quiet(self, severity: str) -> bool:
        return severity != _CRITICAL and self._quiet_hours is not None and _is_within(self._quiet_hours)


def _shortened(key: str) -> str:
    """Return the beginning of a long key, and the hash of all of it."""
    content = key.encode("utf-8", "replace")
    return f"{content[: _LONGEST_KEY // 2].decode('utf-8', 'ignore')}…{hashlib.sha256(content).hexdigest()}"


def _is_within(hours: str) -> bool:
    """Whether the local time is now within hours such as ``22:00-07:00``, which may go over midnight."""
    begin, _, end = hours.partition("-")
    now = time.strftime("%H:%M", time.localtime())
    return begin <= now < end if begin <= end else now >= begin or now < end


def active_alerts(memory: Memory) -> list[ActiveAlert]:
    """Return the active alerts of all environments."""
    return [one for one in (_read(value) for _, value in memory.items(SCOPE)) if one]


def _read(value: dict[str, Any] | None) -> ActiveAlert | None:
    try:
        return None if value is None else msgspec.convert(value, ActiveAlert)
    except msgspec.ValidationError:
        return None  # damaged, or of another version


def _time_of(evaluation: Evaluation) -> str:
    """Return the time of the evaluated event, or now."""
    return evaluation.event.timestamp if evaluation.event else Clock().timestamp()
