"""`swarmtask run` returns the command's exit code, or else the code that a shell would return."""

from __future__ import annotations

import errno
import json
import os
import signal

import pytest

from tests.watched import Watched

ALL = """
import sys
from pytest_swarmtask.sources.command.run import main
print([main(["--tail", tail, "--", "sh", "-c", f"exit {code}"]) for code in range(256) for tail in "02"])
"""


@pytest.mark.parametrize("code", [0, 1, 2, 77, 126, 127, 128, 130, 137, 255])
@pytest.mark.parametrize("tail", ["0", "20"])
def test_the_command_s_own(watched: Watched, code: int, tail: str) -> None:
    """The exit code equals the command's, also in the end event."""
    assert watched.run("--tail", tail, "--", "sh", "-c", f"exit {code}").returncode == code
    metadata = watched.end()["metadata"]
    assert (metadata["exit_code"], metadata["success"]) == (code, code == 0)
    assert metadata.get("error") == (f"exit code {code}" if code else None)
    assert "signal" not in metadata


def test_all_there_are(watched: Watched) -> None:
    """Every exit code from 0 to 255 is passed on."""
    done = watched.plain(watched.command[0], "-c", ALL)
    assert done.stdout.decode() == f"{[code for code in range(256) for _ in range(2)]}\n"
    assert len(watched.events()) == 1024


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGSEGV", "SIGINT", "SIGPIPE", "SIGUSR1"])
def test_killed_by_a_signal(watched: Watched, name: str) -> None:
    """If a signal kills the command, the exit code is 128 plus its number, and the event names the signal."""
    number = getattr(signal, name)
    assert watched.run("--", "sh", "-c", f"ulimit -c 0; kill -{number} $$").returncode == 128 + number
    end = watched.end()
    assert end["event_type"] == "TASK_FAILED"
    assert end["metadata"].items() >= {"exit_code": 128 + number, "signal": name, "error": f"killed by {name}"}.items()


@pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="no real-time signals here")
def test_a_signal_without_a_name(watched: Watched) -> None:
    """A real-time signal, which has no name, is recorded by its number."""
    number = int(signal.SIGRTMIN) + 2
    assert watched.run("--", "sh", "-c", f"kill -{number} $$").returncode == 128 + number
    assert watched.end()["metadata"]["signal"] == f"signal {number}"


def refused(watched: Watched, *command: str, **environ: str) -> tuple[int, str]:
    """Return the exit code and the message, and check that the event contains the same."""
    done = watched.run("--", *command, **environ)
    assert done.stdout == b""
    said = done.stderr.decode()
    assert said.startswith("swarmtask: ")
    assert said.count("\n") == 1
    end = watched.end()
    assert end["event_type"] == "TASK_FAILED"
    assert end["metadata"]["exit_code"] == done.returncode
    assert end["metadata"]["error"] == said[len("swarmtask: ") : -1]
    assert end["metadata"]["success"] is False
    assert "duration" in end["metadata"]
    return done.returncode, end["metadata"]["error"]


def test_no_such_command(watched: Watched) -> None:
    """A command that is not on the PATH gives 127."""
    assert refused(watched, "no-such-command", "x") == (127, "no-such-command: command not found")


def test_no_such_file(watched: Watched) -> None:
    """A path that does not exist gives 127."""
    assert refused(watched, "./nothing") == (127, f"./nothing: {os.strerror(errno.ENOENT)}")


def test_an_empty_name(watched: Watched) -> None:
    """An empty command name gives 127."""
    assert refused(watched, "") == (127, "'': command not found")


def test_no_interpreter(watched: Watched) -> None:
    """A script whose interpreter is missing gives 127, and the message says so."""
    watched.file("script", "#!/no/such/interpreter\n", 0o755)
    code, error = refused(watched, "./script")
    assert code == 127
    assert "interpreter" in error


def test_not_executable(watched: Watched) -> None:
    """A path to a file that is not executable gives 126."""
    watched.file("data", "#!/bin/sh\n")
    assert refused(watched, "./data") == (126, f"./data: {os.strerror(errno.EACCES)}")


def test_not_executable_on_the_path(watched: Watched) -> None:
    """A file on the PATH that is not executable gives 126."""
    watched.tool("tool-that-is-none", "").chmod(0o644)
    assert refused(watched, "tool-that-is-none") == (126, f"tool-that-is-none: {os.strerror(errno.EACCES)}")


def test_a_folder(watched: Watched) -> None:
    """A folder gives 126."""
    assert refused(watched, "/") == (126, f"/: {os.strerror(errno.EISDIR)}")


def test_below_a_file(watched: Watched) -> None:
    """A path below a file gives 126."""
    watched.file("data", "")
    assert refused(watched, "./data/command")[0] == 126


def test_a_binary_of_another_kind(watched: Watched) -> None:
    """A file that the system cannot execute gives 126."""
    watched.file("binary", b"\x7fELF\0\0\0\0", 0o755)
    assert refused(watched, "./binary") == (126, f"./binary: {os.strerror(errno.ENOEXEC)}")


def test_arguments_too_long_for_the_system(watched: Watched) -> None:
    """If the system refuses the arguments as too long, the exit code is 126."""
    program = (
        "import sys; from pytest_swarmtask.sources.command.run import main; sys.exit(main(['true', 'x' * 5_000_000]))"
    )
    done = watched.plain(watched.command[0], "-c", program)
    assert (done.returncode, done.stderr.decode()) == (126, f"swarmtask: true: {os.strerror(errno.E2BIG)}\n")
    assert len(json.dumps(watched.end())) < 16_000


def test_a_script_without_a_first_line(watched: Watched) -> None:
    """A script without an interpreter line is run by the shell, by its path or from the PATH."""
    watched.file("script", 'echo "$0|$1"\nexit 4\n', 0o755)
    done = watched.run("--", "./script", "a b")
    assert (done.returncode, done.stdout) == (4, b"./script|a b\n")
    watched.tool("a-script", "").write_text("exit 5\n")
    assert watched.run("--", "a-script").returncode == 5


def test_an_unreadable_part_of_the_path(watched: Watched) -> None:
    """PATH entries that do not exist or are files do not change the result for a missing command."""
    path = os.pathsep.join([str(watched.file("data", "")), "/nowhere", os.environ["PATH"]])
    assert refused(watched, "no-such-command", PATH=path)[0] == 127
