"""Files that we create are readable for their owner only, under any umask."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from tests.lab import Lab, Receiver

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such modes")

PROGRAM = """
import os, subprocess, sys
os.umask({umask})
for command in {commands}:
    subprocess.run([sys.executable, "-m", *command], stdin=subprocess.DEVNULL, check=False)
"""


@pytest.mark.slow
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_for_the_owner_alone(lab: Lab, receiver: Receiver, umask: int) -> None:
    """After pytest, `emit`, `run`, delivery and readers, our folders are 0700, files 0600, finished segments 0400."""
    (lab.root / "test_one.py").write_text("def test_one():\n    pass\n")
    os.rmdir(lab.root / ".taskmaster")  # we then create the folder ourselves
    (lab.root / ".git").mkdir()
    commands = [
        ["pytest", "-q", "-p", "no:cacheprovider"],
        ["pytest_swarmtask.emit", "TASK_STARTED", "make_test"],
        ["pytest_swarmtask", "run", "--", "true"],
        ["pytest_swarmtask", "flush"],
        ["pytest_swarmtask", "doctor"],
        ["pytest_swarmtask", "report"],
    ]
    done = lab.python(PROGRAM.format(umask=umask, commands=commands), TRACEPARENT=f"00-{'1' * 32}-{'2' * 16}-01")
    assert done.returncode == 0, done.stderr
    receiver.wait(7)
    ours = lab.root / ".taskmaster"
    found = {path.name for path in ours.rglob("*")}
    assert {"events", "routes", "spans", "relay", "relay.log", "config-cache.json"} & found >= {
        "routes",
        "spans",
        "relay",
    }
    assert any(name.endswith(".jsonl") for name in found)
    assert any(".db" in name or ".sqlite" in name for name in found)
    modes = {str(path.relative_to(lab.root)): _mode(path) for path in (ours, *ours.rglob("*"))}
    finished = [name for name, mode in modes.items() if name.endswith(".jsonl") and mode == 0o400]
    assert finished
    wrong = {
        name: oct(mode)
        for name, mode in modes.items()
        if name not in finished and mode != (0o700 if (lab.root / name).is_dir() else 0o600)
    }
    assert wrong == {}


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)
