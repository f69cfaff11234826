"""The examples in `docs/tasks.md` work as documented."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml

from tests.lab import REPOSITORY, Lab, wait_until
from tests.relay.tasks.board import Board, subtask, task

TEXT = (REPOSITORY / "docs" / "tasks.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """Return the examples in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def project(lab: Lab, board: Board) -> Lab:
    """A project with task 5.2, and with the marked test and the first configuration of the document."""
    board.write(task(5, subtasks=[subtask(1), subtask(2)]))
    (lab.root / ".taskmaster" / "config").mkdir()
    (lab.root / ".taskmaster" / "config" / "workflow.yaml").write_text(blocks("yaml")[0])
    (lab.root / "test_login.py").write_text(blocks("python")[0])
    return lab


def test_the_marked_test_and_the_configuration(project: Lab, board: Board) -> None:
    """The marked test and the configuration are enough to complete the task."""
    assert project.pytest().returncode == 0
    wait_until(lambda: board.statuses() == {"5": "in-progress", "5.1": "pending", "5.2": "done"}, "the status")


def test_the_commands(project: Lab, board: Board) -> None:
    """The documented commands do what the document says, one after the other."""
    commands = re.findall(r"^\$ (swarmtask .*)$", "\n".join(blocks("console")), re.MULTILINE)
    assert len(commands) == TEXT.count("$ swarmtask") == 3
    (project.root / ".taskmaster" / "config" / "workflow.yaml").unlink()
    project.pytest()
    results = [
        subprocess.run(
            f"{sys.executable} -m pytest_swarmtask {command.removeprefix('swarmtask')}",
            shell=True,
            cwd=project.root,
            env=project.environ,
            check=False,
            stdout=subprocess.DEVNULL,
        ).returncode
        for command in commands
    ]
    assert results == [0, 1, 0]
    assert board.statuses()["5.2"] == "done"


def test_the_python_example(project: Lab) -> None:
    (project.root / ".taskmaster" / "config" / "workflow.yaml").unlink()
    project.pytest()
    _, program = blocks("python")
    printed = re.findall(r"# such as (.*)", program)
    assert [project.python(program).stdout.strip()] == printed


@pytest.mark.parametrize("example", blocks("yaml"))
def test_the_configurations(lab: Lab, board: Board, example: str) -> None:
    """`swarmtask config validate` accepts the documented configurations without a note."""
    assert yaml.safe_load(example)
    (lab.root / ".taskmaster" / "config").mkdir()
    (lab.root / ".taskmaster" / "config" / "workflow.yaml").write_text(example)
    done = lab.run("config", "validate")
    assert (done.returncode, "note:" in done.stdout) == (0, False), done.stderr
