"""Import the journal into the history. Each event is imported once, even if importers are killed or run in parallel."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.history.database import transaction
from pytest_swarmtask.history.rows import FACTS, Batch, SpanRow
from pytest_swarmtask.history.runs import refresh
from pytest_swarmtask.history.traces import run_key
from pytest_swarmtask.journal import segment_file
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.journal.compression import DamagedSegmentError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Container, Iterable

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
           "teardown_error", "tests", "partial", "orphaned")  # fmt: skip
_COLUMNS = ("started", *_END, "command", "job", "job_run")
# Start and end of a span may come in any order and in different batches: the earliest start and the latest end win. An
# end that a reader wrote for a process that it took for dead, since its segment was cut off, gives way to the real one.
_WINS = """excluded.ended IS NOT NULL AND (ended IS NULL OR excluded.orphaned < orphaned
    OR excluded.orphaned = orphaned AND excluded.ended >= ended)"""
_SPAN = f"""
INSERT INTO span (run, span_id, parent, kind, task, {", ".join(_COLUMNS)})
VALUES ({", ".join("?" * (5 + len(_COLUMNS)))})
ON CONFLICT (run, span_id) DO UPDATE SET
    started = min(started, excluded.started),
    command = coalesce(command, excluded.command),
    job = coalesce(job, excluded.job), job_run = coalesce(job_run, excluded.job_run),
    {", ".join(f"{c} = CASE WHEN {_WINS} THEN excluded.{c} ELSE {c} END" for c in _END)}
"""
_EVIDENCE = """
INSERT OR REPLACE INTO evidence (span, exception, fingerprint, detail)
SELECT id, ?, ?, ? FROM span WHERE run = ? AND span_id = ?
"""
_TRACE = "UPDATE trace SET started = min(?1, coalesce(started, ?1)) WHERE trace_id = ?2"
_RUN = f"""
UPDATE run SET stale = 1, coverage = coalesce(?, coverage), dirty = coalesce(dirty, ?),
    {", ".join(f'"{name}" = coalesce("{name}", ?)' for name in FACTS)} WHERE id = ?
"""


class Ingested(NamedTuple):
    """How many lines one call of `ingest` has imported.

    Attributes:
        events: lines that are events.
        foreign: lines that are not events. They are only counted.
        damaged: paths of compressed segments that are damaged. Their lines before the damage are imported.
    """

    events: int = 0
    foreign: int = 0
    damaged: tuple[str, ...] = ()


def ingest(db: sqlite3.Connection, project: Project, without_lines: Container[str] = ()) -> Ingested:
    """Import all new lines of a journal.

    The cursor of a segment is written in the same transaction as its lines, so an import may be interrupted anywhere.
    If there are no new lines, nothing is written, and no other writer is waited for.

    Args:
        db: the history.
        project: the project whose journal is imported.
        without_lines: names of segments of which only the rows are kept, and not the whole lines beside them.

    Raises:
        sqlite3.Error: the database is locked for too long, full or corrupt. Finished transactions remain.
    """
    events = foreign = 0
    damaged: list[str] = []
    keys = _TaskKeys(db)
    grown = _grown_segments(db, project)
    while grown:
        with transaction(db):
            batch, grown = _read_batch(db, project, grown, without_lines)
            _write_batch(db, batch, keys)
        events += sum(counts[1] for counts in batch.segments.values())
        foreign += sum(counts[2] for counts in batch.segments.values())
        damaged += batch.damaged
    refresh(db)
    return Ingested(events, foreign, tuple(damaged))


def _grown_segments(db: sqlite3.Connection, project: Project) -> list[str]:
    """Return the names of the segments that are longer than their cursor, oldest first."""
    cursors: dict[str, int] = dict(db.execute("SELECT name, offset FROM segment"))
    names = (segment.name for segment in journals.segments(project.journal))
    return [name for name in names if _size(project, name) > cursors.get(name, 0)]


def _size(project: Project, name: str) -> int:
    try:
        return segment_file.size(project.segment(name))
    except OSError:
        return 0  # retention has removed it meanwhile


def forget_segments(db: sqlite3.Connection, names: Iterable[str]) -> None:
    """Make the next import read these segments from their beginning. What is known already stays as it is."""
    with transaction(db):
        db.executemany("DELETE FROM segment WHERE name = ?", [(name,) for name in names])


def _read_batch(
    db: sqlite3.Connection, project: Project, names: list[str], without_lines: Container[str]
) -> tuple[Batch, list[str]]:
    """Return the next lines, and the segments that may have more lines.

    The cursors are read here, inside the transaction, because another process may have moved them meanwhile.
    """
    batch = Batch()
    left = BATCH
    for number, name in enumerate(names):
        row = db.execute("SELECT offset FROM segment WHERE name = ?", (name,)).fetchone()
        offset = row[0] if row else 0
        counts = [offset, 0, 0]
        keep_line = name not in without_lines
        for line, counts[0] in _lines(project.segment(name), offset, batch.damaged):
            counts[1 if batch.add(line, keep_line=keep_line) else 2] += 1
            left -= 1
            if not left:
                break
        if counts[1] or counts[2]:
            batch.segments[name] = counts
        if not left:
            return batch, names[number:]
    return batch, []


def _lines(path: str, offset: int, damaged: list[str]) -> Iterable[tuple[bytes, int]]:
    try:
        yield from journals.read(path, offset)
    except DamagedSegmentError as error:
        damaged.append(error.filename)
    except OSError:
        pass  # retention has removed it meanwhile, or another user's process has written it


class _TaskKeys:
    """The primary keys of tasks, remembered from batch to batch while no other process changes the history."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[tuple[str, str, str], int] = {}
        self._seen = 0

    def begin_batch(self) -> None:
        """Forget all keys if another process may have deleted tasks, or if too many are remembered."""
        (changes,) = self._db.execute("PRAGMA data_version").fetchone()  # changes when another connection has written
        if changes != self._seen or len(self._known) > _MOST_REMEMBERED:
            self._known.clear()
        self._seen = changes

    def key(self, kind: str, name: str, variant: str) -> int:
        """Return the key of a task, and insert the task if the history does not have it."""
        task = (kind, name, variant)
        known = self._known.get(task)
        if known is None:
            row = self._db.execute("SELECT id FROM task WHERE kind = ? AND name = ? AND variant = ?", task).fetchone()
            if row is None:
                insert = "INSERT INTO task (kind, name, variant) VALUES (?, ?, ?)"
                row = (self._db.execute(insert, task).lastrowid,)
            known = self._known[task] = row[0]
        return known


class _Variants:
    """The variants of the spans of a batch. A span that names none has that of the span around it."""

    def __init__(self, db: sqlite3.Connection, batch: Batch, runs: dict[str, int]) -> None:
        self._db = db
        self._spans = batch.spans
        self._runs = runs
        self._known: dict[tuple[str, str], str] = {}

    def of(self, trace_id: str, span: SpanRow) -> str:
        """Return the variant of a span, or an empty text."""
        if span.variant is not None:
            return span.variant
        return "" if span.parent is None else self._of_parent(trace_id, span.parent)

    def _of_parent(self, trace_id: str, span_id: str) -> str:
        key = (trace_id, span_id)
        known = self._known.get(key)
        if known is None:
            self._known[key] = ""  # spans that name each other as their parents come from no process of ours
            row = self._spans.get(key)
            known = self._known[key] = (self.of(trace_id, row) if row else "") or self._stored(trace_id, span_id)
        return known

    def _stored(self, trace_id: str, span_id: str) -> str:
        query = "SELECT variant FROM span JOIN task ON task.id = span.task WHERE run = ? AND span_id = ?"
        row = self._db.execute(query, (self._runs[trace_id], span_id)).fetchone()
        return row[0] if row else ""


def _write_batch(db: sqlite3.Connection, batch: Batch, keys: _TaskKeys) -> None:
    if not batch.segments:
        return
    runs = {trace_id: run_key(db, trace_id, facts.get("ci_run")) for trace_id, facts in batch.facts.items()}
    runs.update((trace_id, run_key(db, trace_id)) for trace_id in runs)  # a later trace may have merged earlier ones
    keys.begin_batch()
    db.executemany(_EVENT, [(runs[trace_id], event_id, line) for trace_id, event_id, line in batch.events])
    variants = _Variants(db, batch, runs)
    spans = []
    for (trace_id, id_), span in batch.spans.items():
        task = keys.key(span.kind, span.name, variants.of(trace_id, span))
        spans.append(_values(runs[trace_id], id_, task, span))
    db.executemany(_SPAN, spans)
    found = ((*span.evidence, runs[key[0]], key[1]) for key, span in batch.spans.items() if span.evidence)
    db.executemany(_EVIDENCE, found)
    for trace_id, facts in batch.facts.items():
        db.execute(_RUN, [*(facts.get(name) for name in ("coverage", "dirty", *FACTS)), runs[trace_id]])
    began = [(facts["started"], trace_id) for trace_id, facts in batch.facts.items() if "started" in facts]
    db.executemany(_TRACE, began)
    db.executemany(_SEGMENT, [(name, *counts) for name, counts in batch.segments.items()])


def _values(run: int, span_id: str, task: int, s: SpanRow) -> tuple[object, ...]:
    """Return the values of the statement `_SPAN`."""
    return (run, span_id, s.parent, s.kind, task, s.started, s.ended, s.status, s.failed, s.duration, s.error, s.place,
            s.phase, s.attempt, s.worker, s.exit_code, s.teardown_error, s.tests, s.partial, s.orphaned,
            s.command, s.job, s.job_run)  # fmt: skip
