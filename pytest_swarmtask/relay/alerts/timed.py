"""The conditions that no event brings about: silence, and deliveries that fail or pile up. Looked at now and then."""

from __future__ import annotations

import contextlib
import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import JournalError
from pytest_swarmtask.core.event import Event
from pytest_swarmtask.core.project import RESERVED
from pytest_swarmtask.core.timestamps import seconds_of
from pytest_swarmtask.core.trace import Clock
from pytest_swarmtask.history.past import has_ended, open_spans
from pytest_swarmtask.relay.alerts.conditions import subject_of
from pytest_swarmtask.relay.alerts.evaluation import Evaluation
from pytest_swarmtask.relay.delivery.matching import is_among, mismatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_swarmtask.config.monitoring import DeliveryAlert, SilenceAlert
    from pytest_swarmtask.history.past import OpenSpan
    from pytest_swarmtask.relay.alerts.past_runs import Past
    from pytest_swarmtask.relay.alerts.state import ActiveAlert
    from pytest_swarmtask.relay.delivery.backlog import Backlog
    from pytest_swarmtask.relay.delivery.memory import Memory

HEARD = "heard"
"""Where in the memory it stands when an expected event was heard last, by environment and alert."""
_FORGOTTEN = 7 * 86400.0
"""Seconds after which a start without an end is not missed any more."""
_SPAN_DIGITS = 8


def seconds_since(timestamp: str) -> float:
    """Return how long ago a time was that stands as in events; 0 where it is none."""
    try:
        return time.time() - seconds_of(timestamp)
    except ValueError:
        return 0.0


class Starts:
    """What has begun and not ended, for all alerts that ask."""

    def __init__(self, past: Past, environment: str) -> None:
        self._past = past
        self._environment = environment
        clock = Clock()
        since = clock.timestamp(max(0.0, clock.now() - _FORGOTTEN))
        self._events = list(_events(open_spans(past.db, since)))

    def of(self, alert: SilenceAlert) -> Iterator[Event]:
        """Yield the starts that an alert is about."""
        for event in self._events:
            if is_among(event.event_type, alert.events) and not self._foreign(alert, event):
                yield event

    def _foreign(self, alert: SilenceAlert, event: Event) -> bool:
        run = self._past.run(event)
        if run is not None and (run.environment or "") != self._environment:
            return True
        return mismatch(alert.when, event, self._environment, run.branch if run else None) is not None


def _events(spans: Sequence[OpenSpan]) -> Iterator[Event]:
    for span in spans:
        with contextlib.suppress(JournalError):
            yield Event.decode(span.line.encode())


def unfinished(
    alert: SilenceAlert, starts: Starts, past: Past, held: Mapping[str, ActiveAlert]
) -> tuple[list[Evaluation], float]:
    """Return starts that have no end for too long, what has ended since, and the seconds until the next is too long."""
    limit = alert.unfinished or 0.0
    cases, soonest = [], float("inf")
    for event in starts.of(alert):
        age = seconds_since(event.timestamp)
        if age < limit:
            soonest = min(soonest, limit - age)
            continue
        subject = f"{subject_of(event, past)} ({event.span_id[:_SPAN_DIGITS]})"
        text = f"{event.task_id or event.event_type} has begun, and nothing was heard of its end for {_words(age)}"
        compared = f"the limit is {_words(limit)}"
        run = past.run(event)
        note = {"span": event.span_id}
        cases.append(Evaluation(subject, True, text, compared, event.timestamp, note, "", event, run))  # noqa: FBT003
    for subject, one in held.items():
        span = one.note.get("span")
        if isinstance(span, str) and has_ended(past.db, span):
            cases.append(Evaluation(subject, holds=False, text=f"{subject} has ended"))
    return cases, soonest


def overdue(alert: SilenceAlert, memory: Memory, environment: str) -> Evaluation | None:
    """Return whether an expected start has not come; None where nobody has looked before."""
    every = alert.every or 0.0
    heard = memory.get(HEARD, f"{environment}\t{alert.name}")
    at = heard.get("at") if heard else None
    if not isinstance(at, str):  # its time counts from now on
        hear(alert, memory, environment, Clock().timestamp())
        return None
    age = seconds_since(at)
    if age < every:
        return Evaluation(alert.name, holds=False, text=f"{alert.name} was heard again")
    text = f"nothing was heard of {alert.name} for {_words(age)}"
    compared = f"expected every {_words(every)}"
    return Evaluation(alert.name, holds=True, text=text, compared=compared, since=at)


def hear(alert: SilenceAlert, memory: Memory, environment: str, timestamp: str) -> None:
    """Remember that an expected event came, the latest one."""
    key = f"{environment}\t{alert.name}"
    before = memory.get(HEARD, key)
    if before is None or str(before.get("at")) < timestamp:
        memory.swap(HEARD, key, before, {"at": timestamp})


def delivery(alert: DeliveryAlert, backlogs: Mapping[str, Backlog], environment: str) -> list[Evaluation]:
    """Return how the deliveries are that an alert is about."""
    cases = []
    for endpoint, backlog in backlogs.items():
        name, _, rest = endpoint.partition(" as ")[0].partition("@")
        if rest == environment and name not in RESERVED and any(fnmatchcase(name, glob) for glob in alert.webhooks):
            cases.append(_delivery(alert, endpoint, backlog))
    return cases


def _delivery(alert: DeliveryAlert, endpoint: str, backlog: Backlog) -> Evaluation:
    age = seconds_since(backlog.oldest) if backlog.oldest else 0.0
    found = [
        (alert.waiting is not None and backlog.waiting > alert.waiting, f"waiting: {backlog.waiting}"),
        (alert.oldest is not None and age > alert.oldest, f"the oldest event has waited for {_words(age)}"),
        (
            alert.dead_letters is not None and backlog.dead >= alert.dead_letters,
            f"refused for good: {backlog.dead}",
        ),
    ]
    texts = [text for holds, text in found if holds]
    if not texts:
        return Evaluation(endpoint, holds=False, text=f"deliveries to {endpoint} are in time")
    step = "swarmtask replay" if found[2][0] else "swarmtask flush"
    return Evaluation(endpoint, True, f"deliveries to {endpoint}: {', '.join(texts)}", since=backlog.oldest, next=step)  # noqa: FBT003


def _words(seconds: float) -> str:
    for size, noun in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {noun}"
    return f"{seconds:.0f} s"
