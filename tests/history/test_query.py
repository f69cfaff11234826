"""Failure streaks, usual durations and the state of a run, computed from journals written by hand."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from pytest_swarmtask.history import query
from pytest_swarmtask.journal import orphans
from tests.history.made import Process, asked, rows, run, take_in
from tests.lab import project_of

ENDINGS = (("TEST_FAILED", "crashed"), ("TEST_PASSED", "passed"))

pytestmark = pytest.mark.usefixtures("engine")


def past(journal: Path, outcomes: Iterable[tuple[str, str]]) -> query.Failure:
    """Write runs of one test with these outcomes and branches, and return the failure that the last run reports."""
    for number, (outcome, branch) in enumerate(outcomes):
        run(journal, number, {"test_a": outcome}, branch=branch, commit=f"c{number}")
    (last,) = asked(journal, query.last_runs, 1)
    (failures, _) = asked(journal, query.failures, last, 10)
    (failure,) = failures
    assert isinstance(failure, query.Failure)
    return failure


@pytest.mark.parametrize(
    ("outcomes", "streak", "since", "new"),
    [
        ("f", 1, "c0", True),
        ("pf", 1, "c1", True),
        ("pff", 2, "c1", True),
        ("fpf", 1, "c2", True),
        ("pfsf", 2, "c1", True),
        ("ff", 2, "c0", False),
        ("pfPf", 2, "c1", True),
        ("pFf", 1, "c2", True),
    ],
)
def test_since_when(journal: Path, outcomes: str, streak: int, since: str, *, new: bool) -> None:
    """A failure streak counts failures on this branch (lower case); skips and other branches do not change it."""
    words = {"p": "passed", "f": "failed", "s": "skipped"}
    told = past(journal, [(words[o.lower()], "main" if o.islower() else "other") for o in outcomes])
    assert (told.streak, told.since_commit, told.new) == (streak, since, new)
    assert (told.error, told.place) == ("test_a is wrong", "t.py:1")


def test_what_failed_besides_tests(journal: Path) -> None:
    """A failed build is listed as a failure; its make target and the session of a failed test are not."""
    process = Process(journal, "a" * 32)
    outer, build = process.ids.span(), process.ids.span()
    process.write([process.event("TASK_STARTED", "ci", outer), process.event("BUILD_STARTED", "app", build, outer)])
    process.write([process.event("BUILD_FAILED", "app", build, outer, error="exit code 2")])
    process.write(process.session({"test_a": "failed"}))
    process.write([process.event("TASK_FAILED", "ci", outer)])
    (last,) = asked(journal, query.last_runs, 1)
    failures, count = asked(journal, query.failures, last, 10)
    assert [(failure.kind, failure.task_id) for failure in failures] == [("TEST", "test_a"), ("BUILD", "app")]
    assert count == 2
    assert rows(journal, "SELECT task_id FROM failures ORDER BY task_id") == [("app",), ("test_a",)]
    assert (last.what, last.outcome) == ("ci, pytest_run", "failed")


def test_a_run_that_is_not_over(journal: Path) -> None:
    """A run is unfinished until its outermost task has ended; then it has a duration."""
    process = Process(journal, "b" * 32)
    events = process.session({"test_a": "passed", "test_b": "passed"}, branch="main", python="3.12.1")
    process.write(events[:4])
    (last,) = asked(journal, query.last_runs, 1)
    assert (last.outcome, last.duration, last.counts) == ("unfinished", None, {"passed": 1, "unfinished": 1})
    process.write(events[4:])
    (last,) = asked(journal, query.last_runs, 1)
    assert (last.outcome, round(last.duration), last.counts) == ("completed", 5, {"passed": 2})
    assert (last.branch, last.python, last.what) == ("main", "3.12.1", "pytest_run")


def test_a_run_that_was_killed(journal: Path) -> None:
    """The duration of a killed run ends with its last sign of life, however late its crash is noticed."""
    process = Process(journal, "c" * 32)
    process.write(process.session({"test_a": "passed", "test_b": "passed"})[:4])
    os.utime(process.path, (process.now - 2, process.now - 2))
    orphans.close_orphaned_spans(project_of(journal))
    (last,) = asked(journal, query.last_runs, 1)
    assert (last.outcome, round(last.duration), last.counts) == ("failed", 3, {"passed": 1, "crashed": 1})


def test_what_a_test_usually_takes(journal: Path) -> None:
    """A test's usual duration is the median of its last ten earlier ones, without a build of the same name."""
    for number, seconds in enumerate([999.0, *[100.0] * 5, 1.0, *[2.0] * 4, 30.0]):
        process = Process(journal, f"{number:032x}", 1.7e9 + number)
        events = [process.event("BUILD_COMPLETED", "app", process.ids.span(), duration=0.0)] * 2
        process.write([*events, process.event("TEST_PASSED", "app", process.ids.span(), duration=seconds)])
    (last,) = asked(journal, query.last_runs, 1)
    assert asked(journal, query.slowest, last, 10) == [query.TestDuration("app", "", 30.0, 51.0)]
    (first,) = asked(journal, query.find_runs, f"{0:032x}")
    assert asked(journal, query.slowest, first, 10) == [query.TestDuration("app", "", 999.0, None)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_ending_that_comes_twice(journal: Path, order: tuple[int, int]) -> None:
    """If a span has two end events, the later one counts, whichever is read first."""
    process = Process(journal, "c" * 32)
    span = process.ids.span()
    endings = [process.event(kind, "test_a", span, outcome=word) for kind, word in ENDINGS]
    for index in order:
        process.write([endings[index]])
        take_in(journal)
    assert rows(journal, "SELECT status, failed FROM spans") == [("passed", 0)]
