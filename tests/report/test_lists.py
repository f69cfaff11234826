"""`swarmtask runs`, `failures`, `flaky` and `slow`: what people ask first, each in one command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lab import once
from tests.shop import Shop, swarmtask
from tests.suite import Suite, words

MODULE = """
    import os, pytest

    @pytest.fixture
    def database(): raise ConnectionError("no database")

    def test_ok(): pass
    @pytest.mark.parametrize("n", range(12))
    def test_many(database, n): pass
    def test_one(): assert "ONE" not in os.environ
"""


def listed(suite: Suite, *arguments: str) -> Any:
    done = swarmtask(suite.root, *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_runs(shop: Shop) -> None:
    """The newest first, a line to each, with the id that other commands take."""
    lines = shop.swarmtask("runs").stdout.splitlines()
    ids = [session.start["trace_id"][:12] for session in reversed(shop.sessions)]
    assert [identity for line in lines for identity in ids if identity in line] == ids
    pattern = (
        r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d  failed      [0-9a-f]{12}  +\d\.\d\d s  pytest_run on main at [0-9a-f]{10}: "
    )
    assert re.match(pattern, lines[0])
    assert lines[-1].endswith(": 10 passed, 1 skipped, 1 xfailed")
    assert len(shop.swarmtask("runs", "--last", "2").stdout.splitlines()) == 2


def test_a_run_without_tests(project: Suite) -> None:
    assert swarmtask(project.root, "run", "--", "true", A="1").returncode == 0
    (line,) = swarmtask(project.root, "runs").stdout.splitlines()
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d  completed   [0-9a-f]{12}  +\d+\.\d+ m?s  true", line)


def test_failures_with_one_cause_are_one_block(project: Suite) -> None:
    project.write(test_it=MODULE).pytest(ONE="1")
    found = listed(project, "failures")
    assert (found["runs"], found["failed"]) == (1, 13)
    assert [len(cause["failed"]) for cause in found["causes"]] == [12, 1]
    assert found["causes"][0]["error"] == "ConnectionError: no database"
    head, _, *lines = swarmtask(project.root, "failures").stdout.splitlines()
    assert re.fullmatch(r"13 failures with 2 causes in run [0-9a-f]{12} of 20\d\d-\d\d-\d\d \d\d:\d\d", head)
    assert lines[:3] == [
        "  ConnectionError: no database",
        "  test_it.py:5",
        "    test_it.py::test_many[0]  error",
    ]
    assert lines[11:13] == ["    test_it.py::test_many[9]  error", "    and 2 more"]
    assert lines[-1] == "    again: pytest test_it.py::test_one"


def test_failures_of_several_runs(project: Suite) -> None:
    """What was in most runs comes first. The command is about the last run unless more are asked for."""
    project.write(test_it=MODULE.replace("def test_many(database, n)", "def test_many(n)"))
    for environ in ({"ONE": "1"}, {"ONE": "1"}, {}):
        project.pytest(**environ)
    assert swarmtask(project.root, "failures").stdout == "Nothing failed in the last run.\n"
    (cause,) = listed(project, "failures", "--last", "3")["causes"]
    assert (cause["runs"], cause["first"] < cause["last"]) == (2, True)
    text = swarmtask(project.root, "failures", "--last").stdout
    assert text.startswith("1 failure with 1 cause in the last 3 runs\n")
    assert f"  test_it.py:10, in 2 of 3 runs, last in {cause['last_run'][:12]} of " in text


def test_a_task_that_failed(project: Suite) -> None:
    """`failures` is about runs with tests, and such a run may have other tasks."""
    project.write(test_it="def test(): pass")
    make = "import subprocess, sys; subprocess.run([sys.executable, '-m', 'pytest', '-q']); sys.exit(3)"
    done = swarmtask(project.root, "run", "--id", "all", "--", sys.executable, "-c", make, A="1")
    assert done.returncode == 3
    (cause,) = listed(project, "failures")["causes"]
    assert [(one["kind"], one["name"]) for one in cause["failed"]] == [("TASK", "all")]
    assert "    task all  failed\n" in swarmtask(project.root, "failures").stdout


def test_slow(shop: Shop) -> None:
    """The slowest by the median first, and how much of the time of all tests each takes."""
    found = listed(shop.suite, "slow")
    assert found["runs"] == 5
    medians = [test["median"] for test in found["slow"]]
    assert medians == sorted(medians, reverse=True)
    assert sum(test["share"] for test in found["slow"]) == pytest.approx(1)
    slowest = found["slow"][0]
    assert slowest["test"] == "test_shop.py::TestCart::test_add"
    assert slowest["longest"] >= 0.4 > slowest["median"]
    head, first, longest, *_ = shop.swarmtask("slow").stdout.splitlines()
    assert head == "The slowest tests by their medians in the last 5 runs"
    assert re.fullmatch(r" +0\.\d\d s +\d+%  test_shop\.py::TestCart::test_add", first)
    assert re.fullmatch(r" +up to 0\.\d\d s", longest)


@pytest.fixture(scope="session")
def variants(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """A project whose tests ran under two variants. Tests only read it."""
    return once(tmp_path_factory, "variants", _variants)


def _variants(folder: Path) -> Suite:
    suite = Suite(folder).write(test_it="import os\ndef test_a(): assert os.environ.get('A')")
    identity = ("-c", "user.name=me", "-c", "user.email=me@example.com")
    for arguments in (("init", "-q", "-b", "main"), (*identity, "commit", "-q", "--allow-empty", "-m", "one")):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    for variant in ("linux", "macos"):
        for environ in ({"A": "1"}, {}):
            suite.pytest(f"--swarmtask-variant={variant}", **environ)
    return suite


@pytest.mark.parametrize("command", ["runs", "failures", "flaky", "slow"])
class TestWhichRuns:
    def test_nothing_is_recorded(self, project: Suite, command: str) -> None:
        done = swarmtask(project.root, command)
        assert (done.returncode, done.stdout) == (0, "nothing has been recorded here yet\n")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--branch", "mian"), "matches --branch mian. Did you mean main?\n"),
            (("--branch", "other"), "matches --branch other.\n"),
            (("--since", "2099-01-01"), "matches --since 2099-01-01T"),
            (("--variant", "lnux"), "matches --variant lnux. Did you mean linux?\n"),
        ],
        ids=words,
    )
    def test_no_run_matches(self, variants: Suite, command: str, arguments: tuple[str, ...], message: str) -> None:
        done = swarmtask(variants.root, command, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert message in done.stdout

    def test_one_variant(self, variants: Suite, command: str) -> None:
        """Only its runs, and only its tests."""
        texts = swarmtask(variants.root, command, "--variant", "linux", "--json").stdout
        assert '"linux"' in texts
        assert '"macos"' not in texts
