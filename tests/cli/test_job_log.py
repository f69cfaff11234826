"""In the log of a job of GitHub Actions, no text of an event is a command to the runner."""

from __future__ import annotations

import subprocess

import pytest

from tests.lab import Lab

HOSTILE = "first\n::error title=pwned::text\n  ::add-mask::a\n\t##[group]b\n::stop-commands::c"


def commands(output: str) -> list[str]:
    """Return the lines that the runner would execute."""
    return [line for line in output.splitlines() if line.lstrip().startswith(("::", "##["))]


@pytest.fixture
def hostile(lone: Lab) -> Lab:
    """A project whose failed test and task say what is a command to the runner."""
    lone.file("test_it.py", f"def test_a(): raise AssertionError({HOSTILE!r})")
    lone.run("run", "--id", "::error::id", "--", "sh", "-c", f"printf %s '{HOSTILE}' >&2; exit 1")
    lone.pytest()
    return lone


@pytest.mark.parametrize(
    "arguments",
    [("report",), ("report", "--last", "2"), ("tests", "test_a"), ("status",)],
    ids=" ".join,
)
def test_no_text_is_a_command(hostile: Lab, arguments: tuple[str, ...]) -> None:
    """What `report`, `tests` and `status` print of events is never executed."""
    done = hostile.run(*arguments, GITHUB_ACTIONS="true")
    assert done.returncode in (0, 1), done.stderr
    assert commands(done.stdout + done.stderr) == []


def test_a_command_can_still_be_read(hostile: Lab) -> None:
    """Only a space is added, and only in the log of a job: a file gets the text as it is."""
    elsewhere = hostile.run("report").stdout
    assert commands(elsewhere)
    there = hostile.run("report", GITHUB_ACTIONS="true").stdout
    assert there.replace(": :", "::").replace("# #[", "##[") == elsewhere
    path = hostile.root / "report.txt"
    with path.open("w") as file:
        subprocess.run(
            hostile.command("report"),
            cwd=hostile.root,
            env={**hostile.environ, "GITHUB_ACTIONS": "true"},
            stdout=file,
            check=False,
        )
    assert path.read_text() == elsewhere
