"""What the history says of the runs of CI services, from the variables that each service sets.

Where they were looked up: docs/ci.md. Each scenario is what the service's own page of the run would show.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pytest_swarmtask.core.facts.ci import facts, job_facts
from pytest_swarmtask.core.trace import run_context
from pytest_swarmtask.history import query
from pytest_swarmtask.history.flaky import REPEATED
from pytest_swarmtask.history.query import Run
from pytest_swarmtask.sources.pytest.place import default_variant, named_variant
from tests.history.made import BASE, Process, asked

Environ = dict[str, str]
COMMIT = "c" * 40

pytestmark = pytest.mark.usefixtures("engine")


class Job(NamedTuple):
    """One run of a CI job: a leg of a matrix, a shard, an attempt, on a commit of a run."""

    leg: str = ""
    shard: int = 0
    shards: int = 0
    attempt: int = 1
    run: int = 1


def github(job: Job) -> Environ:
    """GitHub tells nothing of the leg: the workflow names the variant, as `swarmtask init` writes it."""
    named = " ".join(filter(None, (job.leg, f"shard {job.shard}" if job.shards else "")))
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_RUN_ID": str(7000 + job.run),
        "GITHUB_RUN_ATTEMPT": str(job.attempt),
        "GITHUB_JOB": "test",
        "GITHUB_SHA": commit(job),
        "GITHUB_REF_NAME": "main",
        **({"SWARMTASK_VARIANT": named} if named else {}),
    }


def gitlab(job: Job) -> Environ:
    values = filter(None, (job.leg, str(job.shard or "")))  # a matrix may have the shards as its second axis
    leg = f": [{', '.join(values)}]" if job.leg else ""
    shard = f" {job.shard}/{job.shards}" if job.shards and not leg else ""
    legs = {"CI_NODE_INDEX": "1" if job.leg == "3.10" else "2", "CI_NODE_TOTAL": "2"} if leg else {}
    shards = {"CI_NODE_INDEX": str(job.shard), "CI_NODE_TOTAL": str(job.shards)} if shard else {}
    return {
        "GITLAB_CI": "true",
        "CI_SERVER_URL": "https://gitlab.com",
        "CI_PIPELINE_ID": str(100 + job.run),
        "CI_JOB_NAME": f"test{leg}{shard}",
        "CI_JOB_ID": number(job),
        "CI_COMMIT_SHA": commit(job),
        "CI_COMMIT_REF_NAME": "main",
        **legs,
        **shards,
    }


def buildkite(job: Job) -> Environ:
    shards = {"BUILDKITE_PARALLEL_JOB": str(job.shard - 1), "BUILDKITE_PARALLEL_JOB_COUNT": str(job.shards)}
    return {
        "BUILDKITE": "true",
        "BUILDKITE_BUILD_ID": f"build-{job.run}",
        "BUILDKITE_LABEL": f"test {job.leg}".strip(),
        "BUILDKITE_JOB_ID": number(job),
        "BUILDKITE_RETRY_COUNT": str(job.attempt - 1),
        "BUILDKITE_COMMIT": commit(job),
        "BUILDKITE_BRANCH": "main",
        **(shards if job.shards else {}),
    }


def circleci(job: Job) -> Environ:
    """A workflow that is rerun from its failed jobs has a new id, and the workspace of the first one."""
    index = {"CIRCLE_NODE_INDEX": str(job.shard - 1), "CIRCLE_NODE_TOTAL": str(job.shards)} if job.shards else {}
    return {
        "CIRCLECI": "true",
        "CIRCLE_WORKFLOW_ID": f"workflow-{job.run}-{job.attempt}",
        "CIRCLE_WORKFLOW_WORKSPACE_ID": f"workflow-{job.run}-1",
        "CIRCLE_WORKFLOW_JOB_ID": number(job._replace(shard=0)),
        "CIRCLE_JOB": f"test-{job.leg}".strip("-"),
        "CIRCLE_NODE_INDEX": "0",
        "CIRCLE_NODE_TOTAL": "1",
        "CIRCLE_SHA1": commit(job),
        "CIRCLE_BRANCH": "main",
        **index,
    }


def azure(job: Job) -> Environ:
    """The same two variables number legs and shards."""
    place = {"SYSTEM_JOBPOSITIONINPHASE": str(job.shard), "SYSTEM_TOTALJOBSINPHASE": str(job.shards)}
    legs = {"SYSTEM_JOBPOSITIONINPHASE": "1" if job.leg == "3.10" else "2", "SYSTEM_TOTALJOBSINPHASE": "2"}
    shard = str(job.shard) if job.shards and not job.leg else ""
    leg = " ".join(filter(None, (job.leg, str(job.shard or ""))))  # a matrix may have the shards as its second axis
    return {
        "TF_BUILD": "True",
        "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI": "https://dev.azure.com/o/",
        "SYSTEM_TEAMPROJECT": "p",
        "BUILD_BUILDID": str(job.run),
        "SYSTEM_JOBDISPLAYNAME": f"test {leg}".strip(),
        "SYSTEM_JOBID": number(job),
        "SYSTEM_JOBATTEMPT": str(job.attempt),
        "BUILD_SOURCEVERSION": commit(job),
        "BUILD_SOURCEBRANCH": "refs/heads/main",
        **(place if shard else legs if job.leg else {}),
    }


def jenkins(job: Job) -> Environ:
    """`retry(2)` tells the step nothing. Users name the cells of a matrix and the branches of `parallel`."""
    named = " ".join(filter(None, (job.leg, f"shard {job.shard}" if job.shards else "")))
    return {
        "JENKINS_URL": "https://ci.example/",
        "BUILD_URL": f"https://ci.example/job/p/{job.run}/",
        "JOB_NAME": "p",
        "STAGE_NAME": "Test",
        "GIT_COMMIT": commit(job),
        "BRANCH_NAME": "main",
        **({"SWARMTASK_VARIANT": named} if named else {}),
    }


def bitbucket(job: Job) -> Environ:
    named = " ".join(filter(None, (job.leg, f"shard {job.shard}" if job.shards else "")))
    return {
        "BITBUCKET_BUILD_NUMBER": str(job.run),
        "BITBUCKET_REPO_FULL_NAME": "o/r",
        "BITBUCKET_STEP_UUID": f"{{{job.leg}-{job.shard}-{job.run}}}",
        "BITBUCKET_STEP_RUN_NUMBER": str(job.attempt),
        "BITBUCKET_COMMIT": commit(job),
        "BITBUCKET_BRANCH": "main",
        **({"SWARMTASK_VARIANT": named} if named else {}),
    }


def commit(job: Job) -> str:
    """Each run has a commit of its own, as CI has."""
    return f"{job.run:040x}"


def number(job: Job) -> str:
    """A number that no other run of a job has."""
    return f"{job.run}{'1' if job.leg == '3.10' else '2'}{job.shard}{job.attempt}"


SERVICES = (github, gitlab, buildkite, circleci, azure, jenkins, bitbucket)
Service = Callable[[Job], Environ]


@pytest.fixture(params=SERVICES, ids=lambda service: service.__name__)
def service(request: pytest.FixtureRequest) -> Service:
    """A CI service: a function that returns the variables of a job."""
    found: Service = request.param
    return found


class Pipeline:
    """Writes the sessions of jobs one after the other, each on a machine of its own."""

    def __init__(self, service: Service, journal: Path) -> None:
        self._service = service
        self._journal = journal
        self._now = BASE

    def session(self, job: Job, tests: dict[str, str], **facts_: Any) -> None:
        """Write the session of a job."""
        environ = self._service(job)
        trace_id = run_context(environ, under_ci=True)[0]
        process = Process(self._journal, trace_id, self._now)
        variant = named_variant(environ) or default_variant(environ, under_ci=True)
        process.write(process.session(tests, arguments=[], variant=variant, **facts(environ), **facts_))
        self._now = process.now + 1

    def runs(self) -> list[Run]:
        """Return the runs that the history has, oldest first."""
        newest_first: list[Run] = asked(self._journal, query.last_runs, 100)
        return newest_first[::-1]

    def failing(self, run: Run) -> list[tuple[str, int, bool]]:
        """Return the failures of a run: test, runs in a row, and whether it is new."""
        found, _ = asked(self._journal, query.failures, run, 100)
        return [(failure.task_id, failure.streak, failure.new) for failure in found if failure.kind == "TEST"]

    def flaky(self) -> list[tuple[str, str]]:
        """Return the flaky tests of all runs: test and why."""
        return [(one.test, one.why) for one in asked(self._journal, query.flaky, self.runs(), 100)]


@pytest.fixture
def pipeline(service: Service, journal: Path) -> Pipeline:
    return Pipeline(service, journal)


def test_two_legs_of_a_matrix(pipeline: Pipeline) -> None:
    """A test that always fails on one leg fails there since the first run, and the other leg does not hide it."""
    for run in (1, 2, 3):
        pipeline.session(Job("3.10", run=run), {"test_a": "failed", "test_b": "passed"})
        pipeline.session(Job("3.13", run=run), {"test_a": "passed", "test_b": "passed"})
    *_, last = runs = pipeline.runs()
    assert [(run.outcome, run.tests, run.counts) for run in runs] == [("failed", 4, {"passed": 3, "failed": 1})] * 3
    assert len(last.variants) == 2
    assert pipeline.failing(last) == [("test_a", 3, False)]
    assert pipeline.flaky() == []


def test_a_retried_job(pipeline: Pipeline) -> None:
    """The last attempt of a job decides the run, and the results of the earlier one are kept as superseded."""
    pipeline.session(Job("3.10"), {"test_a": "passed"})
    pipeline.session(Job("3.13"), {"test_a": "failed", "test_b": "passed"})
    pipeline.session(Job("3.13", attempt=2), {"test_a": "passed", "test_b": "passed"})
    (run,) = pipeline.runs()
    assert (run.outcome, run.tests, run.counts, run.superseded) == ("completed", 3, {"passed": 3}, 2)
    assert pipeline.failing(run) == []
    assert pipeline.flaky() == [("test_a", REPEATED)]


def test_a_retried_job_that_fails_again(pipeline: Pipeline) -> None:
    """A test that fails in both attempts of one job has failed in one run."""
    pipeline.session(Job(run=1), {"test_a": "passed"})
    for attempt in (1, 2):
        pipeline.session(Job(run=2, attempt=attempt), {"test_a": "failed"})
    run = pipeline.runs()[-1]
    assert (run.outcome, run.tests, run.superseded) == ("failed", 1, 1)
    assert pipeline.failing(run) == [("test_a", 1, True)]
    assert pipeline.flaky() == []


def test_failed_jobs_that_are_run_again(pipeline: Pipeline) -> None:
    """Jobs that were not run again keep their results of the first attempt."""
    pipeline.session(Job("3.10"), {"test_a": "failed"})
    pipeline.session(Job("3.13"), {"test_a": "passed"})
    pipeline.session(Job("3.10", attempt=2), {"test_a": "passed"})
    (run,) = pipeline.runs()
    assert (run.outcome, run.tests, run.counts) == ("completed", 2, {"passed": 2})
    assert pipeline.flaky() == [("test_a", REPEATED)]


def test_only_failed_tests_are_run_again(pipeline: Pipeline) -> None:
    """A second attempt may run only the tests that failed. The others keep their results."""
    pipeline.session(Job(), {"test_a": "failed", "test_b": "passed", "test_c": "passed"})
    pipeline.session(Job(attempt=2), {"test_a": "passed"})
    (run,) = pipeline.runs()
    assert (run.outcome, run.counts, run.superseded) == ("completed", {"passed": 3}, 1)
    assert pipeline.flaky() == [("test_a", REPEATED)]


def test_shards(pipeline: Pipeline) -> None:
    """Three shards are one run. A shard does not supersede another, even if both have a test."""
    for shard in (1, 2, 3):
        outcome = "failed" if shard == 1 else "passed"
        pipeline.session(Job(shard=shard, shards=3), {f"test_{shard}": outcome, "test_all": "passed"})
    (run,) = pipeline.runs()
    assert (run.outcome, run.tests, run.superseded) == ("failed", 6, 0)
    pipeline.session(Job(shard=1, shards=3, attempt=2), {"test_1": "passed", "test_all": "passed"})
    (run,) = pipeline.runs()
    assert (run.outcome, run.tests, run.superseded) == ("completed", 6, 2)
    assert pipeline.flaky() == [("test_1", REPEATED)]


def test_a_matrix_of_shards(pipeline: Pipeline) -> None:
    """The shards of two legs are one run, and a test of one leg is no test of the other."""
    for run in (1, 2):
        for leg in ("3.10", "3.13"):
            for shard in (1, 2):
                outcome = "failed" if (leg, shard) == ("3.10", 2) else "passed"
                pipeline.session(Job(leg, shard, 2, run=run), {f"test_{shard}": outcome})
    runs = pipeline.runs()
    assert [(run.outcome, run.counts, run.superseded) for run in runs] == [
        ("failed", {"passed": 3, "failed": 1}, 0)
    ] * 2
    assert pipeline.failing(runs[-1]) == [("test_2", 2, False)]
    assert pipeline.flaky() == []


def test_a_failed_step_before_the_tests(service: Service, journal: Path) -> None:
    """A task outside of pytest, such as a linter, is superseded when its job is run again, with all below it."""
    for attempt, failed in ((1, True), (2, False)):
        environ = service(Job(attempt=attempt))
        process = Process(journal, run_context(environ, under_ci=True)[0], BASE + attempt * 100)
        job = job_facts(environ)
        make, lint = process.ids.span(), process.ids.span()
        ending = "TASK_FAILED" if failed else "TASK_COMPLETED"
        process.write(
            [
                process.event("TASK_STARTED", "make_ci", make, None, **job),
                process.event("TASK_STARTED", "lint", lint, make),
                process.event(ending, "lint", lint, make),
                process.event(ending, "make_ci", make, None, **job),
            ]
        )
    (run,) = asked(journal, query.last_runs, 100)
    assert (run.outcome, run.what) == ("completed", "make_ci")
    assert asked(journal, query.failures, run, 100) == ([], 0)
