"""How long and how much history is kept: whole runs go, the oldest first; the newest always stays."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_swarmtask.core.trace import Clock
from pytest_swarmtask.history.database import transaction

if TYPE_CHECKING:
    import sqlite3

EVERY = 3600.0
"""Seconds between two looks at what is too old or too much."""
_TABLES = ("event", "span")


def is_due(db: sqlite3.Connection) -> bool:
    """Tell whether it is time to look again, and take note that somebody does."""
    row = db.execute("SELECT value FROM note WHERE name = 'pruned'").fetchone()
    now = time.time()
    if row is not None and 0 <= now - row[0] < EVERY:
        return False
    db.execute("INSERT OR REPLACE INTO note VALUES ('pruned', ?)", (now,))
    return True


def prune(db: sqlite3.Connection, age: float, size: float) -> int:
    """Remove what is too old or too much.

    Args:
        db: the history.
        age: seconds that a run is kept after its last sign of life.
        size: bytes that the file may have.

    Returns:
        How many runs were removed.
    """
    clock = Clock()
    limit = clock.timestamp(max(0.0, clock.now() - age))
    removed = 0
    while (run := _oldest(db)) is not None and (run[1] < limit or _bytes(db) > size):
        with transaction(db):
            for table in _TABLES:
                db.execute(f"DELETE FROM {table} WHERE run = ?", run[:1])
            db.execute("DELETE FROM run WHERE id = ?", run[:1])
        removed += 1
    if removed:
        with transaction(db):
            db.execute("DELETE FROM task WHERE NOT EXISTS (SELECT 1 FROM span WHERE span.task = task.id)")
        db.executescript("PRAGMA incremental_vacuum")  # `execute` would take one step, which frees one page
    return removed


def _oldest(db: sqlite3.Connection) -> tuple[int, str] | None:
    """Return key and last sign of life of the oldest run, unless it is the only one."""
    rows = db.execute("SELECT id, coalesce(ended, started, '') FROM run ORDER BY started LIMIT 2").fetchall()
    return rows[0] if len(rows) > 1 else None


def _bytes(db: sqlite3.Connection) -> int:
    pages, free, size = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)
