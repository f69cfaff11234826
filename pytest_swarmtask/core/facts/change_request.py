"""The branch and the commit of a pull request (a merge request), as each CI service tells them.

The branch of a fork must never look like a branch of the project: rules that guard ``main`` would act for strangers,
and their results would count as those of ``main``. So it gets the name that the service shows: ``owner:main``, or the
number of the pull request where its repository is not known.

Each function returns ``branch``, ``commit`` and ``merge_commit``, as far as they are known, and nothing where the
process runs for no pull request. ``commit`` is the newest of the pull request, and ``merge_commit`` the one that the
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

    A run for ``pull_request_target`` has the project's own branch in its variables, and the same file.
    """
    branch, ref = environ.get("GITHUB_HEAD_REF", ""), environ.get("GITHUB_REF", "")
    if not branch:
        return {}
    merged = {"merge_commit": environ.get("GITHUB_SHA", "")} if ref.endswith("/merge") else {}
    try:
        change = _event(environ.get("GITHUB_EVENT_PATH", ""))["pull_request"]
        head, ours = change["head"], change["base"]["repo"]["full_name"]
        is_ours = (head["repo"] or {}).get("full_name") == ours  # a fork that was deleted is null
        branch = branch if is_ours else str(head.get("label") or f"pull/{change['number']}")
        return {"branch": branch, "commit": str(head["sha"]), **merged}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {"branch": _pull(ref) or f"pull/{branch}"}


def on_gitlab(environ: Mapping[str, str]) -> dict[str, str]:
    """Compare the project of the source branch with that of the target."""
    branch = environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "")
    if not branch:
        return {}
    head = environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "")  # only in pipelines for merged results
    found = {"commit": head, "merge_commit": environ.get("CI_COMMIT_SHA", "")} if head else {}
    theirs, ours = (environ.get(f"CI_MERGE_REQUEST_{name}_PATH", "") for name in ("SOURCE_PROJECT", "PROJECT"))
    if not theirs or not ours:
        return {"branch": f"merge-requests/{environ.get('CI_MERGE_REQUEST_IID') or branch}", **found}
    return {"branch": branch if theirs == ours else f"{theirs}:{branch}", **found}


def on_buildkite(environ: Mapping[str, str]) -> dict[str, str]:
    """Compare the repositories, because a pipeline can be set not to put the owner before a fork's branch."""
    number, branch = environ.get("BUILDKITE_PULL_REQUEST", ""), environ.get("BUILDKITE_BRANCH", "")
    if number in ("", "false") or ":" in branch:
        return {}
    theirs, ours = (_repository(environ.get(name, "")) for name in ("BUILDKITE_PULL_REQUEST_REPO", "BUILDKITE_REPO"))
    return {} if theirs and theirs == ours else {"branch": f"pull/{number}"}


def on_circleci(environ: Mapping[str, str]) -> dict[str, str]:
    """Expect ``pull/5`` as the branch of a fork, and do not believe anything else."""
    branch = environ.get("CIRCLE_BRANCH", "")
    if not environ.get("CIRCLE_PR_USERNAME") or branch.startswith("pull/"):
        return {}
    return {"branch": f"{environ['CIRCLE_PR_USERNAME']}:{branch}"}


def on_azure(environ: Mapping[str, str]) -> dict[str, str]:
    """Ask the variable that says whether it is a fork."""
    branch = environ.get("SYSTEM_PULLREQUEST_SOURCEBRANCH", "")
    if not branch:
        return {}
    head = environ.get("SYSTEM_PULLREQUEST_SOURCECOMMITID", "")
    found = {"commit": head, "merge_commit": environ.get("BUILD_SOURCEVERSION", "")} if head else {}
    if environ.get("SYSTEM_PULLREQUEST_ISFORK", "").lower() == "false":
        return {"branch": branch.removeprefix("refs/heads/"), **found}
    number = environ.get("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER") or environ.get("SYSTEM_PULLREQUEST_PULLREQUESTID")
    return {"branch": _pull(environ.get("BUILD_SOURCEBRANCH", "")) or f"pull/{number or branch}", **found}


def on_jenkins(environ: Mapping[str, str]) -> dict[str, str]:
    """Ask the variable that names a fork; multibranch projects set it for no other change request."""
    branch, fork = environ.get("CHANGE_BRANCH", ""), environ.get("CHANGE_FORK", "")
    if not branch:
        return {}
    return {"branch": f"{fork}:{branch}" if fork else branch}


def on_bitbucket(environ: Mapping[str, str]) -> dict[str, str]:
    """Use the number of the pull request: no variable tells where its branch comes from."""
    number = environ.get("BITBUCKET_PR_ID", "")
    return {"branch": f"pull-requests/{number}"} if number else {}


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
