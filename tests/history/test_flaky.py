"""The verdict on flakiness: what shows that a test is flaky, what does not, and that everybody tells the same."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pytest_swarmtask.core.event import Event
from pytest_swarmtask.core.timestamps import seconds_of
from pytest_swarmtask.history import retention
from pytest_swarmtask.history.flaky import FLIPS, ONE_COMMIT, REPEATED, Scope, assess, lower_bound
from pytest_swarmtask.history.schema import MIGRATIONS
from pytest_swarmtask.relay.alerts.past_runs import Past
from tests.history.made import BASE, SQLITE, Process, opened, rows, take_in
from tests.lab import project_of
from tests.shop import swarmtask

WORDS = {"p": "PASSED", "r": "PASSED", "f": "FAILED", "c": "FAILED", "s": "SKIPPED", "q": "SKIPPED"}
Found = dict[str, tuple[str, int, int]]

pytestmark = pytest.mark.usefixtures("engine")


def write(  # noqa: PLR0913 - most of them are facts of few runs
    journal: Path,
    number: int,
    outcomes: dict[str, str],
    *,
    trace: int | None = None,
    partial: bool = False,
    failure: dict[str, Any] | None = None,
    exit_code: int | None = 1,
    **facts: Any,
) -> list[Event]:
    """Write a session, and return its events.

    Args:
        journal: the journal.
        number: the number of the session, which says when it begins.
        outcomes: the first letter of each test's outcome: ``r`` is a pass when it was repeated, ``c`` a crash.
        trace: the number of its trace, if that is another one.
        partial: whether it leaves out a part of the suite.
        failure: more metadata of tests that fail, or that are repeated.
        exit_code: how pytest ended; None if it was killed.
        facts: facts of the run, beside branch and commit.
    """
    process = Process(journal, f"{number if trace is None else trace:032x}", BASE + number * 1000)
    session = process.ids.span()
    known = {"branch": "main", "commit": f"c{number}", "dirty": False, **facts}
    events = [process.event("TASK_STARTED", "pytest_run", session, action="session", **known)]
    for test, outcome in outcomes.items():
        more: dict[str, Any] = {"attempt": 2 if outcome == "r" else 1}
        if outcome in "fr":
            more |= {"error": f"{test} is wrong\nwhere it is"} if outcome == "f" else {}
            more |= failure or {}
        span, word = process.ids.span(), WORDS[outcome]
        events.append(process.event("TEST_STARTED", test, span, session))
        ended = {"c": "crashed", "q": "quarantined"}.get(outcome, word.lower())
        events.append(process.event(f"TEST_{word}", test, span, session, outcome=ended, **more))
    ending = "TASK_FAILED" if "f" in outcomes.values() else "TASK_COMPLETED"
    more = {"action": "session", "tests": len(outcomes), "partial": partial, "exit_code": exit_code}
    events.append(process.event(ending, "pytest_run", session, **more))
    process.write(events)
    return events


def story(journal: Path, **tests: str) -> None:
    """Write one run for each letter, each on a commit of its own. A dot is a run without the test."""
    for number, letters in enumerate(zip(*tests.values(), strict=True)):
        outcomes = {test: letter for test, letter in zip(tests, letters, strict=True) if letter != "."}
        write(journal, number, outcomes)


def found(journal: Path) -> Found:
    """Import the journal, and return of each flaky test why, in how many runs, and of how many."""
    take_in(journal)
    return {test: tuple(rest) for test, *rest in rows(journal, "SELECT test, why, failed, runs FROM flaky")}


def test_it_passed_when_it_was_repeated(journal: Path) -> None:
    """One pass on a rerun is enough, also with uncommitted changes."""
    story(journal, test_a="prp", test_b="ppp")
    assert found(journal) == {"test_a": (REPEATED, 1, 3)}
    write(journal, 3, {"test_b": "r", "test_c": "p"}, dirty=True)
    assert found(journal) == {"test_a": (REPEATED, 1, 3), "test_b": (REPEATED, 1, 4)}


def test_its_job_passed_when_it_was_repeated(journal: Path) -> None:
    """A later attempt of a CI job that passes shows that the failure was by chance; one that fails again does not."""
    job: dict[str, Any] = {"ci": "github", "ci_run": "acme/7", "ci_job": "tests"}
    write(journal, 0, {"test_a": "f", "test_b": "f", "test_c": "p"}, ci_job_run="1", **job)
    assert found(journal) == {}
    write(journal, 1, {"test_a": "p", "test_b": "f"}, ci_job_run="2", **job)
    assert found(journal) == {"test_a": (REPEATED, 1, 1)}
    write(journal, 2, {"test_b": "f"}, ci_job_run="3", **job)
    assert found(journal) == {"test_a": (REPEATED, 1, 1)}


@pytest.mark.parametrize("outcomes", ["pf", "fp"])
def test_it_passed_and_failed_on_one_commit(journal: Path, outcomes: str) -> None:
    """It does not matter which came first, nor that the commit was on two branches; other commits say nothing."""
    for number, outcome in enumerate(outcomes):
        write(journal, number, {"test_a": outcome}, commit="c0ffee", branch=f"branch-{number}")
    assert found(journal) == {"test_a": (ONE_COMMIT, 1, 2)}


def test_a_quarantined_failure_is_a_failure(journal: Path) -> None:
    """Quarantine says what counts, and nothing of how reliable a test is."""
    write(journal, 0, {"test_a": "q", "test_b": "s"}, commit="c0ffee")
    write(journal, 1, {"test_a": "p", "test_b": "p"}, commit="c0ffee")
    assert found(journal) == {"test_a": (ONE_COMMIT, 1, 2)}
    story(journal, test_c="pqpqp", test_d="psqsp")
    assert found(journal)["test_c"] == (FLIPS, 2, 5)
    assert rows(journal, "SELECT sum(quarantined), sum(failed) FROM runs") == [(4, 0)]


def test_uncommitted_changes_are_no_commit(journal: Path) -> None:
    """While somebody fixes a bug, a test fails and passes on one commit, and now and then."""
    for number, outcome in enumerate("pfpfpfp"):
        write(journal, number, {"test_a": outcome}, commit="c0ffee", dirty=True)
    assert found(journal) == {}


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ("pfpfp", 2),
        ("pffppffp", 4),
        ("ppfpppffffpppfp", 2),
        ("pfsspsfp", 2),
        ("pfp", None),
        ("p" * 50 + "f" + "p" * 50, None),
        ("pffffffp", None),
        ("pfffpppfffp", None),
        ("pfpffff", None),
        ("fpfp", None),
        ("ffffff", None),
    ],
)
def test_it_failed_now_and_then(journal: Path, outcomes: str, expected: int | None) -> None:
    """Two short streaks of failures are needed, each with a pass before and after: one may be a break and its mend."""
    story(journal, test_a=outcomes)
    ran = min(100, len(outcomes) - outcomes.count("s"))
    assert found(journal) == ({} if expected is None else {"test_a": (FLIPS, expected, ran)})


@pytest.mark.parametrize("facts", [{"partial": True}, {"dirty": True}, {"branch": None}, {"commit": None}])
def test_runs_that_cannot_be_compared(journal: Path, facts: dict[str, Any]) -> None:
    """Failures now and then count on one branch, in complete runs of known commits, without uncommitted changes."""
    for number, outcome in enumerate("pfpfp"):
        write(journal, number, {"test_a": outcome}, **(facts if outcome == "f" else {}))
    assert found(journal) == {}


@pytest.mark.parametrize(("exit_code", "is_flaky"), [(1, True), (2, False), (None, False)])
def test_a_test_that_ran_when_its_session_was_stopped(journal: Path, exit_code: int | None, is_flaky: bool) -> None:
    """Ctrl-C or a kill leaves the test that runs without a result. A test that crashes its xdist worker is to blame."""
    write(journal, 0, {"test_a": "c"}, exit_code=exit_code, partial=True)
    write(journal, 1, {"test_a": "p"}, commit="c0")
    assert found(journal) == ({"test_a": (ONE_COMMIT, 1, 2)} if is_flaky else {})


def test_each_branch_has_its_own_breaks(journal: Path) -> None:
    for number, outcome in enumerate("pfppfp"):
        write(journal, number, {"test_a": outcome}, branch="one" if number < 3 else "two")
    assert found(journal) == {}


def test_a_broken_leg(journal: Path) -> None:
    """A test that always fails under one variant, on commits on which another variant passes, is broken there."""
    for number in range(4):
        write(journal, number, {"test_a": "p"}, variant="3.12")
        write(journal, 10 + number, {"test_a": "f"}, variant="3.13", trace=number, commit=f"c{number}")
    assert found(journal) == {}
    write(journal, 20, {"test_a": "f"}, variant="3.12", commit="c3")
    take_in(journal)
    assert rows(journal, "SELECT variant, why FROM flaky") == [("3.12", ONE_COMMIT)]


@pytest.mark.parametrize(
    ("count", "failure"),
    [
        (10, {"error": "the database is away\nat 10.0.0.1"}),
        (10, {"fingerprint": "abc"}),
        (9, {"fingerprint": "abc"}),
        (10, {}),
    ],
)
@pytest.mark.parametrize("letter", ["f", "r"])
def test_a_cause_that_tests_share(journal: Path, letter: str, count: int, failure: dict[str, str]) -> None:
    """If one cause fails ten tests of a run, or makes them repeat, that speaks against none of them."""
    names = [f"test_{number}" for number in range(50)]
    attempts = {"attempts": [failure]} if failure else {}
    bad = dict.fromkeys(names[:count], letter)
    write(journal, 0, {**dict.fromkeys(names, "p"), **bad}, failure=attempts if letter == "r" else failure)
    write(journal, 1, dict.fromkeys(names, "p"), commit="c0")
    is_shared = bool(failure) and count == 10
    assert set(found(journal)) == (set() if is_shared else set(bad))
    causes = rows(journal, "SELECT count(*), max(tests) FROM shared_cause")
    assert causes == [(1, 10) if is_shared else (0, None)]


def test_one_test_under_ten_variants_is_no_shared_cause(journal: Path) -> None:
    for number in range(10):
        outcomes = {"test_a": "f", **{f"test_{n}": "p" for n in range(20)}}
        write(journal, number, outcomes, trace=0, variant=f"leg-{number}", failure={"fingerprint": "abc"}, commit="c0")
    write(journal, 20, {"test_a": "p"}, commit="c0", variant="leg-3")
    take_in(journal)
    assert rows(journal, "SELECT test, variant FROM flaky") == [("test_a", "leg-3")]


@pytest.mark.parametrize(("count", "of", "is_outage"), [(10, 30, True), (10, 31, False), (9, 9, False)])
def test_an_outage(journal: Path, count: int, of: int, is_outage: bool) -> None:
    """If a third of the tests fail in a run, whatever each of them says, that speaks against none of them."""
    names = [f"test_{number}" for number in range(of)]
    write(journal, 0, {name: "f" if number < count else "p" for number, name in enumerate(names)})
    write(journal, 1, dict.fromkeys(names, "p"), commit="c0")
    assert len(found(journal)) == (0 if is_outage else count)


def test_an_outage_of_one_leg(journal: Path) -> None:
    """An outage under one variant excuses no failure under another."""
    names = [f"test_{number}" for number in range(20)]
    for number, bad in enumerate([20, 1]):
        outcomes = {name: "f" if index < bad else "p" for index, name in enumerate(names)}
        write(journal, number, outcomes, trace=0, variant=f"leg-{number}", commit="c0")
        write(journal, 10 + number, dict.fromkeys(names, "p"), variant=f"leg-{number}", commit="c0")
    take_in(journal)
    assert rows(journal, "SELECT test, variant FROM flaky") == [("test_0", "leg-1")]


def test_an_outage_is_no_run_of_its_tests(journal: Path) -> None:
    """What a shared cause failed counts neither as failed nor as passed: it divides no streak, and is in no total."""
    names = [f"test_{number}" for number in range(12)]
    for number, outcome in enumerate("pfpfp"):
        write(journal, 2 * number, {**dict.fromkeys(names, "p"), "test_0": outcome})
        write(journal, 2 * number + 1, dict.fromkeys(names, "f"))
    assert found(journal) == {"test_0": (FLIPS, 2, 5)}


def test_the_score(journal: Path) -> None:
    """The score is a lower bound, so few runs do not outrank many: 1 of 2 runs comes after 20 of 100."""
    assert lower_bound(20, 100) == pytest.approx(0.129, abs=0.001)
    assert lower_bound(1, 2) == pytest.approx(0.027, abs=0.001)
    assert lower_bound(1, 1) < lower_bound(20, 100) < lower_bound(40, 200) < 0.2
    for total in (1, 2, 10, 100):
        bounds = [lower_bound(some, total) for some in range(total + 1)]
        assert bounds == sorted(bounds)
        assert all(bound <= some / total for some, bound in enumerate(bounds))
    story(journal, test_often="pfppp" * 20, test_young="." * 98 + "rp")
    take_in(journal)
    assert rows(journal, "SELECT test, failed, runs, share FROM flaky") == [
        ("test_often", 20, 100, 0.2),
        ("test_young", 1, 2, 0.5),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_one_run_a_commit(journal: Path, seed: int) -> None:
    """Tests that fail at random are found although no commit is tested twice, and a test that was mended is not."""
    chance = random.Random(seed)
    rates = {"test_10": 0.1, "test_15": 0.15, "test_20": 0.2, "test_25": 0.25, "test_30": 0.3}
    for number in range(100):
        outcomes = {test: "f" if chance.random() < rate else "p" for test, rate in rates.items()}
        broken = {"test_mended": "f" if number in (40, 41) else "p", "test_sound": "p"}
        write(journal, number, outcomes | broken)
    assert {test: why for test, (why, _, _) in found(journal).items()} == dict.fromkeys(rates, FLIPS)


def test_everybody_tells_the_same(journal: Path) -> None:
    """The view, the JSON, the reports and the alert have one verdict, of which the last occurrence is told."""
    last: list[Event] = []
    for number, outcome in enumerate("pfpprpfp"):
        last = write(journal, number, {"test_a": outcome, "test_b": "p"})
    columns = 'test, variant, score, failed, runs, repeated, one_commit, flips, why, started, run, branch, "commit"'
    take_in(journal)
    (stored,) = rows(journal, f"SELECT {columns} FROM flaky")
    root = journal.parents[1]
    (told,) = json.loads(swarmtask(root, "report", "--json").stdout)["flaky"]
    assert tuple(told.values()) == stored
    assert (told["failed"], told["runs"], told["repeated"], told["flips"]) == (3, 8, 1, 2)
    assert (told["why"], told["run"], told["commit"]) == (FLIPS, f"{6:032x}", "c6")
    with opened(journal) as db:
        verdict = Past(db).flakiness(next(event for event in last if event.event_type == "TEST_PASSED"), 100)
    assert verdict is not None
    assert (verdict.score, verdict.failed, verdict.runs) == (told["score"], 3, 8)
    assert f"test_a  3 of its last 8 runs: {FLIPS}" in swarmtask(root, "report").stdout
    assert f"3 of its last 8 runs: {FLIPS}" in swarmtask(root, "report", "--markdown").stdout
    page = swarmtask(root, "report", "--html", "-").stdout
    assert f"{FLIPS}</td>" in page
    assert "3 of 8</td>" in page


def test_reports_list_what_was_flaky_in_their_runs(journal: Path) -> None:
    """Of `--last N` runs, a report lists the tests that were flaky in these, with the verdict on all their runs."""
    story(journal, test_a="rprppp", test_b="rpprpp")
    take_in(journal)
    found = json.loads(swarmtask(journal.parents[1], "report", "--json", "--last", "3").stdout)["flaky"]
    assert [(test["test"], test["failed"], test["runs"]) for test in found] == [("test_b", 2, 6)]


def test_a_verdict_up_to_a_moment(journal: Path) -> None:
    """An alert that is evaluated late looks at the runs before its event, on its branch."""
    for number, outcome in enumerate("prpppr"):
        write(journal, number, {"test_a": outcome}, branch="dev" if number == 1 else "main")
    take_in(journal)
    ends = rows(journal, "SELECT ended FROM spans WHERE kind = 'TEST' ORDER BY started")
    with opened(journal) as db:
        (task,) = db.execute("SELECT id FROM task WHERE name = 'test_a'").fetchone()
        told = [assess(db, task, Scope(3, end, "main")) for (end,) in ends]
    assert [(one.failed, one.runs) for one in told] == [(0, 1), (0, 1), (0, 2), (0, 3), (0, 3), (1, 3)]


def test_an_alert_asks_once_which_tests_can_be_flaky(journal: Path) -> None:
    """Thousands of tests end at a time, and hardly any has ever failed. Other events ask alone."""
    first = write(journal, 0, {"test_a": "f", "test_b": "r", "test_c": "p", "test_d": "s"})
    last = write(journal, 1, dict.fromkeys(("test_a", "test_b", "test_c", "test_d", "test_e"), "p"))
    take_in(journal)
    with opened(journal) as db:
        asked = mock.Mock(wraps=db, project=db.project)
        past = Past(asked)
        past.expect(last)
        ended = [event for event in last if event.event_type == "TEST_PASSED"]
        assert [event.task_id for event in ended if past.has_failed(event)] == ["test_a", "test_b"]
        assert asked.execute.call_count == 1
        assert past.has_failed(next(event for event in first if event.task_id == "test_a"))
        assert asked.execute.call_count == 2


def test_it_is_forgotten_after_a_hundred_runs(journal: Path) -> None:
    story(journal, test_a="r" + "p" * 99)
    assert found(journal) == {"test_a": (REPEATED, 1, 100)}
    write(journal, 100, {"test_a": "p"})
    assert found(journal) == {}
    assert rows(journal, "SELECT count(*) FROM flaky_test") == [(0,)]


def test_a_test_that_only_passes_leaves_no_trace(journal: Path) -> None:
    story(journal, test_a="ppppp", test_b="pspsp", test_c="rpppp", test_d="ppfpp")
    take_in(journal)
    query = "SELECT name, failed FROM flaky_test JOIN task ON task.id = flaky_test.task ORDER BY name"
    assert rows(journal, query) == [("test_c", 1), ("test_d", 0)]


@pytest.mark.parametrize(
    ("outcomes", "order", "why"),
    [
        ("pfpfp", [0, 1, 2, 3, 4], FLIPS),
        ("pffpppffp", [0, 1, 2, 3, 4, 6, 7, 8, 5], FLIPS),
        ("pfffffp", [0, 1, 2, 4, 5, 6, 3], None),
        ("pffpffp", [0, 1, 2, 4, 5, 6, 3], FLIPS),
        ("pppppfp5", [5, 0, 1, 2, 3, 4, 6, 7], ONE_COMMIT),
        ("fpppppp0", [0, 1, 2, 3, 4, 5, 6, 7], ONE_COMMIT),
        ("pppp0ppf", [7, 0, 1, 2, 3, 5, 6, 4], None),
    ],
)
def test_a_pass_is_evidence_whenever_it_is_imported(
    journal: Path, outcomes: str, order: list[int], why: str | None
) -> None:
    """A test that is not flaky so far may become so by a pass, also by one of an earlier run or on an earlier commit.

    The digit is a pass on the commit of the run that it names.
    """
    for number in order:
        letter = outcomes[number]
        outcome, commit = ("p", f"c{letter}") if letter.isdigit() else (letter, f"c{number}")
        write(journal, number, {"test_a": outcome}, commit=commit)
        take_in(journal)
    assert [reason for reason, _, _ in found(journal).values()] == ([why] if why else [])


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_imports_does_not_matter(journal: Path, tmp_path: Path, seed: int) -> None:
    """Runs that are imported one by one, in any order, lead to the same verdicts as all runs at once."""
    chance = random.Random(seed)
    names = [f"test_{number}" for number in range(14)]
    stories: list[tuple[int, dict[str, str], dict[str, Any]]] = []
    for number in range(16):
        outcomes = dict(zip(names, chance.choices("ppppppppffrs", k=len(names)), strict=True))
        facts: dict[str, Any] = {"partial": chance.random() < 0.2, "dirty": chance.random() < 0.2}
        facts |= {"commit": f"c{number // (1 + seed)}", "branch": chance.choice(["main", "main", "dev"])}
        stories.append((number, outcomes, facts))
    for number, outcomes, facts in stories:
        write(journal, number, outcomes, **facts)
    assert found(journal)
    views = [rows(journal, "SELECT * FROM flaky")]
    for name, order in (("in_turn", stories), ("mixed", chance.sample(stories, len(stories)))):
        other = tmp_path / name / ".taskmaster" / "events"
        for number, outcomes, facts in order:
            write(other, number, outcomes, **facts)
            take_in(other)
        views.append(rows(other, "SELECT * FROM flaky"))
    assert views[0] == views[1] == views[2]


def test_removed_runs_are_no_evidence(journal: Path) -> None:
    """When retention removes runs, the verdicts are made again from those that are left."""
    story(journal, test_a="rppp", test_b="rprp", test_gone="r...", test_c="pfpf")
    write(journal, 4, {"test_c": "p"})
    assert {test: rest[1:] for test, rest in found(journal).items()} == {
        "test_a": (1, 4),
        "test_b": (2, 4),
        "test_gone": (1, 1),
        "test_c": (2, 5),
    }
    with opened(journal) as db:
        (ended,) = db.execute("SELECT ended FROM run ORDER BY started LIMIT 1 OFFSET 2").fetchone()
        assert retention.prune(db, time.time() - seconds_of(ended) + 1, 1e12) == 2
    assert rows(journal, "SELECT test, failed, runs FROM flaky") == [("test_b", 1, 2)]
    tables = ("flaky_run", "flaky_test WHERE failed > 0")
    assert [rows(journal, f"SELECT count(*) FROM {table}") for table in tables] == [[(1,)], [(1,)]]


@pytest.mark.parametrize("engine", [SQLITE], indirect=True)
def test_an_older_history_has_verdicts(journal: Path) -> None:
    """A history that an older version wrote is judged when it is brought to the present schema."""
    at = "2026-01-01T00:00:0{}.000Z"
    with closing(sqlite3.connect(project_of(journal).history, isolation_level=None)) as db:
        db.executescript(f"{MIGRATIONS[0]} {MIGRATIONS[1]} PRAGMA user_version = 2;")
        db.execute("INSERT INTO task (id, kind, name) VALUES (1, 'TEST', 'test_a')")
        for run in (1, 2):
            db.execute("INSERT INTO run (id, trace_id, stale) VALUES (?, ?, 0)", (run, f"{run:032x}"))
            values = (run, f"{run:016x}", at.format(run), at.format(run), run)
            db.execute(
                "INSERT INTO span (run, span_id, kind, task, started, ended, status, attempt)"
                " VALUES (?, ?, 'TEST', 1, ?, ?, 'passed', ?)",
                values,
            )
    assert found(journal) == {"test_a": (REPEATED, 1, 2)}
