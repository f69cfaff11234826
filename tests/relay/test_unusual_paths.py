"""The relay where only the session's own path has the packages, as under PEX, Bazel and buildout."""

from __future__ import annotations

import re
import subprocess
import venv
from pathlib import Path

import msgspec
import pytest

from tests.lab import REPOSITORY, UNRELATED, WAIT, Lab, Receiver, once

PACKAGES = Path(msgspec.__file__).parents[1]
RUN = f"""
import sys
sys.path[:0] = {[str(REPOSITORY), str(PACKAGES)]}
import pytest
from pytest_swarmtask.recording import relay_launcher
{{extra}}
sys.exit(pytest.main(["-q", *{UNRELATED}]))
"""


@pytest.fixture
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python without any package."""

    def build(folder: Path) -> Path:
        venv.create(folder, with_pip=False)
        return folder

    return once(tmp_path_factory, "bare-python", build) / "bin" / "python"


def session(lab: Lab, python: Path, extra: str = "") -> str:
    """Run a session that sets the path itself, and return its output."""
    lab.file("test_it.py", "def test_it(): pass\n")
    lab.file("run.py", RUN.format(extra=extra))
    command = [str(python), "run.py"]
    done = subprocess.run(
        command, cwd=lab.root, env=lab.environ, capture_output=True, text=True, timeout=WAIT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_packages_on_the_path_of_the_session(lab: Lab, receiver: Receiver, bare: Path) -> None:
    """A relay finds the packages where the session has found them."""
    assert subprocess.run([str(bare), "-c", "import msgspec"], capture_output=True, check=False).returncode == 1
    assert "4 events delivered" in session(lab, bare)
    assert receiver.ids == lab.ids()
    lab.wait_for_end()
    assert not lab.log()


def test_packages_that_no_path_names(lab: Lab, receiver: Receiver, bare: Path) -> None:
    """Where the relay lacks a module, the session delivers itself, and a line names the module."""
    printed = session(lab, bare, extra="relay_launcher._PATH = ''")
    expected = r"warning: the relay cannot work \(No module named '\w+'\), so this session delivers its events itself"
    assert re.search(expected, printed), printed
    assert receiver.ids == lab.ids()
