"""Keep the history within an age and a size. Whole runs are removed, the oldest first; the newest always stays.

The raw lines of a run are removed earlier. They are most of the file, and the rows made of them answer every question.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_swarmtask.core.trace import Clock
from pytest_swarmtask.history.flaky import reassess_all

if TYPE_CHECKING:
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
        if removed >= _AT_ONCE:
            break
    if removed:
        db.return_space()
    return removed


def prune(db: Database, age: float, size: float) -> int:
    """Remove the oldest runs while they are too old, or the file is too big.

    Args:
        db: the history.
        age: seconds that a run is kept after its end, or after its start if it has no end.
        size: bytes that the file may have.

    Returns:
        The number of removed runs.
    """
    limit = _limit(age)
    removed = 0
    while (run := _oldest(db)) is not None and ((run[1] or "") < limit or db.used_bytes() > size):
        with db.transaction():
            for statement in _REMOVE:
                db.execute(statement, run[:1])
        removed += 1
    if removed:
        with db.transaction():
            db.execute(_REMOVE_TASKS, (db.project,))
            db.execute("UPDATE project SET removals = removals + 1 WHERE id = ?", (db.project,))
            reassess_all(db)
        db.return_space()
    return removed


def _limit(age: float) -> str:
    """Return the timestamp before which things are older than an age in seconds."""
    clock = Clock()
    return clock.timestamp(max(0.0, clock.now() - age))


def _oldest(db: Database) -> tuple[int, str | None] | None:
    """Return the key and the end (or else the start) of the oldest run; None if there is no other run."""
    query = "SELECT id, coalesce(ended, started) FROM run WHERE project = ? ORDER BY started LIMIT 2"
    rows = db.execute(query, (db.project,)).fetchall()
    return rows[0] if len(rows) > 1 else None
