"""Problems in the environment never affect the command, and cause at most one line of output."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.watched import Watched

WORKFLOW = ".taskmaster/config/workflow.yaml"


def test_the_environment(watched: Watched) -> None:
    """The command gets our environment plus `TRACEPARENT`, also with bytes that are no text."""
    environ = {
        **{name.encode(): value.encode() for name, value in watched.environ().items()},
        b"ODD": b"caf\xe9",
        b"EMPTY": b"",
    }
    command = ["env", "-0"]
    got, alone = (
        subprocess.run([*before, *command], cwd=watched.root, env=environ, capture_output=True, check=True).stdout
        for before in ([*watched.command, "--"], [])
    )
    assert {setting for setting in got.split(b"\0") if not setting.startswith(b"TRACEPARENT=")} == set(
        alone.split(b"\0")
    )
    assert b"TRACEPARENT=00-" in got


@pytest.mark.skipif(not os.path.exists("/proc/self/environ"), reason="only Linux can tell what was there before")
@pytest.mark.parametrize("given", [{}, {"LC_CTYPE": "C"}, {"LC_CTYPE": "C.UTF-8"}], ids=str)
def test_the_locale(watched: Watched, given: dict[str, str]) -> None:
    """The locale that Python sets for its children (PEP 538) does not reach the command."""
    environ = {
        name: value for name, value in watched.environ().items() if not name.startswith(("LC_", "LANG", "PYTHON"))
    }
    for options in ({}, {"SWARMTASK_DISABLED": "1"}):
        command = [*watched.command, "--", "sh", "-c", "echo ${LC_CTYPE-unset}"]
        done = subprocess.run(
            command, cwd=watched.root, env={**environ, **given, **options}, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == given.get("LC_CTYPE", "unset")


@pytest.mark.parametrize("off", ["variable", "configuration"])
def test_switched_off(watched: Watched, off: str) -> None:
    """If recording is off, `swarmtask run` replaces itself with the command and writes nothing.
    The codes stay the same.
    """
    if off == "configuration":
        watched.file(WORKFLOW, "task_integration: {enabled: false}\n")
    environ = {"SWARMTASK_DISABLED": "1"} if off == "variable" else {}
    done = watched.run("--", "sh", "-c", "echo $TRACEPARENT; echo x >&2; exit 5", **environ)
    assert (done.returncode, done.stdout, done.stderr) == (5, b"\n", b"x\n")
    assert watched.run("--", "sh", "-c", "kill -9 $$", **environ).returncode == -9
    missing = watched.run("--", "no-such-command", **environ)
    assert (missing.returncode, missing.stderr) == (127, b"swarmtask: no-such-command: command not found\n")
    watched.file("data", "")
    assert watched.run("--", "./data", **environ).returncode == 126
    watched.file("script", "exit 6\n", 0o755)
    assert watched.run("--", "./script", **environ).returncode == 6
    assert watched.run("--metadata", "{", "--", "true", **environ).returncode == 2
    assert watched.events() == []


def test_nowhere_to_write(watched: Watched) -> None:
    """If the journal cannot be written, the command keeps its exit code, and one line reports the loss."""
    (watched.root / ".taskmaster").rmdir()
    watched.file(".taskmaster", "in the way")
    done = watched.run("--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.returncode, done.stdout) == (3, b"out\n")
    err, said, rest = done.stderr.decode().split("\n")
    assert (err, rest) == ("err", "")
    assert said.startswith("swarmtask: events could not be written")


@pytest.mark.skipif(not os.path.exists("/dev/full") or os.getuid() == 0, reason="root may write anywhere")
def test_a_read_only_project(watched: Watched) -> None:
    """In a read-only project, the command keeps its exit code, and one line is printed."""
    (watched.root / ".taskmaster").chmod(0o500)
    done = watched.run("--", "sh", "-c", "exit 3")
    (watched.root / ".taskmaster").chmod(0o700)
    assert done.returncode == 3
    assert done.stderr.count(b"\n") == 1


def test_the_journal_is_removed_meanwhile(watched: Watched) -> None:
    """If the command removes the journal, as `git clean` does, the exit code is kept and one line is printed."""
    done = watched.run("--", "sh", "-c", "rm -r .taskmaster; exit 3")
    assert done.returncode == 3
    assert done.stderr.count(b"\n") == 1
    assert b"removed" in done.stderr


def test_an_invalid_configuration(watched: Watched) -> None:
    """An invalid configuration prints one line, and events are recorded with the defaults."""
    watched.file(WORKFLOW, "nonsense: 1\ntask_integration: {drain-timeout: 1}\n")
    done = watched.run("--", "sh", "-c", "exit 3")
    assert done.returncode == 3
    assert done.stderr.count(b"\n") == 1
    assert b"nonsense" in done.stderr
    watched.pair("sh")


def test_no_folder_to_stand_in(watched: Watched) -> None:
    """In a deleted working directory, the command runs without events, and one line is printed."""
    done = watched.shell("mkdir gone && cd gone && rmdir ../gone && swarmtask run -- sh -c 'echo ran; exit 3'")
    assert (done.returncode, done.stdout) == (3, b"ran\n")
    assert done.stderr.decode().count("swarmtask: ") == 1
    assert "Traceback" not in done.stderr.decode()


def test_very_many_open_files(watched: Watched) -> None:
    """With more open files than `select` supports, the command still runs, with or without events."""
    program = (
        "import os, resource, sys\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, int(sys.argv[1]) + 100), hard))\n"
        "fd = os.open('/dev/null', os.O_RDONLY)\n"
        "while fd < int(sys.argv[1]): fd = os.dup(fd); os.set_inheritable(fd, True)\n"
        "os.execv(sys.argv[2], sys.argv[2:])"
    )
    for count in ("1015", "1021", "1100"):
        command = [*watched.command, "--", "sh", "-c", "echo x >&2; exit 3"]
        done = watched.plain(sys.executable, "-c", program, count, *command)
        assert done.returncode == 3
        assert done.stderr.startswith(b"x\n") or done.stderr.endswith(b"\nx\n")


def test_nobody_to_tell(watched: Watched) -> None:
    """The exit code is the same if standard error is closed or full, and standard output stays empty."""
    for redirect in ("2>&-", "2>/dev/full"):
        done = watched.shell(f"swarmtask run -- no-such-command {redirect}")
        assert (done.returncode, done.stdout) == (127, b"")


@pytest.mark.parametrize("webhook", [False, True])
def test_a_webhook_that_does_not_answer(watched: Watched, webhook: bool) -> None:
    """A webhook that does not answer changes nothing for the command, also if standard files are closed."""
    environ = {"TASKMASTER_WEBHOOK_URL": "http://127.0.0.1:9/"} if webhook else {}
    for closed in ("", "<&-", ">&-", "2>&-"):
        done = watched.shell(f"swarmtask run -- sh -c 'exit 3' {closed}", **environ)
        assert (done.returncode, done.stdout, done.stderr) == (3, b"", b"")
    assert len(watched.events()) == 8
    watched.kill()


def test_nothing_heavy_is_loaded(watched: Watched) -> None:
    """`swarmtask run` loads no module that it does not need."""
    program = "import sys; from pytest_swarmtask.cli.main import main; main(['run', '--', 'true']); print(*sys.modules)"
    done = watched.plain(sys.executable, "-c", program, COVERAGE_PROCESS_CONFIG="")
    heavy = {
        "argparse",
        "asyncio",
        "difflib",
        "enum",
        "httpx",
        "logging",
        "msgspec",
        "pathlib",
        "pytest",
        "rich",
        "selectors",
        "shlex",
        "socket",
        "sqlite3",
        "subprocess",
        "tempfile",
        "termios",
        "threading",
        "typing",
        "yaml",
    }
    assert not heavy & set(done.stdout.decode().split())
