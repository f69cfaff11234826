"""How a run differs from another run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.history.query import Run, with_variant  # msgspec reads the annotations when the server runs

if TYPE_CHECKING:
    from pytest_swarmtask.history.database import Database


@dataclass(frozen=True)
class Comparison:
    """The differences between a run and another run, as node ids.

    A test is compared with the same variant of it. If each of the runs has one variant only, these are compared, so
    that a run under another Python says which tests differ. Where a run has several, the variant follows the node id.

    Attributes:
        other: the other run.
        failing: tests that failed in this run, and ran in the other one without failing.
        fixed: tests that failed in the other run, and did not fail in this one.
        still: tests that failed in both.
        added: tests that only this run has. None if the other run is partial, which says nothing about the others.
        gone: tests that only the other run has. None if this run is partial.
        slower: tests that took at least twice as long, and 0.1 s more: node id, seconds in the other run and in this.
        numbers: the lengths of the lists before they were cut, by their names; `slower` is not among them.
    """

    other: Run
    failing: list[str]
    fixed: list[str]
    still: list[str]
    added: list[str]
    gone: list[str]
    slower: list[tuple[str, float, float]]
    numbers: dict[str, int] = field(default_factory=dict)


_SLOWER = "now >= 2 * before AND now >= before + 0.1"  # short tests vary by chance
# A test failed in a run if it failed in any session, and its longest duration counts.
_DIFFERENT = f"""
SELECT name, variant, here, there, now, before, CASE WHEN {_SLOWER} THEN 1 ELSE 0 END FROM (
    SELECT task.name AS name, CASE WHEN ?3 = 1 THEN task.variant ELSE '' END AS variant,
           max(CASE WHEN run = ?1 THEN failed END) AS here, max(CASE WHEN run = ?2 THEN failed END) AS there,
           max(CASE WHEN run = ?1 THEN duration END) AS now, max(CASE WHEN run = ?2 THEN duration END) AS before
    FROM span JOIN task ON task.id = span.task
    WHERE run IN (?1, ?2) AND span.kind = 'TEST' AND superseded = 0 GROUP BY 1, 2
) AS tests
WHERE here IS NULL OR there IS NULL OR here = 1 OR there = 1 OR {_SLOWER}
ORDER BY name, variant
"""


class _Test(NamedTuple):
    """A test that failed in one of two runs, is missing in one of them, or took much longer in this one.

    Its durations, in this run and in the other one, are known if it took much longer.
    """

    name: str
    here: int | None
    there: int | None
    now: float
    before: float
    is_slower: int


def compare(db: Database, run: Run, other: Run, limit: int) -> Comparison:
    """Return the differences between a run and another run, with at most `limit` node ids of each kind."""
    are_alike = len(run.variants) <= 1 and len(other.variants) <= 1  # then it does not matter which variant it is
    rows = db.execute(_DIFFERENT, (run.key, other.key, int(not are_alike)))
    tests = [_Test(with_variant(name, variant), *ended) for name, variant, *ended in rows]
    kinds = {
        "failing": [test.name for test in tests if test.here == 1 and test.there == 0],
        "fixed": [test.name for test in tests if test.here == 0 and test.there == 1],
        "still": [test.name for test in tests if test.here == test.there == 1],
        "added": [test.name for test in tests if test.there is None and not other.partial],
        "gone": [test.name for test in tests if test.here is None and not run.partial],
    }
    found = {kind: names[:limit] for kind, names in kinds.items()}
    numbers = {kind: len(names) for kind, names in kinds.items()}
    slower = [(test.name, test.before, test.now) for test in tests if test.is_slower]
    slower.sort(key=lambda each: each[1] - each[2])  # those that lost most time first
    return Comparison(other, **found, slower=slower[:limit], numbers=numbers)
