"""How long each test usually takes, so that tests can be divided among shards."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import TYPE_CHECKING

from pytest_swarmtask.history.query import NEWEST_COMPLETE

if TYPE_CHECKING:
    from pytest_swarmtask.history.database import Database

# Of runs of the same variants, such as the whole matrix of CI or one laptop. A partial run is not typical: somebody
# looks for a fault with it.
_DURATIONS = f"""
WITH ranked AS ({NEWEST_COMPLETE})
SELECT task.variant, task.name, span.duration
FROM ranked JOIN span ON span.run = ranked.id JOIN task ON task.id = span.task
WHERE ranked.number <= ? AND span.kind = 'TEST' AND span.superseded = 0 AND span.duration IS NOT NULL
"""
_RUNS = 10
"""Runs whose durations are looked at. A median of ten ignores four that had a slow machine."""


def usual_durations(db: Database) -> dict[str, dict[str, float]]:
    """Return the median duration of each test in its last complete runs, in seconds, by variant and node id."""
    found: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for variant, test, duration in db.execute(_DURATIONS, (db.project, _RUNS)):
        found[variant, test].append(duration)
    medians: dict[str, dict[str, float]] = {}
    for (variant, test), durations in sorted(found.items()):
        medians.setdefault(variant, {})[test] = statistics.median(durations)
    return medians
