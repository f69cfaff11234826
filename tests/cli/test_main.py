"""The command itself: its version and help, its exit codes, and closed or full outputs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import pytest_swarmtask
from tests.lab import Lab


def test_version(lab: Lab) -> None:
    """`--version` prints the name of the package and its version."""
    done = lab.run("--version")
    assert (done.returncode, done.stdout) == (0, f"pytest-swarmtask {pytest_swarmtask.__version__}\n")


def test_help_names_every_command(lab: Lab) -> None:
    """`--help` lists the commands."""
    done = lab.run("--help")
    assert done.returncode == 0
    for command in ("emit", "status", "flush", "doctor", "listen", "config", "secret"):
        assert command in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["status", "--nonsense"],
        ["flush", "--timeout", "soon"],
        ["flush", "--timeout", "-1"],
        ["flush", "--timeout", "inf"],
        ["emit"],
    ],
    ids=" ".join,
)
def test_bad_usage(lab: Lab, arguments: list[str]) -> None:
    """An unknown command, option or value exits with 2 and prints a message on stderr, without a traceback."""
    done = lab.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command", [["status"], ["flush"], ["doctor"], ["config", "validate"], ["config", "show"]], ids=" ".join
)
def test_a_folder_that_is_not_there(lab: Lab, command: list[str]) -> None:
    """`--root` with a folder that does not exist exits with 2, and the message names the folder."""
    done = lab.run(*command, "--root", "/no/such/folder")
    assert (done.returncode, done.stdout) == (2, "")
    assert "/no/such/folder" in done.stderr


def test_the_console_script(lab: Lab) -> None:
    """`swarmtask` does the same as `python -m pytest_swarmtask`."""
    script = Path(sysconfig.get_path("scripts"), "swarmtask")
    if not script.exists():
        pytest.skip("the package is not installed")
    done = subprocess.run([script, "--version"], env=lab.environ, capture_output=True, text=True, check=False)
    assert done.stdout == lab.run("--version").stdout


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["status --json", "config schema", "doctor --no-ping", "--help"])
def test_a_reader_that_goes_away(lab: Lab, command: str, unbuffered: str) -> None:
    """A command whose output is closed early, as by `head`, exits normally and without a traceback."""
    script = f'{{ "$0" -m pytest_swarmtask {command}; echo $? >&2; }} | true'
    environ = {**lab.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable],
        cwd=lab.root,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == "0\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_output(lab: Lab, unbuffered: str) -> None:
    """If the output cannot be written, the command reports the failure without a traceback."""
    environ = {**lab.environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            lab.command("status"),
            cwd=lab.root,
            env=environ,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "swarmtask: [Errno 28] No space left on device\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("redirect", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize(
    "arguments", [("status", "--nonsense"), ("config", "validate", "missing"), ("emit", "not a type")]
)
def test_nobody_can_be_told(lab: Lab, redirect: str, arguments: tuple[str, ...]) -> None:
    """A usage error has its exit code even if standard error cannot be written."""
    script = f'"$0" -m pytest_swarmtask "$@" >/dev/null {redirect}'
    done = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable, *arguments], cwd=lab.root, env=lab.environ, timeout=60, check=False
    )
    assert done.returncode == 2


def test_interrupted(lab: Lab) -> None:
    """Ctrl-C ends a command with 130 and without a traceback."""
    lab.record(3, TASKMASTER_WEBHOOK_URL="http://127.0.0.1:9/")
    lab.kill()
    flush = subprocess.Popen(
        lab.command("flush", "--timeout", "60"),
        cwd=lab.root,
        env={**lab.environ, "TASKMASTER_WEBHOOK_URL": "http://127.0.0.1:9/"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert flush.stderr is not None
    assert "cannot connect" in flush.stderr.readline()
    flush.send_signal(signal.SIGINT)
    _, errors = flush.communicate(timeout=60)
    assert flush.returncode == 130
    assert "Traceback" not in errors
    assert lab.status()["endpoints"]["default"]["waiting"] == 3


def test_found_from_below(lab: Lab) -> None:
    """A command finds its project from a subfolder, and with `--root` from anywhere."""
    lab.emit("TASK_STARTED", TASKMASTER_WEBHOOK_URL="")
    below = lab.root / "a" / "b"
    below.mkdir(parents=True)
    for folder, arguments in ((below, []), (Path("/"), ["--root", str(lab.root)])):
        done = subprocess.run(
            lab.command("status", *arguments), cwd=folder, env=lab.environ, capture_output=True, text=True, check=False
        )
        assert "1 event in 1 run" in done.stdout
    shutil.rmtree(below)
