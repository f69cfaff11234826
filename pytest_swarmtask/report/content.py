"""What every form of a report says about a run: failures, slowest and flaky tests, trend, and comparison."""

# ruff: noqa: TC001 - the API's schemas are made of the fields

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.trace import Clock
from pytest_swarmtask.history import query
from pytest_swarmtask.history.comparison import Comparison, compare
from pytest_swarmtask.history.flaky import Flaky
from pytest_swarmtask.history.query import QuarantinedTest, Run, TestDuration
from pytest_swarmtask.history.repeated import Repeated, repeated
from pytest_swarmtask.history.shards import ShardedSuite, sharded_suites
from pytest_swarmtask.report.commit_authors import commit_authors
from pytest_swarmtask.report.explanation import explain
from pytest_swarmtask.report.failures import ReportedFailure, report_failures, report_left_out
from pytest_swarmtask.report.phrases import short_id

if TYPE_CHECKING:
    from pytest_swarmtask.history.database import Database

# These numbers bound what a report shows of a run, and with it the length of `report --json`, which docs/history.md
# documents. A reader of the slowest tests looks at the first few.
MOST_SLOW = 10
MOST_FLAKY = 20
MOST_COMPARED = 50
MOST_LATER = 10
_MOST_COUNTED = 1000
"""Runs without tests that are counted: enough to tell that there were many."""
PREVIOUS = "previous"
"""A request names this to compare a run with the run of the same tests before it."""
_AHEAD = 3600.0
"""Seconds by which the clocks of two machines may differ. A run that began later than that has a wrong clock."""
MIN_SLOW = 0.01
"""Seconds that a test must take to be shown as slow. If all tests are faster, none of them needs attention."""


class ReportRequest(NamedTuple):
    """Which run to report on, and what to compare it with.

    Attributes:
        run: the beginning of the run's id; None for the last run.
        compare: the beginning of another run's id, or `PREVIOUS`; None for no comparison.
        branch: only runs on this branch. It applies to the trend, and to the choice of the last run.
        since: only runs that started at this timestamp or later. It applies to the same.
        last: the number of runs in the trend, which are searched for flaky tests.
        failures: the number of failures to return, at most, and of tests that passed when they were repeated.
        ci_run: the CI run that asks. If no run is named, it goes before the last run.
    """

    run: str | None = None
    compare: str | None = None
    branch: str | None = None
    since: str | None = None
    last: int = 20
    failures: int = 1000
    ci_run: str | None = None


@dataclass(frozen=True)
class Report:
    """A run, compared with the runs before it. `report --json` has these fields.

    Attributes:
        run: the run.
        later: if the request names no run, the runs without tests since then, newest first, at most `MOST_LATER`.
        later_total: how many there are.
        failures: its failures, of which there are `failures_total`.
        open: tests that failed when they last ran, and did not run now because the run is partial; `open_total` in all.
        repeated: its tests that passed only when they were repeated, of which there are `repeated_total`.
        quarantined: its tests that failed and do not count, of which there are `quarantined_total`.
        slowest: its slowest tests.
        flaky: tests that were flaky in the runs of `trend`.
        trend: the runs of the same tests under the same variants up to this one, oldest first. Of a run without tests,
            the runs with the same outermost tasks.
        comparison: the differences from another run, if the request names one.
        shards: its shards, for each variant.
    """

    run: Run
    later: list[Run]
    later_total: int
    failures: list[ReportedFailure]
    failures_total: int
    open: list[ReportedFailure]
    open_total: int
    repeated: list[Repeated]
    repeated_total: int
    quarantined: list[QuarantinedTest]
    quarantined_total: int
    slowest: list[TestDuration]
    flaky: list[Flaky]
    trend: list[Run]
    comparison: Comparison | None
    shards: list[ShardedSuite]

    @property
    def slow(self) -> list[TestDuration]:
        """The slowest tests that took at least `MIN_SLOW` seconds."""
        return [timing for timing in self.slowest if timing.duration >= MIN_SLOW]

    def as_json(self) -> dict[str, Any]:
        """Return the object of `report --json`. docs/history.md documents its fields."""
        shown: dict[str, Any] = without_keys(asdict(self))
        for failure in (*shown["failures"], *shown["open"]):
            failure.update(failure.pop("evidence"))
        return shown


def without_keys(value: Any) -> Any:
    """Return plain data without primary keys, which mean something only inside of one database file."""
    if isinstance(value, dict):
        return {name: without_keys(item) for name, item in value.items() if name != "key"}
    return [without_keys(item) for item in value] if isinstance(value, list) else value


def collect_report(db: Database, request: ReportRequest, root: str) -> Report | None:
    """Return the report on the requested run, or None if no run matches.

    Args:
        db: the history.
        request: which run to report on.
        root: the project's folder, whose repository tells the owners of tests.

    Raises:
        UsageError: the request names a run that does not exist, or a beginning that several runs have.
    """
    run = requested_run(db, request)
    if run is None:
        return None
    failures, total = query.failures(db, run, request.failures)
    left_out, left_out_total = query.open_failures(db, run, request.failures)
    authors = commit_authors(root, (failure.since_commit for failure in (*failures, *left_out)))
    passed_at_last, passed_at_last_total = repeated(db, run, request.failures)
    later = [] if request.run is not None else runs_since(db, run, request.branch)
    comparable = comparable_runs(run)._replace(branch=request.branch, since=request.since, until=run.started)
    # A named run may itself be excluded by the filter, and be the only one.
    trend = query.last_runs(db, request.last, comparable) or [run]
    other = _other_run(db, request.compare, trend, run) if request.compare else None
    return Report(
        run,
        later[:MOST_LATER],
        len(later),
        _explained(db, run, report_failures(db, run, failures, root, authors)),
        total,
        report_left_out(db, left_out, root, authors),
        left_out_total,
        passed_at_last,
        passed_at_last_total,
        *query.quarantined(db, run, request.failures),
        query.slowest(db, run, MOST_SLOW),
        query.flaky(db, trend, MOST_FLAKY),
        trend[::-1],
        compare(db, run, other, MOST_COMPARED) if other else None,
        sharded_suites(db, run.key),
    )


def _explained(db: Database, run: Run, failures: list[ReportedFailure]) -> list[ReportedFailure]:
    explanations = explain(db, run, failures)
    return [replace(failure, explanation=why) for failure, why in zip(failures, explanations, strict=True)]


def _other_run(db: Database, wanted: str, trend: list[Run], run: Run) -> Run | None:
    """Return the run to compare with. The previous one is looked for on the same branch first."""
    if wanted != PREVIOUS:
        return find_run(db, wanted)
    earlier = [one for one in trend if one.key != run.key]
    return next(iter([one for one in earlier if one.branch == run.branch] or earlier), None)


def comparable_runs(run: Run) -> query.RunFilter:
    """Return which runs can be compared with a run: those of the same tests, or else of the same outermost tasks."""
    if not run.tests:
        return query.RunFilter(what=run.what, with_tests=False)
    return query.RunFilter(scope=run.scope, partial=run.partial, with_tests=True, variants=run.variant_lines)


def requested_run(db: Database, request: ReportRequest) -> Run | None:
    """Return the requested run, or None if no run matches.

    Raises:
        UsageError: as in `collect_report`.
    """
    if request.run is not None:
        return find_run(db, request.run)
    return last_run(db, query.RunFilter(request.branch, request.since), request.ci_run)


def last_run(db: Database, runs: query.RunFilter = query.ALL_RUNS, ci_run: str | None = None) -> Run | None:
    """Return the run that commands show if no run is named.

    It is the given CI run if the history has it, else the last run with tests, else the last run. Other runs, such as a
    deployment or a single `emit`, do not hide the results that people look for. A run that began in the future does not
    hide them either: the clock of its machine was wrong.
    """
    clock = Clock()
    until_now = runs._replace(until=clock.timestamp(clock.now() + _AHEAD))
    choices = [one._replace(with_tests=tests) for tests in (True, None) for one in (until_now, runs)]
    if ci_run is not None:
        choices.insert(0, runs._replace(ci_run=ci_run))
    found = (query.last_runs(db, 1, choice) for choice in choices)
    return next((newest for (newest,) in filter(None, found)), None)


def runs_since(db: Database, run: Run, branch: str | None = None) -> list[Run]:
    """Return the runs without tests that started after a run with tests, newest first; only those on a branch."""
    if not run.tests:
        return []
    since = query.RunFilter(branch, run.started, with_tests=False)
    return [one for one in query.last_runs(db, _MOST_COUNTED, since) if one.run != run.run]


def find_run(db: Database, prefix: str) -> Run:
    """Return the run whose id begins with `prefix`.

    Raises:
        UsageError: no run or several runs begin with it.
    """
    found = query.find_runs(db, prefix.lower())
    if len(found) == 1:
        return found[0]
    others = found or query.last_runs(db, 3)
    names = ", ".join(short_id(run.run) for run in others)
    if found:
        raise UsageError(f"several runs begin with {prefix!r}: {names}")
    raise UsageError(f"no run begins with {prefix!r}; " + (f"the last ones are {names}" if names else "there are none"))
