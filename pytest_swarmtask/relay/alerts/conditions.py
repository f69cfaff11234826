"""The conditions of alerts that are asked about each event: one function for each kind.

Each is given the alert, an event that ends something, the past, and what is remembered where the alert already holds
for the same subject. It returns a `Evaluation`, or None where the event says nothing about it.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.config.monitoring import (
    AnyAlert,
    ConsecutiveFailuresAlert,
    CoverageAlert,
    DurationAlert,
    FailureAlert,
    FailureRateAlert,
    FlakyAlert,
    NewlyFailingAlert,
)
from pytest_swarmtask.relay.alerts.evaluation import Evaluation
from pytest_swarmtask.relay.delivery.matching import is_among

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.history.past import Ending
    from pytest_swarmtask.relay.alerts.past_runs import Past

    Note = dict[str, Any]
    Condition = Callable[[Any, Event, Past, Note | None], Evaluation | None]

_FEW = 3
"""Earlier durations that make a median worth comparing with, at least."""
_RATED = 5
"""Ends of which a failure rate can be told, at least, unless the alert looks at fewer."""
_LONGEST = 300


def ended_well(event: Event) -> bool:
    """Tell whether an event says that something ended as it should."""
    return event.event_type.endswith("_COMPLETED") or event.event_type == "TEST_PASSED"


def failure(alert: FailureAlert, event: Event, past: Past, held: Note | None) -> Evaluation | None:
    """One of the events came; the same thing's next good end resolves it."""
    subject = subject_of(event, past)
    if not is_among(event.event_type, alert.events):
        return Evaluation(subject, holds=False) if held is not None and ended_well(event) else None
    if not event.event_type.endswith("_FAILED"):
        return Evaluation(subject, holds=True, text=f"{event.event_type} {event.task_id or ''}".rstrip())
    compared, since = _streak(past.endings(event, 50))
    return Evaluation(subject, holds=True, text=_failed(event), compared=compared, since=since)


def duration(alert: DurationAlert, event: Event, past: Past, held: Note | None) -> Evaluation | None:
    """It took longer than a limit, or than a multiple of the median of its own past."""
    seconds = event.metadata.get("duration")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return None
    subject = subject_of(event, past)
    text = f"{event.task_id} took {seconds:.3g} s"
    if alert.above is not None and seconds > alert.above:
        return Evaluation(subject, holds=True, text=text, compared=f"the limit is {alert.above:g} s")
    if alert.times_median is not None:
        earlier = [one.duration for one in past.endings(event, alert.runs + 1)[1:] if not one.failed]
        known = [one for one in earlier if one is not None]
        usual = statistics.median(known) if len(known) >= _FEW else None
        if usual and seconds > usual * alert.times_median:
            compared = f"{seconds / usual:.1f} times the median of {len(known)} earlier times, {usual:.3g} s"
            return Evaluation(subject, holds=True, text=text, compared=compared)
    return None if held is None else Evaluation(subject, holds=False, text=text)


def failure_rate(alert: FailureRateAlert, event: Event, past: Past, held: Note | None) -> Evaluation | None:
    """Too many of its last ends were failures."""
    if held is None and ended_well(event):
        return None
    last = past.endings(event, alert.runs)
    if len(last) < min(alert.runs, _RATED):
        return None
    failed = sum(one.failed for one in last)
    rate = 100 * failed / len(last)
    text = f"{event.task_id} failed {failed} of the last {len(last)} times ({rate:.0f} %)"
    if rate <= alert.above:
        return Evaluation(subject_of(event, past), holds=False, text=text)
    if ended_well(event):
        return None
    first = next(one for one in reversed(last) if one.failed)
    compared = f"the limit is {alert.above:g} %"
    return Evaluation(subject_of(event, past), holds=True, text=text, compared=compared, since=first.ended)


def consecutive_failures(
    alert: ConsecutiveFailuresAlert, event: Event, past: Past, held: Note | None
) -> Evaluation | None:
    """It failed several times in a row; its next success resolves that."""
    subject = subject_of(event, past)
    if ended_well(event):
        return Evaluation(subject, holds=False) if held is not None else None
    last = past.endings(event, max(alert.count, 50))
    count = next((number for number, one in enumerate(last) if not one.failed), len(last))
    if count < alert.count:
        return None
    compared, since = _streak(last)
    return Evaluation(subject, holds=True, text=_failed(event), compared=compared, since=since)


def newly_failing(alert: NewlyFailingAlert, event: Event, past: Past, held: Note | None) -> Evaluation | None:
    """A test fails that passed before on this branch; its next success resolves that."""
    subject = subject_of(event, past)
    if ended_well(event):
        return Evaluation(subject, holds=False) if held is not None else None
    last = past.endings(event, alert.runs + 1)
    if not any(not one.failed and one.run != event.trace_id for one in last):
        return None
    compared, since = _streak(last)
    return Evaluation(subject, holds=True, text=f"{_failed(event)} (it passed before)", compared=compared, since=since)


def flaky(alert: FlakyAlert, event: Event, past: Past, held: Note | None) -> Evaluation | None:
    """A test failed and passed on one commit, or passed only when it was repeated; resolved once none of that shows."""
    last = past.endings(event, alert.runs)
    if not last:
        return None
    subject, own = subject_of(event, past), last[0]
    if (own.attempt or 1) > 1 and not own.failed:
        text = f"{event.task_id} is flaky: it passed at attempt {own.attempt}"
        return Evaluation(subject, holds=True, text=text)
    here = [one for one in last if one.commit == own.commit and _is_clean(one)] if _is_clean(own) else []
    if len({one.failed for one in here}) > 1:
        failed = sum(one.failed for one in here)
        text = f"{event.task_id} is flaky: on one commit it failed {failed} of {len(here)} times"
        return Evaluation(subject, holds=True, text=text, since=here[-1].ended)
    return Evaluation(subject, holds=False) if held is not None and not _shows(last) else None


def _shows(last: Sequence[Ending]) -> bool:
    commits: dict[str | None, set[bool]] = {}
    for one in filter(_is_clean, last):
        commits.setdefault(one.commit, set()).add(one.failed)
    return any(len(both) > 1 for both in commits.values()) or any((one.attempt or 1) > 1 for one in last)


def _is_clean(ending: Ending) -> bool:
    return ending.commit is not None and not ending.dirty


def coverage(alert: CoverageAlert, event: Event, past: Past, held: Note | None) -> Evaluation | None:
    """Coverage of a whole suite is too low, or fell; resolved once it is back."""
    percent = event.metadata.get("coverage_percent")
    if isinstance(percent, bool) or not isinstance(percent, (int, float)) or event.metadata.get("deselected"):
        return None
    subject = subject_of(event, past)
    text = f"coverage of {event.task_id} is {percent:g} %"
    if alert.below is not None and percent < alert.below:
        return Evaluation(subject, holds=True, text=text, compared=f"the floor is {alert.below:g} %")
    if alert.drop is not None:
        before = (held or {}).get("before", past.earlier_coverage(event))
        if before is not None and before - percent > alert.drop:
            compared = f"before it was {before:g} %, and may fall by {alert.drop:g}"
            return Evaluation(subject, holds=True, text=text, compared=compared, note={"before": before})
    return None if held is None else Evaluation(subject, holds=False, text=text)


CONDITIONS: dict[type[AnyAlert], tuple[Condition, tuple[str, ...] | None]] = {
    FailureAlert: (failure, None),
    DurationAlert: (duration, None),
    FailureRateAlert: (failure_rate, None),
    ConsecutiveFailuresAlert: (consecutive_failures, None),
    NewlyFailingAlert: (newly_failing, ("TEST_FAILED", "TEST_PASSED")),
    FlakyAlert: (flaky, ("TEST_FAILED", "TEST_PASSED")),
    CoverageAlert: (coverage, ("TASK_COMPLETED", "TASK_FAILED")),
}
"""By kind: its condition, and the events that it looks at where the alert does not say so itself."""


def subject_of(event: Event, past: Past) -> str:
    """Return what an event is about: its task, on its branch where that is known."""
    branch = past.branch(event)
    return f"{event.task_id or event.event_type}{f' on {branch}' if branch else ''}"


def _failed(event: Event) -> str:
    error = event.metadata.get("error")
    lines = error.strip().splitlines() if isinstance(error, str) else []
    told = f"{event.task_id} failed: {lines[0]}" if lines else f"{event.task_id} failed"
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…"


def _streak(last: Sequence[Ending]) -> tuple[str, str]:
    """Return how a failure compares with the times before, and since when it is so."""
    count = next((number for number, one in enumerate(last) if not one.failed), len(last))
    if count == 0:
        return "", ""
    since = last[count - 1].ended
    if count == len(last):
        return (f"failed {count} times in a row" if count > 1 else "the first time that this is seen"), since
    good = last[count]
    commit = f", commit {good.commit[:10]}" if good.commit else ""
    row = f"failed {count} times in a row; " if count > 1 else ""
    return f"{row}last well at {good.ended}{commit}", since
