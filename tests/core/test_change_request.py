"""A pull request has the branch name that its service shows. A fork's branch never looks like one of the project."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pytest_swarmtask.core.facts import ci

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "a/b",
    "GITHUB_SHA": "3" * 40,
    "GITHUB_REF": "refs/pull/5/merge",
    "GITHUB_REF_NAME": "5/merge",
    "GITHUB_HEAD_REF": "main",
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_COMMIT_SHA": "3" * 40,
    "CI_COMMIT_REF_NAME": "main",
    "CI_MERGE_REQUEST_IID": "5",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "main",
    "CI_MERGE_REQUEST_PROJECT_PATH": "a/b",
}
AZURE = {
    "TF_BUILD": "True",
    "BUILD_SOURCEBRANCH": "refs/pull/5/merge",
    "BUILD_SOURCEVERSION": "3" * 40,
    "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/main",
    "SYSTEM_PULLREQUEST_SOURCECOMMITID": "1" * 40,
}
JENKINS = {"JENKINS_URL": "https://j", "BRANCH_NAME": "PR-5", "CHANGE_ID": "5", "CHANGE_BRANCH": "main"}
BUILDKITE = {
    "BUILDKITE": "true",
    "BUILDKITE_BRANCH": "main",
    "BUILDKITE_PULL_REQUEST": "5",
    "BUILDKITE_REPO": "git@github.com:a/b.git",
}


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
    assert ci.facts(payload(tmp_path, "eve/b", label=None))["branch"] == "pull/5"


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


@pytest.mark.parametrize(
    ("environ", "branch"),
    [
        ({**GITLAB, "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "a/b"}, "main"),
        ({**GITLAB, "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "eve/b"}, "eve/b:main"),
        (GITLAB, "merge-requests/5"),
        ({**AZURE, "SYSTEM_PULLREQUEST_ISFORK": "False"}, "main"),
        ({**AZURE, "SYSTEM_PULLREQUEST_ISFORK": "True"}, "pull/5"),
        (AZURE, "pull/5"),
        (JENKINS, "main"),
        ({**JENKINS, "CHANGE_FORK": "eve"}, "eve:main"),
        ({**BUILDKITE, "BUILDKITE_PULL_REQUEST_REPO": "https://github.com/a/b.git"}, "main"),
        ({**BUILDKITE, "BUILDKITE_PULL_REQUEST_REPO": "https://github.com/eve/b.git"}, "pull/5"),
        ({**BUILDKITE, "BUILDKITE_PULL_REQUEST_REPO": ""}, "pull/5"),
        ({**BUILDKITE, "BUILDKITE_BRANCH": "eve:main"}, "eve:main"),
        ({**BUILDKITE, "BUILDKITE_PULL_REQUEST": "false"}, "main"),
        ({"CIRCLECI": "true", "CIRCLE_BRANCH": "pull/5", "CIRCLE_PR_USERNAME": "eve"}, "pull/5"),
        ({"CIRCLECI": "true", "CIRCLE_BRANCH": "main", "CIRCLE_PR_USERNAME": "eve"}, "eve:main"),
        ({"BITBUCKET_BUILD_NUMBER": "1", "BITBUCKET_BRANCH": "main", "BITBUCKET_PR_ID": "5"}, "pull-requests/5"),
        ({"BITBUCKET_BUILD_NUMBER": "1", "BITBUCKET_BRANCH": "main"}, "main"),
    ],
)
def test_other_services(environ: dict[str, str], branch: str) -> None:
    """A branch has its plain name only where the service tells that it is the project's own."""
    assert ci.facts(environ)["branch"] == branch


def test_commits_of_merged_results() -> None:
    """GitLab and Azure tell the head of the source branch where they run on a merge."""
    gitlab = ci.facts({**GITLAB, "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": "1" * 40})
    assert (gitlab["commit"], gitlab["merge_commit"]) == ("1" * 40, "3" * 40)
    azure = ci.facts(AZURE)
    assert (azure["commit"], azure["merge_commit"]) == ("1" * 40, "3" * 40)
    assert ci.facts(GITLAB)["commit"] == "3" * 40
