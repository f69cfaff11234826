"""A named pipe in the place of a file is never waited for."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.lab import Lab

pytestmark = pytest.mark.long

PLACES = [
    ".git",
    ".git/HEAD",
    ".git/packed-refs",
    ".git/refs/remotes/origin/HEAD",
    ".taskmaster/config/workflow.yaml",
    ".taskmaster/quarantine.yaml",
    ".taskmaster/events/durations.json",
    ".taskmaster/events/config.json",
    ".taskmaster/events/0123456789abcdef.jsonl",
    ".taskmaster/events/history.sqlite",
    ".taskmaster/events/clock",
    ".taskmaster/events/relay/relay.log",
    ".taskmaster/events/relay/relay.db",
    ".taskmaster/events/relay/clock",
    ".taskmaster/events/relay/annotations",
    ".taskmaster/tasks/tasks.json",
    ".taskmaster/state.json",
    "summary.md",
    "uv.lock",
    "requirements.txt",
]
COMMANDS = [
    ("emit", "TASK_STARTED", "b"),
    ("run", "--", "true"),
    ("status",),
    ("report",),
    ("flush", "--timeout", "1"),
    ("doctor",),
    ("explain",),
    ("gate",),
    ("quarantine", "check"),
]


@pytest.mark.parametrize("place", PLACES)
def test_nothing_waits_for_a_named_pipe(lab: Lab, place: str) -> None:
    """With a named pipe in any place that we read or write, a session and all commands come to their end."""
    if "config.json" in place:
        lab.webhooks()
    lab.file("test_it.py", "def test_a(): pass")
    path = lab.root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(lab.root / "summary.md")}
    done = lab.pytest("--swarmtask-shard=1/1", **environ)
    assert "1 passed" in done.stdout
    assert done.returncode == 0
    for command in COMMANDS:
        try:
            done = lab.run(*command, **environ)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{' '.join(command)} waits for {place}")
        assert "Traceback" not in done.stderr
