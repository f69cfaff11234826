"""A pull request has the branch name that its service shows. A fork's branch never looks like one of the project."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pytest_swarmtask.core.facts import ci
from pytest_swarmtask.core.facts.trust import is_untrusted

HEAD, MERGE = "1" * 40, "3" * 40
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "a/b",
    "GITHUB_SHA": MERGE,
    "GITHUB_REF": "refs/pull/5/merge",
    "GITHUB_REF_NAME": "5/merge",
    "GITHUB_HEAD_REF": "main",
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_COMMIT_SHA": MERGE,
    "CI_COMMIT_REF_NAME": "main",
    "CI_MERGE_REQUEST_IID": "5",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "main",
    "CI_MERGE_REQUEST_PROJECT_PATH": "a/b",
}
AZURE = {
    "TF_BUILD": "True",
    "BUILD_SOURCEBRANCH": "refs/pull/5/merge",
    "BUILD_SOURCEVERSION": MERGE,
    "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/main",
    "SYSTEM_PULLREQUEST_SOURCECOMMITID": HEAD,
}
JENKINS = {
    "JENKINS_URL": "https://j",
    "BRANCH_NAME": "PR-5",
    "CHANGE_ID": "5",
    "CHANGE_BRANCH": "main",
    "CHANGE_TARGET": "main",
    "GIT_COMMIT": MERGE,
}
BUILDKITE = {
    "BUILDKITE": "true",
    "BUILDKITE_BRANCH": "main",
    "BUILDKITE_PULL_REQUEST": "5",
    "BUILDKITE_REPO": "git@github.com:a/b.git",
    "BUILDKITE_COMMIT": HEAD,
}
CIRCLECI = {"CI": "true", "CIRCLECI": "true", "CIRCLE_SHA1": HEAD}
BITBUCKET = {"CI": "true", "BITBUCKET_BUILD_NUMBER": "1", "BITBUCKET_BRANCH": "main", "BITBUCKET_COMMIT": HEAD}
TRAVIS = {
    "CI": "true",
    "TRAVIS": "true",
    "TRAVIS_BRANCH": "main",
    "TRAVIS_COMMIT": MERGE,
    "TRAVIS_PULL_REQUEST": "5",
    "TRAVIS_PULL_REQUEST_BRANCH": "topic",
    "TRAVIS_PULL_REQUEST_SHA": HEAD,
    "TRAVIS_REPO_SLUG": "a/b",
}
APPVEYOR = {
    "CI": "True",
    "APPVEYOR": "True",
    "APPVEYOR_PULL_REQUEST_HEAD_COMMIT": HEAD,
    "APPVEYOR_PULL_REQUEST_HEAD_REPO_BRANCH": "topic",
    "APPVEYOR_PULL_REQUEST_NUMBER": "5",
    "APPVEYOR_REPO_BRANCH": "main",
    "APPVEYOR_REPO_COMMIT": MERGE,
    "APPVEYOR_REPO_NAME": "a/b",
}
WOODPECKER = {
    "CI": "woodpecker",
    "CI_COMMIT_BRANCH": "main",
    "CI_COMMIT_PULL_REQUEST": "5",
    "CI_COMMIT_SHA": HEAD,
    "CI_COMMIT_SOURCE_BRANCH": "main",
    "CI_COMMIT_TARGET_BRANCH": "main",
    "CI_PIPELINE_EVENT": "pull_request",
}
DRONE = {
    "CI": "true",
    "DRONE": "true",
    "DRONE_BRANCH": "main",
    "DRONE_BUILD_EVENT": "pull_request",
    "DRONE_COMMIT_SHA": HEAD,
    "DRONE_PULL_REQUEST": "5",
    "DRONE_SOURCE_BRANCH": "main",
    "DRONE_TARGET_BRANCH": "main",
}


def without(environ: dict[str, str], *names: str) -> dict[str, str]:
    """Return variables but for some of them."""
    return {name: value for name, value in environ.items() if name not in names}


def payload(tmp_path: Path, repository: str | None, **head: Any) -> dict[str, str]:
    """Return variables of a pull request on GitHub from a repository; None stands for a fork that was deleted."""
    head = {"sha": "1" * 40, "repo": repository and {"full_name": repository}, "label": "eve:main", **head}
    event = {"pull_request": {"number": 5, "head": head, "base": {"repo": {"full_name": "a/b"}}}}
    path = tmp_path / "event.json"
    path.write_text(json.dumps(event))
    return {**GITHUB, "GITHUB_EVENT_PATH": str(path)}


def test_github(tmp_path: Path) -> None:
    """The file of the event tells the repository; commit is the head's, and the tried merge stands beside it."""
    found = ci.facts(payload(tmp_path, "a/b"))
    assert (found["branch"], found["commit"], found["merge_commit"]) == ("main", "1" * 40, "3" * 40)
    assert ci.facts(payload(tmp_path, "eve/b"))["branch"] == "eve:main"
    assert ci.facts(payload(tmp_path, None))["branch"] == "eve:main"
    assert ci.facts(payload(tmp_path, "eve/b", label=None))["branch"] == "eve:main"
    assert ci.facts(payload(tmp_path, None, label=None))["branch"] == "pull/5"


@pytest.mark.parametrize(("repository", "branch"), [("eve/b", "eve:main"), (None, "pull/5"), ("a/b", "main")])
def test_gitea(tmp_path: Path, repository: str | None, branch: str) -> None:
    """On Gitea and Forgejo the label is only the name of the branch, and HEAD is the newest commit."""
    gitea = {"GITEA_ACTIONS": "true", "GITHUB_REF": "refs/pull/5/head", "GITHUB_SHA": HEAD}
    environ = {**payload(tmp_path, repository, label="main", ref="main"), **gitea}
    found = ci.facts(environ)
    assert (found["branch"], found["commit"]) == (branch, HEAD)
    assert "merge_commit" not in found
    assert is_untrusted(environ) is (repository != "a/b")


@pytest.mark.parametrize("name", ["pull_request_review", "pull_request_review_comment", ""])
def test_other_events_of_a_pull_request_on_github(tmp_path: Path, name: str) -> None:
    """Without `GITHUB_HEAD_REF`, the file of the event tells the same."""
    event = {"GITHUB_HEAD_REF": "", "GITHUB_EVENT_NAME": name}
    theirs = {**payload(tmp_path, "eve/b", ref="main"), **event}
    found = ci.facts(theirs)
    assert (found["branch"], found["commit"], found["merge_commit"]) == ("eve:main", HEAD, MERGE)
    assert is_untrusted(theirs)
    ours = {**payload(tmp_path, "a/b", ref="topic"), **event}
    assert ci.facts(ours)["branch"] == "topic"
    assert not is_untrusted(ours)
    unreadable = {**GITHUB, **event}
    assert ci.facts(unreadable)["branch"] == "pull/5"
    assert is_untrusted(unreadable)


@pytest.mark.parametrize(
    ("repository", "branch", "commit"),
    [
        ({"full_name": "eve/b"}, "eve:main", HEAD),
        ({"full_name": "a/b"}, "main", MERGE),
        (None, "pull/main", HEAD),
        (7, "pull/main", MERGE),
    ],
)
def test_a_workflow_after_another_on_github(tmp_path: Path, repository: Any, branch: str, commit: str) -> None:
    """What a fork's run has started runs on the project's own branch, with what that run has left."""
    run = {"head_repository": repository, "head_branch": "main", "head_sha": HEAD, "event": "pull_request"}
    path = tmp_path / "event.json"
    path.write_text(json.dumps({"workflow_run": run, "repository": {"full_name": "a/b"}}))
    environ = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "workflow_run",
        "GITHUB_EVENT_PATH": str(path),
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_REF_NAME": "main",
        "GITHUB_SHA": MERGE,
    }
    found = ci.facts(environ)
    assert (found["branch"], found["commit"]) == (branch, commit)
    assert is_untrusted(environ) is (branch != "main")


def test_a_push_on_github(tmp_path: Path) -> None:
    """The variables of a push are right, and its file is not read."""
    path = tmp_path / "event.json"
    path.mkdir()
    push = {"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": str(path), "GITHUB_REF_NAME": "main"}
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_SHA": HEAD, **push}
    assert ci.facts(environ) == {"ci": "github", "branch": "main", "commit": HEAD}
    assert not is_untrusted(environ)


def test_a_target_of_a_pull_request_on_github(tmp_path: Path) -> None:
    """For `pull_request_target`, whose variables are those of the project's branch, the file is believed, too."""
    target = {"GITHUB_REF": "refs/heads/main", "GITHUB_REF_NAME": "main"}
    found = ci.facts({**payload(tmp_path, "eve/b"), **target})
    assert (found["branch"], found["commit"]) == ("eve:main", "1" * 40)
    assert "merge_commit" not in found


@pytest.mark.parametrize(
    "content", [None, b"", b"[]", b"{}", b'{"pull_request": {"head": 1}}', b"\xff", "pipe", "folder"]
)
def test_a_file_of_the_event_that_says_nothing(tmp_path: Path, content: bytes | str | None) -> None:
    """Without a readable event the branch is that of the pull request, whoever opened it."""
    path = tmp_path / "event.json"
    if content == "pipe":
        os.mkfifo(path)
    elif content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    found = ci.facts({**GITHUB, "GITHUB_EVENT_PATH": str(path)})
    assert (found["branch"], found["commit"]) == ("pull/5", "3" * 40)
    target = {"GITHUB_REF": "refs/heads/main", "GITHUB_REF_NAME": "main"}
    assert ci.facts({**GITHUB, **target})["branch"] == "pull/main"


EXTERNAL = {
    "GITLAB_CI": "true",
    "CI_COMMIT_REF_NAME": "main",
    "CI_COMMIT_SHA": HEAD,
    "CI_EXTERNAL_PULL_REQUEST_IID": "5",
    "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME": "main",
    "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA": HEAD,
    "CI_EXTERNAL_PULL_REQUEST_TARGET_REPOSITORY": "a/b",
}
MERGED = {**GITLAB, "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": HEAD}
PULL = {**CIRCLECI, "CIRCLE_BRANCH": "main"}


@pytest.mark.parametrize(
    ("environ", "branch", "commit", "merge"),
    [
        ({**GITLAB, "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "a/b"}, "main", MERGE, None),
        ({**GITLAB, "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "eve/b"}, "eve/b:main", MERGE, None),
        ({**MERGED, "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "eve/b"}, "eve/b:main", HEAD, MERGE),
        (GITLAB, "merge-requests/5", MERGE, None),
        ({**EXTERNAL, "CI_EXTERNAL_PULL_REQUEST_SOURCE_REPOSITORY": "a/b"}, "main", HEAD, None),
        ({**EXTERNAL, "CI_EXTERNAL_PULL_REQUEST_SOURCE_REPOSITORY": "eve/b"}, "eve/b:main", HEAD, None),
        (EXTERNAL, "pull/5", HEAD, None),
        ({**AZURE, "SYSTEM_PULLREQUEST_ISFORK": "False"}, "main", HEAD, MERGE),
        ({**AZURE, "SYSTEM_PULLREQUEST_ISFORK": "True"}, "pull/5", HEAD, MERGE),
        (AZURE, "pull/5", HEAD, MERGE),
        (without(AZURE, "SYSTEM_PULLREQUEST_SOURCEBRANCH"), "pull/5", HEAD, MERGE),
        ({"TF_BUILD": "True", "BUILD_SOURCEBRANCH": "refs/heads/main"}, "main", None, None),
        (JENKINS, "main", MERGE, None),
        ({**JENKINS, "CHANGE_FORK": "eve"}, "eve:main", MERGE, None),
        ({**without(JENKINS, "CHANGE_BRANCH"), "CHANGE_FORK": "eve"}, "eve:PR-5", MERGE, None),
        ({"JENKINS_URL": "https://j", "BRANCH_NAME": "main"}, "main", None, None),
        ({**BUILDKITE, "BUILDKITE_PULL_REQUEST_REPO": "https://github.com/a/b.git"}, "main", HEAD, None),
        ({**BUILDKITE, "BUILDKITE_PULL_REQUEST_REPO": "https://github.com/eve/b.git"}, "pull/5", HEAD, None),
        ({**BUILDKITE, "BUILDKITE_PULL_REQUEST_REPO": ""}, "pull/5", HEAD, None),
        ({**BUILDKITE, "BUILDKITE_BRANCH": "eve:main"}, "eve:main", HEAD, None),
        ({**BUILDKITE, "BUILDKITE_PULL_REQUEST": "false"}, "main", HEAD, None),
        ({**CIRCLECI, "CIRCLE_BRANCH": "pull/5", "CIRCLE_PR_USERNAME": "eve"}, "pull/5", HEAD, None),
        ({**CIRCLECI, "CIRCLE_BRANCH": "pull/5"}, "pull/5", HEAD, None),
        ({**PULL, "CIRCLE_PR_USERNAME": "eve"}, "eve:main", HEAD, None),
        ({**PULL, "CIRCLE_PR_NUMBER": "5", "CIRCLE_PR_REPONAME": "b"}, "pull/5", HEAD, None),
        ({**PULL, "CIRCLE_PR_REPONAME": "b"}, "pull/main", HEAD, None),
        (PULL, "main", HEAD, None),
        ({**BITBUCKET, "BITBUCKET_PR_ID": "5"}, "pull-requests/5", HEAD, None),
        (BITBUCKET, "main", HEAD, None),
        ({**TRAVIS, "TRAVIS_PULL_REQUEST_SLUG": "a/b"}, "topic", HEAD, MERGE),
        ({**TRAVIS, "TRAVIS_PULL_REQUEST_SLUG": "eve/b"}, "eve:topic", HEAD, MERGE),
        (TRAVIS, "pull/5", HEAD, MERGE),
        ({**TRAVIS, "TRAVIS_PULL_REQUEST": "false", "TRAVIS_PULL_REQUEST_SLUG": ""}, "main", MERGE, None),
        ({**APPVEYOR, "APPVEYOR_PULL_REQUEST_HEAD_REPO_NAME": "a/b"}, "topic", HEAD, MERGE),
        ({**APPVEYOR, "APPVEYOR_PULL_REQUEST_HEAD_REPO_NAME": "eve/b"}, "eve:topic", HEAD, MERGE),
        (APPVEYOR, "pull/5", HEAD, MERGE),
        (without(APPVEYOR, "APPVEYOR_PULL_REQUEST_NUMBER"), "main", MERGE, None),
        (WOODPECKER, "pull/5", HEAD, None),
        (without(WOODPECKER, "CI_PIPELINE_EVENT"), "pull/5", HEAD, None),
        (without(WOODPECKER, "CI_COMMIT_PULL_REQUEST"), "pull/main", HEAD, None),
        (
            {**without(WOODPECKER, "CI_COMMIT_PULL_REQUEST"), "CI_PIPELINE_EVENT": "push"},
            "main",
            HEAD,
            None,
        ),
        (DRONE, "pull/5", HEAD, None),
        (without(DRONE, "CI", "DRONE_BUILD_EVENT"), "pull/5", HEAD, None),
        (without(DRONE, "DRONE_PULL_REQUEST"), "pull/main", HEAD, None),
        ({**without(DRONE, "DRONE_PULL_REQUEST"), "DRONE_BUILD_EVENT": "push"}, "main", HEAD, None),
    ],
)
def test_other_services(environ: dict[str, str], branch: str, commit: str | None, merge: str | None) -> None:
    """A branch has its plain name only where the service tells that it is the project's own; the rest is untrusted."""
    found = ci.facts(environ)
    assert (found["branch"], found.get("commit"), found.get("merge_commit")) == (branch, commit, merge)
    assert is_untrusted(environ) is (branch not in ("main", "topic", "pull-requests/5"))


def test_each_service_has_a_row() -> None:
    """The tests above ask each service for a pull request, except TeamCity, which tells nothing of them."""
    asked = (GITHUB, GITLAB, AZURE, JENKINS, BUILDKITE, CIRCLECI, BITBUCKET, TRAVIS, APPVEYOR, WOODPECKER, DRONE)
    names = {service.name for service in map(ci.provider, asked) if service}
    assert names == {service.name for service in ci.PROVIDERS} - {"teamcity"}
