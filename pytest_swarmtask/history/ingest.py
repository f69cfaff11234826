"""From the journal to the history: each event once, however often this is asked for, and whatever is killed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.history.database import transaction
from pytest_swarmtask.history.rows import FACTS, Batch, SpanRow
from pytest_swarmtask.history.runs import refresh
from pytest_swarmtask.journal import segments as journals

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from pytest_swarmtask.core.project import Project

BATCH = 10_000
"""Lines of one transaction: they bound the memory, and how long another writer has to wait."""

_REMEMBERED = 20_000

_EVENT = "INSERT OR IGNORE INTO event (run, event_id, line) VALUES (?, ?, ?)"
_SEGMENT = """
INSERT INTO segment VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE
SET offset = excluded.offset, events = events + excluded.events, foreign_lines = foreign_lines + excluded.foreign_lines
"""
_END = ("ended", "status", "failed", "duration", "error", "place", "phase", "attempt", "worker", "exit_code",
           "teardown_error")  # fmt: skip
_COLUMNS = ("started", *_END, "command")
_SPAN = f"""
INSERT INTO span (run, span_id, parent, kind, task, {", ".join(_COLUMNS)})
VALUES ({", ".join("?" * (5 + len(_COLUMNS)))})
ON CONFLICT (run, span_id) DO UPDATE SET
    started = min(started, excluded.started),
    command = coalesce(command, excluded.command),
    {", ".join(f"{c} = CASE WHEN excluded.ended >= coalesce(ended, '') THEN excluded.{c} ELSE {c} END" for c in _END)}
"""
_RUN = f"""
UPDATE run SET stale = 1, coverage = coalesce(?, coverage), dirty = coalesce(dirty, ?),
    {", ".join(f'"{name}" = coalesce("{name}", ?)' for name in FACTS)} WHERE id = ?
"""


class Ingested(NamedTuple):
    """What one call found.

    Attributes:
        events: lines that are events.
        foreign: lines that are none.
    """

    events: int = 0
    foreign: int = 0


def ingest(db: sqlite3.Connection, project: Project) -> Ingested:
    """Take what is new in a journal into the history.

    What was read of each segment is kept in the same transaction as what was read, so it does not matter where this
    is interrupted. Where nothing is new, nothing is written and nobody is waited for.

    Raises:
        sqlite3.Error: the database is locked for too long, full or corrupt. What was taken in so far stays.
    """
    events = foreign = 0
    tasks = _Tasks(db)
    grown = _grown(db, project)
    while grown:
        with transaction(db):
            batch, grown = _read(db, project, grown)
            _write(db, batch, tasks)
        events += sum(counts[1] for counts in batch.segments.values())
        foreign += sum(counts[2] for counts in batch.segments.values())
    refresh(db)
    return Ingested(events, foreign)


def _grown(db: sqlite3.Connection, project: Project) -> list[str]:
    """Return the segments with something behind the cursor, oldest first."""
    cursors: dict[str, int] = dict(db.execute("SELECT name, offset FROM segment"))
    names = (segment.name for segment in journals.segments(project.journal))
    return [name for name in names if _size(project, name) > cursors.get(name, 0)]


def _size(project: Project, name: str) -> int:
    try:
        return os.stat(project.segment(name)).st_size
    except OSError:
        return 0  # removed in between


def _read(db: sqlite3.Connection, project: Project, names: list[str]) -> tuple[Batch, list[str]]:
    """Return the next lines, and the segments that they did not exhaust.

    The cursors are read here, inside the transaction: another process may have moved them since we looked.
    """
    batch = Batch()
    left = BATCH
    for number, name in enumerate(names):
        row = db.execute("SELECT offset FROM segment WHERE name = ?", (name,)).fetchone()
        offset = row[0] if row else 0
        counts = [offset, 0, 0]
        for line, counts[0] in _lines(project.segment(name), offset):
            counts[1 if batch.add(line) else 2] += 1
            left -= 1
            if not left:
                break
        if counts[1] or counts[2]:
            batch.segments[name] = counts
        if not left:
            return batch, names[number:]
    return batch, []


def _lines(path: str, offset: int) -> Iterable[tuple[bytes, int]]:
    try:
        yield from journals.read(path, offset)
    except OSError:
        pass  # removed in between, or not ours to read


class _Tasks:
    """The keys of tasks: remembered from batch to batch, as long as no other process has changed the history."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[tuple[str, str], int] = {}
        self._seen = 0

    def begin(self) -> None:
        """Forget what may no longer hold, or is too much to remember."""
        (changes,) = self._db.execute("PRAGMA data_version").fetchone()
        if changes != self._seen or len(self._known) > _REMEMBERED:
            self._known.clear()
        self._seen = changes

    def key(self, kind: str, name: str) -> int:
        """Return the key of a task, which is made where there is none."""
        known = self._known.get((kind, name))
        if known is None:
            row = self._db.execute("SELECT id FROM task WHERE kind = ? AND name = ?", (kind, name)).fetchone()
            if row is None:
                row = (self._db.execute("INSERT INTO task (kind, name) VALUES (?, ?)", (kind, name)).lastrowid,)
            known = self._known[kind, name] = row[0]
        return known


def _write(db: sqlite3.Connection, batch: Batch, tasks: _Tasks) -> None:
    if not batch.segments:
        return
    runs = {run: _run(db, run) for run in batch.facts}
    tasks.begin()
    db.executemany(_EVENT, [(runs[run], event_id, line) for run, event_id, line in batch.events])
    db.executemany(_SPAN, [_row(runs[run], id_, tasks.key(s.kind, s.name), s) for (run, id_), s in batch.spans.items()])
    for run, facts in batch.facts.items():
        db.execute(_RUN, [*(facts.get(name) for name in ("coverage", "dirty", *FACTS)), runs[run]])
    db.executemany(_SEGMENT, [(name, *counts) for name, counts in batch.segments.items()])


def _run(db: sqlite3.Connection, trace_id: str) -> int:
    db.execute("INSERT OR IGNORE INTO run (trace_id) VALUES (?)", (trace_id,))
    key: int = db.execute("SELECT id FROM run WHERE trace_id = ?", (trace_id,)).fetchone()[0]
    return key


def _row(run: int, span_id: str, task: int, s: SpanRow) -> tuple[object, ...]:
    return (run, span_id, s.parent, s.kind, task, s.started, s.ended, s.status, s.failed, s.duration, s.error, s.place,
            s.phase, s.attempt, s.worker, s.exit_code, s.teardown_error, s.command)  # fmt: skip
