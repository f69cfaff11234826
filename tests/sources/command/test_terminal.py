"""At a terminal, the command behaves as without `swarmtask run`, with Ctrl-C, Ctrl-Z and window sizes."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable

import pytest

from tests.watched import Terminal, Watched, wait_for

At = Callable[..., Terminal]
WHAT_IS_A_TERMINAL = "import os; print(*(os.isatty(fd) for fd in range(3)), *os.get_terminal_size(2), flush=True)"


@pytest.mark.parametrize("options", [[], ["--tail", "0"]], ids=["with tail", "without"])
def test_all_three_are_terminals(watched: Watched, terminal: At, options: list[str]) -> None:
    """The command has terminals of the right size as its standard files, with or without the tail."""
    at = terminal(*watched.command, *options, "--", sys.executable, "-c", WHAT_IS_A_TERMINAL, rows=17, columns=71)
    at.until(b"True True True 71 17")
    assert at.end() == 0


def test_it_shows_the_same(watched: Watched, terminal: At) -> None:
    """The terminal shows the same bytes as without `swarmtask run`: colours, newlines, cursor movements."""
    command = ["sh", "-c", r"printf 'a\n\tb\033[31mred\033[0m\rc\r\n\a\b x\n' >&2; echo out; exit 1"]
    with_us = terminal(*watched.command, "--", *command)
    without = terminal(*command)
    assert (with_us.end(), without.end()) == (1, 1)
    with_us.until(b"out\r\n")
    assert sorted(with_us.shown.split(b"\n")) == sorted(without.shown.split(b"\n"))
    assert watched.end()["metadata"]["stderr_tail"] == "a\nc\n x"


@pytest.mark.parametrize("options", [[], ["--tail", "0"]], ids=["with tail", "without"])
def test_questions_and_answers(watched: Watched, terminal: At, options: list[str]) -> None:
    """A prompt on standard error is shown at once, and the command gets the typed answer."""
    at = terminal(
        *watched.command, *options, "--", "sh", "-c", "printf 'name? ' >&2; read name; echo hello $name; exit 4"
    )
    at.until(b"name? ")
    at.type(b"Ada\n")
    at.until(b"hello Ada")
    assert at.end() == 4


def test_a_password(watched: Watched, terminal: At) -> None:
    """A command can switch off the echo of the terminal."""
    at = terminal(
        *watched.command, "--", sys.executable, "-c", "import getpass; print('got', len(getpass.getpass('secret? ')))"
    )
    at.until(b"secret? ")
    at.type(b"hunter22\n")
    assert b"hunter" not in at.until(b"got 8")
    assert at.end() == 0


def test_an_interactive_shell(watched: Watched, terminal: At) -> None:
    """An interactive shell has job control and line editing with `--tail 0`."""
    watched.root.joinpath("job.py").write_text(
        "import os, signal, time\n"
        "signal.signal(signal.SIGCONT, lambda *_: os.write(1, b'awake\\n'))\n"
        "print('go', flush=True)\n"
        "for _ in range(600): time.sleep(0.1)"  # one long sleep could begin just after the signal came
    )
    at = terminal(
        *watched.command, "--tail", "0", "--", "bash", "--norc", "--noprofile", "-i", PS1="READY> ", TERM="dumb"
    )
    at.until(b"READY> ")
    at.type(b"'%s' job.py\n" % sys.executable.encode())
    at.until(b"\ngo\r\n")
    at.type(b"\x1a")
    at.until(b"Stopped")
    at.type(b"fg\n")
    at.until(b"\nawake\r\n")
    at.type(b"\x03")
    at.until(b"KeyboardInterrupt")
    at.type(b"echo $((40+2))\n")
    at.until(b"\n42\r\n")
    at.type(b"exit 3\n")
    assert at.end() == 3
    assert watched.end("bash")["metadata"]["exit_code"] == 3


def test_a_shell_without_job_control(watched: Watched, terminal: At) -> None:
    """An interactive shell works with the tail as well, but without job control."""
    at = terminal(*watched.command, "--", "bash", "--norc", "--noprofile", "-i", PS1="READY> ", TERM="dumb")
    at.until(b"READY> ")
    at.type(b"echo $((40+2)); exit 3\n")
    at.until(b"42\r\n")
    assert at.end() == 3


# -- keys ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--tail", "0"]], ids=["with tail", "without"])
def test_ctrl_c(watched: Watched, terminal: At, options: list[str]) -> None:
    """Ctrl-C ends the command, the end is recorded, and the surrounding shell gets 130."""
    words = " ".join(options)
    at = terminal("sh", "-c", f"trap : INT; swarmtask run {words} -- sh -c 'echo go; exec sleep 60'; echo code $?")
    at.until(b"go\r\n")
    at.type(b"\x03")
    at.until(b"code 130")
    assert watched.end()["metadata"].items() >= {"signal": "SIGINT", "exit_code": 130}.items()


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_ctrl_c_ends_the_script_around(watched: Watched, terminal: At, shell: str) -> None:
    """Ctrl-C ends the surrounding script as well, as without `swarmtask run`."""
    at = terminal(shell, "-c", "for n in 1 2 3; do swarmtask run -- sh -c 'echo go; exec sleep 60'; done; echo went on")
    at.until(b"go\r\n")
    at.type(b"\x03")
    assert at.end() in (-signal.SIGINT, 130)
    assert b"went on" not in at.shown


def test_ctrl_c_once(watched: Watched, terminal: At) -> None:
    """A command that handles Ctrl-C gets it only once, from the terminal."""
    program = (
        "import signal, sys, time\n"
        "seen = []; signal.signal(signal.SIGINT, lambda *_: seen.append(1)); print('go', flush=True)\n"
        "while not seen: time.sleep(0.01)\n"
        "time.sleep(0.5); print('seen', len(seen)); sys.exit(5)"
    )
    at = terminal(*watched.command, "--", sys.executable, "-c", program)
    at.until(b"go")
    at.type(b"\x03")
    at.until(b"seen 1")
    assert at.end() == 5
    assert watched.end()["metadata"]["exit_code"] == 5


def test_ctrl_c_twice(watched: Watched, terminal: At) -> None:
    """A second Ctrl-C while the command cleans up reaches the command as well."""
    program = (
        "import os, signal, sys, time\n"
        "def first(*_): signal.signal(signal.SIGINT, second); os.write(1, b'one\\n')\n"
        "def second(*_): os.write(1, b'two\\n'); sys.exit(6)\n"
        "signal.signal(signal.SIGINT, first); print('go', flush=True)\n"
        "while True: time.sleep(0.05)"
    )
    at = terminal(*watched.command, "--", sys.executable, "-c", program)
    at.until(b"go")
    at.type(b"\x03")
    at.until(b"one")
    at.type(b"\x03")
    at.until(b"two")
    assert at.end() == 6


def test_a_command_that_exits_130_by_itself(watched: Watched, terminal: At) -> None:
    """A command that handles Ctrl-C and returns 130 is not recorded as killed by a signal."""
    at = terminal(*watched.command, "--", "sh", "-c", "trap 'exit 130' INT; echo go; while :; do sleep 0.1; done")
    at.until(b"go")
    at.type(b"\x03")
    assert at.end() == 130
    assert "signal" not in watched.end()["metadata"]


def test_in_the_background_an_interrupt_is_forwarded(watched: Watched, terminal: At) -> None:
    """In a background job, which the terminal's keys do not reach, SIGINT is forwarded to the command."""
    script = """
        set -m; swarmtask run -- sh -c ': >ready; exec sleep 60' &
        while [ ! -e ready ]; do sleep 0.05; done
        kill -INT $!; wait $!; echo code $?
    """
    at = terminal("bash", "-c", script)
    at.until(b"code 130")


def test_ctrl_backslash(watched: Watched, terminal: At) -> None:
    r"""Ctrl-\ ends the command with SIGQUIT, and the end is recorded."""
    at = terminal("sh", "-c", "trap : QUIT; swarmtask run -- sh -c 'ulimit -c 0; echo go; exec sleep 60'; echo code $?")
    at.until(b"go\r\n")
    at.type(b"\x1c")
    at.until(b"code 131")
    assert watched.end()["metadata"]["signal"] == "SIGQUIT"


def test_ctrl_z(watched: Watched, terminal: At) -> None:
    """Ctrl-Z stops the command and `swarmtask run`, and `fg` continues both."""
    at = terminal("bash", "--norc", "--noprofile", "-i", PS1="READY> ", TERM="dumb")
    at.until(b"READY> ")
    at.type(b"swarmtask run -- sh -c 'echo g\"\"o >&2; read x; echo $x >&2; exit 7'\n")
    at.until(b"\ngo\r\n")
    at.type(b"\x1a")
    at.until(b"Stopped")
    at.until(b"exit 7'\r\nREADY> ")
    at.type(b"fg\n")
    at.until(b"fg\r\nswarmtask")
    at.type(b"continued\n")
    at.until(b"continued\r\ncontinued\r\nREADY> ")
    at.type(b"echo code $?\n")
    at.until(b"code 7")
    assert watched.end("sh")["metadata"]["exit_code"] == 7


def test_ctrl_z_after_the_command_has_stopped_itself(watched: Watched, terminal: At) -> None:
    """Ctrl-Z stops `swarmtask run` also if the command has stopped only itself, and `fg` continues both."""
    watched.file("stopping", "#!/bin/sh\necho $$ >pid\nkill -STOP $$\necho awake\nexit 7\n", 0o755)
    at = terminal("bash", "--norc", "--noprofile", "-i", PS1="READY> ", TERM="dumb")
    at.until(b"READY> ")
    at.type(b"swarmtask run -- ./stopping\n")
    wait_for(lambda: watched.shell("ps -o stat= -p $(cat pid) | grep T").returncode == 0)
    assert b"Stopped" not in at.shown
    at.type(b"\x1a")
    at.until(b"Stopped")
    at.until(b"./stopping\r\nREADY> ")
    at.type(b"fg\n")
    at.until(b"awake\r\nREADY> ")
    at.type(b"echo code $?\n")
    at.until(b"code 7")
    assert watched.end("stopping")["metadata"]["exit_code"] == 7


def test_ctrl_z_that_the_command_ignores(watched: Watched, terminal: At) -> None:
    """If the command ignores Ctrl-Z, neither the command nor `swarmtask run` stops."""
    program = (
        "import signal, sys, time; signal.signal(signal.SIGTSTP, signal.SIG_IGN); print('go', flush=True)\n"
        "sys.stdin.readline(); print('read', file=sys.stderr); sys.exit(7)"
    )
    at = terminal("bash", "-c", 'set -m; swarmtask run -- "$0" -c "$1"; echo code $?', sys.executable, program)
    at.until(b"go\r\n")
    at.type(b"\x1a")
    time.sleep(0.3)
    at.type(b"\n")
    at.until(b"read\r\n")
    at.until(b"code 7")


def test_told_to_stop_and_to_continue(watched: Watched, terminal: At) -> None:
    """In the background, SIGTSTP stops the command and then `swarmtask run`, and SIGCONT continues both."""
    script = """
        set -m
        swarmtask run -- sh -c ': >ready; echo $$ >pid; while [ ! -e done ]; do sleep 0.05; done; exit 7' &
        until [ -s pid ]; do sleep 0.05; done
        kill -TSTP $!
        until ps -o stat= -p $! | grep -q T && ps -o stat= -p $(cat pid) | grep -q T; do sleep 0.05; done
        echo both stop
        : >done
        kill -CONT $!
        while kill -0 $!; do sleep 0.05; done; echo gone
    """
    at = terminal("bash", "-c", script)
    at.until(b"both stop")
    at.until(b"gone")
    assert watched.end("sh")["metadata"]["exit_code"] == 7


def test_another_size(watched: Watched, terminal: At) -> None:
    """A command that is notified of a new window size sees that size on its standard error."""
    program = (
        "import os, signal, time\n"
        "def told(*_): os.write(1, b'now %d %d\\n' % os.get_terminal_size(2))\n"
        "signal.signal(signal.SIGWINCH, told); print('go', flush=True)\n"
        "for _ in range(600): time.sleep(0.05)"
    )
    at = terminal(*watched.command, "--", sys.executable, "-c", program)
    at.until(b"go")
    at.resize(33, 99)
    at.until(b"now 99 33")
    at.resize(44, 88)
    at.until(b"now 88 44")
    at.type(b"\x03")
    at.end()


def test_the_terminal_goes_away(watched: Watched, terminal: At) -> None:
    """If the terminal is closed, the command gets SIGHUP, and its end is recorded."""
    at = terminal(*watched.command, "--", "sh", "-c", ": >ready; exec sleep 60")
    wait_for((watched.root / "ready").exists)
    at.hang_up()
    wait_for(lambda: len(watched.events()) == 2)
    assert watched.end()["metadata"]["signal"] == "SIGHUP"
