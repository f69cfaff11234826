"""What rules remember of themselves: on which events they fired, when, and what failed."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_swarmtask.relay.delivery.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_swarmtask.core.project import Project

_EVENTS = "trigger events"
_OCCASIONS = "trigger occasions"
_RULES = "trigger rules"
_EVENTS_KEPT = 30 * 86400.0
"""Seconds for which it is known on which events a rule fired; a relay that dies asks again after minutes or days."""
_OCCASIONS_KEPT = 365 * 86400.0


class FiringLog:
    """The firings of rules, kept in the relay's database.

    Raises:
        sqlite3.Error: from any method, when the database cannot be read or written.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def has_fired_on(self, rule: str, event_id: str) -> bool:
        """Tell whether a rule has fired on this event."""
        return self._memory.get(_EVENTS, f"{rule} {event_id}") is not None

    def has_fired_in(self, rule: str, occasion: str) -> bool:
        """Tell whether a rule has fired in this run, for this task, or on this day."""
        return self._memory.get(_OCCASIONS, f"{rule} {occasion}") is not None

    def last(self, rule: str) -> float:
        """Return when a rule fired last, in seconds since the epoch; 0 where it never did."""
        at = (self._memory.get(_RULES, rule) or {}).get("at")
        return float(at) if isinstance(at, (int, float)) else 0.0

    def fire(self, rule: str, event_id: str, occasion: str | None) -> bool:
        """Note that a rule fires now; False where another relay was faster."""
        now = {"at": time.time()}
        if not self._memory.swap(_EVENTS, f"{rule} {event_id}", None, now):
            return False
        if occasion is not None and not self._memory.swap(_OCCASIONS, f"{rule} {occasion}", None, now):
            return False
        self._change(rule, lambda known: {**known, **now, "fired": _count(known, "fired") + 1})
        return True

    def fail(self, rule: str, reason: str) -> None:
        """Note that what a rule did has failed, or that it was not allowed to."""
        note = {"reason": reason, "failed_at": time.time()}
        self._change(rule, lambda known: {**known, **note, "failed": _count(known, "failed") + 1})

    def forget(self) -> None:
        """Forget what is too old to matter."""
        self._memory.forget_before(_EVENTS, time.time() - _EVENTS_KEPT)
        self._memory.forget_before(_OCCASIONS, time.time() - _OCCASIONS_KEPT)

    def close(self) -> None:
        """Close the database."""
        self._memory.close()

    def _change(self, rule: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        while True:
            known = self._memory.get(_RULES, rule)
            if self._memory.swap(_RULES, rule, known, change(known or {})):
                return


class RuleSummary(NamedTuple):
    """How one rule has fared.

    Attributes:
        fired, failed: how often, ever.
        at, failed_at: when last, in seconds since the epoch; 0 for never.
        reason: why it failed last.
    """

    fired: int
    failed: int
    at: float
    failed_at: float
    reason: str


def summaries(project: Project) -> dict[str, RuleSummary]:
    """Return how each rule of a journal has fared, by name.

    Raises:
        sqlite3.Error: the relay's database cannot be read.
    """
    path = project.database
    if not os.path.exists(path):
        return {}
    with contextlib.closing(Memory(path)) as memory:
        return {name: _summary(known) for name, known in memory.items(_RULES)}


def _summary(known: dict[str, Any]) -> RuleSummary:
    at, failed_at = (float(_count(known, key)) for key in ("at", "failed_at"))
    return RuleSummary(
        int(_count(known, "fired")), int(_count(known, "failed")), at, failed_at, str(known.get("reason", ""))
    )


def _count(known: dict[str, Any], key: str) -> float:
    value = known.get(key, 0)
    return value if isinstance(value, (int, float)) else 0


class DryRunMemory(Memory):
    """What was remembered, with what a rehearsal adds in front of it; nothing is written."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._there = os.path.exists(path)
        self._added: dict[tuple[str, str], dict[str, Any]] = {}

    def get(self, scope: str, key: str) -> dict[str, Any] | None:
        """Return what was put there last, or None."""
        known = self._added.get((scope, key))
        return super().get(scope, key) if known is None and self._there else known

    def swap(self, scope: str, key: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> bool:
        """Pretend to put `new` in place of `old`."""
        if self.get(scope, key) != old:
            return False
        self._added[scope, key] = dict(new or {})
        return True
