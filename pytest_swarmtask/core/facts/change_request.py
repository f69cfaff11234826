"""The branch and the commit of a pull request (a merge request), as each CI service tells them.

The branch of a fork must never look like a branch of the project: rules that guard ``main`` would act for strangers,
and their results would count as those of ``main``. So it gets the name that the service shows: ``owner:main``, or the
number of the pull request where its repository is not known.

Each function returns ``branch``, ``commit`` and ``merge_commit``, as far as they are known, and nothing where the
process runs for no pull request. GitHub also tells the ``default_branch`` of the repository, for which it has no
variable. ``commit`` is the newest of the pull request, and ``merge_commit`` the one that the
service made to try the merge.
"""

from __future__ import annotations

from pytest_swarmtask.core.files import only_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_MOST_EVENT_BYTES = 1 << 25
"""GitHub's payloads have up to 25 MB."""


def unknown(environ: Mapping[str, str]) -> dict[str, str]:  # noqa: ARG001 - as its siblings
    """Return nothing: the service does not tell."""
    return {}


def on_github(environ: Mapping[str, str]) -> dict[str, str]:
    """Read the file of the event that started the run, since no variable tells where a branch comes from.

    A run for ``pull_request_target`` or ``workflow_run`` has the project's own branch in its variables. Events about
    pull requests other than these, such as ``pull_request_review``, set no ``GITHUB_HEAD_REF``.

    https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows
    """
    branch, ref = environ.get("GITHUB_HEAD_REF", ""), environ.get("GITHUB_REF", "")
    name = environ.get("GITHUB_EVENT_NAME", "")
    if name == "push" and not branch:
        return {}  # most runs are for pushes, whose files can be large, and whose variables are right
    merged = {"merge_commit": environ.get("GITHUB_SHA", "")} if ref.endswith("/merge") else {}
    try:
        event = _event(environ.get("GITHUB_EVENT_PATH", ""))
        if event.get("pull_request"):
            return {**_pull_request_on_github(event["pull_request"], branch), **merged}
        if event.get("workflow_run"):
            return _workflow_run_on_github(event["workflow_run"], event["repository"]["full_name"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        if name == "workflow_run":
            return {"branch": f"pull/{environ.get('GITHUB_REF_NAME', '')}"}
    change = _pull(ref) or (f"pull/{branch}" if branch else "")
    return {"branch": change} if change else {}


def _pull_request_on_github(change: dict[str, Any], branch: str) -> dict[str, str]:
    """Return the branch and the commit of a pull request, as its event describes it."""
    head, ours = change["head"], change["base"]["repo"]["full_name"]
    theirs = (head["repo"] or {}).get("full_name")  # a fork that was deleted is null
    name, label = head.get("ref") or branch, str(head.get("label") or "")
    if theirs == ours and name:
        found = name
    elif ":" in label:
        found = label
    else:  # on Gitea and Forgejo, the label is only the name of the branch
        found = f"{theirs.partition('/')[0]}:{name}" if theirs and name else f"pull/{change['number']}"
    default = change["base"]["repo"].get("default_branch")
    return {"branch": str(found), "commit": str(head["sha"]), **({"default_branch": str(default)} if default else {})}


def _workflow_run_on_github(run: dict[str, Any], ours: str) -> dict[str, str]:
    """Return the branch and the commit of a fork whose run started this one, and nothing if it was no fork's."""
    theirs, branch = (run["head_repository"] or {}).get("full_name"), run["head_branch"]
    if theirs == ours:
        return {}
    found = f"{theirs.partition('/')[0]}:{branch}" if theirs else f"pull/{branch}"
    return {"branch": found, "commit": str(run["head_sha"])}


def on_gitlab(environ: Mapping[str, str]) -> dict[str, str]:
    """Compare the project of the source branch with that of the target.

    GitLab can also run pipelines for pull requests of another host.

    https://docs.gitlab.com/ci/variables/predefined_variables/
    """
    request, kind, repositories = "CI_MERGE_REQUEST", "merge-requests", ("SOURCE_PROJECT_PATH", "PROJECT_PATH")
    if environ.get("CI_EXTERNAL_PULL_REQUEST_IID"):
        request, kind, repositories = "CI_EXTERNAL_PULL_REQUEST", "pull", ("SOURCE_REPOSITORY", "TARGET_REPOSITORY")
    number, branch = environ.get(f"{request}_IID", ""), environ.get(f"{request}_SOURCE_BRANCH_NAME", "")
    if not branch and not number:
        return {}
    head = environ.get(f"{request}_SOURCE_BRANCH_SHA", "")  # of merge requests only in pipelines for merged results
    commit = environ.get("CI_COMMIT_SHA", "")
    found = {"commit": head, "merge_commit": commit if commit != head else ""} if head else {}
    theirs, ours = (environ.get(f"{request}_{name}", "") for name in repositories)
    return {"branch": _named(branch, theirs, ours, f"{kind}/{number or branch}", owner=theirs), **found}


def on_buildkite(environ: Mapping[str, str]) -> dict[str, str]:
    """Compare the repositories, because a pipeline can be set not to put the owner before a fork's branch.

    https://buildkite.com/docs/pipelines/configure/environment-variables
    """
    number, branch = environ.get("BUILDKITE_PULL_REQUEST", ""), environ.get("BUILDKITE_BRANCH", "")
    if ":" in branch:  # git allows no colon in the name of a branch
        return {"branch": branch}
    if number in ("", "false"):
        return {}
    theirs, ours = (_repository(environ.get(name, "")) for name in ("BUILDKITE_PULL_REQUEST_REPO", "BUILDKITE_REPO"))
    return {} if theirs and theirs == ours else {"branch": f"pull/{number}"}


def on_circleci(environ: Mapping[str, str]) -> dict[str, str]:
    """Expect ``pull/5`` as the branch of a fork, and do not believe anything else.

    The variables of pull requests are set only for forks, but not by all kinds of projects.

    https://circleci.com/docs/reference/variables/
    """
    branch, number = environ.get("CIRCLE_BRANCH", ""), environ.get("CIRCLE_PR_NUMBER", "")
    owner = environ.get("CIRCLE_PR_USERNAME", "")
    if branch.startswith("pull/"):
        return {"branch": branch}
    if not (owner or number or environ.get("CIRCLE_PR_REPONAME")):
        return {}
    return {"branch": f"{owner}:{branch}" if owner and branch else f"pull/{number or branch}"}


def on_azure(environ: Mapping[str, str]) -> dict[str, str]:
    """Ask the variable that says whether it is a fork.

    https://learn.microsoft.com/en-us/azure/devops/pipelines/build/variables
    """
    branch, pull = environ.get("SYSTEM_PULLREQUEST_SOURCEBRANCH", ""), _pull(environ.get("BUILD_SOURCEBRANCH", ""))
    if not branch and not pull:
        return {}
    head = environ.get("SYSTEM_PULLREQUEST_SOURCECOMMITID", "")
    found = {"commit": head, "merge_commit": environ.get("BUILD_SOURCEVERSION", "")} if head else {}
    if branch and environ.get("SYSTEM_PULLREQUEST_ISFORK", "").lower() == "false":
        return {"branch": branch.removeprefix("refs/heads/"), **found}
    number = environ.get("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER") or environ.get("SYSTEM_PULLREQUEST_PULLREQUESTID")
    return {"branch": pull or f"pull/{number or branch}", **found}


def on_jenkins(environ: Mapping[str, str]) -> dict[str, str]:
    """Ask the variable that names a fork; multibranch projects set it for no other change request.

    No variable tells whether ``GIT_COMMIT`` is the newest of the change request or a merge of it.

    https://www.jenkins.io/doc/book/pipeline/multibranch/#additional-environment-variables, and ``/env-vars.html`` of
    each server
    """
    branch, fork = environ.get("CHANGE_BRANCH", ""), environ.get("CHANGE_FORK", "")
    if fork:
        return {"branch": f"{fork}:{branch or environ.get('BRANCH_NAME', '')}"}
    return {"branch": branch} if branch else {}


def on_bitbucket(environ: Mapping[str, str]) -> dict[str, str]:
    """Use the number of the pull request: no variable tells where its branch comes from.

    https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/
    """
    number = environ.get("BITBUCKET_PR_ID", "")
    return {"branch": f"pull-requests/{number}"} if number else {}


def on_travis(environ: Mapping[str, str]) -> dict[str, str]:
    """Compare the repositories. ``TRAVIS_BRANCH`` is the target of a pull request, and ``TRAVIS_COMMIT`` the merge.

    https://docs.travis-ci.com/user/environment-variables/#default-environment-variables
    """
    number, branch = environ.get("TRAVIS_PULL_REQUEST", ""), environ.get("TRAVIS_PULL_REQUEST_BRANCH", "")
    if number in ("", "false"):
        return {}
    head = environ.get("TRAVIS_PULL_REQUEST_SHA", "")
    found = {"commit": head, "merge_commit": environ.get("TRAVIS_COMMIT", "")} if head else {}
    theirs, ours = environ.get("TRAVIS_PULL_REQUEST_SLUG", ""), environ.get("TRAVIS_REPO_SLUG", "")
    return {"branch": _named(branch, theirs, ours, f"pull/{number}"), **found}


def on_appveyor(environ: Mapping[str, str]) -> dict[str, str]:
    """Compare the repositories. The branch of the repository is the target of a pull request, and its commit the merge.

    https://www.appveyor.com/docs/environment-variables/
    """
    number = environ.get("APPVEYOR_PULL_REQUEST_NUMBER", "")
    if not number:
        return {}
    head = environ.get("APPVEYOR_PULL_REQUEST_HEAD_COMMIT", "")
    found = {"commit": head, "merge_commit": environ.get("APPVEYOR_REPO_COMMIT", "")} if head else {}
    theirs, ours = environ.get("APPVEYOR_PULL_REQUEST_HEAD_REPO_NAME", ""), environ.get("APPVEYOR_REPO_NAME", "")
    branch = environ.get("APPVEYOR_PULL_REQUEST_HEAD_REPO_BRANCH", "")
    return {"branch": _named(branch, theirs, ours, f"pull/{number}"), **found}


def on_woodpecker(environ: Mapping[str, str]) -> dict[str, str]:
    """Use the number of the pull request: no variable tells where its branch comes from, so it counts as a fork's.

    https://woodpecker-ci.org/docs/usage/environment
    """
    number, event = environ.get("CI_COMMIT_PULL_REQUEST", ""), environ.get("CI_PIPELINE_EVENT", "")
    if not number and not event.startswith("pull_request"):
        return {}
    return {"branch": f"pull/{number or environ.get('CI_COMMIT_SOURCE_BRANCH', '')}"}


def on_drone(environ: Mapping[str, str]) -> dict[str, str]:
    """Use the number of the pull request: no variable tells where its branch comes from, so it counts as a fork's.

    https://docs.drone.io/pipeline/environment/reference/
    """
    number, event = environ.get("DRONE_PULL_REQUEST", ""), environ.get("DRONE_BUILD_EVENT", "")
    if not number and event != "pull_request":
        return {}
    return {"branch": f"pull/{number or environ.get('DRONE_SOURCE_BRANCH', '')}"}


def _named(branch: str, theirs: str, ours: str, otherwise: str, *, owner: str = "") -> str:
    """Return the name of a branch of one of two repositories.

    Args:
        branch: its plain name.
        theirs: the repository that has it, as ``owner/name``.
        ours: the project's repository.
        otherwise: the name where something of these is unknown.
        owner: what stands before a fork's branch; by default the owner of the repository.
    """
    if not (branch and theirs and ours):
        return otherwise
    return branch if theirs == ours else f"{owner or theirs.partition('/')[0]}:{branch}"


def _pull(ref: str) -> str:
    """Return ``pull/5`` for ``refs/pull/5/merge``, and nothing for other refs."""
    kind, _, rest = ref.removeprefix("refs/").partition("/")
    return f"pull/{rest.partition('/')[0]}" if kind == "pull" and rest else ""


def _repository(url: str) -> str:
    """Return host and path of a repository, the same for ``git@host:a/b.git`` and ``https://host/a/b``."""
    place = url.rpartition("://")[2].rpartition("@")[2]
    return place.replace(":", "/", 1).removesuffix("/").removesuffix(".git").lower()


def _event(path: str) -> dict[str, Any]:
    """Read the event that started a run of GitHub.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not JSON.
    """
    import json  # only in a pull request on GitHub

    with open(path, "rb", opener=only_regular) as file:
        event: dict[str, Any] = json.loads(file.read(_MOST_EVENT_BYTES))
    return event
