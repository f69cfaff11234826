"""The facts that a session records about its surroundings: the variables of the CI service, and the git checkout."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from pytest_swarmtask.core.facts import ci, git
from pytest_swarmtask.core.project import CI_VARIABLES, is_under_ci

GITHUB = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.example",
    "GITHUB_REPOSITORY": "a/b",
    "GITHUB_RUN_ID": "17",
    "GITHUB_JOB": "test",
    "GITHUB_SHA": "c" * 40,
    "GITHUB_REF_NAME": "main",
}


def test_github() -> None:
    """GitHub Actions is recognized by its variables, which give the facts."""
    assert ci.facts(GITHUB) == {
        "ci": "github",
        "ci_url": "https://github.example/a/b/actions/runs/17",
        "ci_run": "github:https://github.example/a/b/17",
        "ci_job": "test",
        "commit": "c" * 40,
        "branch": "main",
    }


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (
            {"GITLAB_CI": "true", "CI_PIPELINE_URL": "https://g/1", "CI_COMMIT_REF_NAME": "x"},
            ("gitlab", "https://g/1", "x"),
        ),
        (
            {"JENKINS_URL": "https://j", "BUILD_URL": "https://j/1", "GIT_BRANCH": "origin/x"},
            ("jenkins", "https://j/1", "x"),
        ),
        (
            {"BUILDKITE": "true", "BUILDKITE_BUILD_URL": "https://b", "BUILDKITE_BRANCH": "x"},
            ("buildkite", "https://b", "x"),
        ),
        ({"CIRCLECI": "true", "CIRCLE_BUILD_URL": "https://c", "CIRCLE_BRANCH": "x"}, ("circleci", "https://c", "x")),
        (
            {
                "BITBUCKET_BUILD_NUMBER": "3",
                "BITBUCKET_GIT_HTTP_ORIGIN": "https://bitbucket.org/a/b",
                "BITBUCKET_BRANCH": "x",
            },
            ("bitbucket", "https://bitbucket.org/a/b/pipelines/results/3", "x"),
        ),
        ({"TRAVIS": "true", "TRAVIS_BUILD_WEB_URL": "https://t", "TRAVIS_BRANCH": "x"}, ("travis", "https://t", "x")),
        (
            {
                "APPVEYOR": "True",
                "APPVEYOR_URL": "https://ci.appveyor.com",
                "APPVEYOR_ACCOUNT_NAME": "a",
                "APPVEYOR_PROJECT_SLUG": "b",
                "APPVEYOR_BUILD_ID": "3",
                "APPVEYOR_REPO_BRANCH": "x",
            },
            ("appveyor", "https://ci.appveyor.com/project/a/b/builds/3", "x"),
        ),
        (
            {"CI": "woodpecker", "CI_PIPELINE_URL": "https://w/3", "CI_COMMIT_BRANCH": "x"},
            ("woodpecker", "https://w/3", "x"),
        ),
        ({"DRONE": "true", "DRONE_BUILD_LINK": "https://d/3", "DRONE_BRANCH": "x"}, ("drone", "https://d/3", "x")),
    ],
)
def test_other_services(environ: dict[str, str], expected: tuple[str, str, str]) -> None:
    """Each CI service is recognized by its variables, and the branch has its plain name."""
    facts = ci.facts(environ)
    assert (facts["ci"], facts["ci_url"], facts["branch"]) == expected


def test_teamcity() -> None:
    """TeamCity is recognized without `CI`, which it does not set. It has no variable for the branch."""
    assert ci.facts({"TEAMCITY_VERSION": "2024", "BUILD_VCS_NUMBER": "c"}) == {"ci": "teamcity", "commit": "c"}


def test_the_address_of_an_attempt() -> None:
    """On GitHub the address leads to the attempt, if the service tells it."""
    url = ci.facts({**GITHUB, "GITHUB_RUN_ATTEMPT": "2"})["ci_url"]
    assert url == "https://github.example/a/b/actions/runs/17/attempts/2"


def test_a_service_without_all_its_variables() -> None:
    """A fact without a variable is left out. An unknown CI service is called unknown. Without CI there are no facts."""
    assert ci.facts({"GITHUB_ACTIONS": "true"}) == {"ci": "github"}
    assert ci.facts({"CI": "1"}) == {"ci": "unknown"}
    assert ci.facts({"CI": "false"}) == ci.facts({}) == {}


def test_a_session_asks_each_service() -> None:
    """A session loads what is known of CI services only if one of their variables is set, so it looks for all."""
    assert set(CI_VARIABLES) == {"CI", *(provider.marker for provider in ci.PROVIDERS)}


@pytest.mark.parametrize("provider", ci.PROVIDERS, ids=lambda provider: provider.name)
def test_each_service_counts_as_ci_by_its_own_variable(provider: ci.Provider) -> None:
    """Not all services set `CI`, and some jobs set it to false for the sake of other tools."""
    alone = {provider.marker: provider.value or "true"}
    assert ci.provider(alone) is provider
    assert is_under_ci(alone)
    assert ci.facts(alone)["ci"] == provider.name
    assert is_under_ci({"CI": "false", **alone})


def run_git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.invalid", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_the_checkout(tmp_path: Path) -> None:
    """Commit and branch match git: with loose or packed refs, in a worktree, in a subfolder and on a detached HEAD."""
    root = tmp_path / "root"
    (root / "below").mkdir(parents=True)
    assert git.head(str(root)) == {}
    run_git(root, "init", "-q", "-b", "feature/x")
    assert git.head(str(root)) == {"branch": "feature/x"}
    run_git(root, "commit", "-q", "--allow-empty", "-m", "one")
    commit = run_git(root, "rev-parse", "HEAD")
    there = {"branch": "feature/x", "commit": commit}
    assert git.head(str(root / "below")) == there
    run_git(root, "pack-refs", "--all")
    assert git.head(str(root)) == there
    run_git(root, "worktree", "add", "-q", "-b", "other", str(tmp_path / "tree"))
    assert git.head(str(tmp_path / "tree")) == {"branch": "other", "commit": commit}
    run_git(root, "checkout", "-q", "--detach")
    assert git.head(str(root)) == {"commit": commit}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a tracked and an ignored file. Its state is not cached yet."""
    monkeypatch.setattr(git, "_known", [])
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "tracked").write_text("one")
    (root / ".gitignore").write_text("ignored\n")
    run_git(root, "init", "-q")
    run_git(root, "add", "-A")
    run_git(root, "commit", "-q", "-m", "one")
    return root


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (None, False),
        ("ignored", False),
        ("untracked", False),
        ("tracked", True),
        ("staged", True),
        ("removed", True),
    ],
)
def test_a_checkout_is_dirty_when_a_tracked_file_differs(checkout: Path, change: str | None, expected: bool) -> None:
    if change == "removed":
        (checkout / "tracked").unlink()
    elif change is not None:
        (checkout / change).write_text("two, longer")
    if change == "staged":
        run_git(checkout, "add", "staged")
    assert git.dirty(str(checkout)) is expected


def test_whether_it_is_dirty_is_told_from_below_and_once(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that a git hook sets for another checkout have no effect, and the answer is cached."""
    (checkout / "below").mkdir()
    monkeypatch.setenv("GIT_DIR", str(checkout / "nowhere"))
    monkeypatch.setenv("GIT_TRACE", "1")
    assert git.dirty(str(checkout / "below")) is False
    (checkout / "tracked").write_text("two, longer")
    assert git.dirty(str(checkout)) is False


def test_what_git_cannot_tell_is_unknown(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`dirty` returns None without a checkout, in a broken checkout, and without git."""
    known = git._known
    assert git.dirty(str(checkout.parent)) is None
    known.clear()
    (checkout / ".git" / "HEAD").unlink()
    assert git.dirty(str(checkout)) is None
    known.clear()
    monkeypatch.setenv("PATH", str(checkout))
    assert git.dirty(str(checkout)) is None


@pytest.mark.parametrize("script", ["exec sleep 60", "exit 1", "echo no >&2; exit 1"])
def test_a_git_that_hangs_or_fails_is_unknown(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], script: str
) -> None:
    """A git that hangs or fails gives None. It leaves no child process and writes nothing to our terminal."""
    (checkout / "git").write_text(f"#!/bin/sh\necho $$ > {checkout}/pid\n{script}\n")
    (checkout / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(checkout), prepend=os.pathsep)
    monkeypatch.setattr(git, "_PATIENCE", 500)
    began = time.monotonic()
    assert git.dirty(str(checkout)) is None
    assert time.monotonic() - began < 30
    assert capfd.readouterr() == ("", "")
    if (checkout / "pid").exists():  # on a slow machine git may be killed before it writes the file
        with pytest.raises(ProcessLookupError):
            os.kill(int((checkout / "pid").read_text()), 0)
