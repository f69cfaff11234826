"""From the reports of one test to its one outcome.

Reports are known by their attributes, without importing pytest, because plugins make reports of classes of their own.
"""

from __future__ import annotations

from pytest_swarmtask.core.event import MASK
from pytest_swarmtask.core.fastjson import encode_basestring

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
    "quarantined": "TEST_SKIPPED",
}
"""The event that ends a test, by its outcome."""
FAILURES = ("failed", "error", "crashed", "quarantined")
"""The outcomes of tests that failed, whether that counts or not."""
QUARANTINE = "swarmtask_quarantine"
"""The attribute of a report whose failure does not count: what `quarantine.yaml` says of the test, as texts."""

SUBTEST_REPORTS = ("SubtestReport", "SubTestReport")
"""The names of the classes whose reports are about subtests: of pytest 9, and of the plugin pytest-subtests."""
_OUTCOME_OF_PHASE = {"call": "failed", "???": "crashed"}
"""The outcome of an attempt that failed in this phase; in other phases it is ``error``."""
_OUTCOMES_OF_PYTEST = ("passed", "failed", "skipped")
"""What pytest itself reports. Plugins that try a test again report its failed attempts as "rerun" or "retried"."""


_LONGEST = 1e9
"""Seconds that a test may take; infinity and NaN, which JSON has not, are not below it."""


class KeptReport:
    """What an attempt needs of its report. A plug-in may go on to change the report, as pytest-retry does."""

    __slots__ = ("longrepr", "sections", "when")

    def __init__(self, report: Any) -> None:
        self.when: str = report.when
        self.longrepr = getattr(report, "longrepr", None)
        self.sections = list(getattr(report, "sections", ()))


class Attempt:
    """An attempt at a test that was followed by another one.

    Attributes:
        report: the report that says why it failed.
        outcome: ``failed``, ``error`` or ``crashed``.
        phase: the phase that failed.
        duration: seconds of its phases together.
    """

    __slots__ = ("duration", "outcome", "phase", "report")

    def __init__(self, report: Any, outcome: str, phase: str, duration: float) -> None:
        self.report = report
        self.outcome = outcome
        self.phase = phase
        self.duration = duration


class TestRun:
    """One test from its start to its one end, through setup, call, teardown, subtests and reruns.

    Attributes:
        nodeid: the node id of its item.
        task_id: the node id, redacted.
        encoded_id: the node id as JSON; empty if something in it is redacted, which the events must note.
        span_id: its span.
        worker: the xdist worker that runs it, or None.
        attempt: 1 for the first attempt, and one more for each rerun.
        is_announced: whether `pytest_runtest_logstart` or a protocol in this process began it, and so something other
            than its teardown ends it.
        is_finished: whether `pytest_runtest_logfinish` was called in this attempt.
        rerunning: whether another attempt follows the one that was reported last.
        outcome: one of the keys of `EVENT_OF`, or None while only setup or teardown has been reported, as passed.
        phase: the phase that decided the outcome; before that, the phase that is running.
        duration: seconds of all phases and attempts together.
        error: why it failed or was skipped, or None.
        location: file and line of the failure or the skip, or None.
        report: the report that decided the outcome, unless that is ``passed``; else None.
        last_report: the report that came last, or None.
        teardown_report: the report of the teardown, if it failed after the test had failed; else None.
        retried_report: what is kept of the report of this attempt that says that another one follows, or None.
        attempts: the earlier attempts of which something was reported, oldest first.
        failed_subtests: number of subtests that failed.
        quarantine: what `quarantine.yaml` says of the test, if a failure of this attempt does not count; else None.
        torn_down: whether the teardown of this attempt was reported.
        tasks: ids of the tasks that it belongs to.
    """

    __test__ = False  # pytest would collect it for its name where a test module imports it
    __slots__ = (
        "attempt",
        "attempts",
        "duration",
        "encoded_id",
        "error",
        "failed_subtests",
        "is_announced",
        "is_finished",
        "item_location",
        "last_report",
        "location",
        "nodeid",
        "outcome",
        "phase",
        "quarantine",
        "report",
        "rerunning",
        "retried_report",
        "span_id",
        "task_id",
        "tasks",
        "teardown_report",
        "torn_down",
        "worker",
    )

    def __init__(self, nodeid: str, task_id: str, span_id: str) -> None:
        self.nodeid = nodeid
        self.task_id = task_id
        is_plain = task_id == nodeid and MASK not in task_id
        self.encoded_id = encode_basestring(task_id) if is_plain else ""
        self.span_id = span_id
        self.worker: str | None = None
        self.attempt = 1
        self.torn_down = False
        self.is_announced = True
        self.is_finished = False
        self.item_location: Any = self
        self.rerunning = False
        self.outcome: str | None = None
        self.phase = "setup"
        self.duration = 0.0
        self.error: str | None = None
        self.location: str | None = None
        self.report: Any = None
        self.last_report: Any = None
        self.teardown_report: Any = None
        self.retried_report: Any = None
        self.attempts: tuple[Attempt, ...] = ()
        self.failed_subtests = 0
        self.tasks: tuple[str, ...] = ()
        self.quarantine: dict[str, str] | None = None

    def add(self, report: Any) -> None:
        """Add one report."""
        when = report.when
        self.last_report = report
        if self.rerunning and when != "teardown":
            self.next_attempt()  # it was not announced by another `pytest_runtest_logstart`
        if when == "call":
            if type(report).__name__ in SUBTEST_REPORTS:
                self._add_subtest(report)
                return
        elif when == "teardown":
            self.torn_down = True
        try:
            self.duration += report.duration
        except AttributeError:
            pass  # a plugin's own report; `getattr` with a default takes ten times as long for all others
        if report.outcome != "passed" or self.quarantine is not None:
            self._add_unless_passed(report)
        elif when == "call":
            self._decide("xpassed" if hasattr(report, "wasxfail") else "passed", report)
        elif when == "setup":
            self.phase = "call"  # the phase that runs now, in case no further report comes

    def next_attempt(self) -> None:
        """Start the next attempt, and keep of the failed one only why it failed."""
        if self.retried_report is not None:
            self._close_attempt()
        self.attempt += 1
        self.rerunning = self.torn_down = self.is_finished = False
        self.outcome = self.error = self.location = self.report = self.teardown_report = self.quarantine = None
        self.phase = "setup"
        self.failed_subtests = 0

    def interrupt(self, reason: str) -> None:
        """End the test without a report, because its session ends."""
        self.outcome = "crashed"
        self.error = reason

    def settle(self) -> str:
        """Return the outcome. If no report has decided it, the test counts as skipped."""
        if self.retried_report is not None:
            self._close_attempt()
        if self.outcome is None:
            self.outcome = "skipped"
            if self.rerunning:
                self.error = "its next attempt was not reported"
            else:
                self.error = "only its fixtures were set up" if self.last_report else "pytest got no report of it"
        if self.quarantine is not None and self._has_failed:
            self.outcome = "quarantined"
        return self.outcome

    def _close_attempt(self) -> None:
        """Keep why this attempt failed, if it was reported that another one follows."""
        retried = self.retried_report
        duration = self.duration - sum([attempt.duration for attempt in self.attempts])
        if self._has_failed:  # a subtest had failed before: the report of the test itself does not say why
            attempt = Attempt(self.report, self.outcome or "failed", self.phase, duration)
        else:
            phase = self.phase if retried.when == "???" else retried.when
            attempt = Attempt(retried, _OUTCOME_OF_PHASE.get(retried.when, "error"), phase, duration)
        self.attempts = (*self.attempts, attempt)
        self.retried_report = None

    @property
    def is_over(self) -> bool:
        """Whether its last attempt has run, so that the end of the session does not interrupt it."""
        return self.outcome is not None or ((self.torn_down or self.is_finished) and not self.rerunning)

    @property
    def _has_failed(self) -> bool:
        return self.outcome is not None and EVENT_OF[self.outcome] == "TEST_FAILED"

    def _add_unless_passed(self, report: Any) -> None:
        if report.outcome not in _OUTCOMES_OF_PYTEST:
            self.rerunning = True
            self.retried_report = self.retried_report or KeptReport(report)
        elif hasattr(report, QUARANTINE):
            self.quarantine = getattr(report, QUARANTINE)
            self._add_failure(report)
        elif report.outcome == "skipped":
            self._decide("xfailed" if hasattr(report, "wasxfail") else "skipped", report)
        elif report.outcome == "failed":
            self._add_failure(report)

    def _add_subtest(self, report: Any) -> None:
        self.quarantine = getattr(report, QUARANTINE, self.quarantine)
        if report.outcome == "failed" or hasattr(report, QUARANTINE):
            self.failed_subtests += 1
            if self.outcome in (None, "passed"):
                self._decide("failed", report)

    def _add_failure(self, report: Any) -> None:
        if report.when == "call":
            if self.failed_subtests == 0:
                self._decide("failed", report)
            self.outcome = "failed"
        elif report.when != "setup" and self._has_failed:
            self.teardown_report = report
        else:
            self._decide("error" if report.when in ("setup", "teardown") else "crashed", report)

    def _decide(self, outcome: str, report: Any) -> None:
        if self._has_failed:
            return  # nothing that is reported later changes a failure
        self.outcome = outcome
        if report.when != "???":  # what xdist reports for a worker that died
            self.phase = report.when
        if outcome != "passed":
            self.report = report
            self.error = reason(report)
            self.location = location(report)


def seconds(duration: float) -> float:
    """Return a duration to the microsecond, or 0 for what no test can take, such as the NaN of a plugin's report.

    It takes half as long as `round(duration, 6)`.
    """
    return round(duration * 1e6) / 1e6 if 0.0 <= duration < _LONGEST else 0.0


def reason(report: Any) -> str | None:
    """Return why a report is not simply passed, as short as in pytest's own summary, or None if it does not say."""
    if hasattr(report, "wasxfail") and not hasattr(report, QUARANTINE):
        return str(report.wasxfail).removeprefix("reason: ") or None
    longrepr = getattr(report, "longrepr", None)
    if report.outcome == "skipped" and isinstance(longrepr, tuple) and len(longrepr) == 3:
        return str(longrepr[2]).removeprefix("Skipped: ")
    return message(report)


def message(report: Any) -> str | None:
    """Return the message of a failure: the exception with its text, else the error lines or the end of the report."""
    longrepr = getattr(report, "longrepr", None)
    if longrepr is None:
        return None
    crash = getattr(longrepr, "reprcrash", None)
    if crash is not None:
        return str(crash.message)
    lines = [line.removeprefix("E").strip() for line in str(longrepr).splitlines() if line.startswith("E ")]
    return "\n".join(lines) or str(longrepr)[-2000:]


def location(report: Any) -> str | None:
    """Return file and line of a failure or a skip as ``FILE:LINE``, which editors can open, or None without one."""
    longrepr = getattr(report, "longrepr", None)
    if isinstance(longrepr, tuple) and len(longrepr) == 3:
        return f"{longrepr[0]}:{longrepr[1]}"
    crash = getattr(longrepr, "reprcrash", None)
    return None if crash is None else f"{crash.path}:{crash.lineno}"
