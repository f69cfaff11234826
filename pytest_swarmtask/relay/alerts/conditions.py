"""The conditions of alerts: their common interface, and the kinds that are evaluated with each event.

`timed` has the kinds that are evaluated as time passes, `lookup` the conditions of plug-ins.
"""

from __future__ import annotations

import statistics
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from pytest_swarmtask.config import monitoring
from pytest_swarmtask.core.event import EVENT_TYPES
from pytest_swarmtask.core.text import plural
from pytest_swarmtask.relay.alerts.evaluation import Evaluation
from pytest_swarmtask.relay.alerts.past_runs import is_session
from pytest_swarmtask.relay.delivery.matching import is_among

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.history.past import Ending
    from pytest_swarmtask.plugins.hookspecs import SinkRequest
    from pytest_swarmtask.relay.alerts.past_runs import OpenStarts, Past
    from pytest_swarmtask.relay.alerts.state import ActiveAlert
    from pytest_swarmtask.relay.delivery.backlog import Backlog
    from pytest_swarmtask.relay.delivery.memory import Memory

AlertT = TypeVar("AlertT", bound=monitoring.Alert)
Note = dict[str, Any]
"""What an `Evaluation` leaves for the next one."""
NEVER = float("inf")

_FEW = 3
"""The fewest earlier durations whose median is compared with, as docs/automation.md says."""
_RATED = 5
"""The fewest ends that make a failure rate, unless the alert itself looks at fewer, as docs/automation.md says."""
_STREAK = 50
"""Ends that a message looks back at to say since when something fails."""
_LONGEST = 300
"""Characters of an error in a message."""


class AlertCondition(Generic[AlertT]):
    """How the alerts of one kind are evaluated. Each kind overrides the methods for what it looks at.

    Args:
        alert: the alert's configuration.
        request: the endpoint of the alerts: its project, environment and plug-ins.
        memory: what conditions remember.

    Attributes:
        reads_history: whether `check_history` can find something.
        reads_backlogs: whether `check_backlogs` can find something.
    """

    reads_history: ClassVar[bool] = False
    reads_backlogs: ClassVar[bool] = False

    def __init__(self, alert: AlertT, request: SinkRequest, memory: Memory) -> None:
        self.alert = alert
        self.environment = request.environment
        self.memory = memory

    @cached_property
    def event_types(self) -> frozenset[str]:
        """The types of the events that `observe` and `evaluate` are called with."""
        return frozenset()

    def observe(self, event: Event) -> None:
        """Remember an event that the alert's `when` matches."""

    def evaluate(self, event: Event, past: Past, note: Note | None) -> Evaluation | None:  # noqa: ARG002 - used by subclasses
        """Evaluate the condition for the subject of an event.

        Args:
            event: the event. The alert's `when` matches it, or it is a good end that may resolve the alert.
            past: the history up to now.
            note: the note of the last evaluation if the alert is active for this subject, else None.

        Returns:
            The evaluation, or None if the event is irrelevant to the condition.
        """
        return None

    def check_history(
        self,
        starts: OpenStarts,  # noqa: ARG002 - used by subclasses
        active: Mapping[str, ActiveAlert],  # noqa: ARG002 - used by subclasses
    ) -> tuple[list[Evaluation], float]:
        """Evaluate the condition as time passes, from the history.

        Args:
            starts: the starts without an end.
            active: the subjects for which the alert is active.

        Returns:
            The evaluations, and the seconds until the next one is needed, or infinity.
        """
        return [], NEVER

    def check_backlogs(self, backlogs: Mapping[str, Backlog]) -> list[Evaluation]:  # noqa: ARG002 - used by subclasses
        """Evaluate the condition as time passes, from the deliveries that are waiting, by endpoint."""
        return []


class FailureCondition(AlertCondition[monitoring.FailureAlert]):
    """One of the events came. The next good end of the same subject resolves the alert."""

    @cached_property
    def event_types(self) -> frozenset[str]:
        """The alert's events, and the good ends that resolve it."""
        types = matching_types(self.alert.events)
        kinds = {name.partition("_")[0] for name in types}
        return types.union(name for kind in kinds for name in (f"{kind}_COMPLETED", f"{kind}_PASSED"))

    def evaluate(self, event: Event, past: Past, note: Note | None) -> Evaluation | None:
        """Compare the event's type with the alert's."""
        subject = subject_of(event, past)
        if not is_among(event.event_type, self.alert.events):
            return _resolved_by(event, subject, note)
        if not event.event_type.endswith("_FAILED"):  # such as a start: there is no streak of those
            return Evaluation(subject, is_active=True, text=f"{event.event_type} {event.task_id or ''}".rstrip())
        compared, since = _streak(past.endings(event, _STREAK))
        return Evaluation(subject, is_active=True, text=_failure(event), compared=compared, since=since)


class DurationCondition(AlertCondition[monitoring.DurationAlert]):
    """It took longer than a limit, or than a multiple of the median of its own past."""

    @cached_property
    def event_types(self) -> frozenset[str]:
        """The ends among the alert's events."""
        return _ends(self.alert.events)

    def evaluate(self, event: Event, past: Past, note: Note | None) -> Evaluation | None:
        """Compare the event's duration with the limits."""
        seconds = _number(event, "duration")
        if seconds is None:
            return None
        subject = subject_of(event, past)
        text = f"{event.task_id} took {seconds:.3g} s"
        compared = self._above_limit(seconds) or self._above_median(seconds, event, past)
        if compared:
            return Evaluation(subject, is_active=True, text=text, compared=compared)
        return None if note is None else Evaluation(subject, is_active=False, text=text)

    def _above_limit(self, seconds: float) -> str:
        above = self.alert.above
        return f"the limit is {above:g} s" if above is not None and seconds > above else ""

    def _above_median(self, seconds: float, event: Event, past: Past) -> str:
        if self.alert.times_median is None:
            return ""
        earlier = [one.duration for one in past.endings(event, self.alert.runs + 1)[1:] if not one.failed]
        known = [one for one in earlier if one is not None]
        usual = statistics.median(known) if len(known) >= _FEW else None
        if not usual or seconds <= usual * self.alert.times_median:
            return ""
        return f"{seconds / usual:.1f} times the median of {len(known)} earlier times, {usual:.3g} s"


class FailureRateCondition(AlertCondition[monitoring.FailureRateAlert]):
    """Too many of its last ends were failures."""

    @cached_property
    def event_types(self) -> frozenset[str]:
        """The ends among the alert's events."""
        return _ends(self.alert.events)

    def evaluate(self, event: Event, past: Past, note: Note | None) -> Evaluation | None:
        """Count the failures among the last ends. Only a failure activates the alert."""
        if note is None and ended_well(event):
            return None
        last = past.endings(event, self.alert.runs)
        if len(last) < min(self.alert.runs, _RATED):
            return None
        failed = sum(one.failed for one in last)
        rate = 100 * failed / len(last)
        text = f"{event.task_id} failed {failed} of the last {len(last)} times ({rate:.0f} %)"
        if rate <= self.alert.above:
            return Evaluation(subject_of(event, past), is_active=False, text=text)
        if ended_well(event):
            return None
        first = next(one for one in reversed(last) if one.failed)
        compared = f"the limit is {self.alert.above:g} %"
        return Evaluation(subject_of(event, past), is_active=True, text=text, compared=compared, since=first.ended)


class ConsecutiveFailuresCondition(AlertCondition[monitoring.ConsecutiveFailuresAlert]):
    """It failed several times in a row. Its next success resolves the alert."""

    @cached_property
    def event_types(self) -> frozenset[str]:
        """The ends among the alert's events."""
        return _ends(self.alert.events)

    def evaluate(self, event: Event, past: Past, note: Note | None) -> Evaluation | None:
        """Count the failures before the event, back to the last success."""
        subject = subject_of(event, past)
        if ended_well(event):
            return _resolved_by(event, subject, note)
        last = past.endings(event, max(self.alert.count, _STREAK))
        if _failures_in_a_row(last) < self.alert.count:
            return None
        compared, since = _streak(last)
        return Evaluation(subject, is_active=True, text=_failure(event), compared=compared, since=since)


class NewlyFailingCondition(AlertCondition[monitoring.NewlyFailingAlert]):
    """A test fails that passed before on this branch. Its next success resolves the alert."""

    event_types = frozenset(("TEST_FAILED", "TEST_PASSED"))

    def evaluate(self, event: Event, past: Past, note: Note | None) -> Evaluation | None:
        """Look for a success of the test in an earlier run."""
        subject = subject_of(event, past)
        if ended_well(event):
            return _resolved_by(event, subject, note)
        last = past.endings(event, self.alert.runs + 1)
        # In another run: within one run, only a test that is repeated both passes and fails.
        if not any(not one.failed and one.run != last[0].run for one in last):
            return None
        compared, since = _streak(last)
        text = f"{_failure(event)} (it passed before)"
        return Evaluation(subject, is_active=True, text=text, compared=compared, since=since)


class FlakyCondition(AlertCondition[monitoring.FlakyAlert]):
    """The last runs of a test on a branch show that it is flaky (`history.flaky`), and the newest of them does.

    The alert is resolved when none of the last runs shows it.
    """

    event_types = frozenset(("TEST_FAILED", "TEST_PASSED"))

    def evaluate(self, event: Event, past: Past, note: Note | None) -> Evaluation | None:
        """Look for evidence that the event's run has added. Without any, an active alert stays as it is."""
        if note is None and not past.has_failed(event):
            return None  # most tests have never failed, and a verdict takes several questions
        run, verdict = past.run(event), past.flakiness(event, self.alert.runs)
        if run is None or verdict is None:
            return None
        subject = subject_of(event, past)
        shown = next((one for one in verdict.occurrences if one.shown_by == run.key), None)
        if shown is not None:
            text = f"{event.task_id} is flaky: it {shown.kind}"
            compared = f"flaky in {verdict.failed} of the last {plural(verdict.runs, 'run')}"
            return Evaluation(
                subject, is_active=True, text=text, compared=compared, since=verdict.occurrences[-1].started
            )
        return Evaluation(subject, is_active=False) if note is not None and not verdict.occurrences else None


class CoverageCondition(AlertCondition[monitoring.CoverageAlert]):
    """The coverage of a whole suite is too low, or fell. The alert is resolved once it is back."""

    event_types = frozenset(("TASK_COMPLETED", "TASK_FAILED"))

    def evaluate(self, event: Event, past: Past, note: Note | None) -> Evaluation | None:
        """Compare the session's coverage with the floor and with the run before."""
        percent = _number(event, "coverage_percent")
        if percent is None or event.metadata.get("deselected") or event.metadata.get("split"):
            return None  # a part of the tests covers a part of the code
        subject = subject_of(event, past)
        text = f"coverage of {event.task_id} is {percent:g} %"
        is_whole = event.metadata.get("partial") is not True
        if self.alert.below is not None and is_whole and percent < self.alert.below:
            compared = f"the floor is {self.alert.below:g} %"
            return Evaluation(subject, is_active=True, text=text, compared=compared)
        if self.alert.drop is not None:
            # Noted when the alert became active: the run before may have had the low coverage already.
            before = (note or {}).get("before", past.earlier_coverage(event))
            if before is not None and before - percent > self.alert.drop:
                compared = f"before it was {before:g} %, and may fall by {self.alert.drop:g}"
                return Evaluation(subject, is_active=True, text=text, compared=compared, note={"before": before})
        return None if note is None else Evaluation(subject, is_active=False, text=text)


def matching_types(globs: Iterable[str]) -> frozenset[str]:
    """Return the event types that one of the globs matches."""
    return frozenset(name for name in EVENT_TYPES if is_among(name, globs))


def _ends(globs: Iterable[str]) -> frozenset[str]:
    """Return the event types that one of the globs matches and that end something. A skip says nothing."""
    return frozenset(name for name in matching_types(globs) if not name.endswith(("_STARTED", "_SKIPPED")))


def ended_well(event: Event) -> bool:
    """Whether the event is the end of something that succeeded. A pytest session without tests shows nothing."""
    if is_session(event) and event.metadata.get("tests") == 0:
        return False
    return event.event_type.endswith("_COMPLETED") or event.event_type == "TEST_PASSED"


def subject_of(event: Event, past: Past) -> str:
    """Return what an event is about: its task, with variant and branch if they are known, and on a server environment.

    A partial pytest session is a subject of its own, with its command: it says nothing about the whole suite.
    """
    run = past.run(event)
    place = f" on {run.branch}" if run and run.branch else ""
    if not past.is_local and past.environment(event):
        place += f" in {past.environment(event)}"
    part = (
        f" ({run.scope})" if run and run.scope and is_session(event) and event.metadata.get("partial") is True else ""
    )
    variant = past.variant(event)
    under = f" under {variant}" if variant else ""
    return f"{event.task_id or event.event_type}{place}{under}{part}"


def _number(event: Event, name: str) -> float | None:
    """Return a number of an event's metadata, or None."""
    value = event.metadata.get(name)
    return None if isinstance(value, bool) or not isinstance(value, (int, float)) else value


def _resolved_by(event: Event, subject: str, note: Note | None) -> Evaluation | None:
    """Return that the alert is resolved, if it is active and the event is a good end; else None."""
    return Evaluation(subject, is_active=False) if note is not None and ended_well(event) else None


def _failure(event: Event) -> str:
    """Return what failed, with the first line of its error, in one line."""
    error = event.metadata.get("error")
    lines = error.strip().splitlines() if isinstance(error, str) else []
    text = f"{event.task_id} failed: {lines[0]}" if lines else f"{event.task_id} failed"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _failures_in_a_row(last: Sequence[Ending]) -> int:
    return next((number for number, one in enumerate(last) if not one.failed), len(last))


def _streak(last: Sequence[Ending]) -> tuple[str, str]:
    """Return how a failure compares with the ends before it, and since when there are failures only."""
    count = _failures_in_a_row(last)
    if count == 0:
        return "", ""
    since = last[count - 1].ended
    if count == len(last):
        return (f"failed {count} times in a row" if count > 1 else "the first time that this is seen"), since
    good = last[count]
    commit = f", commit {good.commit[:10]}" if good.commit else ""
    row = f"failed {count} times in a row; " if count > 1 else ""
    return f"{row}last well at {good.ended}{commit}", since
