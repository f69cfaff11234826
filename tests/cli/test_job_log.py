"""In the log of a job, no text of an event is a command to the CI service."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_swarmtask.cli.job_log import guard_job_log
from tests.lab import Lab, once

HOSTILE = """first ##teamcity[a]
::error title=pwned::text
  ::add-mask::a
\t##[group]b ::c
in the ##[error]middle
##vso[task.complete]a
in the ##VSO[a.b]middle
##teamcity[b]
"""
COMMANDS = {
    "GITHUB_ACTIONS": r"^\s*::|##\[",
    "TF_BUILD": r"##(vso)?\[",
    "TEAMCITY_VERSION": r"##teamcity\[",
}
SERVICES = pytest.mark.parametrize("service", COMMANDS)


def commands(service: str, output: str) -> list[str]:
    """Return the lines that the service would execute."""
    return [line for line in output.splitlines() if re.search(COMMANDS[service], line, re.IGNORECASE)]


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A project whose failed test and task say what is a command to the service. Tests only read it."""
    return once(tmp_path_factory, "commands", _hostile)


def _hostile(folder: Path) -> Lab:
    made = Lab(folder)
    made.file("test_it.py", f"def test_a(): raise AssertionError({HOSTILE!r})")
    for identity in ("::error::id", "##vso[task.complete]id", "##teamcity[id]"):
        script = f"cat >&2 <<'END'\n{HOSTILE}END\nexit 1"
        made.run("run", "--id", identity, "--", "sh", "-c", script)
    made.pytest()
    return made


@SERVICES
@pytest.mark.parametrize(
    "arguments",
    [("report",), ("report", "--last", "4"), ("tests", "test_a"), ("status",), ("flush",)],
    ids=" ".join,
)
def test_no_text_is_a_command(hostile: Lab, arguments: tuple[str, ...], service: str) -> None:
    """What `report`, `tests` and the other commands print of events is never executed."""
    done = hostile.run(*arguments, **{service: "true"})
    assert done.returncode in (0, 1), done.stderr
    assert commands(service, done.stdout + done.stderr) == []


@SERVICES
def test_no_error_is_a_command(lone: Lab, service: str) -> None:
    """Services read both outputs."""
    done = lone.run("report", "--run", "##vso[task.complete] ##[error] ##teamcity[buildStop]", **{service: "true"})
    assert done.stderr
    assert commands(service, done.stderr) == []


def test_a_command_can_still_be_read(hostile: Lab, tmp_path: Path) -> None:
    """Only a space is added, and only in the log of a job: a file gets the text as it is."""
    elsewhere = hostile.run("report").stdout
    assert [service for service in COMMANDS if not commands(service, elsewhere)] == []
    there = hostile.run("report", GITHUB_ACTIONS="true").stdout
    assert there.replace(": :", "::").replace("# #[", "##[") == elsewhere
    path = tmp_path / "report.txt"
    with path.open("w") as file:
        subprocess.run(
            hostile.command("report"),
            cwd=hostile.root,
            env={**hostile.environ, "GITHUB_ACTIONS": "true"},
            stdout=file,
            check=False,
        )
    assert path.read_text() == elsewhere


def test_annotations_are_commands(lone: Lab) -> None:
    """`flush` prints what relays have left for the log as it is."""
    lone.run("run", "--", "true")
    annotations = lone.project.annotations
    lone.file(".taskmaster/events/relay/annotations", "::error title=a::b\n")
    assert annotations.endswith("relay/annotations")
    assert "::error title=a::b\n" in lone.run("flush", GITHUB_ACTIONS="true").stdout


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((" ", "::a"), " : :a"),
        (("a", "::b"), "a::b"),
        (("a\n", "::b"), "a\n: :b"),
        (("a\r::b",), "a\r: :b"),
        (("a ##[b] ##[c]",), "a # #[b] # #[c]"),
    ],
)
def test_lines_in_pieces(monkeypatch: pytest.MonkeyPatch, pieces: tuple[str, ...], expected: str) -> None:
    """A line may be written in several pieces, and ends at a carriage return, too."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    reading, writing = os.pipe()
    with open(reading, "rb") as log, open(writing, "w", newline="") as output:
        monkeypatch.setattr(sys, "stdout", output)
        monkeypatch.setattr(sys, "stderr", None)
        guard_job_log()
        for piece in pieces:
            sys.stdout.write(piece)
        sys.stdout.flush()
        assert os.read(log.fileno(), 100).decode() == expected
