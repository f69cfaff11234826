"""The entry point of recipes ends its process at once, without losing output, exit codes or what plug-ins do then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_swarmtask import recipe
from pytest_swarmtask.emit import help_text
from tests.lab import clean_environ, read_events


def run(root: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a shell line in which `recipe` is the entry point."""
    text = f'recipe() {{ "{sys.executable}" -S "{recipe.__file__}" "$@"; }}; {line}'
    return subprocess.run(
        ["sh", "-c", text], cwd=root, env=clean_environ(), capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".taskmaster").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("line", "code", "types"),
    [
        ("recipe emit TASK_STARTED a", 0, ["TASK_STARTED"]),
        ("recipe emit NONSENSE", 2, []),
        ("recipe run -- sh -c 'exit 3'", 3, ["TASK_STARTED", "TASK_FAILED"]),
        ("recipe run -- sh -c 'kill -9 $$'", 137, ["TASK_STARTED", "TASK_FAILED"]),
    ],
)
def test_exit_codes_and_events(root: Path, line: str, code: int, types: list[str]) -> None:
    assert run(root, line).returncode == code
    assert [event["event_type"] for event in read_events(root)] == types


def test_output_in_a_pipe_is_complete(root: Path) -> None:
    assert run(root, "recipe emit --help | cat").stdout == f"{help_text()}\n"
    assert "expected one of" in run(root, "recipe emit NONSENSE").stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_that_cannot_be_written_fails_as_python_does(root: Path) -> None:
    assert run(root, "recipe emit --help > /dev/full").returncode == 120


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_files(root: Path, closed: str) -> None:
    assert run(root, f"recipe emit TASK_STARTED a {closed}").returncode == 0
    assert len(read_events(root)) == 1
