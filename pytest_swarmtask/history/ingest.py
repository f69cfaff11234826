"""Import the journal into the history. Each event is imported once, even if importers are killed or run in parallel."""

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
"""Lines in one transaction. It bounds the memory of an import, and how long another writer has to wait."""

_MOST_REMEMBERED = 20_000
"""Tasks whose keys are remembered. It bounds the memory of an import of many suites."""

_EVENT = "INSERT OR IGNORE INTO event (run, event_id, line) VALUES (?, ?, ?)"
_SEGMENT = """
INSERT INTO segment VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE
SET offset = excluded.offset, events = events + excluded.events, foreign_lines = foreign_lines + excluded.foreign_lines
"""
_END = ("ended", "status", "failed", "duration", "error", "place", "phase", "attempt", "worker", "exit_code",
           "teardown_error", "tests", "partial")  # fmt: skip
_COLUMNS = ("started", *_END, "command")
# Start and end of a span may come in any order and in different batches: the earliest start and the latest end win.
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
    """How many lines one call of `ingest` has imported.

    Attributes:
        events: lines that are events.
        foreign: lines that are not events. They are only counted.
    """

    events: int = 0
    foreign: int = 0


def ingest(db: sqlite3.Connection, project: Project) -> Ingested:
    """Import all new lines of a journal.

    The cursor of a segment is written in the same transaction as its lines, so an import may be interrupted anywhere.
    If there are no new lines, nothing is written, and no other writer is waited for.

    Raises:
        sqlite3.Error: the database is locked for too long, full or corrupt. Finished transactions remain.
    """
    events = foreign = 0
    keys = _TaskKeys(db)
    grown = _grown_segments(db, project)
    while grown:
        with transaction(db):
            batch, grown = _read_batch(db, project, grown)
            _write_batch(db, batch, keys)
        events += sum(counts[1] for counts in batch.segments.values())
        foreign += sum(counts[2] for counts in batch.segments.values())
    refresh(db)
    return Ingested(events, foreign)


def _grown_segments(db: sqlite3.Connection, project: Project) -> list[str]:
    """Return the names of the segments that are longer than their cursor, oldest first."""
    cursors: dict[str, int] = dict(db.execute("SELECT name, offset FROM segment"))
    names = (segment.name for segment in journals.segments(project.journal))
    return [name for name in names if _size(project, name) > cursors.get(name, 0)]


def _size(project: Project, name: str) -> int:
    try:
        return os.stat(project.segment(name)).st_size
    except OSError:
        return 0  # retention has removed it meanwhile


def _read_batch(db: sqlite3.Connection, project: Project, names: list[str]) -> tuple[Batch, list[str]]:
    """Return the next lines, and the segments that may have more lines.

    The cursors are read here, inside the transaction, because another process may have moved them meanwhile.
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
        pass  # retention has removed it meanwhile, or another user's process has written it


class _TaskKeys:
    """The primary keys of tasks, remembered from batch to batch while no other process changes the history."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[tuple[str, str], int] = {}
        self._seen = 0

    def begin_batch(self) -> None:
        """Forget all keys if another process may have deleted tasks, or if too many are remembered."""
        (changes,) = self._db.execute("PRAGMA data_version").fetchone()  # changes when another connection has written
        if changes != self._seen or len(self._known) > _MOST_REMEMBERED:
            self._known.clear()
        self._seen = changes

    def key(self, kind: str, name: str) -> int:
        """Return the key of a task, and insert the task if the history does not have it."""
        known = self._known.get((kind, name))
        if known is None:
            row = self._db.execute("SELECT id FROM task WHERE kind = ? AND name = ?", (kind, name)).fetchone()
            if row is None:
                row = (self._db.execute("INSERT INTO task (kind, name) VALUES (?, ?)", (kind, name)).lastrowid,)
            known = self._known[kind, name] = row[0]
        return known


def _write_batch(db: sqlite3.Connection, batch: Batch, keys: _TaskKeys) -> None:
    if not batch.segments:
        return
    runs = {run: _run_key(db, run) for run in batch.facts}
    keys.begin_batch()
    db.executemany(_EVENT, [(runs[run], event_id, line) for run, event_id, line in batch.events])
    spans = [_values(runs[run], id_, keys.key(span.kind, span.name), span) for (run, id_), span in batch.spans.items()]
    db.executemany(_SPAN, spans)
    for run, facts in batch.facts.items():
        db.execute(_RUN, [*(facts.get(name) for name in ("coverage", "dirty", *FACTS)), runs[run]])
    db.executemany(_SEGMENT, [(name, *counts) for name, counts in batch.segments.items()])


def _run_key(db: sqlite3.Connection, trace_id: str) -> int:
    db.execute("INSERT OR IGNORE INTO run (trace_id) VALUES (?)", (trace_id,))
    key: int = db.execute("SELECT id FROM run WHERE trace_id = ?", (trace_id,)).fetchone()[0]
    return key


def _values(run: int, span_id: str, task: int, s: SpanRow) -> tuple[object, ...]:
    """Return the values of the statement `_SPAN`."""
    return (run, span_id, s.parent, s.kind, task, s.started, s.ended, s.status, s.failed, s.duration, s.error, s.place,
            s.phase, s.attempt, s.worker, s.exit_code, s.teardown_error, s.tests, s.partial, s.command)  # fmt: skip
