"""Which CI service runs this process, and its facts about the run, from the variables that each service documents."""

from __future__ import annotations

from pytest_swarmtask.core.facts.process import host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Provider:
    """One CI service and the names of its variables.

    Attributes:
        name: the service's name in events.
        marker: the variable that only this service sets.
        url: template of the run's address, with variables in braces.
        run: template of a name that all jobs and shards of one run share; another attempt at the run has another.
        job, commit, branch: the variables for these. The first one that is set counts.
    """

    __slots__ = ("branch", "commit", "job", "marker", "name", "run", "url")

    def __init__(  # noqa: PLR0913 - one row of the table below
        self, name: str, marker: str, *, url: str, run: str, job: str, commit: str, branch: str
    ) -> None:
        self.name = name
        self.marker = marker
        self.url = url
        self.run = run
        self.job = job.split()
        self.commit = commit.split()
        self.branch = branch.split()


PROVIDERS = (
    Provider(
        "github",
        "GITHUB_ACTIONS",
        url="{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}",
        run="{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/{GITHUB_RUN_ID}/{GITHUB_RUN_ATTEMPT}",
        job="GITHUB_JOB",
        commit="GITHUB_SHA",
        branch="GITHUB_HEAD_REF GITHUB_REF_NAME",
    ),
    Provider(
        "gitlab",
        "GITLAB_CI",
        url="{CI_PIPELINE_URL}",
        run="{CI_SERVER_URL}/{CI_PIPELINE_ID}",
        job="CI_JOB_NAME",
        commit="CI_COMMIT_SHA",
        branch="CI_MERGE_REQUEST_SOURCE_BRANCH_NAME CI_COMMIT_REF_NAME",
    ),
    Provider(
        "buildkite",
        "BUILDKITE",
        url="{BUILDKITE_BUILD_URL}",
        run="{BUILDKITE_BUILD_ID}",
        job="BUILDKITE_LABEL BUILDKITE_STEP_KEY",
        commit="BUILDKITE_COMMIT",
        branch="BUILDKITE_BRANCH",
    ),
    Provider(
        "circleci",
        "CIRCLECI",
        url="{CIRCLE_BUILD_URL}",
        run="{CIRCLE_WORKFLOW_ID}",
        job="CIRCLE_JOB",
        commit="CIRCLE_SHA1",
        branch="CIRCLE_BRANCH CIRCLE_TAG",
    ),
    Provider(
        "azure",
        "TF_BUILD",
        url="{SYSTEM_TEAMFOUNDATIONCOLLECTIONURI}{SYSTEM_TEAMPROJECT}/_build/results?buildId={BUILD_BUILDID}",
        run="{SYSTEM_TEAMFOUNDATIONCOLLECTIONURI}{SYSTEM_TEAMPROJECT}/{BUILD_BUILDID}",
        job="AGENT_JOBNAME",
        commit="BUILD_SOURCEVERSION",
        branch="SYSTEM_PULLREQUEST_SOURCEBRANCH BUILD_SOURCEBRANCH",
    ),
    Provider(
        "jenkins",
        "JENKINS_URL",
        url="{BUILD_URL}",
        run="{BUILD_URL}",
        job="STAGE_NAME JOB_NAME",
        commit="GIT_COMMIT",
        branch="CHANGE_BRANCH BRANCH_NAME GIT_BRANCH",
    ),
)


def provider(environ: Mapping[str, str]) -> Provider | None:
    """Return the CI service that runs this process; None if it is unknown or there is none."""
    for known in PROVIDERS:
        if environ.get(known.marker, "").lower() not in ("", "0", "false"):
            return known
    return None


def facts(environ: Mapping[str, str]) -> dict[str, str]:
    """Return those of ``ci``, ``ci_url``, ``ci_job``, ``commit`` and ``branch`` that the CI service gives."""
    known = provider(environ)
    if known is None:
        return {"ci": "unknown"} if environ.get("CI", "").lower() not in ("", "0", "false", "no") else {}
    found = {
        "ci": known.name,
        "ci_url": _filled(known.url, environ),
        "ci_job": _first(known.job, environ),
        "commit": _first(known.commit, environ),
        "branch": _first(known.branch, environ).removeprefix("refs/heads/").removeprefix("origin/"),
    }
    return {key: value for key, value in found.items() if value}


def run_name(environ: Mapping[str, str]) -> str | None:
    """Return the name of the CI run, which is the same on all its machines; None if there is none."""
    known = provider(environ)
    filled = "" if known is None else _filled(known.run, environ)
    return f"{known.name}:{filled}" if known is not None and filled else None


def trace_id(name: str) -> str:
    """Return the trace id of a CI run, by its name."""
    import hashlib  # only under CI

    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def job_name(environ: Mapping[str, str]) -> str:
    """Return the name and machine of this job, which no other job of the CI run has."""
    return f"{facts(environ).get('ci_job', '')}@{host()}"


def _filled(template: str, environ: Mapping[str, str]) -> str:
    try:
        return template.format_map(environ)
    except KeyError:
        return ""


def _first(names: list[str], environ: Mapping[str, str]) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")
