"""`--swarmtask-shard`: each test runs in one of the shards, in real sessions, whatever fails."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.lab import closed_port
from tests.sources.pytest.test_start import loaded, ours
from tests.suite import WITH_WORKERS, Session, Suite, words

SHARDS = 3
TESTS = """
    import pytest

    @pytest.mark.parametrize("n", range(5))
    def test_many(n): pass

    class TestOne:
        def test_a(self): pass
        @pytest.mark.slow
        def test_b(self): pass
        class TestInner:
            def test_c(self): pass

    @pytest.mark.slow
    def test_slow(): pass
"""
SHUFFLED = """
    import os, random

    def pytest_collection_modifyitems(items):
        random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID", os.getpid())).shuffle(items)
"""
"""As plug-ins for a random order do: each session has another one, and the workers of one session have the same."""
MARKER = "[pytest]\nmarkers = slow\n"


@pytest.fixture
def suite(project: Suite) -> Suite:
    """A suite of 18 tests in two files."""
    project.file("pytest.ini", MARKER)
    return project.write(test_a=TESTS, test_b=TESTS)


def shards(suite: Suite, *options: str, of: int = SHARDS, exit_code: int = 0, **environ: str) -> list[Session]:
    """Run all shards."""
    found = [suite.pytest(f"--swarmtask-shard={number}/{of}", *options, **environ) for number in range(1, of + 1)]
    assert [session.exit_code for session in found] == [exit_code] * of, found[0].output
    return found


def ran(sessions: list[Session]) -> list[set[str]]:
    """Return the tests of each session; no test is in two, and all sessions had the same inputs."""
    tests = [set(session.outcomes()) for session in sessions]
    assert max(Counter(test for found in tests for test in found).values()) == 1
    assert len({session.end["metadata"]["split"]["digest"] for session in sessions}) == 1
    return tests


def durations(suite: Suite, **seconds: float) -> Path:
    """Write the file with durations of `test_a.py`."""
    variant = {"test_a.py": {f"::{test}": duration for test, duration in seconds.items()}}
    return suite.file(".taskmaster/events/durations.json", json.dumps({"version": 1, "durations": {"any": variant}}))


@pytest.mark.parametrize("workers", [(), WITH_WORKERS], ids=words)
@pytest.mark.parametrize(
    ("options", "tests"),
    [((), 18), (("-k", "test_many"), 10), pytest.param(("-m", "slow"), 4, marks=pytest.mark.long)],
    ids=["all", "k", "m"],
)
def test_each_test_runs_in_one_shard(
    suite: Suite, workers: tuple[str, ...], options: tuple[str, ...], tests: int
) -> None:
    """Also if each session has another order of tests."""
    suite.write(conftest=SHUFFLED)
    sessions = shards(suite, *options, *workers)
    assert sum(map(len, ran(sessions))) == tests
    for number, session in enumerate(sessions, 1):
        start, end = session.start["metadata"], session.end["metadata"]
        assert start["shard"] == end["split"]["shard"] == f"{number}/{SHARDS}"
        assert (end["split"]["tests"], end["split"]["selected"]) == (tests, len(session.outcomes()))
        assert f"swarmtask: shard {number}/{SHARDS}: {len(session.outcomes())} of {tests} tests" in session.output
        assert "partial" not in end or options


def test_a_test_that_is_given_twice_runs_twice_in_one_shard(suite: Suite) -> None:
    sessions = shards(suite, "test_a.py", "test_a.py", "--keep-duplicates", of=2)
    found = [Counter(event["task_id"] for event in session.of("TEST_PASSED")) for session in sessions]
    assert [set(tests.values()) for tests in found] == [{2}, {2}]
    assert len(found[0] + found[1]) == len(found[0]) + len(found[1]) == 9


@pytest.mark.parametrize("by", ["file", "class"])
def test_what_stays_together(suite: Suite, by: str) -> None:
    """Methods of a class stay with those of the classes inside of it."""
    found = ran(shards(suite, f"--swarmtask-shard-by={by}", of=2))
    assert all(found)
    for file in ("test_a.py", "test_b.py"):
        wanted = f"{file}::TestOne" if by == "class" else file
        assert sum(any(test.startswith(wanted) for test in tests) for tests in found) == 1


def test_durations_of_a_file(suite: Suite) -> None:
    """The one slow test is alone; tests of the other file are taken to last as long as is usual."""
    durations(suite, **{"test_slow": 100.0, "test_many[0]": 1.0, "test_many[1]": 1.0})
    sessions = shards(suite, of=2)
    assert [len(tests) for tests in ran(sessions)] == [1, 17]
    assert "swarmtask: shard 1/2: 1 of 18 tests, about 100 s of 117 s\n" in sessions[0].output


def test_durations_of_the_history(suite: Suite) -> None:
    """They are asked for where there is no file. Of shards only a complete run counts."""
    assert "divided without durations\n" in suite.pytest("--swarmtask-shard=1/2").output
    assert "divided without durations\n" in suite.pytest("--swarmtask-shard=1/2").output
    assert suite.pytest().exit_code == 0
    first, second = shards(suite, of=2)
    assert " of 18 tests, about " in first.output
    assert sum(map(len, ran([first, second]))) == 18


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "JSONDecodeError: "),
        pytest.param('{"version": 7}', "ValueError: the durations have version 7, expected 1)", marks=pytest.mark.long),
        pytest.param(
            '{"version": 1, "durations": {"v": {"f": {"t": Infinity}}}}', "OverflowError: ", marks=pytest.mark.long
        ),
        (None, " cannot be asked: cannot connect: "),
    ],
)
def test_durations_that_cannot_be_had(suite: Suite, content: str | None, reason: str) -> None:
    """The tests are divided as if they lasted equally long, and one line says why. It is shown with -q, too."""
    if content is not None:
        suite.file(".taskmaster/events/durations.json", content)
    sessions = shards(suite, "-q", of=2, SWARMTASK_SERVER=f"http://127.0.0.1:{closed_port()}")
    assert [len(tests) for tests in ran(sessions)] == [9, 9]
    (line,) = [line for line in sessions[0].output.splitlines() if line.startswith("swarmtask: shard")]
    assert line.startswith("swarmtask: shard 1/2: 9 of 18 tests, divided without durations (")
    assert reason in line


BROKEN = """
    from pytest_swarmtask.sources.pytest import sharding

    def broken(*_): raise RuntimeError("a fault of ours")

    sharding.{name} = broken
"""


def test_a_fault_before_the_division(suite: Suite) -> None:
    suite.write(conftest=BROKEN.format(name="known_costs"))
    durations(suite)
    sessions = shards(suite, of=2)
    assert [len(tests) for tests in ran(sessions)] == [9, 9]
    assert "divided without durations" in sessions[0].output
    assert "RuntimeError: a fault of ours" in sessions[0].output


@pytest.mark.parametrize("workers", [(), WITH_WORKERS], ids=words)
def test_a_fault_in_the_division_loses_no_test(suite: Suite, workers: tuple[str, ...]) -> None:
    suite.write(conftest=BROKEN.format(name="divide"))
    for number, session in enumerate(shards(suite, *workers, of=2), 1):
        assert len(session.outcomes()) == 18
        assert (
            f"swarmtask: shard {number}/2: 18 of 18 tests (all tests run: RuntimeError: a fault of ours)\n"
            in session.output
        )


@pytest.mark.parametrize("workers", [(), WITH_WORKERS], ids=words)
def test_an_empty_shard_passes(project: Suite, workers: tuple[str, ...]) -> None:
    """CI would be red otherwise, and nobody could mend it. One line says it, also with -q."""
    project.write(test_a="def test_a(): pass")
    first, second = shards(project, "-q", *workers, of=2)
    assert [len(session.outcomes()) for session in (first, second)] == [1, 0]
    assert "swarmtask: shard 2/2: none of 1 tests, the other shards run them all\n" in second.output
    assert (second.end["event_type"], second.end["metadata"]["exit_code"]) == ("TASK_COMPLETED", 0)


def test_a_suite_without_tests_fails_as_ever(suite: Suite) -> None:
    shards(suite, "-k", "nothing_has_this_name", of=2, exit_code=5)


@pytest.mark.parametrize("text", ["", "3/2", "two"])
def test_a_wrong_value(suite: Suite, text: str) -> None:
    done = suite.pytest(f"--swarmtask-shard={text}")
    assert (done.exit_code, done.output) == (4, "")
    assert done.errors.strip() == (
        f"ERROR: --swarmtask-shard is {text!r}, expected I/N with I from 1 to N, such as 2/8, and N up to 1000"
    )


@pytest.mark.parametrize("switch", ["--no-swarmtask", "-qq"])
def test_tests_are_divided_where_nothing_is_told(suite: Suite, switch: str) -> None:
    """Otherwise each shard would run all of them."""
    found = []
    for session in (suite.pytest(f"--swarmtask-shard={number}/2", switch) for number in (1, 2)):
        assert session.exit_code == 0
        assert ("swarmtask: shard" in session.output) is (switch != "-qq")
        found.append({name for name, _ in session.cases})
    assert len(found[0]) + len(found[1]) == len(found[0] | found[1]) == 18


def test_a_task_is_not_done_while_its_tests_run_elsewhere(project: Suite) -> None:
    marked = "    @pytest.mark.task('7')\n    def test_{}(): pass\n"
    project.write(test_a="    import pytest\n" + "".join(map(marked.format, "ab")))
    for session in shards(project, of=2):
        (end,) = [event for event in session.of("TASK_COMPLETED") if event["task_id"] == "7"]
        assert end["metadata"]["partial"] is True
        assert session.end["metadata"]["deselected"] == 0


def test_the_summary_of_the_job_has_the_line(suite: Suite) -> None:
    path = suite.root / "summary.md"
    suite.pytest("--swarmtask-shard=1/2", GITHUB_STEP_SUMMARY=str(path))
    assert "\n\nshard 1/2: 9 of 18 tests, divided without durations\n\n" in path.read_text("utf-8")


def test_what_a_shard_loads(project: Suite) -> None:
    """The process that runs the tests asks no history and no server itself."""
    modules = loaded(project, "--swarmtask-shard=1/1")
    assert "sources.pytest.sharding" in ours(modules)
    assert not modules & {"sqlite3", "httpx", "msgspec", "yaml", "http.client"}
    assert not {name for name in ours(modules) if name.startswith(("history", "report", "cli"))}
