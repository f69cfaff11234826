"""The command keeps its standard input, output and error, and a failure records the end of standard error."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_swarmtask.core.event import MASK
from pytest_swarmtask.redaction.redactor import Redactor
from pytest_swarmtask.sources.command.stderr import Stderr
from tests.watched import PATIENCE, Watched, wait_for


def tail(watched: Watched) -> str:
    """Return the end of standard error from the end event."""
    text: str = watched.end()["metadata"]["stderr_tail"]
    return text


# -- passing on ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--tail", "0"]], ids=["with tail", "without"])
def test_all_bytes_pass(watched: Watched, options: list[str]) -> None:
    """Standard input, output and error are passed on byte for byte."""
    everything = bytes(range(256)) * 3
    done = watched.fed(everything, *watched.command, *options, "--", "sh", "-c", "tee /dev/stderr")
    assert (done.returncode, done.stdout, done.stderr) == (0, everything, everything)


def test_twenty_megabytes(watched: Watched) -> None:
    """20 MB on standard error arrive completely and quickly."""
    program = "import os, sys; sys.stderr.buffer.write(os.urandom(1 << 20) * 20); sys.exit(1)"
    begun = time.monotonic()
    done = watched.run("--", sys.executable, "-c", program)
    assert time.monotonic() - begun < PATIENCE / 2
    assert len(done.stderr) == 20 << 20
    assert len(json.dumps(watched.end())) < 16_384


def test_a_slow_reader(watched: Watched) -> None:
    """A slow reader gets all output in order, and the command waits for it."""
    program = "import sys; sys.stderr.write(''.join(f'{n}\\n' for n in range(200_000)))"
    expected = "".join(f"{n}\n" for n in range(200_000)).encode()
    done = watched.plain(
        "/bin/sh", "-c", 'swarmtask run -- "$1" -c "$2" 2>&1 | { sleep 0.3; cat; }', "sh", sys.executable, program
    )
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(expected).digest()


def test_a_reader_that_cannot_block(watched: Watched) -> None:
    """If another process makes standard error non-blocking, no output is lost."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    command = [*watched.command, "--", "sh", "-c", "head -c 1000000 /dev/zero >&2; exit 1"]
    process = subprocess.Popen(command, cwd=watched.root, env=watched.environ(), stderr=write_end)
    os.close(write_end)
    with open(read_end, "rb") as file:
        time.sleep(0.3)
        assert file.read() == bytes(1_000_000)
    assert process.wait(PATIENCE) == 1


def test_at_once(watched: Watched) -> None:
    """Output of the command is passed on at once, without buffering."""
    process = watched.begin("--", "sh", "-c", "printf 'no newline' >&2; exec sleep 60")
    assert process.stderr is not None
    assert os.read(process.stderr.fileno(), 100) == b"no newline"
    process.terminate()
    process.communicate(timeout=PATIENCE)


def test_a_reader_that_has_gone(watched: Watched) -> None:
    """If the reader of standard error closes it, the command gets SIGPIPE as without `swarmtask run`."""
    script = "{ swarmtask run -- sh -c 'while :; do echo x >&2; done' 2>&1; echo $? >code; } | head -n 1"
    assert watched.shell(script).stdout == b"x\n"
    wait_for(lambda: (watched.root / "code").exists() and (watched.root / "code").read_text() != "")
    assert int((watched.root / "code").read_text()) == 128 + signal.SIGPIPE
    assert watched.end()["metadata"]["signal"] == "SIGPIPE"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_device(watched: Watched) -> None:
    """If the device of standard error is full, the command continues as without `swarmtask run`."""
    done = watched.shell("swarmtask run -- sh -c 'echo a >&2; echo b >&2; echo done; exit 3' 2>/dev/full")
    assert (done.returncode, done.stdout) == (3, b"done\n")
    assert tail(watched) == "a\nb"


LOOK = """
import os
with open("seen", "a") as file:
    for fd in range(1024):
        try:
            os.fstat(fd)
            is_open = fd != file.fileno()
        except OSError:
            is_open = False
        if is_open != (fd < 3):
            print("open" if is_open else "closed", fd, file=file)
"""


@pytest.mark.parametrize("options", ["", "--tail 0"], ids=["with tail", "without"])
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_closed_files(watched: Watched, closed: str, options: str) -> None:
    """If a standard file is closed, it is closed for the command as well, and no other file uses its number."""
    watched.file("look.py", LOOK)
    assert watched.shell(f"exec {sys.executable} look.py {closed}").returncode == 0
    without_us = (watched.root / "seen").read_text()
    (watched.root / "seen").unlink()
    assert watched.shell(f"swarmtask run {options} -- {sys.executable} look.py {closed}").returncode == 0
    assert (watched.root / "seen").read_text() == without_us
    assert watched.end()["event_type"] == "TASK_COMPLETED"


def test_descriptors_are_handed_on(watched: Watched) -> None:
    """The command inherits every further file descriptor, such as a job server's, and none of ours."""
    script = 'exec 7<look.txt; swarmtask run -- sh -c \'cat <&7; ls /dev/fd/ | tr "\\n" " "\''
    watched.file("look.txt", "seven\n")
    ours = watched.shell(script).stdout
    assert ours.startswith(b"seven\n")
    assert ours == watched.shell(script.replace("swarmtask run -- ", "")).stdout


# -- children that outlive the command -------------------------------------------------------------------------------


def test_a_child_that_keeps_it_open(watched: Watched) -> None:
    """`swarmtask run` ends with the command, even if a child keeps standard error open."""
    with open(watched.root / "errors", "wb") as errors:
        begun = time.monotonic()
        command = [*watched.command, "--", "sh", "-c", "sleep 30 & echo $! >pid; echo said >&2; exit 3"]
        done = subprocess.run(command, cwd=watched.root, env=watched.environ(), stderr=errors, check=False)
    assert time.monotonic() - begun < 15
    assert done.returncode == 3
    assert tail(watched) == "said"
    os.kill(int((watched.root / "pid").read_text()), signal.SIGKILL)


def test_what_a_left_child_says_later(watched: Watched) -> None:
    """A server that the command leaves behind keeps running, and its later output is still passed on."""
    server = "(sleep 1; echo late >&2; echo later >&2; touch alive) >/dev/null & echo early >&2"
    assert watched.run("--", "sh", "-c", server).stderr == b"early\nlate\nlater\n"
    assert (watched.root / "alive").exists()


def test_nothing_is_left_running(watched: Watched) -> None:
    """The process that passes on the output of a left child ends with that child."""
    readers = "ps -e -o args= | grep -c '^cat$'; :"
    before = watched.shell(readers).stdout
    watched.run("--", "sh", "-c", "sleep 1 &")
    wait_for(lambda: watched.shell(readers).stdout <= before, lambda: time.sleep(0.2))


def test_a_child_that_never_stops_talking(watched: Watched) -> None:
    """A left child that writes without a pause does not delay the end."""
    with open(os.devnull, "wb") as nowhere:
        command = [*watched.command, "--", "sh", "-c", "yes >&2 & echo $! >pid; sleep 0.2; exit 4"]
        done = subprocess.run(
            command, cwd=watched.root, env=watched.environ(), stderr=nowhere, timeout=PATIENCE, check=False
        )
    os.kill(int((watched.root / "pid").read_text()), signal.SIGKILL)
    assert done.returncode == 4


# -- the tail ------------------------------------------------------------------------------------------------------


def test_the_last_lines_of_a_failure(watched: Watched) -> None:
    """The end event of a failure has the last 20 lines of standard error, and no standard output."""
    watched.run("--", "sh", "-c", "echo no; seq 1 50 >&2; exit 1")
    assert tail(watched).split() == [str(n) for n in range(31, 51)]


@pytest.mark.parametrize(("lines", "expected"), [("1", "c d"), ("2", "\nc d"), ("99", "a\n b\n\nc d")])
def test_as_many_as_asked_for(watched: Watched, lines: str, expected: str) -> None:
    """`--tail` sets the number of lines. Empty lines at the end do not count."""
    watched.run("--tail", lines, "--", "sh", "-c", r"printf 'a\n b\n\nc d\n\n' >&2; exit 1")
    assert tail(watched) == expected


@pytest.mark.parametrize(
    ("options", "script"),
    [([], "echo x >&2"), (["--tail", "0"], "echo x >&2; exit 1"), ([], "exit 1")],
    ids=["success", "not wanted", "nothing said"],
)
def test_no_tail(watched: Watched, options: list[str], script: str) -> None:
    """There is no tail after a success, with `--tail 0`, or without any error output."""
    watched.run(*options, "--", "sh", "-c", script)
    assert "stderr_tail" not in watched.end()["metadata"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (r"\033[1;31merror:\033[0m broken\033[K", "error: broken"),
        (r"\033]0;title\007text \033]8;;https://x.example\033\\link\033]8;;\033\\", "text link"),
        (r"10 %%\r50 %%\r100 %%\r\ndone", "100 %\ndone"),
        (r"a\000b\001c\ttab", "abc\ttab"),
        (r"caf\351 \360\237\220\216", "caf\ufffd \U0001f40e"),
    ],
    ids=["colours", "titles and links", "progress", "control characters", "no UTF-8"],
)
def test_plain_text(watched: Watched, said: str, expected: str) -> None:
    """The tail has no colours, control characters or overwritten text. The terminal output still has them."""
    done = watched.run("--", "sh", "-c", f"printf '{said}' >&2; exit 1")
    assert tail(watched) == expected
    assert done.stderr == watched.plain("sh", "-c", f"printf '{said}' >&2").stderr


KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEowIBAAKCAQEA\n" * 30 + "-----END RSA PRIVATE KEY-----\n"


def test_no_secrets(watched: Watched) -> None:
    """Secrets, known formats and multi-line keys are hidden, also if their beginning is cut off."""
    watched.file("said", f"before\n{KEY}failed with correct-horse-battery\nhttps://me:hunter22@example.com/\n")
    watched.run("--", "sh", "-c", "cat said >&2; exit 1", API_TOKEN="correct-horse-battery")
    text = json.dumps(watched.events())
    for secret in ("correct-horse", "hunter22", "MIIEow"):
        assert secret not in text
    assert tail(watched).split("\n") == ["before", MASK, f"failed with {MASK}", f"https://{MASK}@example.com/"]


def test_no_half_secret_where_the_tail_is_cut() -> None:
    """The tail never begins within a secret, however long the output is."""
    secret = "SECRET" * 10
    redactor = Redactor({"TOKEN": secret})
    for after in [*range(20), *range(32_600, 32_900), 65_000, 70_000]:
        stderr = Stderr(0, 0, terminal=False)
        stderr._keep(secret.encode() + b"x" * after)
        kept = stderr.tail(20, redactor)
        assert "SECRET" not in kept.replace(MASK, "")
        assert kept.endswith(("x" * min(after, 900), "x…"))


@pytest.mark.parametrize(
    "program",
    [
        "print('x' * 50_000, file=sys.stderr)",
        "[print('žluťoučký' * 80, n, file=sys.stderr) for n in range(300)]",
        "print('\"\\\\' * 5_000, file=sys.stderr)",
    ],
    ids=["one long line", "many long lines", "all to be escaped"],
)
def test_bounded(watched: Watched, program: str) -> None:
    """The event stays below 16 KiB and keeps its other facts, however long the output is."""
    watched.run("--tail", "1000", "--", sys.executable, "-c", f"import sys; {program}; sys.exit(9)", PYTHONUTF8="1")
    end = watched.end()
    assert len(json.dumps(end, ensure_ascii=False).encode()) < 16_384
    assert end["metadata"]["exit_code"] == 9
    assert "truncated" not in end["metadata"]
    assert len(tail(watched)) > 900
