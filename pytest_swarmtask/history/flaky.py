"""Which tests are flaky: their outcome changes while the code does not. One function, `assess`, is the verdict.

The view `flaky`, reports and alerts all show what `assess` finds. What the view needs is stored in tables, which are
kept up to date for the tests that a run has touched: those that failed or were repeated lately. A test that only passes
costs nothing.

Three things are evidence, each of a run:

- The test passed when it was repeated: in its session, or by another attempt of its CI job.
- The test failed on a commit on which it also passed, both without uncommitted changes.
- The test failed in a short streak, and there are several such streaks on the branch. One streak alone says nothing: a
  test that was broken and then mended looks the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

WINDOW = 100
"""The runs of a test that a verdict looks at, the newest ones: enough to find a test that fails once in twenty runs."""
REPEATED = "passed when repeated"
ONE_COMMIT = "passed and failed on one commit"
FLIPS = "failed now and then on one branch"
_BY_WEIGHT = (REPEATED, ONE_COMMIT, FLIPS)
"""All kinds of evidence. If a run is evidence of several kinds, the first of them is named."""

_LONGEST_STREAK = 2
"""Failing runs in a streak that chance explains. A break often lasts longer, since somebody has to mend it."""
_FEWEST_STREAKS = 2
"""Short streaks that are evidence together. A break that the next commit mends leaves one."""
_SHARED_BY = 10
"""Tests that fail in one run for the same reason, from which on the reason is not in the tests."""
_OUTAGE = 3
"""If one in so many tests of a run fails, and these are at least `_SHARED_BY`, the reason is not in the tests."""
_Z = 1.96
"""The quantile of the normal distribution for a confidence of 95 %."""


class Scope(NamedTuple):
    """The results that a verdict looks at.

    Attributes:
        runs: the number of runs, at most.
        until: a timestamp: only results up to it, and only those on `branch`. None is no condition.
        branch: the branch, or None for runs whose branch is not known.
    """

    runs: int = WINDOW
    until: str | None = None
    branch: str | None = None


class Occurrence(NamedTuple):
    """A run in which a test was flaky.

    Attributes:
        kind: why: `REPEATED`, `ONE_COMMIT` or `FLIPS`.
        run: the key of the run.
        started: when the result began that failed, or that was repeated.
        shown_by: the key of the run that made it evidence, such as one that passed on the same commit.
    """

    kind: str
    run: int
    started: str
    shown_by: int


@dataclass(frozen=True)
class Verdict:
    """What the last runs of a test say about it.

    Attributes:
        runs: the number of runs in which it passed or failed, without those in which a shared cause failed it.
        has_failed: whether it failed or was repeated in one of them.
        occurrences: the runs in which it was flaky, newest first. If there are none, it is not flaky.
    """

    runs: int
    has_failed: bool
    occurrences: list[Occurrence]

    @property
    def failed(self) -> int:
        """The number of runs in which it was flaky."""
        return len({one.run for one in self.occurrences})

    @property
    def score(self) -> float:
        """How flaky the test is at least: the lower bound of the share of runs in which it was flaky."""
        return lower_bound(self.failed, self.runs)

    def count(self, kind: str) -> int:
        """Return the number of runs of a kind."""
        return sum(one.kind == kind for one in self.occurrences)


def lower_bound(some: int, total: int) -> float:
    """Return the lower bound of a share at a confidence of 95 %: Wilson's score interval with continuity correction.

    The correction matters for few runs: without it, 1 of 1 has the bound 0.21, above the 0.13 of 20 of 100. With it,
    the bound is close to the exact one (1 of 1 has 0.05), and needs no tables.
    """
    if not some:
        return 0.0
    share = some / total
    inside = _Z**2 - 2 - 1 / total + 4 * share * (total * (1 - share) + 1)
    return max(0.0, (2 * some + _Z**2 - 1 - _Z * math.sqrt(inside)) / (2 * (total + _Z**2)))


_FIRST_LINE = "substr({0}, 1, instr({0} || char(10), char(10)) - 1)"
_CAUSE = f"""coalesce(
    (SELECT coalesce(fingerprint, json_extract(detail, '$.attempts[0].fingerprint'),
                     {_FIRST_LINE.format("coalesce(span.error, json_extract(detail, '$.attempts[0].error'))")})
     FROM evidence WHERE evidence.span = span.id),
    {_FIRST_LINE.format("span.error")})"""
"""Why a result failed, or why its first attempt did: a text that results with the same reason have in common."""
_REPEATED = "(span.attempt > 1 AND span.status IN ('passed', 'xpassed'))"
_SHARED = f"""EXISTS (
    SELECT 1 FROM shared_cause WHERE shared_cause.run = span.run
      AND (shared_cause.variant IS NULL OR shared_cause.variant = (SELECT variant FROM task WHERE id = span.task))
      AND (shared_cause.cause IS NULL OR shared_cause.cause = {_CAUSE}))"""
"""Whether a shared cause failed a result."""
_RESULTS = f"""
SELECT span.run, run.started, run.branch, run."commit", run.dirty, run.partial, span.started, span.failed,
       {_REPEATED}, span.superseded
FROM span JOIN run ON run.id = span.run
WHERE span.task = :task AND (span.failed = 1 OR span.status IN ('passed', 'xpassed'))
  AND (:until IS NULL OR (span.ended <= :until AND run.branch IS :branch))
  AND NOT ((span.failed = 1 OR {_REPEATED}) AND {_SHARED})
ORDER BY span.started DESC, span.id DESC
"""


@dataclass
class _RunOutcome:
    """How a test ended in one run, from all its results there.

    Attributes:
        run: the key of the run.
        run_started: when the run started, which orders the runs of a branch: a job that runs again is on an old commit.
        branch: its branch, or None.
        commit: its commit, or None if that is not known or the checkout had uncommitted changes.
        partial: whether the run left out a part of the suite.
        started: when the result began that speaks against the test, or else its last one.
        failed: whether a result failed that counts.
        passed: whether a result passed that counts.
        repeated: whether it passed when it was repeated in its session.
        superseded_failed, superseded_passed: whether a result failed, or passed, that a later attempt of the job
            superseded.
    """

    run: int
    run_started: str
    branch: str | None
    commit: str | None
    partial: bool
    started: str
    failed: bool = False
    passed: bool = False
    repeated: bool = False
    superseded_failed: bool = False
    superseded_passed: bool = False

    def add(self, started: str, *, failed: bool, repeated: bool, superseded: bool) -> None:
        """Add a result. The newest one comes first."""
        speaks_against_it = failed or repeated
        if speaks_against_it and not self.has_failed:
            self.started = started
        self.repeated |= repeated
        if superseded:
            self.superseded_failed |= failed
            self.superseded_passed |= not failed
        else:
            self.failed |= failed
            self.passed |= not failed

    @property
    def has_failed(self) -> bool:
        """Whether a result speaks against the test."""
        return self.failed or self.repeated or self.superseded_failed

    @property
    def passed_at_last(self) -> bool:
        """Whether the test passed when it, or its job, was repeated."""
        return self.repeated or (self.superseded_failed and self.passed and not self.failed)

    @property
    def is_comparable(self) -> bool:
        """Whether it can be compared with the runs before and after it on its branch."""
        return self.branch is not None and self.commit is not None and not self.partial


def assess(db: sqlite3.Connection, task: int, scope: Scope = Scope()) -> Verdict:  # noqa: B008 - it is immutable
    """Return the verdict on a test under one variant.

    Args:
        db: the history. The totals of its runs have to be computed.
        task: the key of the test and its variant.
        scope: which results to look at.
    """
    outcomes = _outcomes(db, task, scope)
    if not any(one.has_failed for one in outcomes):
        return Verdict(len(outcomes), has_failed=False, occurrences=[])
    found = [*_repeated(outcomes), *_on_one_commit(outcomes), *_flips(outcomes)]
    newest = sorted(found, key=lambda one: _BY_WEIGHT.index(one.kind))
    newest.sort(key=attrgetter("started"), reverse=True)
    return Verdict(len(outcomes), has_failed=True, occurrences=newest)


def _outcomes(db: sqlite3.Connection, task: int, scope: Scope) -> list[_RunOutcome]:
    """Return how a test ended in its last runs, newest first."""
    found: dict[int, _RunOutcome] = {}
    rows = db.execute(_RESULTS, {"task": task, "until": scope.until, "branch": scope.branch})
    for run, run_started, branch, commit, dirty, partial, started, failed, repeated, superseded in rows:
        if run not in found:
            if len(found) == scope.runs:
                break
            known = None if dirty else commit
            found[run] = _RunOutcome(run, run_started or started, branch, known, bool(partial), started)
        found[run].add(started, failed=bool(failed), repeated=bool(repeated), superseded=bool(superseded))
    return list(found.values())


def _repeated(outcomes: Iterable[_RunOutcome]) -> Iterator[Occurrence]:
    for one in outcomes:
        if one.passed_at_last:
            yield Occurrence(REPEATED, one.run, one.started, one.run)


def _on_one_commit(outcomes: Iterable[_RunOutcome]) -> Iterator[Occurrence]:
    by_commit: dict[str, list[_RunOutcome]] = {}
    for one in outcomes:
        if one.commit is not None:
            by_commit.setdefault(one.commit, []).append(one)
    for same in by_commit.values():
        if any(one.passed or one.superseded_passed for one in same):
            yield from (Occurrence(ONE_COMMIT, one.run, one.started, same[0].run) for one in same if one.failed)


def _flips(outcomes: Iterable[_RunOutcome]) -> Iterator[Occurrence]:
    ordered = sorted(filter(attrgetter("is_comparable"), outcomes), key=attrgetter("branch", "run_started"))
    for _, on_branch in groupby(ordered, attrgetter("branch")):
        streaks = [list(same) for _, same in groupby(on_branch, attrgetter("failed"))]
        # What came before the first streak and what comes after the last one is not known.
        short = [
            (streak, after[0])
            for streak, after in pairwise(streaks[1:])
            if streak[0].failed and len(streak) <= _LONGEST_STREAK
        ]
        # Streaks that begin with one commit have that commit as their reason.
        if len({streak[0].commit for streak, _ in short}) >= _FEWEST_STREAKS:
            for streak, after in short:
                yield from (Occurrence(FLIPS, one.run, one.started, after.run) for one in streak)


@dataclass(frozen=True)
class Flaky:
    """A test whose outcome changes while the code does not, as it is now. `report --json` has these fields.

    Attributes:
        score: how flaky it is at least (`Verdict.score`).
        failed: in how many runs it was flaky: it failed, or passed only when it was repeated.
        runs: the number of its last runs, at most `WINDOW`, in which it passed or failed.
        repeated, one_commit, flips: the number of runs by kind of evidence. A run may be of several kinds.
        why: what shows that it is flaky, the last time.
        last, run, branch, commit: when that began, and its run, branch and commit.
    """

    test: str
    variant: str
    score: float
    failed: int
    runs: int
    repeated: int
    one_commit: int
    flips: int
    why: str
    last: str
    run: str
    branch: str | None
    commit: str | None


_BAD = """
SELECT {columns} FROM span INDEXED BY span_failed WHERE run = :run AND failed = 1 AND kind = 'TEST'
UNION ALL
SELECT {columns} FROM span INDEXED BY span_repeated
WHERE run = :run AND attempt > 1 AND kind = 'TEST' AND status IN ('passed', 'xpassed')
"""
_COUNT_BAD = f"SELECT count(*) FROM ({_BAD.format(columns='id')})"
_ADD_CAUSES = f"""
WITH bad AS ({_BAD.format(columns=f"task, {_CAUSE} AS cause")})
INSERT INTO shared_cause (run, cause, tests)
SELECT :run, cause, count(DISTINCT name) FROM bad JOIN task ON task.id = bad.task
WHERE cause <> '' GROUP BY cause HAVING count(DISTINCT name) >= :least
"""
_ADD_OUTAGES = f"""
WITH bad AS ({_BAD.format(columns="task")}), of AS (
    SELECT variant, count(DISTINCT task) AS failed FROM bad JOIN task ON task.id = bad.task
    GROUP BY variant HAVING failed >= :least
)
INSERT INTO shared_cause (run, variant, tests)
SELECT :run, variant, failed FROM of WHERE failed * :part >= (
    SELECT count(DISTINCT span.task) FROM span JOIN task ON task.id = span.task
    WHERE span.run = :run AND span.kind = 'TEST' AND task.variant = of.variant)
"""
_TOUCHED = f"""
SELECT DISTINCT task FROM ({_BAD.format(columns=f"task, {_SHARED} AS shared")}) WHERE NOT shared
UNION
SELECT task FROM flaky_test WHERE EXISTS (  -- a unary plus, so that the index by task is used
    SELECT 1 FROM span WHERE span.task = flaky_test.task AND +span.run = :run
      AND span.started >= (SELECT started FROM run WHERE id = :run))
"""
_ADD_TEST = "INSERT INTO flaky_test VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def refresh_flaky(db: sqlite3.Connection, runs: Iterable[int]) -> None:
    """Store the verdicts on the tests that runs have touched. The totals of these runs have to be computed."""
    touched: set[int] = set()
    for run in runs:
        _refresh_shared_causes(db, run)
        touched.update(task for (task,) in db.execute(_TOUCHED, {"run": run}))
    for task in touched:
        _store(db, task)


def reassess_all(db: sqlite3.Connection) -> None:
    """Store the verdicts on all tests that are known to be flaky, because runs have been removed."""
    db.execute("DELETE FROM flaky_test WHERE NOT EXISTS (SELECT 1 FROM task WHERE task.id = flaky_test.task)")
    query = "SELECT task FROM flaky_test WHERE failed > 0 UNION SELECT task FROM flaky_run"
    for (task,) in db.execute(query).fetchall():
        _store(db, task)


def _refresh_shared_causes(db: sqlite3.Connection, run: int) -> None:
    known = {"run": run, "least": _SHARED_BY, "part": _OUTAGE}
    db.execute("DELETE FROM shared_cause WHERE run = :run", known)
    if db.execute(_COUNT_BAD, known).fetchone()[0] >= _SHARED_BY:
        db.execute(_ADD_CAUSES, known)
        db.execute(_ADD_OUTAGES, known)


def _store(db: sqlite3.Connection, task: int) -> None:
    """Store the verdict on a test if it failed lately. If it is not flaky, its next result may show that it is."""
    verdict = assess(db, task)
    db.execute("DELETE FROM flaky_test WHERE task = ?", (task,))
    db.execute("DELETE FROM flaky_run WHERE task = ?", (task,))
    if not verdict.has_failed:
        return
    counts = (verdict.count(kind) for kind in _BY_WEIGHT)
    last = verdict.occurrences[0] if verdict.occurrences else None
    occurrence = (last.kind, last.started, last.run) if last else (None, None, None)
    db.execute(_ADD_TEST, (task, verdict.score, verdict.failed, verdict.runs, *counts, *occurrence))
    db.executemany("INSERT INTO flaky_run VALUES (?, ?)", {(task, one.run) for one in verdict.occurrences})
