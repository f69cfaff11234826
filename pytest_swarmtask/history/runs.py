"""The totals of a run (times, outcome, names, numbers of tests, which tests), computed from its spans.

Superseded spans count only for the times.

An import marks a run as stale in the transaction that adds to it. So if the import is killed before the totals are
computed, the next one computes them. It also counts that the run has changed: a run that changes while its totals are
computed stays stale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_swarmtask.core.timestamps import seconds_of
from pytest_swarmtask.history.flaky import refresh_flaky
from pytest_swarmtask.history.superseded import refresh_superseded

if TYPE_CHECKING:
    from pytest_swarmtask.history.database import Database

    _Session = tuple[int, str | None, float | None]  # partial, command, duration

_AT_ONCE = 100
"""Runs in one transaction. It bounds how long another writer to a SQLite file has to wait."""
_MOST_ROOTS = 3
"""Outermost tasks that are named in `what`, which has to fit into a line."""
_COLUMNS = {
    "passed": "passed",
    "failed": "failed",
    "error": "errors",
    "crashed": "crashed",
    "skipped": "skipped",
    "xfailed": "xfailed",
    "xpassed": "xpassed",
    "quarantined": "quarantined",
    None: "unfinished",
}
"""The column that counts the tests of each outcome. A test without an outcome has not ended."""

_CHANGES = "SELECT changes FROM run WHERE id = ?"
_TIMES = """
SELECT min(started), max(CASE WHEN ended > started THEN ended ELSE started END),
    count(CASE WHEN teardown_error IS NOT NULL AND status = 'failed' AND superseded = 0 THEN 1 END)
FROM span WHERE run = ?
"""
_ROOTS = """
SELECT task.name, span.ended, span.failed, span.command
FROM span JOIN task ON task.id = span.task
LEFT JOIN span AS above ON above.run = span.run AND above.span_id = span.parent
WHERE span.run = ? AND above.id IS NULL AND span.superseded = 0 ORDER BY span.started, span.id
"""
_FIRST_TRACE = "SELECT trace_id FROM trace WHERE run = ? ORDER BY started IS NULL, started, trace_id LIMIT 1"
_SESSIONS = "SELECT partial, command, duration FROM span WHERE run = ? AND tests IS NOT NULL AND superseded = 0"
_COUNTS = "SELECT status, count(*) FROM span WHERE run = ? AND kind = 'TEST' AND superseded = 0 GROUP BY status"
_VARIANTS = """
SELECT DISTINCT variant FROM task WHERE variant <> '' AND id IN (
    SELECT task FROM span WHERE run = ? AND kind = 'TASK') ORDER BY variant
"""
# A slash after the first "::" is one of a parameter.
_FOLDERS = """
SELECT DISTINCT
    CASE WHEN instr(name, '/') < instr(name || '::', '::') THEN substr(name, 1, instr(name, '/')) ELSE '' END
FROM task WHERE id IN (SELECT task FROM span WHERE run = ? AND kind = 'TEST') ORDER BY 1 LIMIT 50
"""
_UPDATE = f"""
UPDATE run SET trace_id = ?, stale = CASE WHEN changes = ? THEN 0 ELSE 1 END, started = ?, ended = ?, duration = ?,
    outcome = ?, roots = ?, command = ?, partial = ?, scope = ?, testing = ?, teardown_errors = ?, tests = ?,
    superseded = ?, variants = ?,
    {", ".join(f"{name} = ?" for name in _COLUMNS.values())}
WHERE id = ?
"""


def refresh(db: Database) -> bool:
    """Compute the totals of all stale runs, and the verdicts on the tests that failed in them or before.

    Returns:
        False if another process is at it, and so has not finished yet.
    """
    stale = [run for (run,) in db.execute("SELECT id FROM run WHERE project = ? AND stale = 1", (db.project,))]
    for start in range(0, len(stale), _AT_ONCE):
        runs = stale[start : start + _AT_ONCE]
        with db.derivation() as is_ours:
            if not is_ours:
                return False
            changes = {run: row[0] for run in runs if (row := db.execute(_CHANGES, (run,)).fetchone())}
            # Spans before runs, as an import writes them: so two writers never wait for each other.
            superseded = {run: refresh_superseded(db, run) for run in changes}
            for run, seen in changes.items():
                _refresh(db, run, seen, superseded[run])
            refresh_flaky(db, changes)
    return True


def _refresh(db: Database, run: int, changes: int, superseded: int) -> None:
    started, latest, teardown_errors = db.execute(_TIMES, (run,)).fetchone()
    names, command, has_ended, has_failed = _roots(db, run)
    ended = latest if has_ended else None
    outcome = "failed" if has_failed else "completed" if has_ended else "unfinished"
    counts = dict(db.execute(_COUNTS, (run,)).fetchall())
    numbers = [counts.get(status, 0) for status in _COLUMNS]
    sessions = db.execute(_SESSIONS, (run,)).fetchall()
    partial = any(is_partial for is_partial, _, _ in sessions)
    variants = "\n".join(variant for (variant,) in db.execute(_VARIANTS, (run,)))
    # Attempts at a CI run may come in any order, and the run is named by the one that began first.
    (name,) = db.execute(_FIRST_TRACE, (run,)).fetchone()
    values = (
        *(name, changes, started, ended, _seconds(started, ended), outcome, names, command),
        *(int(partial), _scope(db, run, sessions, partial=partial) if sum(numbers) else None, _testing(sessions)),
        *(teardown_errors, sum(numbers), superseded, variants),
    )
    db.execute(_UPDATE, (*values, *numbers, run))


def _seconds(started: str, ended: str | None) -> float | None:
    """Return the seconds between two timestamps; None if one is no timestamp, as anybody may have written it."""
    try:
        return None if ended is None else round(seconds_of(ended) - seconds_of(started), 6)
    except ValueError:
        return None


def _scope(db: Database, run: int, sessions: list[_Session], *, partial: bool) -> str:
    """Return a text that runs of the same tests have in common.

    Partial runs have it in common if they were started alike, as by ``pytest -k login``. For other runs it is the
    outermost folders of their tests. So ``pytest`` and ``pytest tests`` are the same if all tests are there.
    """
    if partial:
        return "\n".join(sorted({command or "" for _, command, _ in sessions}))
    return " ".join(folder for (folder,) in db.execute(_FOLDERS, (run,)))


def _testing(sessions: list[_Session]) -> float | None:
    known = [duration for _, _, duration in sessions if duration is not None]
    return sum(known) if known else None


def _roots(db: Database, run: int) -> tuple[str, str | None, bool, bool]:
    """Return of the outermost spans: names, the first command, whether all have ended, and whether one has failed."""
    names: dict[str, None] = {}
    first_command, has_ended, has_failed = None, True, False
    for name, ended, failed, command in db.lazily(_ROOTS, (run,)):  # there may be a million
        if name and len(names) <= _MOST_ROOTS:
            names[name] = None
        first_command = first_command or command or None
        has_ended &= ended is not None
        has_failed |= bool(failed)
    more = ", …" if len(names) > _MOST_ROOTS else ""
    return ", ".join(list(names)[:_MOST_ROOTS]) + more, first_command, has_ended, has_failed
