"""Which CI service runs this process, and its facts about the run, from the variables that each service documents.

The pages are named at the functions of `change_request`, and for TeamCity it is
https://www.jetbrains.com/help/teamcity/predefined-build-parameters.html.
"""

from __future__ import annotations

from contextlib import suppress

from pytest_swarmtask.core.facts import change_request
from pytest_swarmtask.core.facts.process import host
from pytest_swarmtask.core.project import is_affirmed, is_under_ci

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Provider:
    """One CI service and the names of its variables.

    Attributes:
        name: the service's name in events.
        marker: the variable that only this service sets.
        value: the value of the marker, where other services set the same variable to other values.
        url: templates of the run's address, with variables in braces. The first one that can be filled counts.
        run: templates of a name that all jobs and shards of one run share; another attempt at the run has another.
        job, commit, branch: the variables for these. The first one that is set counts.
        change: what `change_request` knows of a pull request of this service.
    """

    __slots__ = ("branch", "change", "commit", "job", "marker", "name", "run", "url", "value")

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
    ) -> None:
        self.name = name
        self.marker = marker
        self.value = value
        self.url = url.split()
        self.run = run.split()
        self.job = job.split()
        self.commit = commit.split()
        self.branch = branch.split()
        self.change = change

    def is_running(self, environ: Mapping[str, str]) -> bool:
        """Whether this service runs the process."""
        return is_affirmed(environ, self.marker) and self.value in ("", environ[self.marker])


_GITHUB_RUN = "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}"

PROVIDERS = (
    Provider(
        "github",
        "GITHUB_ACTIONS",
        url=f"{_GITHUB_RUN}/attempts/{{GITHUB_RUN_ATTEMPT}} {_GITHUB_RUN}",
        # Gitea has no attempts.
        run="{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/{GITHUB_RUN_ID}/{GITHUB_RUN_ATTEMPT} "
        "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/{GITHUB_RUN_ID}",
        job="GITHUB_JOB",
        commit="GITHUB_SHA",
        branch="GITHUB_REF_NAME",
        change=change_request.on_github,
    ),
    Provider(
        "gitlab",
        "GITLAB_CI",
        url="{CI_PIPELINE_URL}",
        run="{CI_SERVER_URL}/{CI_PIPELINE_ID}",
        job="CI_JOB_NAME",
        commit="CI_COMMIT_SHA",
        branch="CI_COMMIT_REF_NAME",
        change=change_request.on_gitlab,
    ),
    Provider(
        "buildkite",
        "BUILDKITE",
        url="{BUILDKITE_BUILD_URL}",
        run="{BUILDKITE_BUILD_ID}",
        job="BUILDKITE_LABEL BUILDKITE_STEP_KEY",
        commit="BUILDKITE_COMMIT",
        branch="BUILDKITE_BRANCH",
        change=change_request.on_buildkite,
    ),
    Provider(
        "circleci",
        "CIRCLECI",
        url="{CIRCLE_BUILD_URL}",
        run="{CIRCLE_WORKFLOW_ID}",
        job="CIRCLE_JOB",
        commit="CIRCLE_SHA1",
        branch="CIRCLE_BRANCH CIRCLE_TAG",
        change=change_request.on_circleci,
    ),
    Provider(
        "azure",
        "TF_BUILD",
        url="{SYSTEM_TEAMFOUNDATIONCOLLECTIONURI}{SYSTEM_TEAMPROJECT}/_build/results?buildId={BUILD_BUILDID}",
        run="{SYSTEM_TEAMFOUNDATIONCOLLECTIONURI}{SYSTEM_TEAMPROJECT}/{BUILD_BUILDID}",
        job="AGENT_JOBNAME",
        commit="BUILD_SOURCEVERSION",
        branch="BUILD_SOURCEBRANCH",
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
        commit="APPVEYOR_REPO_COMMIT",
        branch="APPVEYOR_REPO_BRANCH",
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
        change=change_request.on_drone,
    ),
)


def provider(environ: Mapping[str, str]) -> Provider | None:
    """Return the CI service that runs this process; None if it is unknown or there is none."""
    return next((known for known in PROVIDERS if known.is_running(environ)), None)


def facts(environ: Mapping[str, str]) -> dict[str, str]:
    """Return those of ``ci``, ``ci_url``, ``ci_job``, ``commit``, ``merge_commit`` and ``branch`` that are known.

    In a pull request, ``commit`` is the newest of the pull request. The one that the service made by merging it, and
    checked out, is ``merge_commit``.
    """
    known = provider(environ)
    if known is None:
        return {"ci": "unknown"} if is_under_ci(environ) else {}
    found = {
        "ci": known.name,
        "ci_url": _filled(known.url, environ),
        "ci_job": _first(known.job, environ),
        "commit": _first(known.commit, environ),
        "branch": _first(known.branch, environ).removeprefix("refs/heads/").removeprefix("origin/"),
    }
    return {key: value for key, value in {**found, **known.change(environ)}.items() if value}


def run_name(environ: Mapping[str, str]) -> str | None:
    """Return the name of the CI run, which is the same on all its machines; None if there is none."""
    known = provider(environ)
    # nektos/act, which runs workflows of GitHub on one's own machine, calls each run number 1.
    if known is None or environ.get("ACT", "").lower() == "true":
        return None
    filled = _filled(known.run, environ)
    return f"{known.name}:{filled}" if filled else None


def trace_id(name: str) -> str:
    """Return the trace id of a CI run, by its name."""
    import hashlib  # only under CI

    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def job_name(environ: Mapping[str, str]) -> str:
    """Return the name and machine of this job, which no other job of the CI run has."""
    return f"{facts(environ).get('ci_job', '')}@{host()}"


def _filled(templates: list[str], environ: Mapping[str, str]) -> str:
    """Return the first template whose variables are all set, filled; empty if there is none."""
    known = {name: value for name, value in environ.items() if value}
    for template in templates:
        with suppress(KeyError):
            return template.format_map(known)
    return ""


def _first(names: list[str], environ: Mapping[str, str]) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")
