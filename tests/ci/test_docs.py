"""The commands in docs/ci.md do what the document says, and its definitions for each CI service are valid and run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.ci.runner import Machine, bash, check_schema, set_up
from tests.lab import REPOSITORY, clean_environ, read_events

TEXT = (REPOSITORY / "docs" / "ci.md").read_text()
LITERAL = "$(TASKMASTER_WEBHOOK_URL)"
FLUSH = "swarmtask flush --timeout 30"


def section(title: str) -> str:
    """Return the text between a heading and the next heading."""
    (found,) = re.findall(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


def block(language: str, text: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(found)


def shell(script: str, folder: Path, machine: Machine, **environ: str) -> subprocess.CompletedProcess[str]:
    variables = {**clean_environ(), **machine.environ, "HOME": str(folder.parent), **environ}
    variables["PATH"] = f"{machine.python(folder.parent)}{os.pathsep}{variables['PATH']}"
    return bash(["-e", "-c", script], folder, variables)


@pytest.mark.slow
def test_the_three_lines_set_a_project_up_and_a_copy_is_updated_by_one(tiny: Path, machine: Machine) -> None:
    commands = re.findall(r"^\$ (.*)$", TEXT, re.MULTILINE)
    assert len(commands) == 4
    git = "git init --quiet; git config user.name me; git config user.email me@example.com"
    done = shell("\n".join([git, *commands[:3], "git status --short", "git ls-files"]), tiny, machine)
    assert done.returncode == 0, done.stdout
    table = re.findall(r"^\| `([^`]+)` \|", section("GitHub Actions, in three lines"), re.MULTILINE)
    written = [name for name in table if "/" in name]
    assert len(written) == 3
    assert set(written) <= set(done.stdout.splitlines())
    assert not [line for line in done.stdout.splitlines() if line.startswith(("??", " M"))]

    copy = tiny / "make" / "tasks.mk"
    copy.write_text("# tasks.mk of pytest-swarmtask 0.0.1, sha256 e3b0c44298fc1c14: of long ago\n")
    done = shell(commands[3], tiny, machine)
    assert done.stdout.startswith("updated    make/tasks.mk (0.0.1 →")


@pytest.mark.slow
def test_the_table_of_jobs_is_that_of_the_workflow(tiny: Path, prepared: Machine) -> None:
    shell("swarmtask init --with-deploy", tiny, prepared)
    workflow = yaml.safe_load((tiny / ".github/workflows/task_management_integration.yml").read_text())
    rows = re.findall(
        r"^\| `([a-z]+)` \| (.*?) \| `([a-z]+)` \|", section("GitHub Actions, in three lines"), re.MULTILINE
    )
    assert [name for name, _, _ in rows] == list(workflow["jobs"])
    for name, runs, environment in rows:
        job = workflow["jobs"][name]
        scripts = [step.get("run") for step in job["steps"]]
        assert all(command in scripts for command in re.findall(r"`((?:make|swarmtask) [a-z ]+)`", runs))
        assert environment in job["env"]["WORKFLOW_ENVIRONMENT"]


@pytest.mark.slow
def test_what_init_include_writes_is_shown(tiny: Path, prepared: Machine) -> None:
    (tiny / "Makefile").unlink()
    shell("swarmtask init --include", tiny, prepared)
    assert block("make", section("Why tasks.mk is copied")) in (tiny / "Makefile").read_text()


def test_the_hooks_that_are_shown_are_those_that_init_writes(tiny: Path) -> None:
    set_up(tiny, "--only=pre-commit")
    assert block("yaml", section("Before each commit")) in (tiny / ".pre-commit-config.yaml").read_text()


def test_the_options_that_are_shown_are_those_of_init() -> None:
    shown = re.findall(r"^\| `(--[a-z-]+)", section("What `swarmtask init` looks at"), re.MULTILINE)
    command = [sys.executable, "-m", "pytest_swarmtask", "init", "--help"]
    help_text = subprocess.run(command, env=clean_environ(), capture_output=True, text=True, check=True).stdout
    known = re.findall(r"^  (--[a-z-]+)", help_text, re.MULTILINE)
    assert {*shown, "--yes", "--include", "--root"} == set(known)


@pytest.mark.long
def test_the_files_and_jobs_for_gitlab_are_those_that_init_writes(tiny: Path, prepared: Machine) -> None:
    (tiny / ".gitlab").mkdir()
    output = shell("swarmtask init --with-deploy", tiny, prepared).stdout
    text = section("GitLab CI")
    files = re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
    assert len(files) == 2
    assert all(re.search(rf"^created +{re.escape(name)}$", output, re.MULTILINE) for name in files)
    jobs = [name for name in yaml.safe_load((tiny / files[0]).read_text()) if name.startswith("task-")]
    assert list(dict.fromkeys(re.findall(r"`(task-[a-z-]+)`", text))) == jobs


# --- services ---------------------------------------------------------------------------------------------------------


Read = tuple[list[str], dict[str, str]]
"""The commands of a job, and the variables that its definition sets."""


def buildkite(definition: Any) -> Read:
    (step,) = definition["steps"]
    return step["commands"], step["env"]


def circleci(definition: Any) -> Read:
    job = definition["jobs"]["test"]
    runs = [step["run"] for step in job["steps"] if isinstance(step, dict) and "run" in step]
    return [run if isinstance(run, str) else run["command"] for run in runs], job["environment"]


def azure(definition: Any) -> Read:
    """Azure leaves the text of the definition in a variable whose secret is not set."""
    environ = {name: value for step in definition["steps"] for name, value in step.get("env", {}).items()}
    return [step["script"] for step in definition["steps"] if "script" in step], {**definition["variables"], **environ}


class Service(NamedTuple):
    """A CI service for which the document shows a definition."""

    title: str
    schema: str
    read: Callable[[Any], Read]
    marker: str


SERVICES = [
    Service("Buildkite", "vendor.buildkite", buildkite, "BUILDKITE"),
    Service("CircleCI", "vendor.circle-ci", circleci, "CIRCLECI"),
    Service("Azure Pipelines", "vendor.azure-pipelines", azure, "TF_BUILD"),
]


def check_run(commands: list[str], environ: dict[str, str], tiny: Path, machine: Machine) -> str:
    """Run the commands of a job and check the events that they recorded."""
    assert any(FLUSH in command for command in commands)
    (tiny / "make").mkdir()
    shutil.copy(machine.tasks_mk, tiny / "make")
    done = shell("\n".join(commands), tiny, machine, **{"CI": "true", **environ})
    assert Counter(event["event_type"] for event in read_events(tiny)) == Counter(
        TASK_STARTED=3, TASK_COMPLETED=3, TEST_STARTED=2, TEST_PASSED=2
    ), done.stdout
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.long
@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.title)
def test_what_is_shown_is_valid_and_runs(tiny: Path, prepared: Machine, service: Service) -> None:
    text = block("yaml", section(service.title))
    shown = tiny.parent / "shown.yml"
    shown.write_text(text)
    check_schema(service.schema, shown)
    commands, environ = service.read(yaml.safe_load(text))
    assert environ["WORKFLOW_ENVIRONMENT"] == "dev"
    output = check_run(commands, {service.marker: "true", **environ}, tiny, prepared)
    assert ("10 waiting" in output) is (environ.get("TASKMASTER_WEBHOOK_URL") == LITERAL)


@pytest.mark.long
def test_the_commands_for_jenkins_run(tiny: Path, prepared: Machine) -> None:
    commands = re.findall(r"sh '([^']*)'", block("groovy", section("Jenkins")))
    check_run(commands, {"JENKINS_URL": "https://jenkins.example/", "WORKFLOW_ENVIRONMENT": "dev"}, tiny, prepared)


# --- the last job -----------------------------------------------------------------------------------------------------


LAST_JOB = (REPOSITORY / "docs" / "history-in-ci.md").read_text()
SCHEMAS = {
    "GitHub Actions": "vendor.github-workflows",
    "GitLab CI": "vendor.gitlab-ci",
    "CircleCI": "vendor.circle-ci",
    "Azure Pipelines": "vendor.azure-pipelines",
    "Buildkite": "vendor.buildkite",
    "Bitbucket Pipelines": "vendor.bitbucket-pipelines",
}
COMMAND = re.compile(r"^.*?(?:run|script|sh)?:? ?-? ?'?(swarmtask (?:collect|report) [^'\n]*?)'?$", re.MULTILINE)


def snippets() -> dict[str, str]:
    """Return what the document shows for each service."""
    found = re.findall(r"^### ([^\n]+)\n.*?^```(?:yaml|groovy)\n(.*?)^```$", LAST_JOB, re.MULTILINE | re.DOTALL)
    return dict(found)


@pytest.mark.long
@pytest.mark.parametrize("service", SCHEMAS)
def test_the_last_job_of_a_service_is_valid(tmp_path: Path, service: str) -> None:
    shown = tmp_path / "shown.yml"
    shown.write_text(snippets()[service])
    check_schema(SCHEMAS[service], shown)


@pytest.mark.long
@pytest.mark.parametrize("service", [*SCHEMAS, "Jenkins"])
def test_the_last_job_of_a_service_runs(tiny: Path, prepared: Machine, service: str) -> None:
    """Its commands run on journals that lie where the service puts them, and write what it keeps."""
    elsewhere = tiny.parent / "elsewhere"
    shutil.copytree(tiny, elsewhere)
    assert shell("python -m pytest -q -p no:cacheprovider", elsewhere, prepared).returncode == 0
    commands = [line for line in COMMAND.findall(snippets()[service]) if "buildkite-agent" not in line]
    assert len(commands) >= 2
    folder = commands[0].split()[2].strip('"').replace("$PIPELINE_WORKSPACE", "workspace")
    shutil.copytree(elsewhere / ".taskmaster" / "events", tiny / folder)
    environ = {"PIPELINE_WORKSPACE": str(tiny / "workspace"), "GITHUB_STEP_SUMMARY": str(tiny / "summary.md")}
    done = shell("\n".join(commands), tiny, prepared, **environ)
    assert done.returncode == 0, done.stdout
    assert "collected 1 segment: 6 events" in done.stdout
    assert "test_tiny.py::test_one" in (tiny / "report.html").read_text().replace("<wbr>", "")


def test_the_snippet_for_github_keeps_the_history_as_the_workflow_of_init_does(tiny: Path) -> None:
    set_up(tiny)
    workflow = (tiny / ".github/workflows/task_management_integration.yml").read_text()
    keys = set(re.findall(r"swarmtask-history/.*", snippets()["GitHub Actions"]))
    assert len(keys) == 3
    assert keys == set(re.findall(r"swarmtask-history/.*", workflow))
