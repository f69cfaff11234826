"""The variant of a session: what its user says, else the CI job, the environment of tox or nox, and the interpreter."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_swarmtask
from tests.lab import GITHUB_JOB, clean_environ
from tests.shop import swarmtask
from tests.suite import WITH_WORKERS, Suite, words

INTERPRETER = f"{sys.implementation.name}-{sys.version_info[0]}.{sys.version_info[1]}-{sys.platform}"
GITLAB = {
    "GITLAB_CI": "true",
    "CI_SERVER_URL": "https://gitlab.example",
    "CI_PIPELINE_ID": "7",
    "CI_JOB_NAME": "test: [3.10, postgres]",
}


@pytest.fixture
def suite(project: Suite) -> Suite:
    """A project with one test."""
    return project.write(test_a="def test_a(): pass")


def variant(suite: Suite, *options: str, **environ: str) -> str:
    """Return the variant of a session, which both of its events have."""
    session = suite.pytest(*options, **environ)
    assert session.exit_code == 0, session.output
    name: str = session.start["metadata"]["variant"]
    assert session.end["metadata"]["variant"] == name
    return name


@pytest.mark.parametrize("options", [(), WITH_WORKERS], ids=words)
def test_the_interpreter_is_the_default(suite: Suite, options: tuple[str, ...]) -> None:
    assert variant(suite, *options) == INTERPRETER


def test_what_the_user_says_wins(suite: Suite) -> None:
    """The command line wins over the environment, and that over the configuration, which may name a variable."""
    suite.file(".taskmaster/config/workflow.yaml", "task_integration: {variant: 'db ${DATABASE}'}\n")
    assert variant(suite) == INTERPRETER  # the variable is not set
    assert variant(suite, DATABASE="postgres") == "db postgres"
    assert variant(suite, DATABASE="postgres", SWARMTASK_VARIANT="py310, lowest") == "py310, lowest"
    assert variant(suite, "--swarmtask-variant=mine", SWARMTASK_VARIANT="theirs", **GITLAB) == "mine"


def test_it_is_one_line(suite: Suite) -> None:
    assert variant(suite, SWARMTASK_VARIANT="  py310,\n lowest ") == "py310, lowest"


def test_a_ci_job(suite: Suite) -> None:
    """The interpreter is added to the name of a job unless that tells the leg of its matrix."""
    assert variant(suite, **GITLAB) == "test: [3.10, postgres]"
    assert variant(suite, **GITHUB_JOB) == f"test {INTERPRETER}"
    assert variant(suite, CI="true") == INTERPRETER


def test_a_shard_is_no_variant(suite: Suite) -> None:
    """A test may be in another shard in the next run. The number of the shard is recorded beside the variant."""
    shard = {**GITLAB, "CI_JOB_NAME": "test 2/3", "CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "3"}
    session = suite.pytest(**shard)
    known = session.start["metadata"]
    assert (known["variant"], known["ci_job"], known["shard"]) == ("test", "test", "2/3")


def test_environments_of_tox_and_nox(suite: Suite) -> None:
    assert variant(suite, TOX_ENV_NAME="py310-lowest") == f"py310-lowest {INTERPRETER}"
    assert variant(suite, NOX_CURRENT_SESSION="tests-3.10") == f"tests-3.10 {INTERPRETER}"


def test_a_secret_is_hidden(suite: Suite) -> None:
    assert "s3cr3t-Gh7fK2" not in variant(suite, SWARMTASK_VARIANT="with s3cr3t-Gh7fK2", API_TOKEN="s3cr3t-Gh7fK2")


def other_python() -> str:
    """Return another Python than this one, or this one if the machine has no other."""
    names = [f"python3.{minor}" for minor in range(10, 14) if minor != sys.version_info[1]]
    for path in filter(None, map(shutil.which, names)):
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:  # not a dead shim
            return path
    return sys.executable


@pytest.mark.long
def test_two_pythons_of_tox(suite: Suite) -> None:
    """A test that fails under one of two environments on one commit is not flaky: it fails under that one."""
    suite.write(test_a="import os\n\ndef test_a(): assert os.environ['TOX_ENV_NAME'] == 'good'\n")
    suite.file(
        "tox.ini",
        f"""
        [tox]
        env_list = good, bad
        no_package = true
        [testenv]
        deps = pytest
        set_env = PYTHONPATH = {suite.root / "lib"}
        commands = python -m pytest -q -p pytest_swarmtask.plugin
        [testenv:bad]
        base_python = {other_python()}
        """,
    )
    # Only the package: beside it may be an installation of pytest for another Python.
    (suite.root / "lib").mkdir()
    (suite.root / "lib" / "pytest_swarmtask").symlink_to(Path(pytest_swarmtask.__file__).parent)
    suite.file(".gitignore", ".tox\n__pycache__\n.taskmaster\n.pytest_cache\nlib\n")
    environ = clean_environ(PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for command in ("git init -q", "git add -A", "git -c user.name=a -c user.email=a@b.c commit -qm one"):
        subprocess.run(command.split(), cwd=suite.root, env=environ, check=True)
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "tox"],
            cwd=suite.root,
            env=environ,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
        assert done.returncode == 1, done.stdout + done.stderr
    report = json.loads(swarmtask(suite.root, "report", "--json").stdout)
    assert report["flaky"] == []
    assert [(failure["task_id"], failure["streak"]) for failure in report["failures"]] == [("test_a.py::test_a", 2)]
    results = json.loads(swarmtask(suite.root, "tests", "test_a", "--json").stdout)["results"]
    outcomes = {result["variant"].split()[0]: result["outcome"] for result in results}
    assert outcomes == {"good": "passed", "bad": "failed"}
    text = swarmtask(suite.root, "tests", "test_a").stdout
    assert "failing under bad " in text
