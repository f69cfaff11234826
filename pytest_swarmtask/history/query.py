"""Questions to the history, as plain SQL with typed answers. Times are as in events: UTC, RFC 3339."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

_END_OF_TIME = "~"
"""Sorts behind every timestamp."""
OUTCOMES = ("passed", "failed", "errors", "crashed", "skipped", "xfailed", "xpassed", "unfinished")
"""The columns that count tests by outcome, in the order in which they are shown."""


@dataclass(frozen=True)
class Run:
    """One run as a whole.

    Attributes:
        key: its number in this file.
        run: its trace id.
        started, ended: when; `ended` is None while something in it has not ended.
        duration: seconds, or None.
        outcome: ``completed``, ``failed`` or ``unfinished``.
        what: the names of its outermost tasks.
        counts: how many tests have which outcome; only those that are there.
        tests: how many tests in all.
        teardown_errors: failed tests whose teardown failed as well, which pytest counts as one more error each.
    """

    key: int
    run: str
    started: str
    ended: str | None
    duration: float | None
    outcome: str
    what: str
    command: str | None
    branch: str | None
    commit: str | None
    environment: str | None
    ci: str | None
    ci_url: str | None
    host: str | None
    python: str | None
    coverage: float | None
    tests: int
    teardown_errors: int
    counts: dict[str, int]

    @property
    def bad(self) -> int:
        """How many tests did not end well."""
        return sum(self.counts.get(name, 0) for name in ("failed", "errors", "crashed"))


_RUN = """
SELECT id, trace_id, started, ended, duration, outcome, roots, command, branch, "commit", environment, ci, ci_url, host,
       python, coverage, tests, teardown_errors, passed, failed, errors, crashed, skipped, xfailed, xpassed, unfinished
FROM run"""


def _runs(rows: Iterator[Any] | sqlite3.Cursor) -> list[Run]:
    first = 18
    return [
        Run(*[*row[:first], {name: count for name, count in zip(OUTCOMES, row[first:], strict=True) if count}])
        for row in rows
    ]


class RunFilter(NamedTuple):
    """Which runs are meant; None is all.

    Attributes:
        branch: those on this branch.
        since: those that started at this time or later.
        what: those with these outermost tasks.
        until: those that started at this time or earlier.
    """

    branch: str | None = None
    since: str | None = None
    what: str | None = None
    until: str | None = None


def last_runs(db: sqlite3.Connection, most: int, which: RunFilter = RunFilter()) -> list[Run]:  # noqa: B008 - immutable
    """Return the last runs, newest first, at most so many."""
    query = f"""{_RUN} WHERE started IS NOT NULL AND (?1 IS NULL OR branch = ?1) AND (?2 IS NULL OR started >= ?2)
        AND (?3 IS NULL OR roots = ?3) AND (?4 IS NULL OR started <= ?4) ORDER BY started DESC, id DESC LIMIT ?5"""
    return _runs(db.execute(query, (*which, most)))


def find_runs(db: sqlite3.Connection, prefix: str) -> list[Run]:
    """Return the runs whose id begins like this, newest first, at most ten."""
    query = f"{_RUN} WHERE started IS NOT NULL AND trace_id >= ? AND trace_id < ? ORDER BY started DESC LIMIT 10"
    return _runs(db.execute(query, (prefix, f"{prefix}~")))


@dataclass(frozen=True)
class Failure:
    """What failed in a run: a test, or a task below which nothing else failed.

    Attributes:
        kind: ``TEST``, ``TASK``, ``BUILD`` or ``DEPLOYMENT``.
        task_id: its name, of a test its node id.
        error: the message.
        place: file and line.
        streak: in how many runs in a row it has failed, this one included.
        since: when the first of these was, with the run and its commit.
        new: whether it has ended well before that.
    """

    kind: str
    task_id: str
    outcome: str
    duration: float | None
    error: str | None
    place: str | None
    teardown_error: str | None
    streak: int
    since: str
    since_run: str
    since_commit: str | None
    new: bool


_FAILED = """
SELECT span.kind, task.name, span.status, span.duration, error, place, teardown_error, span.task, span.started
FROM span JOIN task ON task.id = span.task
WHERE span.run = ? AND span.failed = 1
  AND NOT EXISTS (SELECT 1 FROM span AS below
                  WHERE below.run = span.run AND below.failed = 1 AND below.parent = span.span_id)
ORDER BY span.kind <> 'TEST', span.started, span.id LIMIT ?
"""


def failures(db: sqlite3.Connection, run: Run, most: int) -> tuple[list[Failure], int]:
    """Return what failed in a run, in order, at most so many; and how many there are."""
    rows = db.execute(_FAILED, (run.key, most + 1)).fetchall()
    count = len(rows)
    if count > most:
        count = db.execute(f"SELECT count(*) FROM ({_FAILED})", (run.key, -1)).fetchone()[0]
    return [Failure(*row[:7], **_since(db, run, task=row[7], started=row[8])) for row in rows[:most]], count


def _since(db: sqlite3.Connection, run: Run, task: int, started: str) -> dict[str, Any]:
    """Return the fields of a `Failure` that tell of earlier runs.

    Only runs on the same branch count, and only what has failed or passed: a skip says nothing.
    """
    query = """
        SELECT span.failed, span.started, run.trace_id, run."commit" FROM span JOIN run ON run.id = span.run
        WHERE span.task = ? AND span.started <= ? AND run.branch IS ?
          AND (span.failed = 1 OR span.status IN ('passed', 'xpassed', 'completed')) ORDER BY span.started DESC"""
    failing = {run.run: (started, run.commit)}
    new = False
    for failed, at, trace_id, commit in db.execute(query, (task, started, run.branch)):
        if failed:
            failing[trace_id] = (at, commit)
        elif trace_id not in failing:  # it may have passed in another session of the same run
            new = True
            break
    since_run, (since, since_commit) = next(reversed(failing.items()))
    return {
        "streak": len(failing),
        "since": since,
        "since_run": since_run,
        "since_commit": since_commit,
        "new": new,
    }


@dataclass(frozen=True)
class TestDuration:
    """How long a test took."""

    test: str
    duration: float
    usual: float | None


def slowest(db: sqlite3.Connection, run: Run, most: int) -> list[TestDuration]:
    """Return the slowest tests of a run; `usual` is the median of up to ten earlier times, where there are any."""
    query = """
        SELECT task.name, span.duration, span.task, span.started FROM span JOIN task ON task.id = span.task
        WHERE span.run = ? AND span.kind = 'TEST' AND span.duration IS NOT NULL ORDER BY span.duration DESC LIMIT ?"""
    rows = db.execute(query, (run.key, most)).fetchall()
    return [
        TestDuration(name, duration, _median(_durations(db, task, 10, started)))
        for name, duration, task, started in rows
    ]


def median(db: sqlite3.Connection, kind: str, task_id: str, most: int) -> float | None:
    """Return the median of the last durations of a task or test in seconds, or None where there are none."""
    row = db.execute("SELECT id FROM task WHERE kind = ? AND name = ?", (kind, task_id)).fetchone()
    return None if row is None else _median(_durations(db, row[0], most, _END_OF_TIME))


def _durations(db: sqlite3.Connection, task: int, most: int, before: str) -> list[float]:
    query = """SELECT duration FROM span WHERE task = ? AND started < ? AND duration IS NOT NULL
               ORDER BY started DESC LIMIT ?"""
    return [row[0] for row in db.execute(query, (task, before, most))]


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


@dataclass(frozen=True)
class Flaky:
    """A test whose outcome changes though nothing else does.

    Attributes:
        failed: times that it failed, or passed only when repeated.
        commit: the last commit on which it showed, or None.
        why: in which way it shows.
    """

    test: str
    failed: int
    commit: str | None
    why: str


def flaky(db: sqlite3.Connection, runs: Sequence[Run], most: int) -> list[Flaky]:
    """Return the flaky tests among these runs, the worst first.

    A test is flaky that passed only when it was repeated, or that failed and passed on one commit. Runs of a checkout
    that is known to hold changes do not count for the latter.
    """
    keys = ", ".join(str(run.key) for run in runs)
    query = f"""
        WITH bad AS (
            SELECT task, run, 'passed when repeated' AS why FROM span
            WHERE run IN ({keys}) AND attempt > 1 AND kind = 'TEST' AND status IN ('passed', 'xpassed')
            UNION ALL
            SELECT span.task, span.run, 'passed and failed on one commit' FROM span JOIN run ON run.id = span.run
            WHERE span.run IN ({keys}) AND span.failed = 1 AND span.kind = 'TEST' AND run."commit" IS NOT NULL
              AND run.dirty IS NOT 1 AND EXISTS (
                SELECT 1 FROM span AS good JOIN run AS other ON other.id = good.run
                WHERE good.task = span.task AND good.status IN ('passed', 'xpassed')
                  AND other."commit" = run."commit" AND other.dirty IS NOT 1)
        )
        SELECT task.name, count(*), run."commit", why, max(run.started) -- the row of the greatest is the one shown
        FROM bad JOIN task ON task.id = bad.task JOIN run ON run.id = bad.run
        GROUP BY bad.task ORDER BY count(*) DESC, task.name LIMIT ?"""
    return [Flaky(*row[:4]) for row in db.execute(query, (most,))]


@dataclass(frozen=True)
class Result:
    """How one test ended once."""

    test: str
    outcome: str
    duration: float | None
    started: str
    run: str
    branch: str | None
    commit: str | None
    attempt: int | None
    worker: str | None
    error: str | None
    place: str | None


_RESULT = """
SELECT task.name, coalesce(span.status, 'unfinished'), span.duration, span.started, run.trace_id, run.branch,
       run."commit", span.attempt, span.worker, span.error, span.place
FROM span JOIN task ON task.id = span.task JOIN run ON run.id = span.run"""


def results_of(
    db: sqlite3.Connection,
    test: str,
    most: int,
    which: RunFilter = RunFilter(),  # noqa: B008 - immutable
) -> list[Result]:
    """Return the last results of a test, newest first, at most so many."""
    query = f"""{_RESULT} WHERE span.task = (SELECT id FROM task WHERE kind = 'TEST' AND name = ?1)
        AND (?2 IS NULL OR run.branch = ?2) AND (?3 IS NULL OR span.started >= ?3)
        ORDER BY span.started DESC, span.id DESC LIMIT ?4"""
    return [Result(*row) for row in db.execute(query, (test, which.branch, which.since, most))]


def results(db: sqlite3.Connection, run: Run) -> Iterator[tuple[Result, str | None]]:
    """Yield the results of a run in their order, each with what went wrong in its teardown after a failure."""
    query = f"{_RESULT.replace('span.place', 'span.place, span.teardown_error')} WHERE span.run = ? "
    for row in db.execute(f"{query} AND span.kind = 'TEST' ORDER BY span.id", (run.key,)):
        yield Result(*row[:-1]), row[-1]


def find_tests(db: sqlite3.Connection, text: str, most: int) -> list[str]:
    """Return the node ids that contain a text: the one that is it first, then those that end in it."""
    query = """SELECT name FROM task WHERE kind = 'TEST' AND instr(name, ?1)
               ORDER BY name <> ?1, substr(name, -length(?1)) <> ?1, name LIMIT ?2"""
    return [row[0] for row in db.execute(query, (text, most))]


@dataclass(frozen=True)
class Comparison:
    """What is different in a run from another one, as node ids; at most so many of each, with the number of all.

    Attributes:
        failing: failed here, and not there.
        fixed: failed there, and not here.
        still: failed in both.
        added: only here.
        gone: only there.
        slower: at least twice as slow, and by 0.1 s; with the times there and here.
    """

    other: Run
    failing: list[str]
    fixed: list[str]
    still: list[str]
    added: list[str]
    gone: list[str]
    slower: list[tuple[str, float, float]]
    numbers: dict[str, int] = field(default_factory=dict)


_BOTH = """
WITH here AS (SELECT task, max(failed) AS failed, max(duration) AS duration FROM span
              WHERE run = ?1 AND kind = 'TEST' GROUP BY task),
     there AS (SELECT task, max(failed) AS failed, max(duration) AS duration FROM span
               WHERE run = ?2 AND kind = 'TEST' GROUP BY task)
"""
_COMPARED = {
    "failing": "here LEFT JOIN there USING (task) WHERE here.failed AND coalesce(there.failed, 0) = 0",
    "fixed": "there JOIN here USING (task) WHERE there.failed AND NOT here.failed",
    "still": "here JOIN there USING (task) WHERE here.failed AND there.failed",
    "added": "here LEFT JOIN there USING (task) WHERE there.failed IS NULL",
    "gone": "there LEFT JOIN here USING (task) WHERE here.failed IS NULL",
}
_SLOWER = """
SELECT name, there.duration, here.duration FROM here JOIN there USING (task) JOIN task ON task.id = here.task
WHERE here.duration >= 2 * there.duration AND here.duration >= there.duration + 0.1
ORDER BY here.duration - there.duration DESC LIMIT ?3
"""


def compare(db: sqlite3.Connection, run: Run, other: Run, most: int) -> Comparison:
    """Return what is different in a run from another one."""
    keys = (run.key, other.key)
    found: dict[str, list[str]] = {}
    numbers: dict[str, int] = {}
    for name, condition in _COMPARED.items():
        numbers[name] = db.execute(f"{_BOTH} SELECT count(*) FROM {condition}", keys).fetchone()[0]
        query = f"{_BOTH} SELECT name FROM task WHERE id IN (SELECT task FROM {condition}) ORDER BY name LIMIT ?3"
        found[name] = [row[0] for row in db.execute(query, (*keys, most))] if numbers[name] else []
    slower = [(name, before, now) for name, before, now in db.execute(f"{_BOTH} {_SLOWER}", (*keys, most))]
    return Comparison(other, **found, slower=slower, numbers=numbers)
