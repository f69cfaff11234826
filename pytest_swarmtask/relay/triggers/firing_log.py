"""The firings of rules in the relay's database: on which events, when, and which failed."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_swarmtask.relay.delivery.memory import RelayMemory

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.relay.delivery.memory import Memory

# Scopes of the memory.
_EVENTS = "trigger events"
_OCCASIONS = "trigger occasions"
_RULES = "trigger rules"
_EVENTS_KEPT = 30 * 86400.0
"""Seconds for which a firing on an event is remembered. After a crash, the next relay gets the same events
again, minutes or days later."""
_OCCASIONS_KEPT = 365 * 86400.0
"""Seconds for which a firing in a run, for a task or on a day is remembered: a task may be open for months."""


class FiringLog:
    """Remembers the firings of rules.

    Args:
        memory: the memory of the relays, or a draft of it.

    Raises:
        sqlite3.Error: from any method, when the database cannot be read or written.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def has_fired_on(self, rule: str, event_id: str) -> bool:
        """Whether a rule has fired on this event."""
        return self._memory.get(_EVENTS, f"{rule} {event_id}") is not None

    def has_fired_in(self, rule: str, occasion: str) -> bool:
        """Whether a rule has fired in this run, for this task, or on this day, see `rules.occasion`."""
        return self._memory.get(_OCCASIONS, f"{rule} {occasion}") is not None

    def last_fired(self, rule: str) -> float:
        """Return when a rule last fired, in seconds since the epoch, or 0 if it never has."""
        at = (self._memory.get(_RULES, rule) or {}).get("at")
        return float(at) if isinstance(at, (int, float)) else 0.0

    def fire(self, rule: str, event_id: str, occasion: str | None) -> bool:
        """Record that a rule fires now. Return False, and record nothing more, if another relay was faster."""
        now = {"at": time.time()}
        if not self._memory.swap(_EVENTS, f"{rule} {event_id}", None, now):
            return False
        if occasion is not None and not self._memory.swap(_OCCASIONS, f"{rule} {occasion}", None, now):
            return False
        self._change(rule, lambda known: {**known, **now, "fired": _count(known, "fired") + 1})
        return True

    def fail(self, rule: str, reason: str) -> None:
        """Record that an action of a rule has failed, or that the rule was refused."""
        failure = {"reason": reason, "failed_at": time.time()}
        self._change(rule, lambda known: {**known, **failure, "failed": _count(known, "failed") + 1})

    def _change(self, rule: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        while True:  # until no other relay changes it at the same time
            known = self._memory.get(_RULES, rule)
            if self._memory.swap(_RULES, rule, known, change(known or {})):
                return


def forget_firings(memory: RelayMemory) -> None:
    """Forget firings that are too old to matter. The totals of rules are kept."""
    memory.forget_before(_EVENTS, time.time() - _EVENTS_KEPT)
    memory.forget_before(_OCCASIONS, time.time() - _OCCASIONS_KEPT)


class RuleSummary(NamedTuple):
    """How often one rule has fired and failed.

    Attributes:
        fired, failed: how often, since the database was made.
        at, failed_at: when last, in seconds since the epoch, or 0 for never.
        reason: why it failed last.
    """

    fired: int
    failed: int
    at: float
    failed_at: float
    reason: str


def summaries(project: Project) -> dict[str, RuleSummary]:
    """Return the summary of each rule that has ever fired or failed, by name.

    Raises:
        sqlite3.Error: the relay's database cannot be read.
    """
    path = project.database
    if not os.path.exists(path):
        return {}
    with contextlib.closing(RelayMemory(path)) as memory:
        return {name: _summary(known) for name, known in memory.items(_RULES)}


def _summary(known: dict[str, Any]) -> RuleSummary:
    at, failed_at = (float(_count(known, key)) for key in ("at", "failed_at"))
    return RuleSummary(
        int(_count(known, "fired")), int(_count(known, "failed")), at, failed_at, str(known.get("reason", ""))
    )


def _count(known: dict[str, Any], key: str) -> float:
    value = known.get(key, 0)
    return value if isinstance(value, (int, float)) else 0
