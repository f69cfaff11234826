"""A project is found where its owner has put it, and what somebody else has put above it is not obeyed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_swarmtask.core import search
from pytest_swarmtask.core.search import SAFE_DIRECTORY, find_project
from tests.lab import Lab, clean_environ, read_events

STRANGER = 54321
AS_ROOT = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can make the files of another user"
)


def root_of(start: Path, otherwise: str | None = None, **environ: str) -> str:
    return find_project(str(start), environ, otherwise).root


def root_of_suite(start: Path, rootdir: Path) -> str:
    return find_project(str(start), {}, str(rootdir), stop=str(rootdir)).root


@pytest.fixture
def inner(tmp_path: Path) -> Path:
    """The folder a/b in an empty folder."""
    made = tmp_path / "a" / "b"
    made.mkdir(parents=True)
    return made


def plant(folder: Path) -> Path:
    """Make a `.taskmaster` in a folder, and return it."""
    (folder / ".taskmaster" / "config").mkdir(parents=True)
    (folder / ".taskmaster" / "config" / "workflow.yaml").write_text("")
    return folder / ".taskmaster"


def test_where_the_project_is(inner: Path, tmp_path: Path) -> None:
    """The root is the nearest folder with `.taskmaster`; else the given one, the checkout, or the folder itself."""
    assert root_of(inner) == str(inner)
    assert root_of(inner, "/offered") == "/offered"
    (tmp_path / "a" / ".git").mkdir()
    assert root_of(inner) == str(tmp_path / "a")
    plant(tmp_path / "a")
    assert root_of(inner, "/offered") == str(tmp_path / "a")
    assert root_of(inner / "not" / "there") == str(tmp_path / "a")


@pytest.mark.parametrize("mark", [".git", ".hg", ".svn", ".jj"])
def test_the_way_up_ends_at_the_checkout(inner: Path, tmp_path: Path, mark: str) -> None:
    """What is above the root of a checkout does not concern it; a worktree, whose mark is a file, is one, too."""
    plant(tmp_path)
    assert root_of(inner) == str(tmp_path)
    (tmp_path / "a" / mark).write_text("gitdir: elsewhere")
    assert root_of(inner) == str(tmp_path / "a")


def test_the_way_up_ends_at_the_home_folder(inner: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is above the home folder is not the user's; the home folder may itself be made a project."""
    plant(tmp_path)
    monkeypatch.setattr(search, "_home", lambda: str(tmp_path / "a"))
    assert root_of(inner) == str(inner)
    plant(tmp_path / "a")
    assert root_of(inner) == str(tmp_path / "a")


def test_the_way_up_ends_at_the_root_of_the_suite(inner: Path, tmp_path: Path) -> None:
    """Outside of a checkout, a suite with a configuration file begins a project; within one, the checkout does."""
    plant(tmp_path)
    suite = tmp_path / "a"
    assert root_of_suite(inner, suite) == str(suite)
    plant(suite)
    assert root_of_suite(inner, suite) == str(suite)
    (tmp_path / ".git").mkdir()
    (suite / ".taskmaster" / "config" / "workflow.yaml").unlink()
    (suite / ".taskmaster" / "config").rmdir()
    (suite / ".taskmaster").rmdir()
    assert root_of_suite(inner, suite) == str(tmp_path)


@AS_ROOT
@pytest.mark.parametrize("what", [".taskmaster", ".taskmaster/config", ".taskmaster/config/workflow.yaml"])
def test_files_of_another_user_are_not_obeyed(inner: Path, tmp_path: Path, what: str) -> None:
    """What belongs to another user is passed over, with a line that says how to trust it."""
    plant(tmp_path)
    os.chown(tmp_path / what, STRANGER, STRANGER)
    found = find_project(str(inner), {})
    assert found.root == str(inner)
    assert found.notice == (
        f"{tmp_path}/.taskmaster is not obeyed, because {tmp_path / what} belongs to another user (uid {STRANGER}): "
        f"trust it with {SAFE_DIRECTORY}={tmp_path}"
    )
    for trusted in (str(tmp_path), f"/other:{tmp_path}/", "*"):
        assert root_of(inner, **{SAFE_DIRECTORY: trusted}) == str(tmp_path)
    assert root_of(inner, SUDO_UID=str(STRANGER)) == str(tmp_path)


@AS_ROOT
def test_a_link_of_another_user_is_not_obeyed(inner: Path, tmp_path: Path) -> None:
    """A link that a stranger has made leads to files that the user has not put there."""
    elsewhere = plant(inner)
    (tmp_path / ".taskmaster").symlink_to(elsewhere)
    os.chown(tmp_path / ".taskmaster", STRANGER, STRANGER, follow_symlinks=False)
    assert find_project(str(tmp_path), {}).refusal


@AS_ROOT
@pytest.mark.parametrize("what", [".taskmaster", ".taskmaster/config/workflow.yaml"])
@pytest.mark.parametrize("kind", ["a link to the file", "a folder on the way"])
def test_a_link_in_the_middle_of_another_user(inner: Path, tmp_path: Path, what: str, kind: str) -> None:
    """Of a chain of links, each one must belong to the user: any of them decides which file is read."""
    plant(tmp_path)
    real = tmp_path / "real" / "own"
    real.parent.mkdir()
    (tmp_path / what).rename(real)
    middle = tmp_path / "middle"
    middle.symlink_to("real/own" if kind == "a link to the file" else "real")
    (tmp_path / "first").symlink_to(middle if kind == "a link to the file" else middle / ".." / "real" / "own")
    (tmp_path / what).symlink_to(tmp_path / "first")
    assert root_of(inner) == str(tmp_path)
    os.chown(middle, STRANGER, STRANGER, follow_symlinks=False)
    assert root_of(inner) == str(inner)
    assert f"{tmp_path / what} belongs to another user" in find_project(str(inner), {}).notice


def test_a_way_through_too_many_links(inner: Path, tmp_path: Path) -> None:
    """A way that is too long to be checked, such as a circle, is not obeyed."""
    plant(tmp_path)
    (tmp_path / "file").write_text("")
    path = tmp_path / ".taskmaster" / "config" / "workflow.yaml"
    for target in ("workflow.yaml", "a/../" * 600 + "../../file"):
        path.unlink()
        (path.parent / "a").mkdir(exist_ok=True)
        path.symlink_to(target)
        assert "leads through too many links" in find_project(str(inner), {}).notice


@pytest.mark.parametrize("what", [".taskmaster", ".taskmaster/config", ".taskmaster/config/workflow.yaml"])
def test_what_everybody_may_write_is_not_obeyed(inner: Path, tmp_path: Path, what: str) -> None:
    """What all users may change is passed over. A CI service makes checkouts so, and what it makes is obeyed."""
    plant(tmp_path)
    (tmp_path / what).chmod(0o777)
    assert root_of(inner) == str(inner)
    assert "is writable by all users" in find_project(str(inner), {}).notice
    assert root_of(inner, CI="true") == str(tmp_path)
    assert root_of(inner, TF_BUILD="True") == str(tmp_path)  # Azure sets no `CI`
    (tmp_path / what).chmod(0o775)  # as with the umask 002
    assert root_of(inner) == str(tmp_path)


@AS_ROOT
def test_a_checkout_of_a_ci_service(inner: Path, tmp_path: Path) -> None:
    """Under CI, a checkout may belong to another user than the job's, as in containers; but not to a third one."""
    (tmp_path / ".git").mkdir()
    for path in (tmp_path, plant(tmp_path), tmp_path / ".taskmaster" / "config"):
        os.chown(path, STRANGER, STRANGER)
    assert find_project(str(inner), {}).refusal
    assert not find_project(str(inner), {"CI": "true"}).refusal
    os.chown(tmp_path / ".taskmaster", STRANGER + 1, STRANGER)
    assert find_project(str(inner), {"CI": "true"}).refusal


@AS_ROOT
def test_a_folder_of_another_user_under_ci(inner: Path, tmp_path: Path) -> None:
    """Under CI, a folder that is no checkout may belong to another user only if the command is called in it."""
    for path in (tmp_path, plant(tmp_path)):
        os.chown(path, STRANGER, STRANGER)
    assert root_of(inner, CI="true") == str(inner)
    assert "belongs to another user" in find_project(str(inner), {"CI": "true"}).notice
    assert not find_project(str(tmp_path), {"CI": "true"}).refusal


def test_where_no_project_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a `.taskmaster` there, nothing is recorded in folders that are wider than a project."""
    wide = tmp_path / "wide"
    wide.mkdir()
    packages = tmp_path / "lib" / "site-packages" / "numpy"
    packages.mkdir(parents=True)
    monkeypatch.setattr(search, "_home", lambda: str(tmp_path))
    wide.chmod(0o1777)
    for folder, reason in (
        (Path("/"), "the root of the file system"),
        (tmp_path, "the home folder"),
        (packages, "a folder of installed packages"),
        (wide, "a folder that all users may write to"),
    ):
        assert f"{folder} is {reason}" in find_project(str(folder), {}, str(folder)).refusal
    assert find_project(str(wide), {"CI": "1"}).refusal
    plant(wide)
    assert not find_project(str(wide), {}).refusal
    wide.chmod(0o777)
    (wide / "below").mkdir(0o777)
    (wide / "below").chmod(0o777)
    (wide / "below" / ".git").mkdir()
    assert find_project(str(wide / "below"), {}).refusal
    assert not find_project(str(wide / "below"), {"CI": "1"}).refusal


def test_a_session_where_nothing_is_recorded(tmp_path: Path) -> None:
    """pytest runs as ever and says in one line why nothing is recorded, but not with ``-qq``; nothing is made."""
    wide = tmp_path / "wide"
    wide.mkdir()
    wide.chmod(0o1777)
    (wide / "test_a.py").write_text("def test_a(): pass")
    for quiet, count in (([], 1), (["-q"], 1), (["-qq"], 0)):
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *quiet]
        done = subprocess.run(command, cwd=wide, env=clean_environ(), capture_output=True, text=True, check=False)
        assert done.returncode == 0
        assert done.stdout.count("swarmtask: nothing is recorded: ") == count
        assert not (wide / ".taskmaster").exists()
    for words in (["emit", "TASK_STARTED"], ["run", "--", "true"]):
        done = subprocess.run(
            [sys.executable, "-m", "pytest_swarmtask", *words],
            cwd=wide, env=clean_environ(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0
        assert "nothing is recorded" in done.stderr
    done = subprocess.run(
        [sys.executable, "-m", "pytest_swarmtask", "status"],
        cwd=wide, env=clean_environ(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "name another one with --root" in done.stderr
    assert not (wide / ".taskmaster").exists()


@AS_ROOT
def test_triggers_of_a_stranger_do_not_run(lab: Lab) -> None:
    """A folder that somebody else has planted above a project neither runs commands nor gets events."""
    planted = lab.root
    rule = {"name": "r", "on": ["*"], "do": [{"action": "run", "command": ["touch", str(planted / "ran")]}]}
    lab.webhooks(automation_triggers={"rules": [rule]})
    os.chown(planted / ".taskmaster", STRANGER, STRANGER)
    victim = planted / "victim"
    victim.mkdir()
    (victim / "test_a.py").write_text("def test_a(): pass")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=victim, env=lab.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout.count("is not obeyed") == 1
    assert len(read_events(victim)) == 4
    assert not (planted / "ran").exists()
    assert not (planted / ".taskmaster" / "events").exists()


# -- a working directory that was removed ------------------------------------------------------------------------------


def in_removed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ours in a folder that was removed."""
    folder.mkdir(parents=True)
    command = 'cd "$0" && rmdir "$0" && exec "$@"'
    ours = [sys.executable, "-m", "pytest_swarmtask", *arguments]
    return subprocess.run(
        ["sh", "-c", command, str(folder), *ours], env=clean_environ(), capture_output=True, text=True, check=False
    )


def test_a_removed_folder_in_a_project(inner: Path) -> None:
    """In a folder that was removed, commands belong to the project that it was in."""
    plant(inner)
    assert in_removed(inner / "gone", "run", "--", "true").returncode == 0
    assert [event["event_type"] for event in read_events(inner)] == ["TASK_STARTED", "TASK_COMPLETED"]
    assert "2 events in 1 run" in in_removed(inner / "gone", "status").stdout


def test_a_removed_folder_without_a_project(inner: Path) -> None:
    """A removed folder is not made again, and no folder above it becomes a project."""
    done = in_removed(inner / "gone", "emit", "TASK_STARTED")
    assert (done.returncode, done.stderr) == (0, f"swarmtask: nothing is recorded: {inner / 'gone'} was removed\n")
    assert list(inner.parent.rglob("*")) == [inner]


def test_a_removed_folder_that_nothing_names(monkeypatch: pytest.MonkeyPatch, inner: Path) -> None:
    """If a process has changed its directory before that was removed, `PWD` is another one."""
    monkeypatch.chdir(inner)
    inner.rmdir()
    for environ in ({}, {"PWD": "relative"}, {"PWD": str(inner.parent)}):
        with pytest.raises(FileNotFoundError, match="the working directory was removed"):
            search.working_directory(environ)
    assert search.working_directory({"PWD": str(inner)}) == str(inner)
