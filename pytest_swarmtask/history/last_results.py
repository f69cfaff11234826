"""How tests ended lately, as far as they passed or failed, whether that counted or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_swarmtask.history.query import NEWEST_COMPLETE

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_swarmtask.history.database import Database

MOST = 20
"""Results of a test that are looked at. Whoever fails once in ten runs passes twenty in a row with a chance of 12 %."""

_TESTS = """
SELECT id, name, variant FROM task
WHERE project = ? AND kind = 'TEST' ORDER BY name, variant
"""
# A test that passed only when it was repeated is no more reliable than one that failed.
_RESULTS = """
SELECT CASE WHEN span.status IN ('passed', 'xpassed') AND coalesce(span.attempt, 1) = 1 THEN 1 ELSE 0 END
FROM span WHERE span.task = ? AND span.superseded = 0
  AND (span.failed = 1 OR span.status IN ('passed', 'xpassed', 'quarantined'))
ORDER BY span.started DESC, span.id DESC LIMIT ?
"""
_LAST_COMPLETE = f"""
WITH ranked AS ({NEWEST_COMPLETE})
SELECT DISTINCT span.task FROM ranked JOIN span ON span.run = ranked.id WHERE ranked.number = 1 AND span.kind = 'TEST'
"""


@dataclass(frozen=True)
class LastResults:
    """The last results of a test, at most `MOST`.

    Attributes:
        test, variant: the test.
        results: how many there are.
        failed: how many of them failed, or passed only when the test was repeated.
        passed_in_a_row: how many passed since the last of these.
        is_in_last_run: whether the test is in the last complete run of these variants.
    """

    test: str
    variant: str
    results: int
    failed: int
    passed_in_a_row: int
    is_in_last_run: bool


def last_results_of(db: Database, is_wanted: Callable[[str], bool]) -> tuple[list[LastResults], bool]:
    """Return the last results of all tests that are wanted, by name, and whether there is a complete run at all.

    Args:
        db: the history.
        is_wanted: whether a node id is wanted.
    """
    present = {task for (task,) in db.execute(_LAST_COMPLETE, (db.project,))}
    tests = [row for row in db.execute(_TESTS, (db.project,)).fetchall() if is_wanted(row[1])]
    found = []
    for task, name, variant in tests:
        passed = [bool(row[0]) for row in db.execute(_RESULTS, (task, MOST))]
        in_a_row = next((number for number, each in enumerate(passed) if not each), len(passed))
        found.append(LastResults(name, variant, len(passed), passed.count(False), in_a_row, task in present))
    return found, bool(present)
