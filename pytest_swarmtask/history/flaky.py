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

import json
import math
from collections import Counter
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_swarmtask.history.database import Database

WINDOW = 100
"""The runs of a test that a verdict looks at, the newest ones: enough to find a test that fails once in twenty runs."""
REPEATED = "passed when repeated"
ONE_COMMIT = "passed and failed on one commit"
FLIPS = "failed now and then on one branch"
_BY_WEIGHT = (REPEATED, ONE_COMMIT, FLIPS)
"""All kinds of evidence. If a run is evidence of several kinds, the first of them is named."""

LONGEST_STREAK = 2
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
        is_open: whether it failed the last time on a branch, so that its next pass there may show more.
        occurrences: the runs in which it was flaky, newest first. If there are none, it is not flaky.
    """

    runs: int
    has_failed: bool
    is_open: bool
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


_HAS_FAILED = "(span.failed = 1 OR span.status = 'quarantined')"
"""Whether a test failed. Quarantine decides what counts, and says nothing of how reliable a test is."""
_FIRST_LINE = "substr({0}, 1, instr({0} || '\n', '\n') - 1)"
_CAUSE = f"""coalesce(
    (SELECT coalesce(fingerprint, json_extract(detail, '$.attempts[0].fingerprint'),
                     {_FIRST_LINE.format("coalesce(span.error, json_extract(detail, '$.attempts[0].error'))")})
     FROM evidence WHERE evidence.span = span.id),
    {_FIRST_LINE.format("span.error")})"""
"""Why a result failed, or why its first attempt did: a text that results with the same reason have in common."""
_REPEATED = "(coalesce(span.attempt, 0) > 1 AND coalesce(span.status, '') IN ('passed', 'xpassed'))"
_SHARED = f"""EXISTS (
    SELECT 1 FROM shared_cause WHERE shared_cause.run = span.run
      AND (shared_cause.variant IS NULL OR shared_cause.variant = (SELECT variant FROM task WHERE id = span.task))
      AND (shared_cause.cause IS NULL OR shared_cause.cause = {_CAUSE}))"""
"""Whether a shared cause failed a result."""
# Pytest ends with 2 when it is interrupted, and a killed session has no exit code.
_INTERRUPTED = """(span.status = 'crashed' AND EXISTS (
    SELECT 1 FROM span AS session WHERE session.run = span.run AND session.span_id = span.parent
      AND session.kind = 'TASK' AND (session.exit_code IS NULL OR session.exit_code = 2)))"""
"""Whether a test crashed only because its session was killed or interrupted: whichever test runs then has no result."""
# All but the conditions on failed results and on `ended` is in the index, so that hardly a row of a test is read.
_RESULTS = f"""
SELECT span.run, 1 << CAST(CASE WHEN {_HAS_FAILED} THEN 1 ELSE 0 END + CASE WHEN {_REPEATED} THEN 2 ELSE 0 END
                           + 4 * span.superseded AS INTEGER), span.started
FROM span INDEXED BY span_task
WHERE span.task = :task AND ({_HAS_FAILED} OR span.status IN ('passed', 'xpassed'))
  AND (:until IS NULL OR span.ended <= :until)
  AND NOT (({_HAS_FAILED} OR {_REPEATED}) AND ({_SHARED} OR {_INTERRUPTED}))
ORDER BY span.started DESC
"""
# What the second column says of a result. The column is a bit, so that all results of a run are one number.
_PASSED, _FAILED, _PASSED_REPEATED = 1, 2, 4
_SUPERSEDED_PASSED, _SUPERSEDED_FAILED, _SUPERSEDED_REPEATED = 16, 32, 64
_ANY_REPEATED = _PASSED_REPEATED | _SUPERSEDED_REPEATED
_ANY_PASSED = _PASSED | _SUPERSEDED_PASSED | _ANY_REPEATED
_BAD_RESULTS = _FAILED | _SUPERSEDED_FAILED | _ANY_REPEATED


class _RunFacts(NamedTuple):
    """What the verdict has to know of a run.

    Attributes:
        started: when it started. This orders the runs of a branch: a job that runs again later is on an old commit.
        branch: its branch, or None.
        commit: its commit, or None if that is not known or the checkout had uncommitted changes.
        partial: whether it left out a part of the suite.
    """

    started: str
    branch: str | None
    commit: str | None
    partial: bool

    @property
    def is_comparable(self) -> bool:
        """Whether the runs before and after it on its branch differ from it by their commits."""
        return self.branch is not None and self.commit is not None and not self.partial


class _Runs(dict[int, _RunFacts]):
    """The facts of runs by their keys, read when they are asked for: many tests ran in the same runs."""

    def __init__(self, db: Database) -> None:
        super().__init__()
        self._db = db

    def __missing__(self, run: int) -> _RunFacts:
        query = 'SELECT started, branch, "commit", dirty, partial FROM run WHERE id = ?'
        started, branch, commit, dirty, partial = self._db.execute(query, (run,)).fetchone()
        facts = self[run] = _RunFacts(started or "", branch, None if dirty else commit, bool(partial))
        return facts


class _RunOutcome(NamedTuple):
    """How a test ended in one run.

    Attributes:
        run: the key of the run.
        facts: the facts of the run.
        results: all its results there.
        started: when the newest result began that speaks against the test; empty if there is none.
    """

    run: int
    facts: _RunFacts
    results: int
    started: str

    @property
    def has_failed(self) -> bool:
        """Whether a result failed that no later attempt of the job has superseded."""
        return bool(self.results & _FAILED)

    @property
    def has_passed(self) -> bool:
        """Whether a result passed."""
        return bool(self.results & _ANY_PASSED)

    @property
    def passed_at_last(self) -> bool:
        """Whether the test passed when it, or its job, was repeated."""
        return bool(self.results & _ANY_REPEATED or (self.results & _SUPERSEDED_FAILED and self.results & _PASSED))


def assess(db: Database, task: int, scope: Scope = Scope()) -> Verdict:  # noqa: B008 - it is immutable
    """Return the verdict on a test under one variant.

    Args:
        db: the history. The totals of its runs have to be computed.
        task: the key of the test and its variant.
        scope: which results to look at.
    """
    return _verdict(_outcomes(db, task, scope, _Runs(db)))


def _outcomes(db: Database, task: int, scope: Scope, runs: _Runs) -> list[_RunOutcome]:
    """Return how a test ended in its last runs, newest first."""
    found: dict[int, int] = {}
    bad: dict[int, str] = {}
    for run, result, started in db.lazily(_RESULTS, {"task": task, "until": scope.until}):
        if run not in found:
            if scope.until is not None and runs[run].branch != scope.branch:
                continue
            if len(found) == scope.runs:
                break
            found[run] = 0
        found[run] |= result
        if result & _BAD_RESULTS:
            bad.setdefault(run, started)
    return [_RunOutcome(run, runs[run], results, bad.get(run, "")) for run, results in found.items()]


def _verdict(outcomes: list[_RunOutcome]) -> Verdict:
    bad = [one for one in outcomes if one.started]
    if not bad:
        return Verdict(len(outcomes), has_failed=False, is_open=False, occurrences=[])
    found = [*_repeated(bad), *_on_one_commit(outcomes, bad), *_flips(outcomes, bad)]
    newest = sorted(found, key=lambda one: _BY_WEIGHT.index(one.kind))
    newest.sort(key=attrgetter("started"), reverse=True)
    return Verdict(len(outcomes), has_failed=True, is_open=_is_open(outcomes), occurrences=newest)


def _is_open(outcomes: list[_RunOutcome]) -> bool:
    last: dict[str | None, _RunOutcome] = {}
    for one in outcomes:
        if one.facts.is_comparable:
            last.setdefault(one.facts.branch, one)
    return any(one.has_failed for one in last.values())


def _repeated(bad: list[_RunOutcome]) -> Iterator[Occurrence]:
    for one in bad:
        if one.passed_at_last:
            yield Occurrence(REPEATED, one.run, one.started, one.run)


def _on_one_commit(outcomes: list[_RunOutcome], bad: list[_RunOutcome]) -> Iterator[Occurrence]:
    failed = [one for one in bad if one.has_failed and one.facts.commit is not None]
    by_commit: dict[str | None, list[_RunOutcome]] = {one.facts.commit: [] for one in failed}
    for one in outcomes if failed else ():
        if one.facts.commit in by_commit:
            by_commit[one.facts.commit].append(one)
    for one in failed:
        same = by_commit[one.facts.commit]
        if any(other.has_passed for other in same):
            yield Occurrence(ONE_COMMIT, one.run, one.started, same[0].run)


def _flips(outcomes: list[_RunOutcome], bad: list[_RunOutcome]) -> Iterator[Occurrence]:
    failures = Counter(one.facts.branch for one in bad if one.has_failed and one.facts.is_comparable)
    for branch, count in failures.items():
        if count >= _FEWEST_STREAKS:
            comparable = [one for one in outcomes if one.facts.branch == branch and one.facts.is_comparable]
            yield from _flips_on_branch(sorted(comparable, key=lambda one: one.facts.started))


def _flips_on_branch(outcomes: list[_RunOutcome]) -> Iterator[Occurrence]:
    streaks = [list(same) for _, same in groupby(outcomes, attrgetter("has_failed"))]
    # What came before the first streak and what comes after the last one is not known.
    short = [
        (streak, after[0])
        for streak, after in pairwise(streaks[1:])
        if streak[0].has_failed and len(streak) <= LONGEST_STREAK
    ]
    # Streaks that begin with one commit have that commit as their reason.
    if len({streak[0].facts.commit for streak, _ in short}) >= _FEWEST_STREAKS:
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
UNION ALL
SELECT {columns} FROM span INDEXED BY span_quarantined WHERE run = :run AND status = 'quarantined' AND kind = 'TEST'
"""
_COUNT_BAD = f"SELECT count(*) FROM ({_BAD.format(columns='id')}) AS bad"
_ADD_CAUSES = f"""
WITH bad AS ({_BAD.format(columns=f"task, {_CAUSE} AS cause")})
INSERT INTO shared_cause (run, cause, tests)
SELECT :run, cause, count(DISTINCT name) FROM bad JOIN task ON task.id = bad.task
WHERE cause <> '' GROUP BY cause HAVING count(DISTINCT name) >= :least
"""
_ADD_OUTAGES = f"""
WITH bad AS ({_BAD.format(columns="task")}), of AS (
    SELECT variant, count(DISTINCT task) AS failed FROM bad JOIN task ON task.id = bad.task
    GROUP BY variant HAVING count(DISTINCT task) >= :least
)
INSERT INTO shared_cause (run, variant, tests)
SELECT :run, variant, failed FROM of WHERE failed * :part >= (
    SELECT count(DISTINCT span.task) FROM span JOIN task ON task.id = span.task
    WHERE span.run = :run AND span.kind = 'TEST' AND task.variant = of.variant)
"""
# A pass says nothing new of a test that failed before, is not flaky, and has passed since, unless it is on a commit of
# another run, or was imported after a later run. The unary plus makes SQLite use the index by task.
_TOUCHED = f"""
SELECT DISTINCT task FROM ({_BAD.format(columns=f"task, {_SHARED} AS shared")}) AS bad WHERE NOT shared
UNION
SELECT task FROM flaky_test WHERE (failed > 0 OR is_open = 1 OR EXISTS (
    SELECT 1 FROM run AS own JOIN run AS other ON other.id <> own.id
    WHERE own.id = :run AND coalesce(own.dirty, 0) = 0 AND other.project = own.project
      AND (other."commit" = own."commit" OR other.branch = own.branch AND other.started > own.started)
)) AND EXISTS (
    SELECT 1 FROM span WHERE span.task = flaky_test.task AND +span.run = :run
      AND span.started >= (SELECT started FROM run WHERE id = :run))
"""
_ADD_TEST = """
INSERT INTO flaky_test (task, score, failed, runs, is_open, repeated, one_commit, flips, why, started, run)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_FORGET = [
    f"DELETE FROM {table} WHERE task IN (SELECT CAST(value AS BIGINT) FROM json_each(?))"
    for table in ("flaky_test", "flaky_run")
]


def refresh_flaky(db: Database, runs: Iterable[int]) -> None:
    """Store the verdicts on the tests that runs have touched. The totals of these runs have to be computed."""
    touched: set[int] = set()
    for run in runs:
        _refresh_shared_causes(db, run)
        touched.update(task for (task,) in db.execute(_TOUCHED, {"run": run}))
    reassess(db, touched)


def reassess_all(db: Database) -> None:
    """Store the verdicts on all tests that are known to be flaky, because runs have been removed."""
    db.execute("DELETE FROM flaky_test WHERE NOT EXISTS (SELECT 1 FROM task WHERE task.id = flaky_test.task)")
    query = """SELECT task FROM (SELECT task FROM flaky_test WHERE failed > 0 UNION SELECT task FROM flaky_run) AS flaky
               JOIN task AS own ON own.id = flaky.task WHERE own.project = ?"""
    reassess(db, {task for (task,) in db.execute(query, (db.project,))})


def _refresh_shared_causes(db: Database, run: int) -> None:
    known = {"run": run, "least": _SHARED_BY, "part": _OUTAGE}
    db.execute("DELETE FROM shared_cause WHERE run = :run", known)
    if db.execute(_COUNT_BAD, known).fetchone()[0] >= _SHARED_BY:
        db.execute(_ADD_CAUSES, known)
        db.execute(_ADD_OUTAGES, known)


def reassess(db: Database, tasks: set[int]) -> None:
    """Store the verdicts on tests that failed lately. If one is not flaky, its next result may show that it is."""
    if not tasks:
        return
    runs = _Runs(db)
    verdicts = {task: _verdict(_outcomes(db, task, Scope(), runs)) for task in sorted(tasks)}
    for statement in _FORGET:
        db.execute(statement, (json.dumps(list(verdicts)),))
    failed = {task: verdict for task, verdict in verdicts.items() if verdict.has_failed}
    db.executemany(_ADD_TEST, [_row(task, verdict) for task, verdict in failed.items()])
    occurred = {(task, one.run) for task, verdict in failed.items() for one in verdict.occurrences}
    db.executemany("INSERT INTO flaky_run (task, run) VALUES (?, ?)", sorted(occurred))


def _row(task: int, verdict: Verdict) -> tuple[object, ...]:
    """Return the values of the statement `_ADD_TEST`."""
    counts = (verdict.count(kind) for kind in _BY_WEIGHT)
    last = verdict.occurrences[0] if verdict.occurrences else None
    occurrence = (last.kind, last.started, last.run) if last else (None, None, None)
    return (task, verdict.score, verdict.failed, verdict.runs, int(verdict.is_open), *counts, *occurrence)
