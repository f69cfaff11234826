"""Our GitHub Actions workflow and that of `swarmtask init` match the published schema and run step by step."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_swarmtask.core.project import Project
from tests.ci.runner import Job, Machine, Runner, check_schema, check_security, set_up
from tests.lab import REPOSITORY, SECRET, Receiver, clean_environ, read_events, receiving

Json = dict[str, Any]

ROOT = REPOSITORY
NAME = ".github/workflows/task_management_integration.yml"
PIPELINE = ".gitlab/task_management_integration.yml"
LONG_CHECK = ".github/workflows/check_all.yml"
SITE = ".github/workflows/docs.yml"
WORKFLOWS = ["ours", "written by init"]
OTHERS = {"check all": LONG_CHECK, "docs": SITE}
ALL_WORKFLOWS = [*WORKFLOWS, *OTHERS]
STAGES = ("setup", "test", "build", "deploy")
ALL_SUCCEED = dict.fromkeys((*STAGES, "report"), "success")

PINNED = {
    "actions/cache/restore": "9255dc7a253b0ccc959486e2bca901246202afeb v5.0.1",
    "actions/cache/save": "9255dc7a253b0ccc959486e2bca901246202afeb v5.0.1",
    "actions/checkout": "08c6903cd8c0fde910a37f88322edcfb5dd907a8 v5.0.0",
    "actions/setup-python": "e797f83bcb11b83ae66e0230d6156d7c80228e7c v6.0.0",
    "actions/upload-artifact": "b7c566a772e6b6bfb58ed0dc250532a479d7789f v6.0.0",
    "actions/download-artifact": "37930b1c2abaa49bbe596cd826c3c89aef350131 v7.0.0",
}


# --- as text ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def workflow(request: pytest.FixtureRequest, tiny: Path) -> Path:
    """One of our own workflows, or that which `swarmtask init` writes."""
    if request.param == "written by init":
        set_up(tiny)
        return tiny / NAME
    return ROOT / OTHERS.get(request.param, NAME)


def jobs(workflow: Path) -> dict[str, Json]:
    found: dict[str, Json] = yaml.safe_load(workflow.read_text())["jobs"]
    return found


def steps(workflow: Path) -> Iterator[Json]:
    for job in jobs(workflow).values():
        yield from job["steps"]


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--with-deploy"]], ids=["plain", "with deploy"])
@pytest.mark.parametrize("has", [[], ["setup.py"], ["Makefile"], ["Makefile", "requirements.txt"]], ids=" ".join)
def test_all_that_init_writes_is_valid_by_the_published_schemas_and_for_zizmor(
    tmp_path: Path, has: list[str], options: list[str]
) -> None:
    for name in has:
        (tmp_path / name).touch()
    set_up(tmp_path, "--only=github,gitlab", *options)
    check_schema("vendor.github-workflows", tmp_path / NAME)
    check_schema("vendor.gitlab-ci", tmp_path / ".gitlab-ci.yml", tmp_path / PIPELINE)
    check_security(tmp_path / NAME)


@pytest.mark.slow
def test_ours_are_valid_by_the_published_schema_and_for_zizmor() -> None:
    ours = [ROOT / path for path in (NAME, LONG_CHECK, SITE)]
    check_schema("vendor.github-workflows", *ours)
    check_security(*ours)


@pytest.mark.parametrize("workflow", WORKFLOWS, indirect=True)
def test_it_runs_on_pushes_and_pull_requests_and_deploys_only_on_pushes(workflow: Path) -> None:
    triggers = yaml.safe_load(workflow.read_text())[True]  # YAML 1.1 reads `on` as a boolean
    assert set(triggers) == {"push", "pull_request"}
    deploying = [job for job in jobs(workflow).values() if "environment" in job]
    assert deploying
    assert all("github.event_name == 'push'" in job["if"] or "refs/tags/" in job["if"] for job in deploying)
    assert all("environment" in job for name, job in jobs(workflow).items() if name.startswith("deploy"))


@pytest.mark.parametrize("workflow", ALL_WORKFLOWS, indirect=True)
def test_it_may_read_and_nothing_else_unless_a_job_says_why(workflow: Path) -> None:
    text = workflow.read_text()
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
    reasons = re.findall(r"^ +[a-z-]+: write(.*)$", text, re.MULTILINE)
    assert reasons in ([], [" # the release"], [" # the branch gh-pages"])
    checkouts = [step for step in steps(workflow) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("workflow", ALL_WORKFLOWS, indirect=True)
def test_actions_are_pinned_by_commit_with_the_version_beside_it(workflow: Path) -> None:
    used = re.findall(r"uses: (\S+)@(\S+)(?: # (\S+))?$", workflow.read_text(), re.MULTILINE)
    assert used
    assert {(action, f"{commit} {version}") for action, commit, version in used} <= set(PINNED.items())


@pytest.mark.parametrize("workflow", WORKFLOWS, indirect=True)
def test_every_job_names_its_environment_sends_what_is_left_and_keeps_its_journal(workflow: Path) -> None:
    for name, job in jobs(workflow).items():
        if name == "report":  # it records nothing
            continue
        assert job["env"]["WORKFLOW_ENVIRONMENT"]
        assert job["env"]["TASKMASTER_WEBHOOK_URL"] == "${{ secrets.TASKMASTER_WEBHOOK_URL }}"
        assert job["env"]["AUTOMATION_SECRET_KEY"] == "${{ secrets.AUTOMATION_SECRET_KEY }}"
        assert job["timeout-minutes"]
        flush, journal = job["steps"][-2:]
        assert (flush["if"], journal["if"]) == ("always()", "always()")
        assert re.search(r"swarmtask flush --timeout \d+ \|\| echo \"::notice::", flush["run"])
        assert journal["with"]["path"] == ".taskmaster/events/*.jsonl"
        assert journal["with"]["include-hidden-files"] is True


@pytest.mark.parametrize("workflow", WORKFLOWS, indirect=True)
def test_the_last_job_waits_for_all_and_needs_no_secret(workflow: Path) -> None:
    """It runs also if a job failed, and in pull requests from forks, and saves each history under a key of its own."""
    *others, last = jobs(workflow)
    job = jobs(workflow)[last]
    assert (job["needs"], job["if"]) == (others, "always()")
    assert "secrets" not in json.dumps(job)
    assert "permissions" not in job
    restore, save = (
        next(s for s in job["steps"] if f"cache/{what}" in s.get("uses", "")) for what in ("restore", "save")
    )
    assert restore["with"]["path"] == save["with"]["path"] == ".taskmaster/events/history.sqlite"
    assert restore["with"]["key"] == save["with"]["key"]
    assert save["with"]["key"].endswith("/${{ github.run_id }}-${{ github.run_attempt }}")
    uploads = [step["with"]["name"] for step in steps(workflow) if "upload-artifact" in step.get("uses", "")]
    assert len(uploads) == len(set(uploads))
    assert all("github.run_attempt" in name for name in uploads if name != "dist")


@pytest.mark.parametrize("workflow", ALL_WORKFLOWS, indirect=True)
def test_nothing_that_others_can_choose_gets_into_a_script(workflow: Path) -> None:
    """A `run:` script never contains `${{ }}`, because a branch name could inject a command through it."""
    assert not [step["run"] for step in steps(workflow) if "${{" in step.get("run", "")]


def test_ours_runs_targets_that_our_makefile_has() -> None:
    scripts = "\n".join(step.get("run", "") for step in steps(ROOT / NAME))
    targets = {target for found in re.findall(r"\bmake ([a-z -]+)$", scripts, re.MULTILINE) for target in found.split()}
    assert {"setup", "test", "build"} <= targets
    for target in targets:
        command = ["make", "-n", target]
        done = subprocess.run(command, cwd=ROOT, env=clean_environ(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


# --- step by step -----------------------------------------------------------------------------------------------------


def runner_on(machine: Machine, tiny: Path) -> Runner:
    """Return a runner on a project that `swarmtask init` has set up."""
    set_up(tiny)
    return Runner(tiny, tiny.parent / "home", machine)


@pytest.fixture
def runner(tiny: Path, prepared: Machine) -> Runner:
    return runner_on(prepared, tiny)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def run(runner: Runner, event: str, ref: str, receiver: Receiver | None = None, number: int = 1) -> dict[str, Job]:
    """Run the workflow. Without a receiver there are no secrets."""
    known = {"TASKMASTER_WEBHOOK_URL": receiver.url, "AUTOMATION_SECRET_KEY": SECRET} if receiver else {}
    return runner.run(runner.project / NAME, event, ref, known, f"987654{number:04}")


def results(done: dict[str, Job]) -> dict[str, str]:
    return {name: job.result for name, job in done.items()}


def said(done: dict[str, Job]) -> str:
    """Return the output of all jobs, and the logs of their relays, which say why an event was sent again."""
    texts = []
    for job in done.values():
        log = Path(Project(str(job.workspace)).relay_log)
        texts += [f"--- {job.name}", job.output, log.read_text() if log.exists() else ""]
    return "\n".join(texts)


def kinds(job: Job) -> Counter[str]:
    return Counter(event["event_type"] for event in read_events(job.workspace))


EXPECTED = {
    "setup": Counter(TASK_STARTED=1, TASK_COMPLETED=1),
    "test": Counter(TASK_STARTED=2, TEST_STARTED=2, TEST_PASSED=2, TASK_COMPLETED=2),  # two tasks: make and pytest
    "build": Counter(BUILD_STARTED=1, BUILD_COMPLETED=1),
    "deploy": Counter(DEPLOYMENT_STARTED=1, DEPLOYMENT_COMPLETED=1),
}


def deployed(done: dict[str, Job]) -> tuple[str, str]:
    """Return GitHub's environment of the deployment, and the task id of its events."""
    (task_id,) = {event["task_id"] for event in read_events(done["deploy"].workspace)}
    return done["deploy"].environment, task_id


@pytest.mark.slow
def test_a_push_runs_all_stages_and_every_event_arrives(tiny: Path, machine: Machine, receiver: Receiver) -> None:
    """Each job installs the wheel, as on GitHub."""
    runner = runner_on(machine, tiny)
    done = run(runner, "push", "refs/heads/main", receiver)
    assert results(done) == ALL_SUCCEED, said(done)
    report = done.pop("report")
    assert {name: kinds(job) for name, job in done.items()} == EXPECTED
    summary = done["test"].step("Test").summary
    assert summary.startswith("### ✅ pytest: passed\n\n| tests | passed | duration |")
    assert "environment <code>dev</code>, commit <code>0123456789abcdef" in summary
    assert deployed(done) == ("staging", "staging")

    recorded = sorted(event["id"] for job in done.values() for event in read_events(job.workspace))
    assert sorted(receiver.ids) == recorded, said(done)
    assert receiver.refused == 0
    assert "::notice::" not in said(done)
    segments = [segment for folder in runner.artifacts.values() for segment in folder.glob("*.jsonl")]
    kept = [json.loads(line) for segment in segments for line in segment.read_text().splitlines()]
    assert sorted(event["id"] for event in kept) == recorded
    names = ("build", "deploy", "setup", "test-3.13")
    assert sorted(runner.artifacts) == ["dist", *(f"journal-{name}-1" for name in names), "report-1"]
    assert report.step("Collect").output.startswith(f"collected {len(segments)} segments: {len(recorded)} events")
    assert sorted(event["id"] for event in read_events(report.workspace)) == recorded
    assert "\n\n2 tests: 2 passed\n" in report.step("Report").summary
    assert "test_tiny.py::test_one" in (runner.artifacts["report-1"] / "report.html").read_text().replace("<wbr>", "")
    assert [key.partition("/")[0] for key in runner.caches] == ["swarmtask-history"]
    start = next(event for event in kept if event["metadata"].get("action") == "session")
    assert start["metadata"]["variant"] == "test (3.13)"


@pytest.mark.slow
def test_the_first_push_of_a_project_whose_makefile_has_other_targets_passes(tiny: Path, prepared: Machine) -> None:
    """Its jobs run pip and pytest in the place of targets that are not there, and their events are the same."""
    (tiny / "Makefile").write_text("lint:\n\t@false\n")
    (tiny / "setup.py").write_text("from setuptools import setup\n\nsetup()\n")
    set_up(tiny, "--yes")
    done = run(Runner(tiny, tiny.parent / "home", prepared), "push", "refs/heads/main")
    assert results(done) == {name: "success" for name in ALL_SUCCEED if name != "deploy"}, said(done)
    expected = {**EXPECTED, "test": EXPECTED["test"] - Counter(TASK_STARTED=1, TASK_COMPLETED=1)}
    assert {name: kinds(done[name]) for name in ("setup", "test", "build")} == {
        name: expected[name] for name in ("setup", "test", "build")
    }


@pytest.mark.long
def test_a_tag_is_deployed_to_production(runner: Runner) -> None:
    done = run(runner, "push", "refs/tags/v1.0")
    assert results(done) == ALL_SUCCEED, said(done)
    assert deployed(done) == ("production", "prod")


@pytest.mark.long
def test_a_fork_without_secrets_fails_nothing_and_keeps_its_journals(runner: Runner) -> None:
    done = run(runner, "pull_request", "refs/pull/7/merge")
    assert results(done) == {**ALL_SUCCEED, "deploy": "skipped"}, said(done)
    for name in ("setup", "test", "build"):
        assert kinds(done[name]) == EXPECTED[name]
    assert "::notice::" not in said(done)
    assert set(runner.artifacts) == {"dist", "journal-setup-1", "journal-test-3.13-1", "journal-build-1", "report-1"}


@pytest.mark.long
def test_a_failing_stage_is_reported_delivered_and_kept_and_nothing_is_deployed(
    runner: Runner, receiver: Receiver
) -> None:
    (runner.project / "test_tiny.py").write_text("def test_one(): assert False\n")
    done = run(runner, "push", "refs/heads/main", receiver)
    expected = {"setup": "success", "test": "failure", "build": "skipped", "deploy": "skipped", "report": "success"}
    assert results(done) == expected, said(done)
    assert "| <code>test_tiny.py::test_one</code> |" in done["report"].step("Report").summary
    assert kinds(done["test"]) == Counter(TASK_STARTED=2, TEST_STARTED=1, TEST_FAILED=1, TASK_FAILED=2)
    assert Counter(event["event_type"] for event in receiver.accepted) == kinds(done["setup"]) + kinds(done["test"])
    assert "journal-test-3.13-1" in runner.artifacts
    assert "| <code>test_tiny.py::test_one</code> | <code>assert False</code> |" in done["test"].step("Test").summary


@pytest.mark.long
def test_a_webhook_that_refuses_fails_no_job_and_a_notice_says_so(runner: Runner, receiver: Receiver) -> None:
    receiver.answer = lambda _: 401
    done = run(runner, "push", "refs/heads/main", receiver)
    assert results(done) == ALL_SUCCEED, said(done)
    del done["report"]
    assert {name: kinds(job) for name, job in done.items()} == EXPECTED
    for job in done.values():
        assert "::notice::" in job.step("Send what is left").output
        assert SECRET not in job.output


# --- one run after another --------------------------------------------------------------------------------------------

TESTS = """
import time

def test_always(): pass
def test_broken(): assert {run} not in (2, 3)
def test_sometimes(): assert {run} % 3
def test_slower(): time.sleep({pause})
"""


@pytest.mark.long
def test_ten_runs_on_fresh_machines_know_of_each_other(runner: Runner) -> None:
    """Only the cached history travels from run to run. The summary names what is new, fixed, flaky and slower."""
    shown = {}
    for number in range(1, 11):
        pause = 0.5 if number == 5 else 0.01
        (runner.project / "test_tiny.py").write_text(TESTS.format(run=number, pause=pause))
        done = run(runner, "push", "refs/heads/main", number=number)
        shown[number] = done["report"].step("Report").summary
        assert done["report"].result == "success", said(done)
        assert "4 tests: " in shown[number]
    broken, sometimes = (f"<code>test_tiny.py::test_{name}</code>" for name in ("broken", "sometimes"))
    assert "Compared with" not in shown[1]
    assert f"- newly failing: {broken}" in shown[2]
    assert "new: it passed before" in shown[2]
    assert f"- still failing: {broken}" in shown[3]
    assert "2 runs in a row" in shown[3]
    assert f"- fixed: {broken}" in shown[4]
    assert "- slower: <code>test_tiny.py::test_slower</code>" in shown[5]
    assert f"- fixed: {sometimes}" in shown[7]
    assert f"| {sometimes} | " in shown[10].partition("| flaky |")[2]
    assert len(runner.caches) == 10
