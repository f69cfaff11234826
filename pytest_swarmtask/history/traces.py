"""Which run a trace belongs to. One CI run may have several traces: GitHub gives each attempt at a run its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_swarmtask.history.database import Database

REMOVED = "UPDATE project SET removals = removals + 1 WHERE id = ?"
"""Runs or tasks of a project were removed: whoever remembers their keys (`history.keys`) has to forget them."""

_TABLES = ("event", "span", "trace")
"""The tables whose rows belong to a run."""
_DERIVED = ("shared_cause", "flaky_run")
"""The tables that are computed from them. The verdicts on the tests of the run are renewed because it is stale."""

_MOVE_EVIDENCE = """
UPDATE evidence SET failed_run = ? WHERE span IN (SELECT id FROM span WHERE run = ?) AND failed_run = ?
"""
_KNOWN = """
SELECT run.id, ci_run FROM trace JOIN run ON run.id = trace.run WHERE trace.project = ? AND trace.trace_id = ?
"""
_ADD_TRACE = "INSERT INTO trace (project, trace_id, run) VALUES (?, ?, ?)"


def run_key(db: Database, trace_id: str, ci_run: str | None = None) -> int:
    """Return the key of the run of a trace, and insert trace and run if the history does not have them.

    Args:
        db: the history.
        trace_id: the trace.
        ci_run: the name of the CI run that the trace is an attempt at, if its events say so. All attempts at it become
            one run.
    """
    run, known = db.execute(_KNOWN, (db.project, trace_id)).fetchone() or (None, None)
    if ci_run is None or known is not None:
        return _new_run(db, trace_id) if run is None else int(run)
    attempted = db.execute("SELECT id FROM run WHERE project = ? AND ci_run = ?", (db.project, ci_run)).fetchone()
    if attempted is None:
        run = _new_run(db, trace_id) if run is None else run
        db.execute("UPDATE run SET ci_run = ? WHERE id = ?", (ci_run, run))
        return int(run)
    if run is None:
        db.execute(_ADD_TRACE, (db.project, trace_id, *attempted))
    else:
        _merge(db, run, *attempted)
    return int(attempted[0])


def _new_run(db: Database, trace_id: str) -> int:
    db.execute("INSERT INTO run (project, trace_id) VALUES (?, ?)", (db.project, trace_id))
    query = "SELECT id FROM run WHERE project = ? AND trace_id = ?"
    key = int(db.execute(query, (db.project, trace_id)).fetchone()[0])
    db.execute(_ADD_TRACE, (db.project, trace_id, key))
    return key


def _merge(db: Database, run: int, into: int) -> None:
    """Make the rows of a run those of another: its first events had not told that it is an attempt at that one."""
    db.hold_derivations()
    for table in _TABLES:
        db.execute(f"UPDATE {table} SET run = ? WHERE run = ?", (into, run))
    db.execute(_MOVE_EVIDENCE, (into, into, run))
    for table in _DERIVED:
        db.execute(f"DELETE FROM {table} WHERE run = ?", (run,))
    db.execute("DELETE FROM run WHERE id = ?", (run,))
    db.execute("UPDATE run SET stale = 1, changes = changes + 1 WHERE id = ?", (into,))
    db.execute(REMOVED, (db.project,))
