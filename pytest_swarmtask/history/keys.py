"""What a writer remembers of the history from batch to batch, so that it need not ask for it each time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.history.traces import run_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_swarmtask.history.database import Database

Task = tuple[str, str, str]
"""Kind, name and variant."""

_MOST = 50_000
"""Keys that are remembered, which takes some 15 MB. It bounds the memory of an import of many suites."""

_REMOVALS = "SELECT removals FROM project WHERE id = ?"
_ADD_TASK = "INSERT INTO task (project, kind, name, variant) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_TASKS = """
SELECT id, kind, name, variant FROM task WHERE project = ? AND name IN (SELECT value FROM json_each(?))
"""
_VARIANT = "SELECT variant FROM span JOIN task ON task.id = span.task WHERE run = ? AND span_id = ?"


class Keys:
    """The primary keys of the runs and tasks of one project, and the variants of its sessions.

    Each batch begins with `refresh`, inside its transaction: others may have removed runs and tasks.
    """

    def __init__(self) -> None:
        self._runs: dict[str, int] = {}
        self._named: set[str] = set()
        """Traces whose run has the name of a CI run."""
        self._tasks: dict[Task, int] = {}
        self._variants: dict[tuple[int, str], str] = {}
        self._removals = 0

    def forget(self) -> None:
        """Forget everything, as after a transaction that was rolled back."""
        self._runs.clear()
        self._named.clear()
        self._tasks.clear()
        self._variants.clear()

    def refresh(self, db: Database) -> bool:
        """Forget everything if runs or tasks were removed, or if it is too much. Return whether that was so."""
        removals: int = db.execute(_REMOVALS, (db.project,)).fetchone()[0]
        is_outdated = removals != self._removals
        if is_outdated or len(self._runs) + len(self._tasks) + len(self._variants) > _MOST:
            self.forget()
        self._removals = removals
        return is_outdated

    def runs(self, db: Database, facts: Mapping[str, Mapping[str, Any]]) -> Mapping[str, int]:
        """Return the keys of the runs of traces. Those that the history does not have are inserted.

        Args:
            db: the history.
            facts: by trace id, what is known of the run, such as its `ci_run` (`history.rows.Batch.facts`).
        """
        new = [trace_id for trace_id, known in facts.items() if not self._has(trace_id, known.get("ci_run"))]
        for trace_id in new:
            ci_run = facts[trace_id].get("ci_run")
            self._runs[trace_id] = run_key(db, trace_id, ci_run)
            if ci_run is not None:
                self._named.add(trace_id)
        if new and self.refresh(db):  # one of them has merged two runs
            return self.runs(db, facts)
        return self._runs

    def _has(self, trace_id: str, ci_run: str | None) -> bool:
        return trace_id in self._runs and (ci_run is None or trace_id in self._named)

    def tasks(self, db: Database, tasks: Iterable[Task]) -> Mapping[Task, int]:
        """Return the keys of tasks. Those that the history does not have are inserted."""
        missing = {task for task in tasks if task not in self._tasks}
        if missing:
            db.executemany(_ADD_TASK, [(db.project, *task) for task in sorted(missing)])
            names = json.dumps(sorted({name for _, name, _ in missing}))
            for key, *task in db.execute(_TASKS, (db.project, names)):
                self._tasks[tuple(task)] = key
        return self._tasks

    def variant(self, db: Database, run: int, span_id: str) -> str | None:
        """Return the variant of a span that the history has; None if it does not have the span."""
        known = self._variants.get((run, span_id))
        if known is None:
            row = db.execute(_VARIANT, (run, span_id)).fetchone()
            known = None if row is None else str(row[0])
            if known:  # an empty one may be named later
                self._variants[run, span_id] = known
        return known
