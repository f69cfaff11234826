"""From the reports of one test to its one outcome. Knows reports by their shape, and no pytest."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EVENT_OF = {
    "passed": "TEST_PASSED",
    "xpassed": "TEST_PASSED",
    "failed": "TEST_FAILED",
    "error": "TEST_FAILED",
    "crashed": "TEST_FAILED",
    "skipped": "TEST_SKIPPED",
    "xfailed": "TEST_SKIPPED",
}
"""The ending event of each outcome word."""

_SUBTEST_REPORTS = ("SubtestReport", "SubTestReport")


class TestRun:
    """One test from its start to its one ending, through setup, call, teardown, subtests and reruns.

    Attributes:
        task_id: the node id, redacted.
        span_id: its span.
        started: when it began, seconds since the epoch.
        worker: the xdist worker that runs it, or None.
        attempt: 1, and one more for each rerun.
        rerunning: whether the attempt that just ended will be followed by another.
        outcome: the outcome word, or None while nothing but success of setup or teardown is known.
        phase: the phase that decided it, or in which it was last seen.
        duration: seconds in all phases and attempts.
        error: why it failed or was skipped, or None.
        teardown_error: why teardown failed as well as what came before it, or None.
        failed_subtests: how many subtests failed.
        torn_down: whether this attempt has been reported to its end.
        tasks: tasks of the task manager that it belongs to.
    """

    __test__ = False  # not a test class, whatever its name
    __slots__ = (
        "attempt",
        "called",
        "duration",
        "error",
        "failed_subtests",
        "location",
        "outcome",
        "phase",
        "rerunning",
        "span_id",
        "started",
        "task_id",
        "tasks",
        "teardown_error",
        "torn_down",
        "worker",
    )

    def __init__(self, task_id: str, span_id: str, started: float) -> None:
        self.task_id = task_id
        self.span_id = span_id
        self.started = started
        self.worker: str | None = None
        self.attempt = 1
        self.called = False
        self.torn_down = False
        self.rerunning = False
        self.outcome: str | None = None
        self.phase = "setup"
        self.duration = 0.0
        self.error: str | None = None
        self.location: str | None = None
        self.teardown_error: str | None = None
        self.failed_subtests = 0
        self.tasks: tuple[str, ...] = ()

    def add(self, report: Any) -> None:
        """Take one report into account."""
        when = report.when
        if type(report).__name__ in _SUBTEST_REPORTS:
            self._add_subtest(report)
            return
        self.duration += getattr(report, "duration", 0.0)
        if when == "call":
            self.called = True
        elif when == "teardown":
            self.torn_down = True
        if report.outcome == "passed":
            if when == "call":
                self._decide("xpassed" if hasattr(report, "wasxfail") else "passed", report)
            elif when == "setup":
                self.phase = "call"  # where it is now, should nothing more be heard of it
        elif report.outcome == "rerun":
            self.rerunning = True
        elif report.outcome == "skipped":
            self._decide("xfailed" if hasattr(report, "wasxfail") else "skipped", report)
        elif report.outcome == "failed":
            self._add_failure(report)

    def next_attempt(self) -> None:
        """Begin again: what the failed attempt decided no longer counts."""
        self.attempt += 1
        self.rerunning = self.called = self.torn_down = False
        self.outcome = self.error = self.location = self.teardown_error = None
        self.phase = "setup"
        self.failed_subtests = 0

    def interrupt(self, reason: str) -> None:
        """End without a report of its own."""
        self.outcome = "crashed"
        self.error = reason

    def settle(self) -> str:
        """Return the outcome, deciding it where no report has: a test whose body never ran was skipped."""
        if self.outcome is None:
            self.outcome = "passed" if self.called else "skipped"
            self.error = None if self.called else "only its fixtures were set up"
        return self.outcome

    @property
    def undecided(self) -> bool:
        """Whether it has been torn down without a word on what became of its body."""
        return self.torn_down and self.outcome is None and not self.called

    @property
    def _has_failed(self) -> bool:
        return self.outcome is not None and EVENT_OF[self.outcome] == "TEST_FAILED"

    def _add_subtest(self, report: Any) -> None:
        if report.outcome == "failed":
            self.failed_subtests += 1
            if self.outcome in (None, "passed"):
                self._decide("failed", report)

    def _add_failure(self, report: Any) -> None:
        if report.when == "call":
            if self.failed_subtests == 0:
                self._decide("failed", report)
            self.outcome = "failed"
        elif report.when == "teardown" and self.outcome in ("failed", "error"):
            self.teardown_error = message(report)
        else:
            self._decide("error" if report.when in ("setup", "teardown") else "crashed", report)

    def _decide(self, outcome: str, report: Any) -> None:
        if self._has_failed and EVENT_OF[outcome] != "TEST_FAILED":
            return  # the parent of a failed subtest may pass or skip, and so may the teardown of a failed test
        self.outcome = outcome
        if report.when != "???":  # xdist's word for a worker that died
            self.phase = report.when
        if outcome != "passed":
            self.error = reason(report)
            self.location = place(report)


def reason(report: Any) -> str | None:
    """Return why a report is not a plain success, as short as pytest's own summary."""
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail).removeprefix("reason: ") or None
    longrepr = getattr(report, "longrepr", None)
    if report.outcome == "skipped" and isinstance(longrepr, tuple) and len(longrepr) == 3:
        return str(longrepr[2]).removeprefix("Skipped: ")
    return message(report)


def message(report: Any) -> str | None:
    """Return the message of a failure: the exception with its text, or the last lines of what there is."""
    longrepr = getattr(report, "longrepr", None)
    if longrepr is None:
        return None
    crash = getattr(longrepr, "reprcrash", None)
    if crash is not None:
        return str(crash.message)
    lines = [line.removeprefix("E").strip() for line in str(longrepr).splitlines() if line.startswith("E ")]
    return "\n".join(lines) or str(longrepr)[-2000:]


def place(report: Any) -> str | None:
    """Return file and line of a failure, as an editor opens it."""
    crash = getattr(getattr(report, "longrepr", None), "reprcrash", None)
    return None if crash is None else f"{crash.path}:{crash.lineno}"
