"""Import the journal into the history. Each event is imported once, even if importers are killed or run in parallel."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.history.flaky import reassess
from pytest_swarmtask.history.rows import FACTS, Batch, SpanRow
from pytest_swarmtask.history.runs import refresh
from pytest_swarmtask.history.traces import run_key
from pytest_swarmtask.journal import segment_file
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.journal.compression import DamagedSegmentError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.history.database import Database

BATCH = 10_000
"""Lines in one transaction. It bounds the memory of an import, and how long another writer has to wait."""

_MOST_REMEMBERED = 20_000
"""Tasks whose keys are remembered. It bounds the memory of an import of many suites."""

_EVENT = "INSERT INTO event (run, event_id, day, line) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_SEGMENT = """
INSERT INTO segment VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE
SET offset = excluded.offset, events = segment.events + excluded.events,
    foreign_lines = segment.foreign_lines + excluded.foreign_lines
"""
_END = ("ended", "status", "failed", "duration", "error", "place", "phase", "attempt", "worker", "exit_code",
           "teardown_error", "tests", "partial", "orphaned")  # fmt: skip
_COLUMNS = ("started", *_END, "command", "job", "job_run")
# Start and end of a span may come in any order and in different batches: the earliest start and the latest end win. An
# end that a reader wrote for a process that it took for dead, since its segment was cut off, gives way to the real one.
_WINS = """excluded.ended IS NOT NULL AND (span.ended IS NULL OR excluded.orphaned < span.orphaned
    OR excluded.orphaned = span.orphaned AND excluded.ended >= span.ended)"""
_SPAN = f"""
INSERT INTO span (run, span_id, parent, kind, task, {", ".join(_COLUMNS)})
VALUES ({", ".join("?" * (5 + len(_COLUMNS)))})
ON CONFLICT (run, span_id) DO UPDATE SET
    started = CASE WHEN excluded.started < span.started THEN excluded.started ELSE span.started END,
    command = coalesce(span.command, excluded.command),
    job = coalesce(span.job, excluded.job), job_run = coalesce(span.job_run, excluded.job_run),
    {", ".join(f"{name} = CASE WHEN {_WINS} THEN excluded.{name} ELSE span.{name} END" for name in _END)}
"""
_VARIANT = "SELECT variant FROM span JOIN task ON task.id = span.task WHERE run = ? AND span_id = ?"
_NAMELESS = """
WITH RECURSIVE below (span_id) AS (
    SELECT span_id FROM span WHERE run = ?1 AND span_id = ?2
    UNION
    SELECT span.span_id FROM below JOIN span ON span.run = ?1 AND span.parent = below.span_id
    JOIN task ON task.id = span.task AND task.variant = ''
)
SELECT span.id, task.id, task.kind, task.name FROM below JOIN span ON span.run = ?1 AND span.span_id = below.span_id
JOIN task ON task.id = span.task AND task.variant = ''
"""
_TASK = "INSERT INTO task (project, kind, name, variant) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_TASK_KEYS = """
SELECT id, kind, name, variant FROM task WHERE project = ? AND name IN (SELECT value FROM json_each(?))
"""
_EVIDENCE = """
INSERT INTO evidence (span, exception, fingerprint, detail)
SELECT id, ?, ?, ? FROM span WHERE run = ? AND span_id = ?
ON CONFLICT (span) DO UPDATE SET exception = excluded.exception, fingerprint = excluded.fingerprint,
    detail = excluded.detail
"""
_TRACE = """
UPDATE trace SET started = CASE WHEN started <= ?1 THEN started ELSE ?1 END WHERE project = ?2 AND trace_id = ?3
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
        damaged: paths of compressed segments that are damaged. Their lines before the damage are imported.
    """

    events: int = 0
    foreign: int = 0
    damaged: tuple[str, ...] = ()


def ingest(db: Database, project: Project, without_lines: Container[str] = ()) -> Ingested:
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
    keys = TaskKeys()
    grown = _grown_segments(db, project)
    while grown:
        with db.transaction():
            batch, grown = _read_batch(db, project, grown, without_lines)
            if batch.segments:
                write_batch(db, batch, keys)
        events += sum(counts[1] for counts in batch.segments.values())
        foreign += sum(counts[2] for counts in batch.segments.values())
        damaged += batch.damaged
    refresh(db)
    return Ingested(events, foreign, tuple(damaged))


def _grown_segments(db: Database, project: Project) -> list[str]:
    """Return the names of the segments that are longer than their cursor, oldest first."""
    cursors: dict[str, int] = dict(db.execute("SELECT name, offset FROM segment"))
    names = (segment.name for segment in journals.segments(project.journal))
    return [name for name in names if _size(project, name) > cursors.get(name, 0)]


def _size(project: Project, name: str) -> int:
    try:
        return segment_file.size(project.segment(name))
    except OSError:
        return 0  # retention has removed it meanwhile


def forget_segments(db: Database, names: Iterable[str]) -> None:
    """Make the next import read these segments from their beginning. What is known already stays as it is."""
    with db.transaction():
        db.executemany("DELETE FROM segment WHERE name = ?", [(name,) for name in names])


def _read_batch(
    db: Database, project: Project, names: list[str], without_lines: Container[str]
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


_Task = tuple[str, str, str]  # kind, name, variant


class TaskKeys:
    """The primary keys of the tasks of one project, remembered from batch to batch until some task is removed."""

    def __init__(self) -> None:
        self._known: dict[_Task, int] = {}
        self._removals = 0

    def of(self, db: Database, tasks: Iterable[_Task]) -> Mapping[_Task, int]:
        """Return the keys of tasks. Those that the history does not have are inserted."""
        self._forget_removed(db)
        missing = {task for task in tasks if task not in self._known}
        if missing:
            db.executemany(_TASK, [(db.project, *task) for task in sorted(missing)])
            names = json.dumps(sorted({name for _, name, _ in missing}))
            for key, *task in db.execute(_TASK_KEYS, (db.project, names)):
                self._known[tuple(task)] = key
        return self._known

    def forget(self) -> None:
        """Forget all keys, as after a transaction that was rolled back."""
        self._known.clear()

    def _forget_removed(self, db: Database) -> None:
        """Forget all keys if tasks were removed, or if too many keys are remembered."""
        (removals,) = db.execute("SELECT removals FROM project WHERE id = ?", (db.project,)).fetchone()
        if removals != self._removals or len(self._known) > _MOST_REMEMBERED:
            self.forget()
        self._removals = removals


class _Variants:
    """The variants of the spans of a batch. A span that names none has that of the span around it."""

    def __init__(self, db: Database, batch: Batch, runs: Mapping[str, int]) -> None:
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
        row = self._db.execute(_VARIANT, (self._runs[trace_id], span_id)).fetchone()
        return row[0] if row else ""


def write_batch(db: Database, batch: Batch, keys: TaskKeys) -> None:
    """Write the rows of a batch, inside a transaction."""
    runs = {trace_id: run_key(db, trace_id, facts.get("ci_run")) for trace_id, facts in batch.facts.items()}
    runs.update((trace_id, run_key(db, trace_id)) for trace_id in runs)  # a later trace may have merged earlier ones
    has_days = db.has_days
    lines = [(runs[trace], event, _day(at) if has_days else 0, line) for trace, event, at, line in batch.events]
    db.executemany(_EVENT, lines)
    _write_spans(db, batch, keys, runs)
    found = [(*span.evidence, runs[key[0]], key[1]) for key, span in batch.spans.items() if span.evidence]
    db.executemany(_EVIDENCE, found)
    for trace_id, facts in batch.facts.items():
        db.execute(_RUN, [*(facts.get(name) for name in ("coverage", "dirty", *FACTS)), runs[trace_id]])
    began = [(facts["started"], db.project, trace_id) for trace_id, facts in batch.facts.items() if "started" in facts]
    db.executemany(_TRACE, began)
    db.executemany(_SEGMENT, [(name, *counts) for name, counts in batch.segments.items()])


def _day(timestamp: str) -> int:
    """Return the day of a timestamp as the number 20260131."""
    return int(timestamp[:10].replace("-", ""))


def _write_spans(db: Database, batch: Batch, keys: TaskKeys, runs: Mapping[str, int]) -> None:
    variants = _Variants(db, batch, runs)
    tasks = {key: (span.kind, span.name, variants.of(key[0], span)) for key, span in batch.spans.items()}
    known = keys.of(db, tasks.values())
    late = [key for key, span in batch.spans.items() if span.variant and _has_nameless(db, runs[key[0]], key[1])]
    rows: dict[tuple[int, str], tuple[object, ...]] = {}
    for key, span in batch.spans.items():
        row = (runs[key[0]], key[1])
        if row in rows:  # two traces of one run name the same span, and one statement must not update a row twice
            db.executemany(_SPAN, list(rows.values()))
            rows.clear()
        rows[row] = _values(*row, known[tasks[key]], span)
    db.executemany(_SPAN, list(rows.values()))
    for trace_id, span_id in late:
        _name_variant(db, keys, runs[trace_id], span_id, batch.spans[trace_id, span_id].variant or "")


def _has_nameless(db: Database, run: int, span_id: str) -> bool:
    """Whether the history has a span without a variant, or spans directly below it, but not the event that names it.

    Events of several processes come in any order: a test may come before the start of its session.
    """
    own = db.execute(_VARIANT, (run, span_id)).fetchone()
    if own is not None:
        return not own[0]
    return db.execute("SELECT 1 FROM span WHERE run = ? AND parent = ? LIMIT 1", (run, span_id)).fetchone() is not None


def _name_variant(db: Database, keys: TaskKeys, run: int, span_id: str, variant: str) -> None:
    """Give a span, and all spans below it that have no variant, a variant."""
    nameless = db.execute(_NAMELESS, (run, span_id)).fetchall()
    known = keys.of(db, [(kind, name, variant) for *_, kind, name in nameless])
    renamed = [(known[kind, name, variant], key) for key, _, kind, name in nameless]
    db.executemany("UPDATE span SET task = ? WHERE id = ?", renamed)
    reassess(db, {task for _, task, *_ in nameless})


def _values(run: int, span_id: str, task: int, s: SpanRow) -> tuple[object, ...]:
    """Return the values of the statement `_SPAN`."""
    return (run, span_id, s.parent, s.kind, task, s.started, s.ended, s.status, s.failed, s.duration, s.error, s.place,
            s.phase, s.attempt, s.worker, s.exit_code, s.teardown_error, s.tests, s.partial, s.orphaned,
            s.command, s.job, s.job_run)  # fmt: skip
