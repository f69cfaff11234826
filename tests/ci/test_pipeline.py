"""The pipeline that `swarmtask init` writes for GitLab matches the published schema and runs job by job."""

from __future__ import annotations

import re
import sqlite3
import xml.etree.ElementTree as ET
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.ci.gitlab import GitLab, Job
from tests.ci.runner import Machine, set_up
from tests.ci.test_docs import snippets
from tests.ci.test_workflow import EXPECTED
from tests.lab import SECRET, read_events, receiving

Json = dict[str, Any]

PIPELINE = ".gitlab/task_management_integration.yml"
STAGES = ("task-setup", "task-test: [3.13]", "task-build")


# --- as text ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def gitlab(tiny: Path, prepared: Machine) -> GitLab:
    """GitLab with a project that `swarmtask init` has set up."""
    (tiny / ".gitlab").mkdir()
    set_up(tiny)
    return GitLab(tiny, tiny.parent / "home", prepared)


def test_every_job_names_its_environment_sends_what_is_left_and_keeps_its_journal(gitlab: GitLab) -> None:
    definition = gitlab.definition()
    assert definition[".task"]["after_script"][0].startswith("swarmtask flush --timeout ")
    for name, plan in definition.items():
        if name.startswith("task-") and name != "task-report":
            assert plan["extends"] in (".task", ".task-deploy")
            assert plan.keys().isdisjoint({"after_script", "before_script"})
            paths = plan.get("artifacts", definition[".task"]["artifacts"])["paths"]
            assert ".taskmaster/events/*.jsonl" in paths


def test_the_document_shows_jobs_that_init_writes(gitlab: GitLab) -> None:
    """There is no second truth: what is shown stands in the file, with its comments."""
    blocks = snippets()["GitLab CI"].rstrip().split("\n\n")
    written = (gitlab.project / PIPELINE).read_text()
    assert [block.partition(":")[0] for block in blocks] == [".task", "task-test", "task-report"]
    assert all(f"{block}\n" in written for block in blocks)


# --- job by job -------------------------------------------------------------------------------------------------------


def results(done: dict[str, Job]) -> dict[str, str]:
    return {name: job.result for name, job in done.items()}


def said(done: dict[str, Job]) -> str:
    return "\n".join(f"--- {name}: {job.result}\n{job.output}" for name, job in done.items())


def recorded(job: Job) -> Counter[str]:
    """Return the kinds of the events in the artifacts of a job."""
    return Counter(event["event_type"] for event in read_events(job.artifacts))


def runs(job: Job) -> list[tuple[int, int]]:
    """Return tests and failures of each run in the history of the report."""
    with closing(sqlite3.connect(job.workspace / ".taskmaster" / "events" / "history.sqlite")) as history:
        return list(history.execute("SELECT tests, failed FROM runs WHERE tests > 0 ORDER BY started"))


def deployed(job: Job) -> tuple[str, set[str]]:
    """Return GitLab's environment of a deployment, and the task ids of its events."""
    events = read_events(job.workspace)
    return job.environment, {event["task_id"] for event in events if event["event_type"].startswith("DEPLOYMENT_")}


def sharded(gitlab: GitLab) -> Json:
    """Return the pipeline, with a suite in two shards."""
    makefile = gitlab.project / "Makefile"
    makefile.write_text(makefile.read_text().replace("-m pytest)", "-m pytest test_shard_$(CI_NODE_INDEX).py)"))
    (gitlab.project / "test_tiny.py").rename(gitlab.project / "test_shard_1.py")
    (gitlab.project / "test_shard_2.py").write_text("def test_three(): pass\ndef test_four(): assert False\n")
    definition = gitlab.definition()
    definition["task-test"] |= {"parallel": 2, "image": "python:3.13"}
    return definition


@pytest.mark.long
def test_two_shards_are_one_run_with_one_report_and_every_event_arrives(gitlab: GitLab) -> None:
    with receiving() as receiver:
        secrets = {"TASKMASTER_WEBHOOK_URL": receiver.url, "AUTOMATION_SECRET_KEY": SECRET}
        done = gitlab.run("push", "main", secrets, sharded(gitlab))
        expected = {"task-setup": "success", "task-test 1/2": "success", "task-test 2/2": "failed"}
        expected |= {"task-build": "skipped", "task-deploy-staging": "skipped", "task-report": "success"}
        assert results(done) == expected, said(done)
        events = [event for name in list(expected)[:3] for event in read_events(done[name].artifacts)]
        assert sorted(receiver.ids) == sorted(event["id"] for event in events), said(done)
    assert len({event["trace_id"] for event in events}) == 1
    report = done["task-report"]
    assert re.search(rf"^collected \d+ segments: {len(events)} events$", report.output, re.MULTILINE)
    assert runs(report) == [(4, 1)]
    assert "test_shard_2.py::test_four" in report.output
    assert "test_shard_1.py::test_one" in (report.artifacts / "report.html").read_text().replace("<wbr>", "")
    assert len(list(ET.parse(report.artifacts / "junit.xml").iter("testcase"))) == 4


@pytest.mark.long
def test_a_push_to_the_default_branch_runs_all_stages_and_deploys_to_staging(gitlab: GitLab) -> None:
    done = gitlab.run("push", "main", {})
    assert results(done) == dict.fromkeys((*STAGES, "task-deploy-staging", "task-report"), "success"), said(done)
    assert deployed(done["task-deploy-staging"]) == ("staging", {"staging"})
    assert [recorded(done[name]) for name in STAGES] == [EXPECTED[name] for name in ("setup", "test", "build")]
    events = read_events(done["task-test: [3.13]"].workspace)
    session = next(event for event in events if event["metadata"].get("action") == "session")
    assert session["metadata"]["variant"] == "task-test: [3.13]"


@pytest.mark.long
def test_the_first_push_of_a_project_whose_makefile_has_other_targets_passes(tiny: Path, prepared: Machine) -> None:
    """Its jobs run pip and pytest in the place of targets that are not there."""
    (tiny / "Makefile").write_text("lint:\n\t@false\n")
    (tiny / "setup.py").write_text("from setuptools import setup\n\nsetup()\n")
    set_up(tiny, "--only=config,make,gitlab")
    done = GitLab(tiny, tiny.parent / "home", prepared).run("push", "main", {})
    assert results(done) == dict.fromkeys((*STAGES, "task-report"), "success"), said(done)
    assert recorded(done["task-build"]) == EXPECTED["build"]


@pytest.mark.long
def test_a_tag_is_deployed_to_production(gitlab: GitLab) -> None:
    done = gitlab.run("push", "v1.0", {})
    assert results(done) == dict.fromkeys((*STAGES, "task-deploy-production", "task-report"), "success"), said(done)
    assert deployed(done["task-deploy-production"]) == ("production", {"prod"})


@pytest.mark.long
@pytest.mark.parametrize(("source", "ref"), [("merge_request_event", "fix/typo"), ("schedule", "main")])
def test_others_need_no_secret_and_deploy_nothing(gitlab: GitLab, source: str, ref: str) -> None:
    """Such as a merge request from a fork, which gets no variables of the project."""
    done = gitlab.run(source, ref, {})
    assert results(done) == dict.fromkeys((*STAGES, "task-report"), "success"), said(done)
    assert runs(done["task-report"]) == [(2, 0)]


def test_a_push_to_another_branch_runs_nothing(gitlab: GitLab) -> None:
    assert gitlab.run("push", "fix/typo", {}) == {}


@pytest.mark.long
def test_the_history_travels_in_the_cache_and_a_branch_begins_with_that_of_the_default_branch(gitlab: GitLab) -> None:
    gitlab.run("push", "main", {})
    (gitlab.project / "test_tiny.py").write_text("def test_one(): assert False\n\n\ndef test_two(): pass\n")
    report = gitlab.run("merge_request_event", "fix/typo", {})["task-report"]
    assert "newly failing" in report.output
    assert runs(report) == [(2, 0), (2, 1)]
    assert set(gitlab.caches) == {"swarmtask-history-main", "swarmtask-history-fix-typo"}
