"""Questions about the failures of a run that tell whose they are. Each is asked once for all of them."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.core.outcomes import function_of
from pytest_swarmtask.history import query

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.flaky import Flaky
    from pytest_swarmtask.history.query import Failure, Run

_MAIN = ("main", "master")
"""The names of default branches, where no session has said which one it is."""
_WINDOW = 50
"""Runs of a branch that are looked at, the newest ones: a break of the default branch that lasts longer is known to
everybody. They bound how many results are read."""


def default_branch(db: Database, run: Run) -> str | None:
    """Return the default branch of the repository of a run; None if no run of the project is known to be on it.

    Sessions know it from the configuration, from CI or from the remote (`core.facts`). What the run says counts, else
    what the last run says that knows it.
    """
    asked = """SELECT default_branch FROM run WHERE project = ? AND default_branch IS NOT NULL AND started <= ?
               ORDER BY id <> ?, started DESC LIMIT 1"""
    row = db.execute(asked, (db.project, run.started, run.key)).fetchone()
    if row is not None:
        return str(row[0])
    known = """SELECT branch FROM run WHERE project = ? AND branch IN (SELECT value FROM json_each(?))
               ORDER BY branch LIMIT 1"""
    row = db.execute(known, (db.project, json.dumps(_MAIN))).fetchone()
    return None if row is None else str(row[0])


class OnMain(NamedTuple):
    """How a test ended when it last ran on the default branch, before a run.

    Attributes:
        since: the timestamp of the first of its failing runs in a row; empty if it passed. In each of them, it failed
            under all the variants that the run had of it.
        commit: the commit of that run, or None.
        fingerprint: that of its last failure, or None.
        streak: the number of these runs.
        at_least: whether it has failed in all runs that were looked at, and so perhaps in earlier ones.
        same_variant: whether the results are of the variant of the failure. If it never ran there, others are asked.
    """

    since: str
    commit: str | None
    fingerprint: str | None
    streak: int
    at_least: bool
    same_variant: bool


@dataclass
class FailureFacts:
    """What the history knows of one failure.

    Attributes:
        has_main: whether a run of the default branch before this one is known.
        main: how the test ended on the default branch; None if it has no result there.
        flaky: the verdict that it is flaky, of its own variant if it has one, else the worst of the others; or None.
        passed_under: the other variants under which the test passed in the same run, if it failed under none of them.
        changed: what differs from the last run in which the test passed, by the names of `SOFTWARE`: before and now.
        passed_in: the branch of that run; empty if there is none.
    """

    has_main: bool
    main: OnMain | None = None
    flaky: Flaky | None = None
    passed_under: list[str] = field(default_factory=list)
    changed: dict[str, tuple[str, str]] = field(default_factory=dict)
    passed_in: str = ""


class _Past(NamedTuple):
    """A result of a test before a run, or one of its other variants."""

    key: int
    task: int
    run: int
    failed: int
    started: str


_TASKS = """
SELECT own.id, other.id, other.variant FROM task AS own
JOIN task AS other ON other.project = own.project AND other.name = own.name AND other.kind = own.kind
WHERE own.id IN (SELECT task FROM span WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each(?)))
"""
# The keys stand in the statement, since PostgreSQL would read all results where it cannot see how few tests are asked
# for. Quarantine decides what counts, and says nothing of why a test fails.
_RESULTS = f"""
SELECT span.id, span.task, span.run, CASE WHEN span.status = 'quarantined' THEN 1 ELSE span.failed END, span.started
FROM span
WHERE span.task IN ({{tasks}}) AND span.started >= ? AND +span.run IN ({{runs}})
  AND ({query.DECIDED} OR span.status = 'quarantined' AND span.superseded = 0)
ORDER BY span.started DESC, span.id DESC
"""
_OWN = "SELECT id, task FROM span WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each(?))"
_FINGERPRINTS = """
SELECT span, fingerprint FROM evidence
WHERE span IN (SELECT CAST(value AS BIGINT) FROM json_each(?)) AND fingerprint IS NOT NULL
"""
_SOFTWARE = """
SELECT span.id, session.software FROM span
JOIN span AS session ON session.run = span.run AND session.span_id = span.parent
WHERE span.id IN (SELECT CAST(value AS BIGINT) FROM json_each(?)) AND session.software IS NOT NULL
"""


def facts_of(db: Database, run: Run, failures: Sequence[Failure], main: str | None) -> list[FailureFacts]:
    """Return what the history knows of failures of a run, one for each.

    Args:
        db: the history.
        run: the run.
        failures: its failures.
        main: the default branch, or None.
    """
    if not failures:
        return []
    return _Inquiry(db, run, failures, main).facts()


class _Inquiry:
    """Asks the questions, each once for all failures: PostgreSQL takes one to two milliseconds for each."""

    def __init__(self, db: Database, run: Run, failures: Sequence[Failure], main: str | None) -> None:
        self._db = db
        self._run = run
        self._failures = failures
        self._task = dict(db.execute(_OWN, (_keys(each.key for each in failures),)).fetchall())
        self._variant: dict[int, str] = {}
        self._others: dict[int, list[int]] = defaultdict(list)
        for own, other, variant in db.execute(_TASKS, (_keys(self._task),)):
            self._variant[other] = variant
            if other != own:
                self._others[own].append(other)
        self._main = self._runs_of(main) if main else []
        self._branch = self._main if run.branch == main else self._runs_of(run.branch) if run.branch else []
        self._name = {one.key: one.branch or "" for one in (*self._branch, *self._main)}
        self._results = self._past_results()

    def facts(self) -> list[FailureFacts]:
        flaky = self._flaky()
        passes = {each.key: self._last_pass(self._task[each.key]) for each in self._failures}
        changes = self._changes({failure: one.key for failure, one in passes.items() if one is not None})
        on_main = {each.key: self._on_main(self._task[each.key]) for each in self._failures}
        fingerprints = self._fingerprints([last.key for found, last in on_main.values() if found and last])
        facts = []
        for each in self._failures:
            main, last = on_main[each.key]
            if main is not None and last is not None:
                main = main._replace(fingerprint=fingerprints.get(last.key))
            own = flaky.get((each.task_id, each.variant)) or flaky.get((each.task_id, None))
            passed = passes[each.key]
            found = FailureFacts(bool(self._main), main, own, self._passed_under(self._task[each.key]))
            if passed is not None:
                found.changed, found.passed_in = changes[each.key], self._name[passed.run]
            facts.append(found)
        return facts

    def _runs_of(self, branch: str | None) -> list[Run]:
        """Return the last runs of a branch before the run, newest first."""
        chosen = query.RunFilter(branch=branch, with_tests=True)
        return query.last_runs(self._db, _WINDOW, chosen, before=self._run)

    def _past_results(self) -> dict[int, list[_Past]]:
        """Return the results of the failed tests under all variants in these runs and in this one, newest first."""
        runs = {self._run.key: self._run.started, **{one.key: one.started for one in (*self._branch, *self._main)}}
        keys = {"tasks": ", ".join(map(str, self._variant)), "runs": ", ".join(map(str, runs))}
        found: dict[int, list[_Past]] = defaultdict(list)
        for row in self._db.execute(_RESULTS.format(**keys), (min(runs.values()),)):
            found[row[1]].append(_Past(*row))
        return found

    def _on_main(self, task: int) -> tuple[OnMain | None, _Past | None]:
        """Return how a test ended on the default branch, and its last result there."""
        runs = {one.key: one for one in self._main}
        own = [one for one in self._results[task] if one.run in runs]
        past = own or [one for other in self._others[task] for one in self._results[other] if one.run in runs]
        if not past:
            return None, None
        past.sort(key=lambda one: runs[one.run].started, reverse=True)
        failed: dict[int, bool] = {}
        for one in past:  # under another variant, a test must fail under each to fail for a reason that is not ours
            failed[one.run] = failed.get(one.run, True) and bool(one.failed)
        streak = []
        for run, has_failed in failed.items():
            if not has_failed:
                break
            streak.append(runs[run])
        if not streak:
            return OnMain("", None, None, 0, at_least=False, same_variant=bool(own)), past[0]
        first = streak[-1]
        at_least = len(streak) == len(failed) and len(self._main) == _WINDOW
        found = OnMain(first.started, first.commit, None, len(streak), at_least=at_least, same_variant=bool(own))
        return found, past[0]

    def _last_pass(self, task: int) -> _Past | None:
        """Return the last result of a test that was no failure, on the branch of the run or else the default branch."""
        for branch in (self._branch, self._main):
            runs = {one.key for one in branch}
            found = next((one for one in self._results[task] if one.run in runs and not one.failed), None)
            if found is not None:
                return found
        return None

    def _passed_under(self, task: int) -> list[str]:
        """Return the other variants under which a test passed in the run; none if it failed under one of them."""
        here = [one for other in self._others[task] for one in self._results[other] if one.run == self._run.key]
        if any(one.failed for one in here):
            return []
        return sorted({self._variant[one.task] for one in here})

    def _changes(self, passes: dict[int, int]) -> dict[int, dict[str, tuple[str, str]]]:
        """Return in what the session of each failure differs from that of a pass."""
        asked = _keys({*passes, *passes.values()})
        software = {span: _facts(text) for span, text in self._db.execute(_SOFTWARE, (asked,))} if passes else {}
        changes = {}
        for failure, passed in passes.items():
            before, now = software.get(passed, {}), software.get(failure, {})
            changes[failure] = {
                name: (before.get(name, ""), now.get(name, ""))
                for name in dict.fromkeys((*now, *before))
                if before and now and before.get(name) != now.get(name)
            }
        return changes

    def _flaky(self) -> dict[tuple[str, str | None], Flaky]:
        """Return the verdicts by test and variant, and the worst of each test by None instead of the variant."""
        found: dict[tuple[str, str | None], Flaky] = {}
        for test in query.flaky_tests(self._db, list(self._variant)):
            found.setdefault((test.test, None), test)
            found[test.test, test.variant] = test
        return found

    def _fingerprints(self, spans: list[int]) -> dict[int, str]:
        return dict(self._db.execute(_FINGERPRINTS, (_keys(spans),)).fetchall()) if spans else {}


def _keys(keys: Iterable[int]) -> str:
    return json.dumps(list(keys))


def _facts(text: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(text)
    return found


def last_complete(db: Database, run: Run, main: str) -> Run | None:
    """Return the last complete run of the default branch before a run, of the same folders if there is one."""
    chosen = query.RunFilter(branch=main, partial=False, with_tests=True)
    found = [one for one in query.last_runs(db, _WINDOW, chosen, before=run) if one.outcome != "unfinished"]
    return next((one for one in found if one.scope == run.scope), found[0] if found else None)


_LOST = """
SELECT task.name, task.variant FROM task WHERE id IN (
    SELECT task FROM span WHERE run = ?1 AND kind = 'TEST' AND superseded = 0 AND status <> 'skipped'
    EXCEPT SELECT task FROM span WHERE run = ?2 AND kind = 'TEST')
ORDER BY name, variant
"""
_NAMES = """
SELECT DISTINCT task.name, task.variant FROM span JOIN task ON task.id = span.task
WHERE span.run = ? AND span.kind = 'TEST'
"""


def missing_tests(db: Database, run: Run, base: Run) -> list[tuple[str, str]]:
    """Return node id and variant of the tests that ran in another run, and of which this run has no parameter at all.

    Compared are the variants that this run has. If each of the runs has one only, these are compared.
    """
    rows = db.execute(_LOST, (base.key, run.key)).fetchall()
    are_alike = len(run.variants) <= 1 and len(base.variants) <= 1

    def compared(name: str, variant: str) -> tuple[str, str]:
        return function_of(name), "" if are_alike else variant

    here = {compared(*row) for row in db.execute(_NAMES, (run.key,))} if rows else set()
    known = [row for row in rows if are_alike or row[1] in run.variants]
    return [(name, variant) for name, variant in known if compared(name, variant) not in here]


# Pytest ends with 1 if tests failed, and with 5 if there are none, as in a shard that got none.
_BROKEN = """
SELECT task.name, span.error, span.ended FROM span JOIN task ON task.id = span.task
WHERE span.run = ? AND span.software IS NOT NULL AND span.superseded = 0
  AND (span.exit_code IS NULL OR span.exit_code NOT IN (0, 1, 5))
ORDER BY span.started, span.id
"""


def broken_sessions(db: Database, run: Run) -> list[str]:
    """Return what is wrong with the pytest sessions of a run beside failed tests: killed, interrupted, not ended."""
    rows = db.execute(_BROKEN, (run.key,))
    return [f"{name}: {error or 'no exit code'}" if ended else f"{name} has not ended" for name, error, ended in rows]
