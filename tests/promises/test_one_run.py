"""The receiver gets a whole `make ci` as one run, and can build its tree from the parent spans alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import pytest

from pytest_swarmtask.cli import tasksmk
from tests.lab import Json, Lab, Receiver, clean_environ

pytestmark = pytest.mark.slow

MAKEFILE = f"""
TASKS_PYTHON = "{sys.executable}"
TASKS_STANDARD_TARGETS := 1
TASKS_INSTALL = echo installed
TASKS_DATABASE = echo prepared
TASKS_TEST = $(TASKS_PYTHON) -m pytest -q -p no:cacheprovider -n 2 tests
TASKS_BUILD = $(TASKS_PYTHON) -m zipapp src -m app:main -o app.pyz
TASKS_DEPLOY_staging = $(TASKS_PYTHON) deploy.py
include tasks.mk

ci:
	@$(MAKE) --no-print-directory setup
	@$(call task-event,TASK_STARTED,checks)
	@$(call task-run,lint,true)
	@$(call task-event,TASK_COMPLETED,checks)
	@$(MAKE) --no-print-directory build
	-@$(MAKE) --no-print-directory test
	@$(call deploy-run,release,$(MAKE) --no-print-directory deploy WORKFLOW_ENVIRONMENT=staging)
"""

TESTS = """
import pytest
from pytest_swarmtask import trigger_task_event

@pytest.mark.parametrize("number", range(6))
def test_number(number):
    assert number != 3

@pytest.mark.task("7.1")
def test_task():
    trigger_task_event("BUILD_STARTED", task_id="fixture")
    trigger_task_event("BUILD_COMPLETED", task_id="fixture")
"""

DEPLOY = """
import subprocess, sys
from pytest_swarmtask import trigger_task_event

trigger_task_event("TASK_STARTED", task_id="upload")
subprocess.run([sys.executable, "-m", "pytest_swarmtask", "run", "--id", "copy", "--", "true"], check=True)
trigger_task_event("TASK_COMPLETED", task_id="upload")
"""

CI = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "o/r",
    "GITHUB_RUN_ID": "77",
    "GITHUB_RUN_ATTEMPT": "1",
}

Tree = dict[str, Any]
"""The kind and task id of each span, with the tree below it."""


@pytest.fixture
def project(lab: Lab) -> Lab:
    """A project with a Makefile, sources, tests and a deployment."""
    (lab.root / "tasks.mk").write_bytes(tasksmk.installed().read_bytes())
    (lab.root / "Makefile").write_text(MAKEFILE)
    for name, text in {"src/app.py": "def main(): pass", "tests/test_it.py": TESTS, "deploy.py": DEPLOY}.items():
        (lab.root / name).parent.mkdir(exist_ok=True)
        (lab.root / name).write_text(text)
    configuration = "environments: {staging: {}}\n"
    (lab.root / ".taskmaster" / "config").mkdir(parents=True, exist_ok=True)
    (lab.root / ".taskmaster" / "config" / "workflow.yaml").write_text(configuration)
    return lab


def make(lab: Lab, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run make in the project."""
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=lab.root,
        env=clean_environ(**lab.environ, **environ),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def arrived(lab: Lab, receiver: Receiver) -> list[Json]:
    """Wait for all recorded events, and return them as the receiver got them."""
    return receiver.wait(len(lab.events()))


def tree(events: Iterable[Json]) -> Tree:
    """Build the tree of spans from the span ids and parents of the events alone."""
    below: dict[str | None, dict[str, str]] = {}
    ends: dict[str, int] = {}
    for event in events:
        name = f"{event['event_type'].partition('_')[0]} {event['task_id']}"
        below.setdefault(event["parent_span_id"], {})[event["span_id"]] = name
        ends[event["span_id"]] = ends.get(event["span_id"], 0) + 1
    assert set(ends.values()) == {2}, "each span has a start and an end"

    def grow(parent: str | None) -> Tree:
        found = [(name, grow(span)) for span, name in below.pop(parent, {}).items()]
        assert len(dict(found)) == len(found), "no span is there twice"
        return dict(found)

    grown = grow(None)
    assert not below, "every parent is a span of the run"
    return grown


def test_make_ci(project: Lab, receiver: Receiver) -> None:
    """A `make ci` with sub-makes and xdist workers is one trace, and each span has the right parent."""
    done = make(project, "ci")
    assert done.returncode == 0, done.stderr
    events = arrived(project, receiver)
    assert len({event["trace_id"] for event in events}) == 1
    tests: Tree = {f"TEST tests/test_it.py::test_number[{number}]": {} for number in range(6)}
    pytest_run = {**tests, "TEST tests/test_it.py::test_task": {}, "TASK 7.1": {}}
    found = tree(events)
    fixture = found["TASK make_test"]["TASK pytest_run"]
    assert _take(fixture, "BUILD fixture") == {}, "an event of a test belongs to the test, or to its session"
    assert found == {
        "TASK dev_setup": {"BUILD install_dependencies": {}, "DEPLOYMENT setup_database": {}},
        "TASK checks": {},
        "TASK lint": {},
        "BUILD make_build": {},
        "TASK make_test": {"TASK pytest_run": pytest_run},
        "DEPLOYMENT release": {"DEPLOYMENT make_deploy": {"TASK upload": {}, "TASK copy": {}}},
    }


def _take(spans: Tree, name: str) -> Tree | None:
    """Remove a span from any level of the tree, and return the tree below it, or None if there is no such span."""
    if name in spans:
        taken: Tree = spans.pop(name)
        return taken
    return next((found for below in spans.values() if (found := _take(below, name)) is not None), None)


def test_jobs_of_a_ci_run(project: Lab, receiver: Receiver) -> None:
    """Independent jobs of one CI run share a trace, and their spans stay distinct."""
    for job in ("build", "lint"):
        assert make(project, "setup", **CI, GITHUB_JOB=job).returncode == 0
        for event_type in ("BUILD_STARTED", "BUILD_COMPLETED"):
            project.emit(event_type, "image", **CI, GITHUB_JOB=job)
    project.pytest("-q", "tests", **CI, GITHUB_JOB="test")
    events = arrived(project, receiver)
    assert len({event["trace_id"] for event in events}) == 1
    spans: dict[str, set[str]] = {}
    for event in events:
        spans.setdefault(event["task_id"], set()).add(event["span_id"])
    assert {len(spans[task]) for task in ("dev_setup", "install_dependencies", "image")} == {2}
    again = project.emit("TASK_STARTED", **{**CI, "GITHUB_RUN_ATTEMPT": "2"})
    assert again["trace_id"] != events[0]["trace_id"]


def test_a_trace_around(project: Lab, receiver: Receiver) -> None:
    """A surrounding trace, such as one from OpenTelemetry, continues through make, also under CI."""
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    make(project, "test", TRACEPARENT=f"00-{trace}-{span}-01", **CI)
    events = arrived(project, receiver)
    assert {event["trace_id"] for event in events} == {trace}
    assert {event["parent_span_id"] for event in events if event["task_id"] == "make_test"} == {span}


@pytest.mark.long
def test_status_shows_it(project: Lab, receiver: Receiver) -> None:
    """`swarmtask status` shows the last run as this tree: passed tests as a number, failed tests by name."""
    make(project, "ci")
    arrived(project, receiver)
    project.wait_for_end()
    shown = project.run("status").stdout
    lines = shown[shown.index("last run") :].splitlines()[1:]
    found = [((len(line) - len(line.lstrip("│├└─ "))) // 4, line.lstrip("│├└─ ").split("  ")[0]) for line in lines]
    deepest = {entry for entry in found if entry[0] == 3}  # xdist workers run tests at the same time
    assert [entry for entry in found if entry not in deepest] == [
        (1, "task dev_setup"),
        (2, "build install_dependencies"),
        (2, "deployment setup_database"),
        (1, "task checks"),
        (1, "task lint"),
        (1, "build make_build"),
        (1, "task make_test"),
        (2, "task pytest_run"),
        (1, "deployment release"),
        (2, "deployment make_deploy"),
    ]
    failed = "test tests/test_it.py::test_number[3]"
    below_session = {"tests: 6 passed, 1 failed", failed, "task 7.1", "build fixture"}
    assert {name for _, name in deepest} == below_session | {"task upload", "task copy"}
    last_run = project.status()["last_run"]
    session = next(span for span in last_run["spans"] if span["task_id"] == "make_test")["children"][0]
    assert session["tests"] == {"passed": 6, "failed": 1}
    assert session["error"] == "tests failed"
