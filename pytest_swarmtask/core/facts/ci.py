"""Which CI service runs this process, and its facts about the run, from the variables that each service documents.

The pages are named at the functions of `change_request`, and for TeamCity it is
https://www.jetbrains.com/help/teamcity/predefined-build-parameters.html. docs/ci.md has a table of what is taken from
each service.
"""

from __future__ import annotations

from contextlib import suppress

from pytest_swarmtask.core.facts import change_request
from pytest_swarmtask.core.facts.process import host
from pytest_swarmtask.core.project import is_affirmed, is_under_ci

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


class Provider:
    """One CI service and the names of its variables.

    Attributes:
        name: the service's name in events.
        marker: the variable that only this service sets.
        value: the value of the marker, where other services set the same variable to other values.
        url: templates of the run's address, with variables in braces. The first one that can be filled counts.
        run: templates of a name that all jobs, shards and attempts of one run share.
        trace: the same for one attempt at a run. It differs from `run` where a service gives further attempts a name.
        job, commit, branch: the variables for these. The first one that is set counts.
        job_run: the variables that tell one run of a job from another run of it.
        shard: the variables for the number of this shard and for how many there are.
        first_shard: the number of the first shard.
        counts_legs: whether a service numbers the legs of a matrix with the same variables. Then only a job whose name
            ends with the number is a shard.
        has_legs: whether the name of a job tells the leg of its matrix.
        has_stable_names: whether a job has the same name in the next run.
        change: what `change_request` knows of a pull request of this service.
        image: templates of the name of the image that the job runs in. The first one that can be filled counts.
        default_branch: the variable for the default branch of the repository.
    """

    __slots__ = (
        "branch", "change", "commit", "counts_legs", "default_branch", "first_shard", "has_legs", "has_stable_names",
        "image", "job", "job_run", "marker", "name", "run", "shard", "trace", "url", "value",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 - one row of the table below
        self,
        name: str,
        marker: str,
        *,
        url: str,
        run: str,
        job: str,
        commit: str,
        branch: str,
        change: Callable[[Mapping[str, str]], dict[str, str]],
        value: str = "",
        trace: str = "",
        job_run: str = "",
        shard: str = "",
        first_shard: int = 1,
        counts_legs: bool = False,
        has_legs: bool = False,
        has_stable_names: bool = True,
        image: str = "",
        default_branch: str = "",
    ) -> None:
        self.name = name
        self.marker = marker
        self.value = value
        self.url = url.split()
        self.run = run.split()
        self.trace = (trace or run).split()
        self.job = job.split()
        self.job_run = job_run.split()
        self.shard = shard.split()
        self.first_shard = first_shard
        self.counts_legs = counts_legs
        self.has_legs = has_legs
        self.has_stable_names = has_stable_names
        self.commit = commit.split()
        self.branch = branch.split()
        self.change = change
        self.image = image.split()
        self.default_branch = default_branch.split()

    def is_running(self, environ: Mapping[str, str]) -> bool:
        """Whether this service runs the process."""
        return is_affirmed(environ, self.marker) and self.value in ("", environ[self.marker])


_GITHUB_COM = "github:https://github.com/"
"""How the name of a run on github.com begins."""
_GITHUB_RUN = "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}"
_HOSTED_IMAGE = "{ImageOS}-{ImageVersion}"
"""The image of a machine of GitHub or Microsoft: https://github.com/actions/runner-images/issues/345."""

PROVIDERS = (
    Provider(
        "github",
        "GITHUB_ACTIONS",
        url=f"{_GITHUB_RUN}/attempts/{{GITHUB_RUN_ATTEMPT}} {_GITHUB_RUN}",
        run="{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/{GITHUB_RUN_ID}",
        # Gitea has no attempts.
        trace="{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/{GITHUB_RUN_ID}/{GITHUB_RUN_ATTEMPT} "
        "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/{GITHUB_RUN_ID}",
        job="GITHUB_JOB",
        job_run="GITHUB_RUN_ATTEMPT",
        commit="GITHUB_SHA",
        branch="GITHUB_REF_NAME",
        image=_HOSTED_IMAGE,
        change=change_request.on_github,
    ),
    Provider(
        "gitlab",
        "GITLAB_CI",
        url="{CI_PIPELINE_URL}",
        run="{CI_SERVER_URL}/{CI_PIPELINE_ID}",
        job="CI_JOB_NAME",
        job_run="CI_JOB_ID",
        shard="CI_NODE_INDEX CI_NODE_TOTAL",
        counts_legs=True,
        has_legs=True,
        commit="CI_COMMIT_SHA",
        branch="CI_COMMIT_REF_NAME",
        image="{CI_JOB_IMAGE}",
        default_branch="CI_DEFAULT_BRANCH",
        change=change_request.on_gitlab,
    ),
    Provider(
        "buildkite",
        "BUILDKITE",
        url="{BUILDKITE_BUILD_URL}",
        run="{BUILDKITE_BUILD_ID}",
        job="BUILDKITE_LABEL BUILDKITE_STEP_KEY",
        job_run="BUILDKITE_JOB_ID",
        shard="BUILDKITE_PARALLEL_JOB BUILDKITE_PARALLEL_JOB_COUNT",
        first_shard=0,
        commit="BUILDKITE_COMMIT",
        branch="BUILDKITE_BRANCH",
        default_branch="BUILDKITE_PIPELINE_DEFAULT_BRANCH",
        change=change_request.on_buildkite,
    ),
    Provider(
        "circleci",
        "CIRCLECI",
        url="{CIRCLE_BUILD_URL}",
        # A workflow that is rerun from its failed jobs has a new id, and the workspace of the first one.
        run="{CIRCLE_WORKFLOW_WORKSPACE_ID} {CIRCLE_WORKFLOW_ID}",
        trace="{CIRCLE_WORKFLOW_ID}",
        job="CIRCLE_JOB",
        job_run="CIRCLE_WORKFLOW_JOB_ID CIRCLE_BUILD_NUM",
        shard="CIRCLE_NODE_INDEX CIRCLE_NODE_TOTAL",
        first_shard=0,
        commit="CIRCLE_SHA1",
        branch="CIRCLE_BRANCH CIRCLE_TAG",
        change=change_request.on_circleci,
    ),
    Provider(
        "azure",
        "TF_BUILD",
        url="{SYSTEM_TEAMFOUNDATIONCOLLECTIONURI}{SYSTEM_TEAMPROJECT}/_build/results?buildId={BUILD_BUILDID}",
        run="{SYSTEM_TEAMFOUNDATIONCOLLECTIONURI}{SYSTEM_TEAMPROJECT}/{BUILD_BUILDID}",
        job="SYSTEM_JOBDISPLAYNAME AGENT_JOBNAME",
        job_run="SYSTEM_JOBID",
        shard="SYSTEM_JOBPOSITIONINPHASE SYSTEM_TOTALJOBSINPHASE",
        counts_legs=True,
        has_legs=True,
        commit="BUILD_SOURCEVERSION",
        branch="BUILD_SOURCEBRANCH",
        image=_HOSTED_IMAGE,
        change=change_request.on_azure,
    ),
    Provider(
        "jenkins",
        "JENKINS_URL",
        url="{BUILD_URL}",
        run="{BUILD_URL}",
        job="STAGE_NAME JOB_NAME",
        commit="GIT_COMMIT",
        branch="BRANCH_NAME GIT_BRANCH",
        change=change_request.on_jenkins,
    ),
    Provider(
        "bitbucket",
        "BITBUCKET_BUILD_NUMBER",
        url="{BITBUCKET_GIT_HTTP_ORIGIN}/pipelines/results/{BITBUCKET_BUILD_NUMBER}",
        run="{BITBUCKET_REPO_FULL_NAME}/{BITBUCKET_BUILD_NUMBER}",
        job="BITBUCKET_STEP_UUID",
        job_run="BITBUCKET_STEP_RUN_NUMBER",
        has_stable_names=False,
        commit="BITBUCKET_COMMIT",
        branch="BITBUCKET_BRANCH BITBUCKET_TAG",
        change=change_request.on_bitbucket,
    ),
    Provider(
        "teamcity",
        "TEAMCITY_VERSION",
        url="{BUILD_URL}",
        run="{TEAMCITY_PROJECT_NAME}/{TEAMCITY_BUILDCONF_NAME}/{BUILD_NUMBER}",
        job="TEAMCITY_BUILDCONF_NAME",
        commit="BUILD_VCS_NUMBER",
        branch="",
        change=change_request.unknown,
    ),
    Provider(
        "travis",
        "TRAVIS",
        url="{TRAVIS_JOB_WEB_URL} {TRAVIS_BUILD_WEB_URL}",
        run="{TRAVIS_BUILD_WEB_URL} {TRAVIS_REPO_SLUG}/{TRAVIS_BUILD_ID}",
        job="TRAVIS_JOB_NAME TRAVIS_JOB_NUMBER",
        has_stable_names=False,
        commit="TRAVIS_COMMIT",
        branch="TRAVIS_BRANCH",
        change=change_request.on_travis,
    ),
    Provider(
        "appveyor",
        "APPVEYOR",
        url="{APPVEYOR_URL}/project/{APPVEYOR_ACCOUNT_NAME}/{APPVEYOR_PROJECT_SLUG}/builds/{APPVEYOR_BUILD_ID}",
        run="{APPVEYOR_URL}/{APPVEYOR_ACCOUNT_NAME}/{APPVEYOR_PROJECT_SLUG}/{APPVEYOR_BUILD_ID}",
        job="APPVEYOR_JOB_NAME APPVEYOR_JOB_ID",
        has_stable_names=False,
        commit="APPVEYOR_REPO_COMMIT",
        branch="APPVEYOR_REPO_BRANCH",
        image="{APPVEYOR_BUILD_WORKER_IMAGE}",
        change=change_request.on_appveyor,
    ),
    Provider(
        "woodpecker",
        "CI",
        value="woodpecker",
        url="{CI_PIPELINE_URL}",
        run="{CI_SYSTEM_URL}/{CI_REPO}/{CI_PIPELINE_NUMBER}",
        job="CI_WORKFLOW_NAME CI_STEP_NAME",
        commit="CI_COMMIT_SHA",
        branch="CI_COMMIT_BRANCH CI_COMMIT_TAG",
        default_branch="CI_REPO_DEFAULT_BRANCH",
        change=change_request.on_woodpecker,
    ),
    Provider(  # after Woodpecker, which began as a copy of it
        "drone",
        "DRONE",
        url="{DRONE_BUILD_LINK}",
        run="{DRONE_BUILD_LINK} {DRONE_REPO}/{DRONE_BUILD_NUMBER}",
        job="DRONE_STAGE_NAME DRONE_STEP_NAME",
        commit="DRONE_COMMIT_SHA",
        branch="DRONE_BRANCH DRONE_TAG",
        default_branch="DRONE_REPO_BRANCH",
        change=change_request.on_drone,
    ),
)


def provider(environ: Mapping[str, str]) -> Provider | None:
    """Return the CI service that runs this process; None if it is unknown or there is none."""
    return next((known for known in PROVIDERS if known.is_running(environ)), None)


def facts(environ: Mapping[str, str]) -> dict[str, str]:
    """Return those facts of the run and its commit that are known.

    These are ``ci``, ``ci_url``, ``ci_image``, the facts of `job_facts`, ``commit``, ``merge_commit``, ``branch`` and
    ``default_branch``. In a pull request, ``commit`` is the newest of the pull request. The one that the service made
    by merging it, and checked out, is ``merge_commit``.
    """
    known = provider(environ)
    if known is None:
        return {"ci": "unknown"} if is_under_ci(environ) else {}
    found = {
        "ci": known.name,
        "ci_url": _filled(known.url, environ),
        "ci_image": _filled(known.image, environ),
        **job_facts(environ),
        "commit": _first(known.commit, environ),
        "branch": _first(known.branch, environ).removeprefix("refs/heads/").removeprefix("origin/"),
        "default_branch": _first(known.default_branch, environ),
    }
    return {key: value for key, value in {**found, **known.change(environ)}.items() if value}


def job_facts(environ: Mapping[str, str]) -> dict[str, str]:
    """Return which job of which run this is, as far as it is known.

    These are ``ci_run`` (a name that all attempts at the run share), ``ci_job`` (without the number of its shard),
    ``ci_job_run`` (which differs if the job is run again) and ``shard``, such as ``2/3``.
    """
    known = provider(environ)
    if known is None:
        return {}
    job, shard = _job(known, environ)
    found = {
        "ci_run": _name(known, known.run, environ) or "",
        "ci_job": job,
        "ci_job_run": _first(known.job_run, environ),
        "shard": shard,
    }
    return {key: value for key, value in found.items() if value}


def job_label(environ: Mapping[str, str]) -> tuple[str, bool]:
    """Return a name that the job has in each run, or an empty text, and whether the name tells the leg of a matrix."""
    known = provider(environ)
    if known is None:
        return "", False
    names = known.job if known.has_stable_names else known.job[:-1]  # the last one is a number or an id of the run
    if not _first(names, environ):
        return "", False
    return _job(known, environ)[0], known.has_legs


def trace_context(environ: Mapping[str, str]) -> tuple[str, str | None] | None:
    """Return the trace id of this attempt at the CI run, and the span around all its jobs; None if there is none.

    On github.com both are computed as the GitHub receiver of the OpenTelemetry Collector does
    (https://github.com/open-telemetry/opentelemetry-collector-contrib, receiver/githubreceiver). So a tracing backend
    shows our events below the spans of the workflow. Other services have no such convention.
    """
    known = provider(environ)
    name = _name(known, known.trace, environ) if known else None
    if name is None:
        return None
    run, attempt = environ.get("GITHUB_RUN_ID", ""), environ.get("GITHUB_RUN_ATTEMPT", "")
    is_public = name.startswith(_GITHUB_COM)
    if is_public and (run + attempt).isdecimal() and attempt:
        return _github_ids(run, attempt)
    return _sha256(name)[:32], None


def previous_attempt(facts: Mapping[str, Any], trace_id: str) -> tuple[str, str] | None:
    """Return trace id and outermost span of the attempt at the CI run before; None if there is none, or none is known.

    Only those of github.com can be computed. On other services all attempts share a trace, or a new attempt does not
    tell the ids of the one before.

    Args:
        facts: as of `job_facts`, recorded by anybody.
        trace_id: of this attempt.
    """
    name, attempt = facts.get("ci_run"), facts.get("ci_job_run")
    if not (isinstance(name, str) and isinstance(attempt, str) and name.startswith(_GITHUB_COM)):
        return None
    run = name.rpartition("/")[2]
    if not (run.isdecimal() and attempt.isdecimal() and len(attempt) < 10 and int(attempt) > 1):
        return None
    if _github_ids(run, attempt)[0] != trace_id:
        return None  # TRACEPARENT has put this attempt into another trace
    return _github_ids(run, str(int(attempt) - 1))


def _github_ids(run: str, attempt: str) -> tuple[str, str]:
    return _sha256(f"{run}{attempt}t")[:32], _sha256(f"{run}{attempt}s")[16:32]


def job_name(environ: Mapping[str, str]) -> str:
    """Return the name and machine of this job, which no other job of the CI run has."""
    known = provider(environ)
    return f"{_first(known.job, environ) if known else ''}@{host()}"


def _name(known: Provider, templates: list[str], environ: Mapping[str, str]) -> str | None:
    # nektos/act, which runs workflows of GitHub on one's own machine, calls each run number 1.
    if environ.get("ACT", "").lower() == "true":
        return None
    filled = _filled(templates, environ)
    return f"{known.name}:{filled}" if filled else None


def _job(known: Provider, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the name of the job without the number of its shard, and the shard."""
    job = _first(known.job, environ)
    numbers = [environ.get(name, "") for name in known.shard]
    if not numbers or not all(number.isdecimal() for number in numbers):
        return job, ""
    index, total = int(numbers[0]) - known.first_shard + 1, int(numbers[1])
    endings = (f" {index}/{total}", f" {index}")
    bare = next((job.removesuffix(ending) for ending in endings if job.endswith(ending)), None)
    if total < 2 or (bare is None and known.counts_legs):
        return job, ""
    return (job if bare is None else bare), f"{index}/{total}"


def _sha256(text: str) -> str:
    import hashlib  # only under CI

    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _filled(templates: list[str], environ: Mapping[str, str]) -> str:
    """Return the first template whose variables are all set, filled; empty if there is none."""
    known = {name: value for name, value in environ.items() if value}
    for template in templates:
        with suppress(KeyError):
            return template.format_map(known)
    return ""


def _first(names: list[str], environ: Mapping[str, str]) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")
