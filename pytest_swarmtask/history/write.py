"""Write the rows of a batch of events, each once, whatever the order in which they come."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

from pytest_swarmtask.history.flaky import reassess
from pytest_swarmtask.history.rows import FACTS, SpanRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.keys import Keys
    from pytest_swarmtask.history.rows import Batch

_EVENT = "INSERT INTO event (run, event_id, day, line) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_END = ("ended", "status", "failed", "duration", "error", "place", "phase", "attempt", "worker", "exit_code",
           "teardown_error", "tests", "partial", "split", "tasks", "orphaned")  # fmt: skip
_COLUMNS = ("started", *_END, "command", "job", "job_run", "software")
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
    software = coalesce(span.software, excluded.software),
    {", ".join(f"{name} = CASE WHEN {_WINS} THEN excluded.{name} ELSE span.{name} END" for name in _END)}
"""
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
_EVIDENCE = """
INSERT INTO evidence (span, failed_run, exception, fingerprint, detail)
SELECT id, CASE WHEN failed = 1 THEN run END, ?, ?, ? FROM span WHERE run = ? AND span_id = ?
ON CONFLICT (span) DO UPDATE SET failed_run = excluded.failed_run, exception = excluded.exception,
    fingerprint = excluded.fingerprint, detail = excluded.detail
"""
_TRACE = """
UPDATE trace SET started = CASE WHEN started <= ?1 THEN started ELSE ?1 END WHERE project = ?2 AND trace_id = ?3
"""
_FACTS = f"""
UPDATE run SET coverage = coalesce(?, coverage), dirty = coalesce(dirty, ?),
    {", ".join(f'"{name}" = coalesce("{name}", ?)' for name in FACTS)} WHERE id = ?
"""
_STALE = """
UPDATE run SET stale = 1, changes = changes + 1 WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each(?))
"""


def write_batch(db: Database, batch: Batch, keys: Keys) -> None:
    """Write the rows of a batch, inside a transaction."""
    keys.refresh(db)
    runs = keys.runs(db, batch.facts)
    has_days = db.has_days
    lines = [(runs[trace], event, _day(at[:10]) if has_days else 0, line) for trace, event, at, line in batch.events]
    db.executemany(_EVENT, lines)
    _write_spans(db, batch, keys, runs)
    found = [(*span.evidence, runs[key[0]], key[1]) for key, span in batch.spans.items() if span.evidence]
    db.executemany(_EVIDENCE, found)
    _write_runs(db, batch, runs)


@functools.lru_cache(maxsize=100)
def _day(date: str) -> int:
    """Return the day of a date such as 2026-01-31 as the number 20260131."""
    return int(date.replace("-", ""))


def _write_runs(db: Database, batch: Batch, runs: Mapping[str, int]) -> None:
    known = [(trace_id, facts) for trace_id, facts in batch.facts.items() if facts]
    columns = ("coverage", "dirty", *FACTS)
    db.executemany(_FACTS, [(*(facts.get(name) for name in columns), runs[trace_id]) for trace_id, facts in known])
    began = [(facts["started"], db.project, trace_id) for trace_id, facts in known if "started" in facts]
    db.executemany(_TRACE, began)
    db.execute(_STALE, (json.dumps(sorted({runs[trace_id] for trace_id in batch.facts})),))


class _Variants:
    """The variants of the spans of a batch. A span that names none has that of the span around it."""

    def __init__(self, db: Database, batch: Batch, keys: Keys, runs: Mapping[str, int]) -> None:
        self._db = db
        self._spans = batch.spans
        self._keys = keys
        self._runs = runs
        self._found: dict[tuple[str, str], str] = {}

    def of(self, trace_id: str, span: SpanRow) -> str:
        """Return the variant of a span, or an empty text."""
        if span.variant is not None:
            return span.variant
        return "" if span.parent is None else self._of_parent((trace_id, span.parent))

    def _of_parent(self, key: tuple[str, str]) -> str:
        found = self._found.get(key)
        if found is None:
            self._found[key] = ""  # spans that name each other as their parents come from no process of ours
            trace_id, span_id = key
            row = self._spans.get(key)
            found = self.of(trace_id, row) if row else ""
            found = found or self._keys.variant(self._db, self._runs[trace_id], span_id) or ""
            self._found[key] = found
        return found


def _write_spans(db: Database, batch: Batch, keys: Keys, runs: Mapping[str, int]) -> None:
    variants = _Variants(db, batch, keys, runs)
    tasks = {key: (span.kind, span.name, variants.of(key[0], span)) for key, span in batch.spans.items()}
    known = keys.tasks(db, tasks.values())
    late = [key for key, span in batch.spans.items() if span.variant and _has_nameless(db, keys, runs[key[0]], key[1])]
    if late:
        db.hold_derivations()  # first of all: who holds rows already must not wait for one who may want them
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


def _has_nameless(db: Database, keys: Keys, run: int, span_id: str) -> bool:
    """Whether the history has a span without a variant, or spans directly below it, but not the event that names it.

    Events of several processes come in any order: a test may come before the start of its session.
    """
    own = keys.variant(db, run, span_id)
    if own is not None:
        return not own
    return db.execute("SELECT 1 FROM span WHERE run = ? AND parent = ? LIMIT 1", (run, span_id)).fetchone() is not None


def _name_variant(db: Database, keys: Keys, run: int, span_id: str, variant: str) -> None:
    """Give a span, and all spans below it that have no variant, a variant."""
    nameless = db.execute(_NAMELESS, (run, span_id)).fetchall()
    known = keys.tasks(db, [(kind, name, variant) for *_, kind, name in nameless])
    renamed = [(known[kind, name, variant], key) for key, _, kind, name in nameless]
    db.executemany("UPDATE span SET task = ? WHERE id = ?", renamed)
    reassess(db, {task for _, task, *_ in nameless})


def _values(run: int, span_id: str, task: int, s: SpanRow) -> tuple[object, ...]:
    """Return the values of the statement `_SPAN`."""
    return (run, span_id, s.parent, s.kind, task, s.started, s.ended, s.status, s.failed, s.duration, s.error, s.place,
            s.phase, s.attempt, s.worker, s.exit_code, s.teardown_error, s.tests, s.partial, s.split, s.tasks,
            s.orphaned, s.command, s.job, s.job_run, s.software)  # fmt: skip
