"""Which run a trace belongs to. One CI run may have several traces: GitHub gives each attempt at a run its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

_TABLES = ("event", "span", "trace")
"""The tables whose rows belong to a run."""
_DERIVED = ("shared_cause", "flaky_run")
"""The tables that are computed from them. The verdicts on the tests of the run are renewed because it is stale."""


def run_key(db: sqlite3.Connection, trace_id: str, ci_run: str | None = None) -> int:
    """Return the key of the run of a trace, and insert trace and run if the history does not have them.

    Args:
        db: the history.
        trace_id: the trace.
        ci_run: the name of the CI run that the trace is an attempt at, if its events say so. All attempts at it become
            one run.
    """
    query = "SELECT run.id, ci_run FROM trace JOIN run ON run.id = trace.run WHERE trace.trace_id = ?"
    run, known = db.execute(query, (trace_id,)).fetchone() or (None, None)
    if ci_run is None or known is not None:
        return _new_run(db, trace_id) if run is None else int(run)
    attempted = db.execute("SELECT id FROM run WHERE ci_run = ?", (ci_run,)).fetchone()
    if attempted is None:
        run = _new_run(db, trace_id) if run is None else run
        db.execute("UPDATE run SET ci_run = ? WHERE id = ?", (ci_run, run))
        return int(run)
    if run is None:
        db.execute("INSERT INTO trace (trace_id, run) VALUES (?, ?)", (trace_id, *attempted))
    else:
        _merge(db, run, *attempted)
    return int(attempted[0])


def _new_run(db: sqlite3.Connection, trace_id: str) -> int:
    key = db.execute("INSERT INTO run (trace_id) VALUES (?)", (trace_id,)).lastrowid
    assert key is not None  # noqa: S101 - an insert that does not raise has made a row
    db.execute("INSERT INTO trace (trace_id, run) VALUES (?, ?)", (trace_id, key))
    return key


def _merge(db: sqlite3.Connection, run: int, into: int) -> None:
    """Make the rows of a run those of another: its first events had not told that it is an attempt at that one."""
    for table in _TABLES:
        db.execute(f"UPDATE {table} SET run = ? WHERE run = ?", (into, run))
    for table in _DERIVED:
        db.execute(f"DELETE FROM {table} WHERE run = ?", (run,))
    db.execute("DELETE FROM run WHERE id = ?", (run,))
    db.execute("UPDATE run SET stale = 1 WHERE id = ?", (into,))
