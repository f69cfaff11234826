"""What a server does beside answering requests: the totals of runs, and retention.

Each server process does so. The database lets one of them at a time work on a project, and the others find it done.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.history import evaluated, retention
from pytest_swarmtask.history.runs import refresh

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_swarmtask.config.monitoring import Retention
    from pytest_swarmtask.history.store import HistoryStore
    from pytest_swarmtask.server.alerts import ServerAlerts

_PAUSE = 1.0
"""Seconds between two looks at the runs that have new events. On a quiet server, a page is at most so many seconds
behind."""
_SHARE = 9
"""The pause is at least as many times as long as the work took, so that totals take a tenth of the time at most."""


class Upkeep:
    """A thread that keeps the store in order.

    Args:
        store: the store.
        limits: how long things are kept.
        alerts: gets to know which events can be evaluated.
        spent: called with the seconds that each round took.
        trouble: called with each problem. The next round tries again.
    """

    def __init__(
        self,
        store: HistoryStore,
        limits: Retention,
        alerts: ServerAlerts,
        spent: Callable[[float], None],
        trouble: Callable[[Exception], None],
    ) -> None:
        self._store = store
        self._limits = limits
        self._alerts = alerts
        self._spent = spent
        self._trouble = trouble
        self._pause = 0.0
        self._tidy_at = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Do the first round, which makes the store ready for the events of today, and begin."""
        self._pause = self._timed_round()
        self._thread.start()

    def stop(self) -> None:
        """End after the present round."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            self._pause = self._timed_round()

    def _timed_round(self) -> float:
        """Do a round, and return the seconds to wait until the next one."""
        began = time.monotonic()
        try:
            self.round()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next round tries again
            self._trouble(error)
            return _PAUSE
        took = time.monotonic() - began
        self._spent(took)
        return max(_PAUSE, _SHARE * took)

    def round(self) -> None:
        """Compute the totals of the runs that have new events, and remove what is too old.

        Raises:
            StoreAwayError: the database cannot be used now.
        """
        newest: dict[str, int] = {}
        for project in self._store.projects() if self._alerts.are_any else self._store.stale_projects():
            with self._store.writing(project) as db:
                # Asked before the totals are computed, so that the totals include all these events.
                last = evaluated.newest(db) if self._alerts.are_any else 0
                if refresh(db):
                    newest[project] = last
        self._alerts.evaluate_until(newest)
        if time.monotonic() >= self._tidy_at:
            self._tidy_at = time.monotonic() + retention.EVERY
            self._tidy()

    def _tidy(self) -> None:
        self._store.drop_old_lines(self._limits.history_events_age)
        for project in self._store.projects():
            with self._store.writing(project) as db:
                retention.prune(db, self._limits.history_age, self._limits.history_bytes)
