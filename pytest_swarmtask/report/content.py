"""What a report says, whatever form it is given in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.history import query

if TYPE_CHECKING:
    import sqlite3

    from pytest_swarmtask.history.query import Comparison, Failure, Flaky, Run, TestDuration

MOST_SLOW = 10
MOST_FLAKY = 20
WORTH_TELLING = 0.01
"""Seconds that a test has to take before a person is told of it as slow."""
MOST_COMPARED = 50


class ReportRequest(NamedTuple):
    """What is asked for.

    Attributes:
        run: the beginning of a run's id; None for the last one.
        compare: the beginning of another's, or None.
        branch, since: only runs on this branch, or that started at this time or later.
        last: how many runs the trend and flaky tests are looked for in.
        failures: how many failures to tell of, at most.
    """

    run: str | None = None
    compare: str | None = None
    branch: str | None = None
    since: str | None = None
    last: int = 20
    failures: int = 1000


@dataclass(frozen=True)
class Report:
    """One run, and how it stands against those before it.

    Attributes:
        run: the run.
        failures: what failed in it; `failures_total` is how many there are.
        slowest: its slowest tests.
        flaky: flaky tests among the runs of `trend`.
        trend: it and the runs of the same tasks before it, oldest first.
        comparison: with the other run that was asked for, or None.
    """

    run: Run
    failures: list[Failure]
    failures_total: int
    slowest: list[TestDuration]
    flaky: list[Flaky]
    trend: list[Run]
    comparison: Comparison | None

    @property
    def slow(self) -> list[TestDuration]:
        """Those of its slowest tests that took any time worth telling."""
        return [timing for timing in self.slowest if timing.duration >= WORTH_TELLING]

    def as_json(self) -> dict[str, Any]:
        """Return it as `report --json` gives it; the shape is documented in docs/history.md."""
        shown: dict[str, Any] = _without_keys(asdict(self))
        return shown


def _without_keys(value: Any) -> Any:
    """Return plain data without the numbers that mean something only inside of one file."""
    if isinstance(value, dict):
        return {name: _without_keys(item) for name, item in value.items() if name != "key"}
    return [_without_keys(item) for item in value] if isinstance(value, list) else value


def collect(db: sqlite3.Connection, wanted: ReportRequest) -> Report | None:
    """Return the report on a run, or None where there is no such run.

    Raises:
        UsageError: a run was named that is not there, or by a beginning that several have.
    """
    run = chosen(db, wanted)
    if run is None:
        return None
    failed, total = query.failures(db, run, wanted.failures)
    which = query.RunFilter(wanted.branch, wanted.since, run.what, run.started)
    trend = query.last_runs(db, wanted.last, which)
    runs = trend or [run]
    other = one_run(db, wanted.compare) if wanted.compare else None
    return Report(
        run,
        failed,
        total,
        query.slowest(db, run, MOST_SLOW),
        query.flaky(db, runs, MOST_FLAKY),
        runs[::-1],
        query.compare(db, run, other, MOST_COMPARED) if other else None,
    )


def chosen(db: sqlite3.Connection, wanted: ReportRequest) -> Run | None:
    """Return the run that is asked for, or None where there is none.

    Raises:
        UsageError: as in `collect`.
    """
    if wanted.run is not None:
        return one_run(db, wanted.run)
    return next(iter(query.last_runs(db, 1, query.RunFilter(wanted.branch, wanted.since))), None)


def one_run(db: sqlite3.Connection, prefix: str) -> Run:
    """Return the one run whose id begins like this.

    Raises:
        UsageError: there is none, or more than one.
    """
    found = query.find_runs(db, prefix.lower())
    if len(found) == 1:
        return found[0]
    others = found or query.last_runs(db, 3)
    names = ", ".join(run.run[:12] for run in others)
    if found:
        raise UsageError(f"several runs begin with {prefix!r}: {names}")
    raise UsageError(f"no run begins with {prefix!r}; " + (f"the last ones are {names}" if names else "there are none"))
