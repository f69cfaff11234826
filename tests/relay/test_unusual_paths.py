"""The relay where only the session's own path has the packages, as under PEX, Bazel and buildout."""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from pathlib import Path

import msgspec
import pytest

import pytest_swarmtask
from tests.lab import UNRELATED, WAIT, Lab, Receiver, once

PACKAGES = Path(msgspec.__file__).parents[1]
RUN = f"""
import sys
sys.path[:0] = [sys.argv[1], {str(PACKAGES)!r}]
import pytest
from pytest_swarmtask.core.facts.process import PATH_AT_START
{{extra}}
sys.exit(pytest.main(["-q", "--swarmtask-drain-timeout=60", *{UNRELATED}]))
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
    lab.file("own/none", "")
    (lab.root / "own" / "pytest_swarmtask").symlink_to(Path(pytest_swarmtask.__file__).parent)
    command = [str(python), "run.py", str(lab.root / "own")]
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
    printed = session(lab, bare, extra="PATH_AT_START.clear()")
    expected = r"warning: the relay cannot work \(No module named '\w+'\), so this session delivers its events itself"
    assert re.search(expected, printed), printed
    assert receiver.ids == lab.ids()


def test_modules_of_the_project_are_not_ours(lab: Lab, receiver: Receiver) -> None:
    """A module of the project never takes the place of one that the system lacks, such as `msvcrt`."""
    lab.file("conftest.py", "")
    lab.file("msvcrt.py", "raise RuntimeError('not for you')\n")
    lab.file("test_it.py", "import sys\ndef test_it(): assert sys.path[0] == sys.argv[-1]\n")
    program = [sys.executable, str(Path(sys.executable).with_name("pytest"))]
    done = lab._run(
        [*program, "-q", "--swarmtask-drain-timeout=60", "--swarmtask-report=report.html", *UNRELATED, str(lab.root)],
        {},
    )
    assert (done.returncode, lab.log()) == (0, ""), done.stdout
    assert receiver.ids == lab.ids()
    assert (lab.root / "report.html").exists()


def test_the_working_directory_is_not_handed_down(lab: Lab) -> None:
    """`python -m pytest` has it on its path."""
    program = "from pytest_swarmtask.core.facts.process import PATH_AT_START; print(*PATH_AT_START, sep='\\n')"
    listed = lab.python(program, PYTHONPATH=f"{lab.root}:{lab.root / 'lib'}:relative").stdout.splitlines()
    assert str(lab.root / "lib") in listed
    assert str(lab.root) not in listed
    assert all(Path(entry).is_absolute() for entry in listed)
