"""Which run a trace belongs to. One CI run may have several traces: GitHub gives each attempt at a run its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

_TABLES = ("event", "span", "trace")
"""The tables whose rows belong to a run."""


def run_key(db: sqlite3.Connection, trace_id: str, ci_run: str | None = None) -> int:
    """Return the key of the run of a trace, and insert trace and run if the history does not have them.

    Args:
        db: the history.
        trace_id: the trace.
        ci_run: the name of the CI run that the trace is an attempt at, if its events say so. All its attempts become
            one run.
    """
    row = db.execute("SELECT run FROM trace WHERE trace_id = ?", (trace_id,)).fetchone()
    of_ci = None if ci_run is None else db.execute("SELECT id FROM run WHERE ci_run = ?", (ci_run,)).fetchone()
    if row is None:
        key: int = of_ci[0] if of_ci else _new_run(db, trace_id)
        db.execute("INSERT INTO trace VALUES (?, ?)", (trace_id, key))
        return key
    if of_ci and of_ci != row:
        _merge(db, row[0], of_ci[0])
    return int((of_ci or row)[0])


def _new_run(db: sqlite3.Connection, trace_id: str) -> int:
    key = db.execute("INSERT INTO run (trace_id) VALUES (?)", (trace_id,)).lastrowid
    assert key is not None  # noqa: S101 - an insert that does not raise has made a row
    return key


def _merge(db: sqlite3.Connection, run: int, into: int) -> None:
    """Make the rows of a run those of another: its first events had not told that it is an attempt at that one."""
    for table in _TABLES:
        db.execute(f"UPDATE {table} SET run = ? WHERE run = ?", (into, run))
    db.execute("DELETE FROM run WHERE id = ?", (run,))
    db.execute("UPDATE run SET stale = 1 WHERE id = ?", (into,))
