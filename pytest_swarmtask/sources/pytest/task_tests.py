"""What is known of a task and its tests in a session, and whether they show that the task is done.

Only loaded for a suite with such tests.
"""

from __future__ import annotations

from pytest_swarmtask.core.event import SKIPPED


class TaskTests:
    """One task and its tests in this session.

    Attributes:
        selected: number of its tests that will run.
        deselected: number of its tests that were deselected.
        span_id: its span while it is running, else None.
        started: when it started, seconds since the epoch.
        outcomes: number of its ended tests by outcome.
        finished: when its last test ended, seconds since the epoch, or 0.0.
        failed: node ids of its tests that failed, redacted.
    """

    __slots__ = ("deselected", "failed", "finished", "outcomes", "selected", "span_id", "started")

    def __init__(self, selected: int = 0, deselected: int = 0) -> None:
        self.selected = selected
        self.deselected = deselected
        self.span_id: str | None = None
        self.started = self.finished = 0.0
        self.outcomes: dict[str, int] = {}
        self.failed: list[str] = []

    @property
    def ended(self) -> int:
        """Number of its tests that have ended."""
        return sum(self.outcomes.values())

    @property
    def is_partial(self) -> bool:
        """Whether some of its tests were deselected, did not end, or ended otherwise than passed."""
        return self.deselected > 0 or self._passed < self.selected

    @property
    def _passed(self) -> int:
        return self.outcomes.get("passed", 0) + self.outcomes.get("xpassed", 0)

    def verdict(self) -> tuple[str, str | None, str | None]:
        """Return the ending event of the task, its status unless it is the usual one, and why it is not completed.

        A task of which no test passed is not completed. It has not failed either, so its status says that all of its
        tests were skipped (or failed as expected).
        """
        if self.failed:
            why = f"{len(self.failed)} of {max(self.selected, self.ended)} tests failed: {', '.join(self.failed[:5])}"
            return "TASK_FAILED", None, why
        if self.ended < self.selected:
            return "TASK_FAILED", None, f"the session ended after {self.ended} of its {self.selected} tests"
        if not self._passed:
            counts = ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.items())
            return "TASK_FAILED", SKIPPED, f"none of its tests passed: {counts}"
        return "TASK_COMPLETED", None, None
