"""The tests that take the most time, over several runs."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.query import Run


@dataclass(frozen=True)
class SlowTest:
    """How long a test takes, in seconds.

    Attributes:
        test: its node id.
        variant: its variant, or an empty text.
        median: the median of its durations.
        longest: the longest of them.
        results: how many durations there are.
        share: `median` as a part of the medians of all tests under its variant, from 0 to 1.
    """

    test: str
    variant: str
    median: float
    longest: float
    results: int
    share: float


def slow_tests(db: Database, runs: Sequence[Run], variant: str | None, limit: int) -> list[SlowTest]:
    """Return the tests of some runs by the medians of their durations, slowest first.

    Args:
        db: the history.
        runs: the runs.
        variant: only tests under this variant; None for all.
        limit: the number of tests, at most.
    """
    keys = ", ".join(str(run.key) for run in runs)
    query = f"""
        SELECT task.name, task.variant, span.duration FROM span JOIN task ON task.id = span.task
        WHERE span.run IN ({keys or "NULL"}) AND span.kind = 'TEST' AND span.superseded = 0
          AND span.duration IS NOT NULL"""
    durations: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for test, under, duration in db.execute(query):
        if variant in (None, under):
            durations[test, under].append(duration)
    medians = {key: statistics.median(found) for key, found in durations.items()}
    totals: defaultdict[str, float] = defaultdict(float)
    for (_, under), median in medians.items():
        totals[under] += median
    slowest = sorted(medians, key=lambda key: (-medians[key], key))[:limit]
    return [
        SlowTest(*key, medians[key], max(durations[key]), len(durations[key]), _part(medians[key], totals[key[1]]))
        for key in slowest
    ]


def _part(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
