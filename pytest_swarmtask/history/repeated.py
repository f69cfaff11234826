"""Tests that passed only when they were repeated, with their failed attempts.

A test is repeated in its session, by a plug-in such as pytest-rerunfailures, or by another attempt of its CI job. Who
wants to mend it needs to know how it failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.history.query import test_keys, to_evidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.query import Run


@dataclass(frozen=True)
class Repeated:
    """A test that passed at last in a run, after it had failed there. `report --json` has these fields.

    Attributes:
        test: its node id.
        variant: its variant, or an empty text.
        outcome: how it ended at last: ``passed`` or ``xpassed``.
        attempts_total: how many times it ran, the last time included.
        attempts: its failed attempts as far as they are known, oldest first, with the keys that the `attempts` of an
            event have. A plug-in may tell only their number, and an event describes at most ten.
    """

    test: str
    variant: str
    outcome: str
    attempts_total: int
    attempts: list[dict[str, Any]]


_PASSED = "('passed', 'xpassed')"
_REPEATED = f"""
SELECT task, max(started) AS last FROM (
    SELECT task, started FROM span INDEXED BY span_repeated
    WHERE run = ?1 AND attempt > 1 AND kind = 'TEST' AND status IN {_PASSED}
    UNION ALL
    SELECT later.task, later.started
    FROM span AS earlier INDEXED BY span_superseded
    CROSS JOIN span AS later INDEXED BY span_task ON later.task = earlier.task AND later.started >= earlier.started
    WHERE earlier.run = ?1 AND earlier.superseded = 1 AND earlier.failed = 1 AND earlier.kind = 'TEST'
      AND later.run = ?1 AND later.superseded = 0 AND later.status IN {_PASSED}
) AS passed
WHERE (?2 IS NULL OR task = ?2)
  AND NOT EXISTS (
      SELECT 1 FROM span INDEXED BY span_failed WHERE run = ?1 AND task = passed.task AND failed = 1 AND superseded = 0)
GROUP BY task ORDER BY last, task
"""


def repeated(db: Database, run: Run, limit: int) -> tuple[list[Repeated], int]:
    """Return the tests of a run that passed only when they were repeated.

    A test that failed elsewhere in the run, such as in another session, did not pass: it is among the failures.

    Returns:
        The tests in the order in which they passed, at most `limit`, and how many there are.
    """
    tasks = db.execute(_REPEATED, (run.key, None)).fetchall()
    return [_described(db, run.key, run.started, task) for task, _ in tasks[:limit]], len(tasks)


_RESULTS = """
SELECT status, failed, attempt, phase, duration, error, place, teardown_error, exception, fingerprint, detail
FROM span LEFT JOIN evidence ON evidence.span = span.id
WHERE task = ? AND started >= ? AND run = ? ORDER BY started, span.id
"""


def _described(db: Database, run: int, began: str, task: int) -> Repeated:
    """Return a test that was repeated in a run, which began at this timestamp."""
    attempts: list[dict[str, Any]] = []
    name, variant = db.execute("SELECT name, variant FROM task WHERE id = ?", (task,)).fetchone()
    total, outcome = 0, ""
    for status, failed, attempt, *facts in db.execute(_RESULTS, (task, began, run)):
        total += attempt or 1
        *told, exception, fingerprint, detail = facts
        evidence = to_evidence(exception, fingerprint, detail)
        attempts += evidence.attempts
        if failed:
            attempts.append(_attempt(status, told, vars(evidence)))
        elif status in ("passed", "xpassed"):
            outcome = status
    return Repeated(name, variant, outcome, total, attempts)


# The columns and the evidence of a result that an attempt has, too.
_KEYS = ("phase", "duration", "error", "location", "teardown_error")
_TEXTS = ("exception", "fingerprint", "traceback", "stdout", "stderr", "log", "teardown_traceback")


def _attempt(status: str, told: Sequence[Any], evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result of an earlier attempt of a CI job in the form that an event has for an attempt in a session."""
    known = {**dict(zip(_KEYS, told, strict=True)), **{name: evidence[name] for name in _TEXTS}}
    return {"outcome": status, **{name: value for name, value in known.items() if value is not None}}


@dataclass(frozen=True)
class LastRepeated:
    """The last time that a test passed only when it was repeated.

    Attributes:
        test: the test with its failed attempts.
        run: the trace id of the run.
        started: the timestamp when the run started.
    """

    test: Repeated
    run: str
    started: str


_CANDIDATES = f"""
SELECT DISTINCT run.id, run.trace_id, run.started FROM span JOIN run ON run.id = +span.run
WHERE span.task = ? AND run.branch IS ?
  AND (attempt > 1 AND status IN {_PASSED} OR span.superseded = 1 AND span.failed = 1)
ORDER BY run.started DESC
"""


def last_repeated(db: Database, test: str, branch: str | None) -> list[LastRepeated]:
    """Return the last time on a branch that a test passed only when it was repeated, for each variant of the test."""
    found = (_last(db, task, branch) for task in test_keys(db, test))
    return [last for last in found if last is not None]


def _last(db: Database, task: int, branch: str | None) -> LastRepeated | None:
    for run, trace_id, started in db.lazily(_CANDIDATES, (task, branch)):
        if db.execute(_REPEATED, (run, task)).fetchone():
            return LastRepeated(_described(db, run, started, task), trace_id, started)
    return None
