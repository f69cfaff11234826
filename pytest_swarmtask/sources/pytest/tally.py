"""The totals of a session: how its tests ended, which were the slowest, and which failed first."""

from __future__ import annotations

from collections import defaultdict

from pytest_swarmtask.sources.pytest.outcome import seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pytest_swarmtask.sources.pytest.outcome import TestRun

MOST_FAILURES = 20
"""Failures that the summary of a GitHub Actions job lists, at most; it says how many more there are.

Those that do not count are as many again.
"""
_SLOWEST = 10
_PASSED = ("passed", "xpassed")


class Tally:
    """Counts the tests that end.

    Attributes:
        counts: number of tests by outcome word.
        deselected: number of tests that were deselected.
        failures: test, message and location of the first failures, redacted.
        quarantined: test, message and what `quarantine.yaml` says of the first failures that do not count, redacted.
    """

    __slots__ = ("_repeated", "_slowest", "_teardown_errors", "counts", "deselected", "failures", "quarantined")

    def __init__(self) -> None:
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.deselected = 0
        self.failures: list[tuple[str, str, str]] = []
        self.quarantined: list[tuple[str, str, dict[str, str]]] = []
        self._slowest: list[tuple[float, str]] = []
        self._teardown_errors = 0
        self._repeated = 0

    def deselect(self, items: Sequence[Any]) -> None:
        """Count tests that were deselected."""
        self.deselected += len(items)

    def add(self, outcome: str, run: TestRun) -> None:
        """Count a test that has ended."""
        self.counts[outcome] += 1
        if run.attempt > 1 and outcome in _PASSED:
            self._repeated += 1
        slowest = self._slowest
        if len(slowest) < _SLOWEST or run.duration > slowest[-1][0]:
            slowest.append((run.duration, run.task_id))
            slowest.sort(reverse=True)
            del slowest[_SLOWEST:]

    def add_failure(self, run: TestRun, metadata: dict[str, Any]) -> None:
        """Add a test that failed, with the metadata of its last event."""
        if run.teardown_report is not None:
            self._teardown_errors += run.outcome == "failed"  # pytest counts it as an error beside the failure
        if len(self.failures) < MOST_FAILURES:
            self.failures.append((run.task_id, metadata.get("error", ""), metadata.get("location", "")))

    def add_quarantined(self, run: TestRun, metadata: dict[str, Any]) -> None:
        """Add a test whose failure does not count, with the metadata of its last event."""
        if len(self.quarantined) < MOST_FAILURES:
            self.quarantined.append((run.task_id, metadata.get("error", ""), metadata["quarantine"]))

    def metadata(self) -> dict[str, Any]:
        """Return the totals for the end event of the session."""
        totals: dict[str, Any] = {
            "tests": sum(self.counts.values()),
            "counts": dict(sorted(self.counts.items())),
            "deselected": self.deselected,
        }
        if self._teardown_errors:
            totals["teardown_errors"] = self._teardown_errors
        if self._repeated:
            totals["repeated"] = self._repeated
        totals["slowest"] = [{"test": test, "duration": seconds(duration)} for duration, test in self._slowest]
        return totals
