"""A run of shards is complete if all of them are there with the same inputs; reports say what is wrong otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_swarmtask.history import query
from pytest_swarmtask.history.database import Database
from pytest_swarmtask.history.durations import usual_durations
from pytest_swarmtask.history.shards import ShardedSuite, sharded_suites
from pytest_swarmtask.report.phrases import shard_problems
from tests import postgres
from tests.history.made import BASE, Process, asked
from tests.lab import project_of
from tests.pushed import SQLITE, HistoryServer
from tests.shop import swarmtask

SAME = "d1"
TOLD = "shard 3 divided other tests or durations than the others, 1 test ran twice, 1 test of 6 ran in no shard"
TRACE = "7" * 32
Facts = dict[str, Any]


class Run:
    """A CI run whose sessions are written by hand, each on a machine of its own."""

    def __init__(self, journal: Path, trace: str = TRACE, began: float = BASE) -> None:
        self._journal, self._trace, self._began = journal, trace, began

    def session(
        self, shard: str, tests: str, *, of: int = 6, digest: str = SAME, attempt: int = 1, **facts: Any
    ) -> None:
        """Write a session that ran tests of one letter each, of `of` tests in all shards."""
        process = Process(self._journal, self._trace, self._began + attempt * 100)
        events = process.session(dict.fromkeys(tests, "passed"), **{**_job(shard, attempt), "variant": "py", **facts})
        split = {"shard": shard, "by": "test", "tests": of, "selected": len(tests), "digest": digest}
        events[-1].metadata.update(
            {"tests": len(tests), "split": split, "coverage_percent": 10.0, **facts.get("end", {})}
        )
        process.write(events)


def _job(shard: str, attempt: int) -> Facts:
    return {"ci_run": "github:o/r/1", "ci_job": "test", "ci_job_run": str(attempt), "shard": shard}


def _found(db: Database) -> tuple[bool, list[ShardedSuite]]:
    (run,) = query.last_runs(db, 10)
    assert run.coverage is None, "what one shard covers is not what the run covers"
    return run.partial, sharded_suites(db, run.key)


def found(journal: Path) -> tuple[bool, list[ShardedSuite]]:
    """Return whether the only run is partial, and its shards."""
    answer: tuple[bool, list[ShardedSuite]] = asked(journal, _found)
    return answer


def told(journal: Path) -> list[str]:
    """Return what reports say is wrong with the shards of a run, which is partial then."""
    partial, suites = found(journal)
    lines = shard_problems(suites)
    assert partial is bool(lines)
    return lines


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / ".taskmaster" / "events"


@pytest.fixture
def run(journal: Path, engine: str) -> Run:
    return Run(journal)


def test_all_shards(run: Run, journal: Path) -> None:
    """Their durations are usual ones; those of one shard are not."""
    run.session("1/2", "abc")
    assert told(journal) == ["shard 2 of 2 is missing, 3 tests of 6 ran in no shard under py"]
    assert asked(journal, usual_durations) == {}
    run.session("2/2", "def")
    assert found(journal) == (False, [ShardedSuite("py", 2, 6, [], [], 0, 0)])
    assert asked(journal, usual_durations) == {"py": dict.fromkeys("abcdef", 0.5)}


def test_each_variant_has_all_shards(run: Run, journal: Path) -> None:
    for shard, tests in (("1/2", "abc"), ("2/2", "def")):
        run.session(shard, tests)
    run.session("2/2", "def", variant="pypy", ci_job="pypy")
    assert told(journal) == ["shard 1 of 2 is missing, 3 tests of 6 ran in no shard under pypy"]


def test_other_inputs(run: Run, journal: Path) -> None:
    """What most shards had is right. `c` ran twice, and `f` never."""
    run.session("1/3", "ab")
    run.session("2/3", "cd")
    run.session("3/3", "ce", digest="d2")
    (suite,) = found(journal)[1]
    assert suite == ShardedSuite("py", 3, 6, [], [3], 1, 1)
    assert told(journal) == [f"{TOLD} under py"]


def test_a_shard_that_did_not_divide(run: Run, journal: Path) -> None:
    """It ran all tests, so some ran twice."""
    run.session("1/2", "abc")
    run.session("2/2", "abcdef", digest="")
    assert told(journal) == ["shard 2 divided other tests or durations than the others, 3 tests ran twice under py"]


def test_a_shard_that_runs_again(run: Run, journal: Path) -> None:
    """The last attempt decides. What only the first one ran has run."""
    run.session("1/2", "abc")
    run.session("2/2", "def")
    run.session("2/2", "d", attempt=2)
    assert told(journal) == []
    run.session("2/2", "ae", attempt=3, digest="d2")
    (suite,) = found(journal)[1]
    assert suite == ShardedSuite("py", 2, 6, [], [2], 1, 0)


def test_a_job_with_two_suites(run: Run, journal: Path) -> None:
    """Each session of a job divides a suite of its own."""
    for shard, tests in (("1/2", "abc"), ("2/2", "def")):
        run.session(shard, tests)
        run.session(shard, tests.upper(), digest="other suite", ci_job="second")
    assert told(journal) == []


def test_a_module_that_all_shards_skip(run: Run, journal: Path) -> None:
    """It is collected by each shard, and no test that they divide."""
    run.session("1/3", "ab")
    run.session("2/3", "cd")
    process = Process(journal, TRACE, BASE + 500)
    for shard in ("1/3", "2/3"):
        events = process.session({"module": "skipped"}, **_job(shard, 1), variant="py")
        events[2].metadata["phase"] = "collect"
        events[-1].metadata.update(tests=1, split={"shard": shard, "tests": 6, "digest": SAME})
        process.write(events)
    (suite,) = found(journal)[1]
    assert suite == ShardedSuite("py", 3, 6, [3], [], 0, 2)


@pytest.mark.parametrize(
    "split",
    [
        "2/3",
        {"shard": "2/99999", "tests": 6, "digest": "d"},
        {"shard": "0/3", "tests": 6, "digest": "d"},
        {"shard": "2/3", "tests": -1, "digest": "d"},
        {"shard": "2/3", "tests": 6, "digest": "d" * 65},
        {"shard": "2/3\n", "tests": 6, "digest": "d"},
        {"shard": "2/3"},
    ],
)
def test_what_anybody_may_write(run: Run, journal: Path, split: Any) -> None:
    run.session("1/1", "abcdef", end={"split": split})
    assert found(journal) == (False, [])


def test_many_missing_shards_are_counted(run: Run, journal: Path) -> None:
    run.session("1/1000", "a")
    (line,) = told(journal)
    assert line.startswith("shards 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 989 more of 1000 are missing, 5 tests of 6 ran")


# --- where it is told -------------------------------------------------------------------------------------------------

OBJECT = {"variant": "py", "of": 3, "tests": 6, "missing": [], "other_inputs": [3], "twice": 1, "never": 1}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that holds the journal of three shards, of which one had other inputs."""
    root = tmp_path_factory.mktemp("shards")
    run = Run(root / ".taskmaster" / "events")
    run.session("1/3", "ab")
    run.session("2/3", "cd")
    run.session("3/3", "ce", digest="d2")
    return root


def test_collect_and_all_forms_of_the_report_tell(machine: Path, tmp_path: Path) -> None:
    (tmp_path / ".taskmaster").mkdir()
    collected = swarmtask(tmp_path, "collect", str(machine / ".taskmaster" / "events"))
    assert collected.stdout.splitlines()[1:] == [f"run {TRACE[:12]}: {TOLD} under py"]
    assert f"\n{TOLD} under py\n" in swarmtask(tmp_path, "report").stdout
    assert f"\n\n{TOLD} under py\n\n" in swarmtask(tmp_path, "report", "--markdown").stdout
    assert json.loads(swarmtask(tmp_path, "report", "--json").stdout)["shards"] == [OBJECT]
    swarmtask(tmp_path, "report", "--html", str(tmp_path / "report.html"))
    assert f'<p class="later">{TOLD} under py</p>' in (tmp_path / "report.html").read_text("utf-8")


@pytest.mark.parametrize("engine", [SQLITE, pytest.param(postgres.NEWEST, id="postgres18")])
def test_the_page_of_a_server_tells(machine: Path, tmp_path: Path, engine: str) -> None:
    team = HistoryServer(tmp_path, engine)
    try:
        team.push(machine, "shop")
        assert f'<p class="later">{TOLD} under py</p>' in team.server.get(f"/p/shop/runs/{TRACE}")[2].decode()
        assert team.server.json("/api/v1/projects/shop/report")["shards"] == [OBJECT]
    finally:
        team.server.close()


def test_the_durations_of_a_server_are_those_of_the_history(tmp_path: Path) -> None:
    """They can be written to the file that shards read, where there is no journal yet."""
    root = tmp_path / "shop"
    run = Run(root / ".taskmaster" / "events")
    run.session("1/2", "abc")
    run.session("2/2", "def")
    local = swarmtask(root, "durations").stdout
    assert json.loads(local) == {
        "version": 1, "durations": {"py": {name: {"": 0.5} for name in "abcdef"}},
    }  # fmt: skip
    team = HistoryServer(tmp_path, SQLITE)
    try:
        team.push(root, "shop")
        (tmp_path / "fresh" / "shop" / ".taskmaster").mkdir(parents=True)
        fresh = tmp_path / "fresh" / "shop"
        done = swarmtask(fresh, "durations", "--from", team.page("shop"), "--write")
        assert (done.returncode, Path(project_of(fresh / ".taskmaster" / "events").durations).read_text()) == (0, local)
    finally:
        team.server.close()
    assert swarmtask(root, "durations", "--write", str(tmp_path / "here.json")).returncode == 0
    assert (tmp_path / "here.json").read_text("utf-8") == local
