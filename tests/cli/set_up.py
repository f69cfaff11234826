"""What the tests of `swarmtask init` and `make-include` share: an empty project, and running commands in it."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_swarmtask.cli.main import main
from tests.lab import clean_environ, run_process


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty folder whose name contains characters that shells and make would split."""
    folder = tmp_path / "my project"
    folder.mkdir()
    return folder


def swarmtask(root: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, which takes a tenth of the time of a new process."""
    output, errors = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        patch.chdir(root)
        patch.setattr(os, "environ", clean_environ(**environ))
        code = main(arguments)
    return subprocess.CompletedProcess(arguments, code, output.getvalue(), errors.getvalue())


def run(command: Sequence[str], root: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run any command in a folder."""
    return run_process(command, root, clean_environ(**environ))


def ok(done: subprocess.CompletedProcess[str]) -> str:
    """Return the output of a command that has succeeded and complained of nothing."""
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Return the message of a command that has done nothing."""
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("swarmtask: ")
    assert "Traceback" not in done.stderr
    return done.stderr


def said(output: str) -> dict[str, str]:
    """Return the word that the output gives for each file."""
    pattern = r"^(created|unchanged|overwritten|kept|would create|would overwrite) +(\S+)"
    return {path: word for word, path in re.findall(pattern, output, re.MULTILINE)}
