"""Questions to the history: plain SQL, typed answers. Timestamps are as in events: UTC, in the format of RFC 3339."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_swarmtask.history.flaky import Flaky

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_swarmtask.history.database import Database

OUTCOMES = ("passed", "failed", "errors", "crashed", "quarantined", "skipped", "xfailed", "xpassed", "unfinished")
"""The columns of `run` that count tests by outcome, in the order in which they are shown."""


@dataclass(frozen=True)
class Run:
    """One run as a whole. `report --json` has these fields, apart from `key`.

    Superseded results are in none of its numbers but `superseded`.

    Attributes:
        key: its primary key, which means something only inside of one file.
        run: its trace id.
        started, ended: timestamps; `ended` is None while an outermost task has not ended.
        duration: seconds, or None.
        outcome: ``completed``, ``failed`` or ``unfinished``.
        what: the names of its outermost tasks.
        tests: the number of its tests.
        counts: the number of its tests by outcome (`OUTCOMES`), without zeros.
        teardown_errors: failed tests whose teardown failed as well. pytest counts each of these as one more error.
        dirty: whether its checkout had uncommitted changes; None if unknown.
        partial: whether only a part of a suite ran: because of an option such as ``-k``, or because a session stopped.
        scope: a text that runs of the same tests have in common; None if it has no tests.
        testing: the seconds that its pytest sessions took; None if none has ended.
        ci_run: the name of the CI run, which all its attempts share; None outside of CI.
        superseded: the number of results that a later attempt of their job has superseded.
        variants: the variants of its pytest sessions, by name.
        traces: its trace ids, the one that began first before the others: GitHub gives each attempt one of its own.
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
    dirty: bool | None
    environment: str | None
    ci: str | None
    ci_url: str | None
    host: str | None
    python: str | None
    coverage: float | None
    tests: int
    teardown_errors: int
    partial: bool
    scope: str | None
    testing: float | None
    ci_run: str | None
    superseded: int
    variants: list[str]
    traces: list[str]
    counts: dict[str, int]

    @property
    def bad(self) -> int:
        """The number of tests that failed, had an error, or crashed."""
        return sum(self.counts.get(name, 0) for name in ("failed", "errors", "crashed"))

    @property
    def variant_lines(self) -> str:
        """Its variants as the table has them: one a line."""
        return "\n".join(self.variants)

    @property
    def measured(self) -> float | None:
        """The duration that a trend compares: of the tests alone, whatever else ran before and after them."""
        return self.duration if self.testing is None else self.testing


_RUN = """
SELECT id, trace_id, started, ended, duration, outcome, roots, command, branch, "commit", dirty, environment, ci,
       ci_url, host, python, coverage, tests, teardown_errors, partial, scope, testing, ci_run, superseded, variants,
       passed, failed, errors, crashed, quarantined, skipped, xfailed, xpassed, unfinished
FROM run"""


def _runs(db: Database, query: str, values: Sequence[Any]) -> list[Run]:
    rows = db.execute(query, values).fetchall()
    traces = _traces(db, [row[0] for row in rows])
    names = list(Run.__dataclass_fields__)[:-2]  # these fields are columns; the columns of `counts` follow
    runs = []
    for row in rows:
        facts = dict(zip(names, row, strict=False))
        facts["dirty"], facts["partial"] = _flag(facts["dirty"]), bool(facts["partial"])
        facts["variants"] = facts["variants"].splitlines()
        counts = {name: count for name, count in zip(OUTCOMES, row[len(names) :], strict=True) if count}
        runs.append(Run(**facts, traces=traces.get(row[0], []), counts=counts))
    return runs


def _traces(db: Database, runs: Iterable[int]) -> dict[int, list[str]]:
    """Return the trace ids of runs by the times when they began. One of which only tests are known comes last."""
    keys = ", ".join(map(str, runs))
    query = f"""SELECT run, trace_id FROM trace WHERE run IN ({keys or "NULL"})
                ORDER BY run, started IS NULL, started, trace_id"""
    found: dict[int, list[str]] = {}
    for run, trace_id in db.execute(query):
        found.setdefault(run, []).append(trace_id)
    return found


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)


class RunFilter(NamedTuple):
    """Conditions that a run has to meet. None is no condition.

    Attributes:
        branch: it is on this branch.
        since: it started at this timestamp or later.
        what: it has these outermost tasks.
        until: it started at this timestamp or earlier.
        scope: it has this `Run.scope`.
        partial: whether it is partial.
        with_tests: whether it has tests.
        variants: its variants, as the table has them: one a line.
        ci_run: it is this CI run, see `Run.ci_run`.
        variant: one of its variants is this.
    """

    branch: str | None = None
    since: str | None = None
    what: str | None = None
    until: str | None = None
    scope: str | None = None
    partial: bool | None = None
    with_tests: bool | None = None
    variants: str | None = None
    ci_run: str | None = None
    variant: str | None = None


ALL_RUNS = RunFilter()


_LINE = "\n"  # ends each variant in the column `variants`
_CONDITIONS = {
    "branch": "branch = ?",
    "since": "started >= ?",
    "what": "roots = ?",
    "until": "started <= ?",
    "scope": "scope = ?",
    "partial": "partial = ?",
    "with_tests": "CASE WHEN tests > 0 THEN 1 ELSE 0 END = ?",
    "variants": "variants = ?",
    "ci_run": "ci_run = ?",
    "variant": f"instr('{_LINE}' || variants || '{_LINE}', '{_LINE}' || ? || '{_LINE}') > 0",
}
"""The condition of each field of a `RunFilter`. A query has only those that are given, so that it can use indexes."""


def _selected(db: Database, runs: RunFilter, beyond: str = "", start: Run | None = None) -> tuple[str, list[Any]]:
    """Return the question for runs that meet conditions, as far as its ORDER BY, and its values.

    Args:
        db: the history.
        runs: the conditions.
        beyond: ``<`` for the runs before `start`, ``>`` for those after it.
        start: a run, or None.
    """
    found = [(_CONDITIONS[name], value) for name, value in runs._asdict().items() if value is not None]
    conditions = ["project = ?", "started IS NOT NULL", *(condition for condition, _ in found)]
    values = [db.project, *(int(value) if isinstance(value, bool) else value for _, value in found)]
    if start is not None:
        conditions += [f"started {beyond}= ?", f"(started {beyond} ? OR id {beyond} ?)"]
        values += [start.started, start.started, start.key]
    return f"{_RUN} WHERE {' AND '.join(conditions)}", values


def last_runs(db: Database, limit: int, runs: RunFilter = ALL_RUNS, before: Run | None = None) -> list[Run]:
    """Return the newest runs, newest first, at most `limit`; only those older than `before`, if it is given."""
    query, values = _selected(db, runs, "<", before)
    return _runs(db, f"{query} ORDER BY started DESC, id DESC LIMIT ?", (*values, limit))


def next_run(db: Database, run: Run, runs: RunFilter) -> Run | None:
    """Return the oldest of the runs that are newer than a run."""
    query, values = _selected(db, runs, ">", run)
    return next(iter(_runs(db, f"{query} ORDER BY started, id LIMIT 1", values)), None)


_RECENT = 500
"""Runs that are looked at for branches: a branch that none of them is on is no longer worked on."""


NEWEST_COMPLETE = """
SELECT id, row_number() OVER (PARTITION BY variants ORDER BY started DESC, id DESC) AS number
FROM run WHERE project = ? AND tests > 0 AND partial = 0
"""
"""The complete runs of a project, those of the same variants numbered from the newest, 1."""


def recent_branches(db: Database, limit: int) -> list[str]:
    """Return the branches of the last runs, the one with the newest run first, at most `limit`."""
    query = """SELECT branch FROM (
            SELECT branch, started FROM run WHERE project = ? AND started IS NOT NULL ORDER BY started DESC LIMIT ?
        ) AS recent WHERE branch IS NOT NULL GROUP BY branch ORDER BY max(started) DESC, branch LIMIT ?"""
    return [branch for (branch,) in db.execute(query, (db.project, _RECENT, limit))]


def known_variants(db: Database) -> list[str]:
    """Return the variants under which tests ran, by name."""
    query = "SELECT DISTINCT variant FROM task WHERE project = ? AND kind = 'TEST' AND variant <> '' ORDER BY variant"
    return [variant for (variant,) in db.execute(query, (db.project,))]


def last_run_of_branches(db: Database, limit: int) -> list[Run]:
    """Return the last finished run with tests on each branch of the last runs, newest first, at most `limit`."""
    query = f"""{_RUN} WHERE id IN (SELECT id FROM (
            SELECT id, row_number() OVER (PARTITION BY branch ORDER BY started DESC, id DESC) AS place FROM (
                SELECT id, branch, started, tests, outcome FROM run WHERE project = ? AND started IS NOT NULL
                ORDER BY started DESC LIMIT ?
            ) AS recent WHERE tests > 0 AND outcome <> 'unfinished'
        ) AS placed WHERE place = 1) ORDER BY started DESC, id DESC LIMIT ?"""
    return _runs(db, query, (db.project, _RECENT, limit))


def find_runs(db: Database, prefix: str) -> list[Run]:
    """Return the runs of the traces whose id begins with `prefix`, newest first, at most ten."""
    query = f"""{_RUN} WHERE started IS NOT NULL AND id IN (
            SELECT run FROM trace WHERE project = ? AND trace_id >= ? AND trace_id < ?)
        ORDER BY started DESC LIMIT 10"""
    return _runs(db, query, (db.project, prefix, f"{prefix}~"))


def runs_of_traces(db: Database, traces: Iterable[str]) -> list[Run]:
    """Return the runs that traces belong to, oldest first."""
    query = f"""{_RUN} WHERE started IS NOT NULL AND id IN (
            SELECT run FROM trace WHERE project = ? AND trace_id IN (SELECT value FROM json_each(?)))
        ORDER BY started, id"""
    return _runs(db, query, (db.project, json.dumps(sorted(traces))))


@dataclass(frozen=True)
class Failure:
    """A test that failed in a run, or a task, build or deployment that failed while nothing below it failed.

    Attributes:
        key: the primary key of its span, which means something only inside of one file.
        kind: ``TEST``, ``TASK``, ``BUILD`` or ``DEPLOYMENT``.
        task_id: the node id of a test, else the task id.
        variant: the variant of the test, or an empty text.
        duration: seconds, or None.
        error: the message.
        place: file and line.
        teardown_error: the message of the teardown, if that failed as well.
        streak: the number of runs in a row in which it failed, this one included.
        since, since_run, since_commit: timestamp, trace id and commit of the first of these runs.
        since_dirty: whether its checkout had uncommitted changes; None if unknown.
        passed_before: whether it passed before that run.
        new: whether the failure began with that run: the test passed before, or has no earlier result at all.
    """

    key: int
    kind: str
    task_id: str
    variant: str
    outcome: str
    duration: float | None
    error: str | None
    place: str | None
    teardown_error: str | None
    streak: int
    since: str
    since_run: str
    since_commit: str | None
    since_dirty: bool | None
    passed_before: bool
    new: bool


_FAILURE = """
SELECT span.id, span.kind, task.name, task.variant, span.status, span.duration, error, place, teardown_error, span.task,
       span.started
"""
_FAILED = f"""
{_FAILURE} FROM span JOIN task ON task.id = span.task
WHERE span.run = ? AND span.failed = 1 AND span.superseded = 0
  AND NOT EXISTS (SELECT 1 FROM span AS below
                  WHERE below.run = span.run AND below.failed = 1 AND below.parent = span.span_id)
ORDER BY span.kind <> 'TEST', span.started, span.id LIMIT ?
"""


_NO_LIMIT = 1 << 62


def failures(db: Database, run: Run, limit: int) -> tuple[list[Failure], int]:
    """Return the failures of a run in the order of their starts, tests first, at most `limit`; and how many it has."""
    rows = db.execute(_FAILED, (run.key, limit + 1)).fetchall()
    count = len(rows)
    if count > limit:
        count = db.execute(f"SELECT count(*) FROM ({_FAILED}) AS failed", (run.key, _NO_LIMIT)).fetchone()[0]
    return [_failure(db, run.branch, row) for row in rows[:limit]], count


def _failure(db: Database, branch: str | None, row: Sequence[Any]) -> Failure:
    *fields, task, started = row
    return Failure(*fields, **_since(db, branch, task, started))


DECIDED = "(span.superseded = 0 AND (span.failed = 1 OR span.status IN ('passed', 'xpassed', 'completed')))"
"""A result that failed or passed. A skipped test neither breaks nor extends a failure streak."""


def _since(db: Database, branch: str | None, task: int, started: str) -> dict[str, Any]:
    """Return the fields of a `Failure` that come from the results of its test on a branch, from its own one back."""
    query = f"""
        SELECT span.failed, span.started, run.trace_id, run."commit", run.dirty FROM span JOIN run ON run.id = +span.run
        WHERE span.task = ? AND span.started <= ? AND run.branch IS ? AND {DECIDED} ORDER BY span.started DESC"""
    failing: dict[str, tuple[Any, ...]] = {}
    has_passed = False
    for failed, at, trace_id, commit, dirty in db.lazily(query, (task, started, branch)):
        if failed:
            failing[trace_id] = (at, trace_id, commit, _flag(dirty))
        # A test may fail and pass in two sessions of one run. A pass before its own row began at the same moment.
        elif failing and trace_id not in failing:
            has_passed = True
            break
    first = failing[next(reversed(failing))]
    fields = dict(zip(("since", "since_run", "since_commit", "since_dirty"), first, strict=True))
    return {"streak": len(failing), **fields, "passed_before": has_passed, "new": has_passed or len(failing) == 1}


def test_keys(db: Database, test: str) -> list[int]:
    """Return the keys of a test, one for each of its variants, by their names."""
    query = "SELECT id FROM task WHERE project = ? AND kind = 'TEST' AND name = ? ORDER BY variant"
    return [key for (key,) in db.execute(query, (db.project, test)).fetchall()]


@dataclass(frozen=True)
class PastFailure:
    """The last time that a test failed under one variant.

    Attributes:
        failure: how it failed.
        run: the trace id of the run.
        branch: the branch of the run.
        is_open: whether the test has not ended well on this branch since then.
    """

    failure: Failure
    run: str
    branch: str | None
    is_open: bool


def past_failures(db: Database, test: str, runs: RunFilter, limit: int) -> list[PastFailure]:
    """Return the last time that a test failed, for each variant in which it ever did, newest first, at most `limit`.

    Of the filter only branch and variants count.
    """
    query = f"""
        {_FAILURE}, run.trace_id, run.branch FROM span JOIN task ON task.id = span.task JOIN run ON run.id = +span.run
        WHERE span.task = ?1 AND span.failed = 1 AND span.superseded = 0 AND (?2 IS NULL OR run.branch = ?2)
          AND (?3 IS NULL OR task.variant = ?3)
        ORDER BY span.started DESC, span.id DESC LIMIT 1"""
    asked = (db.execute(query, (key, runs.branch, runs.variants)).fetchone() for key in test_keys(db, test))
    rows = sorted((row for row in asked if row is not None), key=itemgetter(10), reverse=True)[:limit]
    failing = {each.key for branch in {row[-1] for row in rows} for each in last_failures(db, test, branch)}
    return [PastFailure(_failure(db, branch, row), run, branch, row[0] in failing) for *row, run, branch in rows]


def last_failures(db: Database, test: str, branch: str | None) -> list[Failure]:
    """Return how a test failed on a branch the last time that it ran, for each variant in which it did not end well."""
    query = f"""
        {_FAILURE}, span.failed FROM span JOIN task ON task.id = span.task JOIN run ON run.id = +span.run
        WHERE span.task = ? AND run.branch IS ? AND {DECIDED} ORDER BY span.started DESC, span.id DESC LIMIT 1"""
    rows = (db.execute(query, (task, branch)).fetchone() for task in test_keys(db, test))
    return [_failure(db, branch, row[:-1]) for row in rows if row is not None and row[-1]]


_LAST_COMPLETE = """
SELECT started FROM run
WHERE project = :project AND branch IS :branch AND started <= :until AND tests > 0 AND partial = 0 AND NOT EXISTS (
    SELECT 1 FROM json_each(:variants) AS wanted
    WHERE wanted.value <> '' AND instr('\n' || variants || '\n', '\n' || wanted.value || '\n') = 0)
ORDER BY started DESC LIMIT 1
"""
"""The last complete run on a branch that had all the given variants."""
_OPEN = f"""
WITH failed AS (
    SELECT DISTINCT span.task FROM span JOIN run ON run.id = span.run JOIN task ON task.id = span.task
    WHERE span.failed = 1 AND span.superseded = 0 AND span.kind = 'TEST'
      AND run.project = :project AND run.branch IS :branch AND run.id <> :run
      AND run.started >= :base AND run.started <= :until
      AND task.variant IN (SELECT value FROM json_each(:variants))
), last AS (
    SELECT failed.task, (
        SELECT span.parent FROM span JOIN run ON run.id = +span.run
        WHERE span.task = failed.task AND run.branch IS :branch AND run.started <= :until AND {DECIDED}
        ORDER BY span.started DESC LIMIT 1) AS session
    FROM failed
)
{_FAILURE} FROM last JOIN task ON task.id = last.task JOIN span ON span.id = (
    SELECT twin.id FROM span AS twin  -- several tests of a session can have one node id
    WHERE twin.task = last.task AND twin.parent = last.session AND twin.failed = 1 AND twin.superseded = 0
    ORDER BY twin.started LIMIT 1)
WHERE span.run <> :run AND NOT (span.phase = 'collect' AND EXISTS (
    SELECT 1 FROM task AS inside JOIN span AS later ON later.task = inside.id JOIN run ON run.id = later.run
    WHERE inside.project = :project AND inside.kind = 'TEST'
      AND inside.name > task.name || '::' AND inside.name < task.name || ':;'
      AND later.started > span.started AND run.branch IS :branch AND run.started <= :until))
ORDER BY task.name
"""


def open_failures(db: Database, run: Run, limit: int) -> tuple[list[Failure], int]:
    """Return the tests that failed when they last ran, and that a partial run has left out.

    Looked at are the last complete run on the same branch and the partial ones since then, under the variants of the
    run: a test that is not in a complete run is gone, and one that ended well in any run is mended. A file that could
    not be collected is mended when a test of it has run.

    Returns:
        The failures by node id, at most `limit`, and how many there are. A complete run leaves nothing out.
    """
    variants = json.dumps(run.variants or [""])
    known = {"project": db.project, "branch": run.branch, "until": run.started, "variants": variants}
    base = db.execute(_LAST_COMPLETE, known).fetchone() if run.partial else None
    if base is None:
        return [], 0
    rows = db.execute(_OPEN, {**known, "run": run.key, "base": base[0]}).fetchall()
    return [_failure(db, run.branch, row) for row in rows[:limit]], len(rows)


@dataclass(frozen=True)
class TestDuration:
    """How long a test took in a run, and the median of its earlier durations, both in seconds."""

    test: str
    variant: str
    duration: float
    usual: float | None


_EARLIER = 10
"""Earlier durations whose median is what a test usually takes."""


def slowest(db: Database, run: Run, limit: int) -> list[TestDuration]:
    """Return the slowest tests of a run, slowest first, at most `limit`. Without earlier results, `usual` is None."""
    query = """
        SELECT task.name, task.variant, span.duration, span.task, span.started
        FROM span JOIN task ON task.id = span.task
        WHERE span.run = ? AND span.kind = 'TEST' AND span.superseded = 0 AND span.duration IS NOT NULL
        ORDER BY span.duration DESC, span.id LIMIT ?"""
    rows = db.execute(query, (run.key, limit)).fetchall()
    return [TestDuration(name, variant, took, _usual(db, *rest)) for name, variant, took, *rest in rows]


def _usual(db: Database, task: int, before: str) -> float | None:
    query = """SELECT duration FROM span WHERE task = ? AND started < ? AND duration IS NOT NULL
               ORDER BY started DESC LIMIT ?"""
    durations = [row[0] for row in db.execute(query, (task, before, _EARLIER))]
    return statistics.median(durations) if durations else None


_FLAKY = """
SELECT task.name, task.variant, score, flaky_test.failed, runs, repeated, one_commit, flips, why,
       flaky_test.started, run.trace_id, run.branch, run."commit"
FROM flaky_test JOIN task ON task.id = flaky_test.task JOIN run ON run.id = flaky_test.run"""


def flaky(db: Database, runs: Sequence[Run], limit: int, variant: str | None = None) -> list[Flaky]:
    """Return the tests that were flaky in at least one of these runs, the worst first, at most `limit`.

    What is told of each is the stored verdict on its last runs (`history.flaky`), whichever runs are named here.

    Args:
        db: the history.
        runs: the runs.
        limit: the number of tests, at most.
        variant: only tests under this variant; None for all.
    """
    keys = ", ".join(str(run.key) for run in runs)
    query = f"""{_FLAKY} WHERE flaky_test.task IN (SELECT task FROM flaky_run WHERE run IN ({keys or "NULL"}))
        AND (?1 IS NULL OR task.variant = ?1) ORDER BY score DESC, task.name, task.variant LIMIT ?2"""
    return [Flaky(*row) for row in db.execute(query, (variant, limit))]


def flaky_tests(db: Database, tests: Sequence[int]) -> list[Flaky]:
    """Return the stored verdicts on those of some tests that were flaky in their last runs, the worst first.

    Args:
        db: the history.
        tests: the keys of the tests, each with a variant.
    """
    query = f"""{_FLAKY} WHERE flaky_test.failed > 0 AND flaky_test.task IN (
            SELECT CAST(value AS BIGINT) FROM json_each(?))
        ORDER BY score DESC, task.name, task.variant"""
    return [Flaky(*row) for row in db.execute(query, (json.dumps(list(tests)),))]


def flaky_variants(db: Database, test: str) -> list[Flaky]:
    """Return the stored verdict on each variant of a test that was flaky in its last runs, the worst first."""
    query = f"""{_FLAKY} WHERE flaky_test.failed > 0 AND flaky_test.task IN (
            SELECT id FROM task WHERE project = ? AND kind = 'TEST' AND name = ?)
        ORDER BY score DESC, task.variant"""
    return [Flaky(*row) for row in db.execute(query, (db.project, test))]


@dataclass(frozen=True)
class Result:
    """How one test ended once. `tests --json` has these fields."""

    test: str
    outcome: str
    duration: float | None
    started: str
    run: str
    branch: str | None
    commit: str | None
    dirty: bool | None
    attempt: int | None
    worker: str | None
    error: str | None
    place: str | None
    variant: str
    superseded: bool


_RESULT = """
SELECT task.name, coalesce(span.status, 'unfinished'), span.duration, span.started, run.trace_id, run.branch,
       run."commit", run.dirty, span.attempt, span.worker, span.error, span.place, task.variant, span.superseded"""
_FROM = "FROM span JOIN task ON task.id = span.task JOIN run ON run.id = span.run"


def _result(row: Sequence[Any]) -> Result:
    facts = dict(zip(Result.__dataclass_fields__, row, strict=True))
    return Result(**{**facts, "dirty": _flag(facts["dirty"]), "superseded": bool(facts["superseded"])})


def results_of(db: Database, tests: Sequence[str], limit: int, runs: RunFilter = ALL_RUNS) -> list[Result]:
    """Return the last results of some tests, newest first. Of the filter only branch, since and variants count."""
    keys = """SELECT id FROM task WHERE project = ?1 AND kind = 'TEST' AND (?3 IS NULL OR variant = ?3)
              AND name IN (SELECT value FROM json_each(?2))"""
    # Each variant is asked for by itself: the index has its results in order, so that only the last ones are read.
    query = f"""{_RESULT}, span.id {_FROM} WHERE span.task = ?1
        AND (?2 IS NULL OR run.branch = ?2) AND (?3 IS NULL OR span.started >= ?3)
        ORDER BY span.started DESC, span.id DESC LIMIT ?4"""
    found: list[tuple[Result, int]] = []
    for (key,) in db.execute(keys, (db.project, json.dumps(list(tests)), runs.variants)).fetchall():
        rows = db.execute(query, (key, runs.branch, runs.since, limit))
        found += [(_result(row), number) for *row, number in rows]
    found.sort(key=lambda each: (each[0].started, each[1]), reverse=True)
    return [result for result, _ in found[:limit]]


def last_results(db: Database, tests: Sequence[str]) -> list[Result]:
    """Return the last result of each variant of some tests, by node id and variant."""
    query = f"""{_RESULT} FROM task JOIN span ON span.id = (
            SELECT last.id FROM span AS last WHERE last.task = task.id ORDER BY last.started DESC, last.id DESC LIMIT 1)
        JOIN run ON run.id = span.run
        WHERE task.project = ? AND task.kind = 'TEST' AND task.name IN (SELECT value FROM json_each(?))
        ORDER BY task.name, task.variant"""
    return [_result(row) for row in db.execute(query, (db.project, json.dumps(list(tests))))]


def test_variants(db: Database, test: str) -> list[str]:
    """Return the variants of a test, by name."""
    query = "SELECT variant FROM task WHERE project = ? AND kind = 'TEST' AND name = ? ORDER BY variant"
    return [variant for (variant,) in db.execute(query, (db.project, test))]


@dataclass(frozen=True)
class Evidence:
    """What an ending tells of a failure, or of the attempts before it passed, beside its message. See docs/events.md.

    Attributes:
        exception: the type of the exception.
        fingerprint: the hash that failures with the same cause share.
        traceback, teardown_traceback: pytest's own representation of the failure.
        stdout, stderr, log: the ends of what pytest captured.
        properties: names and values of `record_property`.
        markers: the names of the test's markers.
        attempts: the earlier attempts at the test in its session, oldest first.
    """

    exception: str | None = None
    fingerprint: str | None = None
    traceback: str | None = None
    stdout: str | None = None
    stderr: str | None = None
    log: str | None = None
    teardown_traceback: str | None = None
    properties: list[list[Any]] = field(default_factory=list)
    markers: list[str] = field(default_factory=list)
    attempts: list[dict[str, Any]] = field(default_factory=list)


_NO_EVIDENCE = Evidence()


def to_evidence(exception: str | None, fingerprint: str | None, detail: str | None) -> Evidence:
    """Return the evidence that a row of the table `evidence` has, or that there is none if its values are None."""
    if exception is None and fingerprint is None and detail is None:
        return _NO_EVIDENCE
    known: dict[str, Any] = json.loads(detail) if detail else {}
    known.pop("quarantine", None)
    types = {"properties": list, "markers": list, "attempts": list}
    found: dict[str, Any] = {key: value for key, value in known.items() if isinstance(value, types.get(key, str))}
    return Evidence(exception, fingerprint, **found)


def evidence_of(db: Database, span: int) -> Evidence:
    """Return the evidence of a result by the key of its span (`Failure.key`)."""
    row = db.execute("SELECT exception, fingerprint, detail FROM evidence WHERE span = ?", (span,)).fetchone()
    return to_evidence(*row) if row else _NO_EVIDENCE


@dataclass(frozen=True)
class QuarantinedTest:
    """A test that failed in a run, and did not count because `quarantine.yaml` says so.

    Attributes:
        test, variant: the test.
        error, place: the message, and file and line.
        reason, until, issue, owner: what the file says; an empty text if it does not.
    """

    test: str
    variant: str
    error: str | None
    place: str | None
    reason: str
    until: str
    issue: str
    owner: str


_QUARANTINED = """
SELECT task.name, task.variant, error, place, detail
FROM span INDEXED BY span_quarantined JOIN task ON task.id = span.task LEFT JOIN evidence ON evidence.span = span.id
WHERE span.run = ? AND span.status = 'quarantined' AND span.superseded = 0 ORDER BY task.name, task.variant, span.id
"""


def quarantined(db: Database, run: Run, limit: int) -> tuple[list[QuarantinedTest], int]:
    """Return the quarantined tests of a run by node id, at most `limit`, and how many it has."""
    rows = db.execute(f"{_QUARANTINED} LIMIT ?", (run.key, limit)).fetchall()
    tests = [QuarantinedTest(*known, **to_quarantine(detail)) for *known, detail in rows]
    return tests, run.counts.get("quarantined", 0)


def to_quarantine(detail: str | None) -> dict[str, str]:
    """Return what a row of the table `evidence` tells of a quarantine, as the fields of a `QuarantinedTest`."""
    known = json.loads(detail).get("quarantine") if detail else None
    texts = known if isinstance(known, dict) else {}
    return {name: str(texts.get(name, "")) for name in ("reason", "until", "issue", "owner")}


def tests_by_error(db: Database, run: Run) -> dict[str, int]:
    """Return how many tests of a run failed with each fingerprint."""
    query = """
        SELECT fingerprint, count(DISTINCT span.task)
        FROM span INDEXED BY span_failed CROSS JOIN evidence ON evidence.span = span.id
        WHERE span.run = ? AND span.failed = 1 AND span.superseded = 0 AND fingerprint IS NOT NULL
        GROUP BY fingerprint"""
    return dict(db.execute(query, (run.key,)).fetchall())


def runs_with_error(db: Database, run: Run, fingerprint: str) -> int:
    """Return in how many other runs a test failed with a fingerprint."""
    query = """
        SELECT count(DISTINCT failed_run) FROM evidence JOIN run ON run.id = failed_run
        WHERE fingerprint = ? AND failed_run <> ? AND run.project = ?"""
    return int(db.execute(query, (fingerprint, run.key, db.project)).fetchone()[0])


@dataclass(frozen=True)
class ResultDetails:
    """A result of a run with all that an export of it needs.

    Attributes:
        result: the result.
        phase: the phase that decided it.
        teardown_error: the message of its teardown, if that failed as well.
        evidence: its evidence.
        quarantine: what `quarantine.yaml` says of it, see `QuarantinedTest`; its texts are empty if it says nothing.
    """

    result: Result
    phase: str | None
    teardown_error: str | None
    evidence: Evidence
    quarantine: dict[str, str]


def results(db: Database, run: Run, variant: str | None = None) -> Iterator[ResultDetails]:
    """Yield the results of a run, or those under one variant, in the order of the journal, without superseded ones."""
    query = f"""{_RESULT}, span.phase, span.teardown_error, exception, fingerprint, detail {_FROM}
        LEFT JOIN evidence ON evidence.span = span.id
        WHERE span.run = ?1 AND span.kind = 'TEST' AND span.superseded = 0 AND (?2 IS NULL OR task.variant = ?2)
        ORDER BY span.id"""
    for *row, phase, teardown_error, exception, fingerprint, detail in db.execute(query, (run.key, variant)):
        evidence = to_evidence(exception, fingerprint, detail)
        yield ResultDetails(_result(row), phase, teardown_error, evidence, to_quarantine(detail))


@dataclass(frozen=True)
class VariantTotals:
    """What a run has of one variant.

    Attributes:
        variant: the variant, or an empty text.
        started: when its first test started.
        duration: the seconds of all its tests together.
        counts: the number of its tests by outcome, in the words of `Result.outcome`.
        teardown_errors: failed tests whose teardown failed as well.
    """

    variant: str
    started: str
    duration: float
    counts: dict[str, int]
    teardown_errors: int


def totals_by_variant(db: Database, run: Run) -> list[VariantTotals]:
    """Return the totals of a run for each of its variants, by name, without superseded results."""
    query = """
        SELECT task.variant, coalesce(span.status, 'unfinished'), min(span.started), coalesce(sum(span.duration), 0.0),
               count(*), count(CASE WHEN span.status = 'failed' THEN span.teardown_error END)
        FROM span JOIN task ON task.id = span.task
        WHERE span.run = ? AND span.kind = 'TEST' AND span.superseded = 0 GROUP BY 1, 2 ORDER BY 1, 2"""
    totals = []
    for variant, rows in groupby(db.execute(query, (run.key,)), key=itemgetter(0)):
        _, outcomes, started, durations, numbers, errors = zip(*rows, strict=True)
        counts = dict(zip(outcomes, numbers, strict=True))
        totals.append(VariantTotals(variant, min(started), sum(durations), counts, sum(errors)))
    return totals


def find_tests(db: Database, text: str, limit: int = _NO_LIMIT, after: str = "") -> list[str]:
    """Return the node ids that contain a text, by name, at most `limit`; only those that sort after `after`."""
    query = """SELECT DISTINCT name FROM task WHERE project = ? AND name > ? AND kind = 'TEST' AND instr(name, ?) > 0
               ORDER BY name LIMIT ?"""
    return [name for (name,) in db.execute(query, (db.project, after, text, limit))]


def marked_tasks(db: Database, run: Run) -> list[str]:
    """Return the tasks of a run that tests name in their marks: those below its pytest sessions."""
    query = """
        SELECT DISTINCT task.name FROM span JOIN task ON task.id = span.task
        JOIN span AS session ON session.run = span.run AND session.span_id = span.parent
        WHERE span.run = ? AND span.kind = 'TASK' AND session.tests IS NOT NULL ORDER BY task.name"""
    return [name for (name,) in db.execute(query, (run.key,))]


def with_variant(test: str, variant: str) -> str:
    """Return a node id with its variant, as reports show it where there are several variants."""
    return f"{test} ({variant})" if variant else test
