"""Write the rows of a batch of events, each once, whatever the order in which they come."""

from __future__ import annotations

import functools
import json
from itertools import chain, groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from pytest_swarmtask.history.flaky import reassess
from pytest_swarmtask.history.rows import FACTS, evidence, session_columns, task_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.keys import Keys
    from pytest_swarmtask.history.rows import Batch, SpanRow

_EVENT = "INSERT INTO event (run, event_id, day, line) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_USUAL_END = ("ended", "status", "failed", "orphaned", "duration", "phase", "attempt")
_RARE_END = ("error", "place", "worker", "exit_code", "teardown_error", "tests", "partial", "split", "tasks")
_ENDS = (*_USUAL_END, *_RARE_END)
_USUAL = ("run", "span_id", "parent", "kind", "task", "started", *_USUAL_END)
_RARE = (*_RARE_END, "command", "job", "job_run", "software")
"""Columns that are NULL for most tests. SQLite's module spends more time on a NULL that is handed to it than on the
rest of the row, so most rows are written without these columns."""
# Start and end of a span may come in any order and in different batches: the earliest start and the latest end win. An
# end that a reader wrote for a process that it took for dead, since its segment was cut off, gives way to the real one.
_WINS = """excluded.ended IS NOT NULL AND (span.ended IS NULL OR excluded.orphaned < span.orphaned
    OR excluded.orphaned = span.orphaned AND excluded.ended >= span.ended)"""


def _span_statement(columns: Sequence[str]) -> str:
    """Return the statement that writes spans of which these columns are known. The others are NULL in `excluded`."""
    return f"""
INSERT INTO span ({", ".join(columns)})
VALUES ({", ".join("?" * len(columns))})
ON CONFLICT (run, span_id) DO UPDATE SET
    started = CASE WHEN excluded.started < span.started THEN excluded.started ELSE span.started END,
    command = coalesce(span.command, excluded.command),
    job = coalesce(span.job, excluded.job), job_run = coalesce(span.job_run, excluded.job_run),
    software = coalesce(span.software, excluded.software),
    {", ".join(f"{name} = CASE WHEN {_WINS} THEN excluded.{name} ELSE span.{name} END" for name in _ENDS)}
"""


_SPAN = _span_statement((*_USUAL, *_RARE))
_USUAL_SPAN = _span_statement(_USUAL)
_rare_end = attrgetter(
    "error", "location", "worker", "exit_code", "teardown_error", "tests", "partial", "split", "tasks"
)
_rare_start = attrgetter("command", "job", "job_run", "software")
_NO_RARE_END, _NO_RARE_START = (None,) * 9, (None,) * 4
_NO_RARE = _NO_RARE_END + _NO_RARE_START
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
    runs = keys.runs(db, {trace_id: batch.facts[trace_id] for trace_id in batch.spans})
    has_days = db.has_days
    lines = [(runs[trace], event, _day(at[:10]) if has_days else 0, line) for trace, event, at, line in batch.events]
    db.executemany(_EVENT, lines)
    _write_spans(db, batch, keys, runs)
    db.executemany(_EVIDENCE, [
        (*found, runs[trace_id], span_id)
        for trace_id, spans in batch.spans.items() for span_id, span in spans.items()
        if (found := evidence(span.ending))
    ])  # fmt: skip
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
    db.execute(_STALE, (json.dumps(sorted({runs[trace_id] for trace_id in batch.spans})),))


class _Variants:
    """The variants of the spans of a batch. A span that names none has that of the span around it."""

    def __init__(self, db: Database, batch: Batch, keys: Keys, runs: Mapping[str, int]) -> None:
        self._db = db
        self._spans = batch.spans
        self._keys = keys
        self._runs = runs
        self._found: dict[tuple[str, str | None], str] = {}

    def of(self, trace_id: str, span: SpanRow) -> str:
        """Return the variant of a span, or an empty text."""
        if span.variant is not None:
            return span.variant
        found = self._found.get((trace_id, span.parent))
        return self._of_parent(trace_id, span.parent) if found is None else found

    def _of_parent(self, trace_id: str, span_id: str | None) -> str:
        key = (trace_id, span_id)
        self._found[key] = ""  # spans that name each other as their parents come from no process of ours
        if span_id is not None:
            row = self._spans[trace_id].get(span_id)
            found = self.of(trace_id, row) if row else ""
            self._found[key] = found or self._keys.variant(self._db, self._runs[trace_id], span_id) or ""
        return self._found[key]


def _write_spans(db: Database, batch: Batch, keys: Keys, runs: Mapping[str, int]) -> None:
    variants = _Variants(db, batch, keys, runs)
    tasks = {
        trace_id: [(span.kind, span.name, variants.of(trace_id, span)) for span in spans.values()]
        for trace_id, spans in batch.spans.items()
    }
    known = keys.tasks(db, chain.from_iterable(tasks.values()))
    late = [
        (trace_id, span_id, span.variant)
        for trace_id, spans in batch.spans.items()
        for span_id, span in spans.items()
        if span.variant and _has_nameless(db, keys, runs[trace_id], span_id)
    ]
    if late:
        db.hold_derivations()  # first of all: who holds rows already must not wait for one who may want them
    rows = _Rows(db)
    for trace_id, spans in batch.spans.items():
        rows.add(runs[trace_id], spans, [known[task] for task in tasks[trace_id]])
    rows.write()
    for trace_id, span_id, variant in late:
        _name_variant(db, keys, runs[trace_id], span_id, variant)


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


class _Rows:
    """Rows of the table `span` that are to be written."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._runs: set[int] = set()
        self._rows: list[tuple[object, ...]] = []
        self._padding = _NO_RARE if db.has_cheap_nulls else ()

    def add(self, run: int, spans: Mapping[str, SpanRow], tasks: Iterable[int]) -> None:
        """Add the spans of a trace, with the keys of their tasks."""
        if run in self._runs:  # two traces of a run may name the same span, and no statement may update a row twice
            self.write()
        self._runs.add(run)
        for (span_id, s), task in zip(spans.items(), tasks, strict=True):
            end = s.ending
            usual = (run, span_id, s.parent, s.kind, task, s.started, s.ended, s.status, s.failed, s.orphaned,
                     end.duration, end.phase, end.attempt)  # fmt: skip
            if _rare_end(end) == _NO_RARE_END and _rare_start(s) == _NO_RARE_START and end.action != "session":
                self._rows.append(usual + self._padding)
            else:
                rare = (end.error, end.location, end.worker, end.exit_code, end.teardown_error, *session_columns(end),
                        task_ids(end), *_rare_start(s))  # fmt: skip
                self._rows.append(usual + rare)

    def write(self) -> None:
        """Write the rows that were added, in their order: reports show what began at once in the order of the keys."""
        for columns, rows in groupby(self._rows, len):
            self._db.executemany(_USUAL_SPAN if columns == len(_USUAL) else _SPAN, list(rows))
        self._runs.clear()
        self._rows.clear()
