"""The start event of a session describes the checkout and has the user's metadata."""

from __future__ import annotations

import subprocess

import pytest

from tests.suite import WITH_WORKER, Suite, words

FORBIDDEN = """
    import os, subprocess

    def forbidden(*args, **kwargs):
        raise AssertionError("no process may be started here")

    os.fork = os.posix_spawn = os.posix_spawnp = os.waitpid = subprocess.Popen = subprocess.run = forbidden
"""


def commit(project: Suite) -> None:
    """Make the project a git checkout with all files committed."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.invalid"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *arguments], cwd=project.root, check=True)


@pytest.mark.parametrize("arguments", [(), WITH_WORKER], ids=words)
def test_dirty(project: Suite, arguments: tuple[str, ...]) -> None:
    """The start event shows changes of tracked files. Files that the session itself writes do not count."""
    project.write(test_it="def test(): pass")
    commit(project)
    assert project.pytest(*arguments).start["metadata"]["dirty"] is False
    project.write(test_it="def test(): assert True")
    assert project.pytest(*arguments).start["metadata"]["dirty"] is True


def test_a_suite_that_forbids_processes(project: Suite) -> None:
    """If a conftest forbids processes, the state of the checkout is still found."""
    project.write(conftest=FORBIDDEN, test_it="def test(): pass")
    commit(project)
    session = project.pytest("-Werror")
    assert session.exit_code == 0
    assert session.start["metadata"]["dirty"] is False


def test_no_checkout(project: Suite) -> None:
    session = project.write(test_it="def test(): pass").pytest()
    assert not {"dirty", "commit", "branch"} & set(session.start["metadata"])


def test_the_command_line_names_no_folder_of_this_machine(project: Suite) -> None:
    """Editors pass absolute paths: those in the project are recorded relative to it."""
    project.write(test_it="def test(): pass")
    session = project.pytest(f"--rootdir={project.root}", f"{project.root / 'test_it.py'}::test")
    assert session.exit_code == 0
    assert session.start["metadata"]["arguments"][-2:] == ["--rootdir=.", "test_it.py::test"]


def test_only_the_outermost_session_asks_git(project: Suite) -> None:
    project.write(
        conftest="pytest_plugins = ['pytester']",
        test_it="""
            def test_outer(pytester):
                pytester.makepyfile("def test_inner(): pass")
                pytester.runpytest_inprocess("-pno:hypothesispytest", "-p", "swarmtask")
        """,
    )
    commit(project)
    starts = [event["metadata"] for event in project.pytest("--basetemp=inner").of("TASK_STARTED")]
    assert ["dirty" in start for start in starts] == [True, False]


def test_additions_of_the_user(project: Suite) -> None:
    """The start event has the values of `task_integration.metadata`, with variables replaced."""
    project.file(
        ".taskmaster/config/workflow.yaml",
        "task_integration: {metadata: {team: core, shard: 'shard ${SHARD}', image: '${IMAGE:-none}'}}",
    )
    start = project.write(test_it="def test(): pass").pytest(SHARD="7").start["metadata"]
    assert (start["team"], start["shard"], start["image"]) == ("core", "shard 7", "none")
