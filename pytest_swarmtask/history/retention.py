"""Keep the history within an age and a size. Whole runs are removed, the oldest first; the newest always stays.

The raw lines of a run are removed earlier. They are most of the file, and the rows made of them answer every question.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.core.trace import Clock
from pytest_swarmtask.history import evaluated
from pytest_swarmtask.history.flaky import reassess_all
from pytest_swarmtask.history.traces import REMOVED

if TYPE_CHECKING:
    from collections.abc import Collection

    from pytest_swarmtask.history.database import Database

EVERY = 3600.0
"""Seconds between two checks. The limits are in days and gigabytes, so a more frequent check would find nothing."""
_AT_ONCE = 200_000
"""Raw lines that one check removes, or those of one run. It bounds how long the command that checks has to wait: an old
history may have millions. The next checks remove the others."""
_DUE = """
SELECT id FROM run WHERE project = ? AND coalesce(ended, started) < ?
  AND EXISTS (SELECT 1 FROM event WHERE event.run = run.id)
ORDER BY started
"""
# The start of a span that has not ended stays: alerts look at it (`history.past.open_spans`).
_DROP = """
DELETE FROM event WHERE run = ?1 AND NOT EXISTS (
    SELECT 1 FROM span INDEXED BY span_open
    WHERE span.run = ?1 AND ended IS NULL AND span_id = json_extract(line, '$.span_id'))
"""
_OLDEST = """
SELECT id, coalesce(ended, started, '1970-01-01T00:00:00.000Z') AS last FROM run
WHERE project = ?1
  AND id NOT IN (SELECT run FROM trace WHERE project = ?1 AND trace_id IN (SELECT value FROM json_each(?2)))
  AND id NOT IN (SELECT id FROM run WHERE project = ?1
                 ORDER BY coalesce(ended, started, '1970-01-01T00:00:00.000Z') DESC, id DESC LIMIT 1)
ORDER BY last LIMIT 1
"""
_REMOVE = (
    "DELETE FROM evidence WHERE span IN (SELECT id FROM span WHERE run = ?)",
    *(
        f"DELETE FROM {table} WHERE run = ?"
        for table in ("event", "span", "trace", "shared_cause", "flaky_run", "flaky_test")
    ),
    "DELETE FROM run WHERE id = ?",
)

_REMOVE_TASKS = "DELETE FROM task WHERE project = ? AND NOT EXISTS (SELECT 1 FROM span WHERE span.task = task.id)"


def is_due(db: Database) -> bool:
    """Whether the last check was at least an hour ago. If so, the present one is written down."""
    (pruned,) = db.execute("SELECT pruned FROM project WHERE id = ?", (db.project,)).fetchone()
    now = time.time()
    if pruned is not None and 0 <= now - pruned < EVERY:  # a time in the future comes from a clock that was wrong
        return False
    db.execute("UPDATE project SET pruned = ? WHERE id = ?", (now, db.project))
    return True


def drop_events(db: Database, age: float) -> int:
    """Remove the raw lines of old runs. Their spans, evidence and totals stay.

    Args:
        db: the history.
        age: seconds that the lines of a run are kept after its end, or after its start if it has no end.

    Returns:
        The number of removed lines.
    """
    removed = 0
    for (run,) in db.execute(_DUE, (db.project, _limit(age))).fetchall():
        with db.transaction():
            removed += db.execute(_DROP, (run,)).rowcount
            evaluated.lower(db)
        if removed >= _AT_ONCE:
            break
    if removed:
        db.return_space()
    return removed


def prune(db: Database, age: float, size: float, kept: Collection[str] = ()) -> int:
    """Remove the oldest runs while they are too old, or the file is too big.

    Args:
        db: the history.
        age: seconds that a run is kept after its end, or after its start if it has no end.
        size: bytes that the file may have.
        kept: trace ids of runs that stay. People wait for them, and the clocks of their machines may be wrong.

    Returns:
        The number of removed runs.
    """
    limit = _limit(age)
    removed = 0
    while (run := _oldest(db, kept)) is not None and (run[1] < limit or db.used_bytes() > size):
        with db.transaction():
            db.hold_derivations()
            for statement in _REMOVE:
                db.execute(statement, run[:1])
            evaluated.lower(db)
            db.execute(REMOVED, (db.project,))
        removed += 1
    if removed:
        with db.transaction():
            db.hold_derivations()
            db.execute(_REMOVE_TASKS, (db.project,))
            db.execute(REMOVED, (db.project,))
            reassess_all(db)
        db.return_space()
    return removed


def _limit(age: float) -> str:
    """Return the timestamp before which things are older than an age in seconds."""
    clock = Clock()
    return clock.timestamp(max(0.0, clock.now() - age))


def _oldest(db: Database, kept: Collection[str]) -> tuple[int, str] | None:
    """Return the key and the end (or else the start) of the oldest run; None if there is no run that may go."""
    row: tuple[int, str] | None = db.execute(_OLDEST, (db.project, json.dumps(list(kept)))).fetchone()
    return row
