"""Durations, times and phrases, worded in the same way in every form of a report. Plain text, without a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_swarmtask.core.outcomes import TEARDOWN
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.core.timestamps import local_time

if TYPE_CHECKING:
    from pytest_swarmtask.history.query import Failure, Run

_SHORT_ID = 12
"""Digits of a run's id that are shown: enough for `report --run`, which takes any beginning of an id."""
_SHORT_COMMIT = 10
"""Digits of a commit that are shown: git takes any unique beginning of a commit."""

_IN_MILLISECONDS = 0.01
"""Seconds below which a duration is shown in milliseconds: as seconds it would be 0.00 or 0.01."""
_IN_MINUTES = 60.0
"""Seconds from which a duration is shown in minutes, and without fractions."""

_WORDS = {"errors": "error"}
"""Outcomes whose word differs from the name of the column that counts them."""


def short_id(trace_id: str) -> str:
    """Return the beginning of a run's id."""
    return trace_id[:_SHORT_ID]


def short_commit(commit: str) -> str:
    """Return the beginning of a commit."""
    return commit[:_SHORT_COMMIT]


def format_duration(seconds: float) -> str:
    """Return a duration such as ``4.2 ms``, ``1.50 s``, ``3 min 5 s`` or ``2 h 10 min``."""
    if seconds < _IN_MILLISECONDS:
        return f"{seconds * 1000:.1f} ms"
    if seconds < _IN_MINUTES:
        return f"{seconds:.2f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min {int(seconds % 60)} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def format_elapsed(seconds: float) -> str:
    """Return how long something has been running, in whole seconds: fractions would change too fast to be read."""
    return f"{int(seconds)} s" if seconds < _IN_MINUTES else format_duration(seconds)


def format_time(timestamp: str) -> str:
    """Return a timestamp in local time, to the minute. A text that is not a timestamp is returned as it is."""
    try:
        return local_time(timestamp).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return neutral(timestamp)


def outcome_counts(run: Run) -> dict[str, int]:
    """Return the number of a run's tests by outcome, in words, in the order in which they are shown."""
    counts = {_WORDS.get(name, name): count for name, count in run.counts.items()}
    if run.teardown_errors:
        counts[TEARDOWN] = run.teardown_errors
    return counts


def failing_since(failure: Failure) -> str:
    """Return since when a test has been failing, such as ``since 2026-01-31 08:04 at d60ae3d9d6, 4 runs in a row``."""
    commit = f" at {neutral(short_commit(failure.since_commit))}" if failure.since_commit else ""
    if failure.streak == 1:
        return "new: it passed before" if failure.new else "no earlier result"
    never_passed = "" if failure.new else " (never seen to pass)"
    return f"since {format_time(failure.since)}{commit}, {failure.streak} runs in a row{never_passed}"
