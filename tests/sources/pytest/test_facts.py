"""What the start of a session tells of its checkout, and what the user adds."""

from __future__ import annotations

import subprocess

import pytest

from tests.suite import Suite, words

FORBIDDEN = """
    import os, subprocess

    def forbidden(*args, **kwargs):
        raise AssertionError("no process may be started here")

    os.fork = os.posix_spawn = os.posix_spawnp = os.waitpid = subprocess.Popen = subprocess.run = forbidden
"""


def commit(project: Suite) -> None:
    """Make a checkout of the project, with all its files committed."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.invalid"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *arguments], cwd=project.root, check=True)


@pytest.mark.parametrize("arguments", [(), ("-n1",)], ids=words)
def test_dirty(project: Suite, arguments: tuple[str, ...]) -> None:
    """Changes of tracked files are told; that the session itself writes makes nothing dirty."""
    project.write(test_it="def test(): pass")
    commit(project)
    assert project.pytest(*arguments).start["metadata"]["dirty"] is False
    project.write(test_it="def test(): assert True")
    assert project.pytest(*arguments).start["metadata"]["dirty"] is True


def test_a_suite_that_forbids_processes(project: Suite) -> None:
    """What a conftest has patched is not used, and not noticed."""
    project.write(conftest=FORBIDDEN, test_it="def test(): pass")
    commit(project)
    session = project.pytest("-Werror")
    assert session.exit_code == 0
    assert session.start["metadata"]["dirty"] is False


def test_no_checkout(project: Suite) -> None:
    session = project.write(test_it="def test(): pass").pytest()
    assert not {"dirty", "commit", "branch"} & set(session.start["metadata"])


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
    """`task_integration.metadata` is on the session's start, with its variables filled in."""
    project.file(
        ".taskmaster/config/workflow.yaml",
        "task_integration: {metadata: {team: core, shard: 'shard ${SHARD}', image: '${IMAGE:-none}'}}",
    )
    start = project.write(test_it="def test(): pass").pytest(SHARD="7").start["metadata"]
    assert (start["team"], start["shard"], start["image"]) == ("core", "shard 7", "none")
