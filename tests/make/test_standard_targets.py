"""With `TASKS_STANDARD_TARGETS := 1`, setup, test, build and deploy report events and run the project's commands."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from tests.lab import read_events
from tests.make.lab import Event, MakeProject, ended, paths

SET = """TASKS_STANDARD_TARGETS := 1
TASKS_INSTALL = echo installing
TASKS_BUILD = echo "building, (really)"
TASKS_DEPLOY_staging = echo to staging of $$WORKFLOW_ENVIRONMENT
TASKS_DEPLOY = echo elsewhere, to $(WORKFLOW_ENVIRONMENT)
include tasks.mk
"""


def metadata(project: MakeProject) -> dict[tuple[str, str], Event]:
    return {(event["event_type"], event["task_id"]): event["metadata"] for event in read_events(project.root)}


def test_a_project_s_own_targets_stay_without_the_switch(project: MakeProject) -> None:
    """Without the switch, tasks.mk defines no standard targets, and the project's own targets are unchanged."""
    project.write("include tasks.mk\ntest: ; @echo mine\n")
    assert project.make("test").stdout == "mine\n"
    assert "No rule to make target 'setup'" in project.make("setup").stderr
    assert project.events() == []


def test_setup(project: MakeProject) -> None:
    """`make setup` reports a task that contains a build (the installation) and a deployment (the database)."""
    project.write(SET + "TASKS_DATABASE = echo 'create table'\n")
    done = project.make("setup")
    assert (done.returncode, done.stdout, done.stderr) == (0, "installing\ncreate table\n", "")
    assert paths(project.events()) == [
        ["dev_setup"],
        ["dev_setup", "install_dependencies"],
        ["dev_setup", "setup_database"],
    ]
    assert sorted(project.told()) == sorted(
        ended("dev_setup") + ended("install_dependencies", "BUILD") + ended("setup_database", "DEPLOYMENT")
    )
    told = metadata(project)
    assert {event["workflow"] for event in told.values()} == {"development_environment_setup"}
    assert told["BUILD_STARTED", "install_dependencies"]["action"] == "installing_dependencies"
    assert told["DEPLOYMENT_STARTED", "setup_database"]["action"] == "database_setup"


def test_setup_that_fails(project: MakeProject) -> None:
    """If the installation fails, the database is not prepared, and the task fails with the same exit code."""
    project.write(SET + "TASKS_INSTALL = echo no network >&2; exit 9\nTASKS_DATABASE = echo never\n")
    done = project.make("setup")
    assert (done.returncode, done.stdout) == (2, "")
    assert project.end("install_dependencies")["event_type"] == "BUILD_FAILED"
    assert project.end("dev_setup").items() >= {"event_type": "TASK_FAILED", "exit_code": 9}.items()
    assert project.end("dev_setup")["stderr_tail"] == "no network"
    assert "setup_database" not in {event["task_id"] for event in project.events()}


def test_build(project: MakeProject) -> None:
    project.write(SET)
    assert project.make("build").stdout == "building, (really)\n"
    assert project.told() == ended("make_build", "BUILD")


@pytest.mark.parametrize(
    ("environment", "printed"), [("staging", "to staging of staging\n"), ("prod", "elsewhere, to prod\n")]
)
def test_deploy(project: MakeProject, environment: str, printed: str) -> None:
    """An environment uses its own command, or else the general command. Make's command line may set the environment."""
    project.write(SET)
    assert project.make("deploy", f"WORKFLOW_ENVIRONMENT={environment}").stdout == printed
    assert project.make("deploy", WORKFLOW_ENVIRONMENT=environment).stdout == printed
    assert project.told() == ended("make_deploy", "DEPLOYMENT") * 2
    assert {event["metadata"]["environment"] for event in project.events()} == {environment}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["deploy"], "which environment? Say for example: make deploy WORKFLOW_ENVIRONMENT=staging"),
        (
            ["deploy", "WORKFLOW_ENVIRONMENT=qa"],
            "how to deploy to qa? Set TASKS_DEPLOY_qa or TASKS_DEPLOY to a command",
        ),
        (["test-single"], "which test? Say for example: make test-single TEST=tests/test_api.py, or TEST=FILE::NAME"),
    ],
)
def test_errors_say_what_to_do(project: MakeProject, arguments: list[str], error: str) -> None:
    """A missing setting is an error before anything runs or is reported."""
    project.write(SET + "TASKS_DEPLOY =\n")
    done = project.make(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert error in done.stderr
    assert project.events() == []


@pytest.fixture
def tested(project: MakeProject) -> MakeProject:
    """A project with a module and two tests. One test has a name that needs quotes."""
    project.write(SET)
    project.write("def half(n):\n    if n > 9:\n        return 9\n    return n // 2\n", "maths.py")
    project.write(
        "import maths, pytest\n"
        "def test_half(): assert maths.half(4) == 2\n"
        "@pytest.mark.parametrize('name', ['it is (a)'])\ndef test_name(name): pass\n",
        "test_maths.py",
    )
    project.write("[pytest]\naddopts = -p no:cacheprovider\n", "pytest.ini")
    return project


def test_tests(tested: MakeProject) -> None:
    """The session and its tests are children of the target's span, for one test and for all tests, also with `-j`."""
    done = tested.make("-j2", "test-verbose", "test-single", "TEST=test_maths.py::test_name[it is (a)]")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_maths.py::test_half PASSED" in done.stdout
    all_tests = ["test_maths.py::test_half", "test_maths.py::test_name[it is (a)]"]
    assert paths(tested.events()) == sorted(
        [
            ["make_test_single"],
            ["make_test_single", "pytest_run"],
            ["make_test_single", "pytest_run", all_tests[1]],
            ["make_test_verbose"],
            ["make_test_verbose", "pytest_run"],
            *(["make_test_verbose", "pytest_run", test] for test in all_tests),
        ]
    )
    assert tested.end("make_test_single").items() >= {"action": "test", "type": "single", "success": True}.items()


def test_a_test_fails(tested: MakeProject) -> None:
    tested.write("def test_bad(): assert False\n", "test_bad.py")
    assert tested.make("test").returncode == 2
    assert tested.end("make_test").items() >= {"event_type": "TASK_FAILED", "exit_code": 1, "type": "all"}.items()


@pytest.mark.skipif(importlib.util.find_spec("coverage") is None, reason="coverage is not installed")
def test_coverage_is_shown(tested: MakeProject) -> None:
    """`make test-coverage` prints the table of coverage at the end."""
    done = tested.make("test-coverage")
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("maths.py")]
    assert line.split()[1:] == ["4", "1", "75%"]
    assert "TOTAL" in done.stdout
    assert tested.end("make_test_coverage")["type"] == "coverage"


def test_the_default_commands_use_the_same_python(project: MakeProject) -> None:
    """By default pip, pytest, coverage and build run with `TASKS_PYTHON`, and a requirements file is used."""
    project.write("TASKS_STANDARD_TARGETS := 1\ninclude tasks.mk\n")
    lines = project.make("-n", "setup", "test", "test-coverage", "build").stdout
    for module in ("pip install --editable .", "pytest", "coverage run -m pytest", "coverage report", "build"):
        assert f"{sys.executable} -m {module}" in lines
    project.write("", "requirements.txt")
    assert "-m pip install -r requirements.txt" in project.make("-n", "setup").stdout


def test_help(project: MakeProject) -> None:
    """`make tasks-help` shows every function, variable and target, and whether events are reported."""
    project.write("include tasks.mk\n")
    shown = project.make("tasks-help")
    assert (shown.returncode, shown.stderr) == (0, "")
    text = (project.root / "tasks.mk").read_text()
    for name in ("task-event", "task-run", "build-run", "deploy-run", "test-run", "TASKS_QUIET", "TASKS_PYTHON"):
        assert name in shown.stdout
    for line in text.splitlines():
        if line.startswith("TASKS_") and "?=" in line:
            assert line.split()[0] in {*shown.stdout.split(), "TASKS_NOTICED"}
    assert "Events are reported by " in shown.stdout
    assert "No events: nothing has no pytest-swarmtask." in project.make("tasks-help", TASKS_PYTHON="nothing").stdout
