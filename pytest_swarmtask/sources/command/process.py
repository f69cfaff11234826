"""A command that is watched: started as a shell starts it, sent the signals that come to us, measured to its end.

It gets our standard files, our process group and our environment, so it can tell no difference; only its standard
error goes through us where its end is wanted (`pytest_swarmtask.sources.command.stderr`).
"""

from __future__ import annotations

import os
import select
import signal
import sys

from pytest_swarmtask.sources.command.start import refusal, started

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType
    from typing import Any, NoReturn

    from pytest_swarmtask.sources.command.stderr import Stderr

_FORWARDED = ("SIGINT", "SIGQUIT", "SIGTSTP", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
_FROM_THE_KEYBOARD = ("SIGINT", "SIGQUIT", "SIGTSTP")
_IGNORED_BY_PYTHON = ("SIGPIPE", "SIGXFSZ")
_KILLED = 128


class Ended:
    """How a command has ended.

    Attributes:
        exit_code: as a shell has it: the command's own, or 128 and the number of the signal that killed it.
        signal: the name of that signal, or None.
        used: its CPU seconds (``cpu_seconds``) and most memory in bytes (``peak_memory``), where they can be known.
    """

    __slots__ = ("exit_code", "signal", "used")

    def __init__(self, exit_code: int, killed_by: str | None, used: dict[str, float]) -> None:
        self.exit_code = exit_code
        self.signal = killed_by
        self.used = used

    @property
    def error(self) -> str | None:
        """What is wrong, in a few words; None where the command has succeeded."""
        if self.signal is not None:
            return f"killed by {self.signal}"
        return f"exit code {self.exit_code}" if self.exit_code else None


if sys.platform == "win32":
    import subprocess

    class Command:
        """A command and its one run; see below. What Windows has no like of is left out."""

        def __init__(self, arguments: Sequence[str]) -> None:
            self._arguments = list(arguments)
            self.interrupted = False
            self.stderr: Stderr | None = None

        def listen(self) -> None:
            """Leave Ctrl-C to the command, which gets it from the console, too."""
            signal.signal(signal.SIGINT, _nothing)

        def start(self, environ: Mapping[str, str], *, keep_stderr: bool) -> None:  # noqa: ARG002 - not here
            """Start it; see below."""
            try:
                self._process = subprocess.Popen(self._arguments, env=environ)
            except OSError as error:
                raise refusal(self._arguments[0], error) from None

        def wait(self) -> Ended:
            """Wait for its end."""
            return Ended(self._process.wait(), None, {})

    def become(arguments: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
        """Run a command and end with its exit code; see below."""
        command = Command(arguments)
        command.listen()
        command.start(environ, keep_stderr=False)
        sys.exit(command.wait().exit_code)

else:

    class Command:
        """A command and its one run: `listen`, `start`, `wait`.

        Attributes:
            interrupted: whether Ctrl-C was typed while it ran.
            stderr: what its standard error passes, or None where it has ours.
        """

        __slots__ = (
            "_arguments",
            "_early",
            "_over",
            "_pid",
            "_stop_wanted",
            "_stopped",
            "_wake",
            "_woken",
            "interrupted",
            "stderr",
        )

        def __init__(self, arguments: Sequence[str]) -> None:
            self.interrupted = False
            self.stderr: Stderr | None = None
            self._arguments = arguments
            self._early: list[int] = []
            self._over = False
            self._pid: int | None = None
            self._stop_wanted = self._stopped = False
            self._wake = self._woken = -1

        def listen(self) -> None:
            """Take the signals that are for the command; what comes before it is there is kept for it.

            A signal that is ignored stays so, for the command as well (`nohup`).

            Raises:
                OSError, ValueError: no more files can be opened, or too many are to wait for one.
            """
            self._woken, self._wake = os.pipe()
            select.select([self._woken], (), (), 0)
            os.set_blocking(self._woken, False)
            os.set_blocking(self._wake, False)
            signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
            for number in _numbers(_FORWARDED):
                if signal.getsignal(number) != signal.SIG_IGN:
                    signal.signal(number, self._forward)
            signal.signal(signal.SIGCHLD, _nothing)

        def _forward(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the library's signature
            typed = number in _numbers(_FROM_THE_KEYBOARD) and _in_foreground()
            if typed and number == signal.SIGINT:
                self.interrupted = True
            if number == signal.SIGTSTP:
                self._stop_wanted = True
            if self._pid is None:
                self._early.append(number)
            elif not typed:  # what was typed the command has from the terminal, as we have
                self._send(number)

        def _send(self, number: int) -> None:
            if self._pid is None or self._over:
                return
            try:
                os.kill(self._pid, number)
            except OSError:
                pass  # it has just ended, or runs as somebody else

        def start(self, environ: Mapping[str, str], *, keep_stderr: bool) -> None:
            """Start it.

            Args:
                environ: its environment.
                keep_stderr: whether the end of its standard error is wanted.

            Raises:
                StartError: it cannot be started.
            """
            if keep_stderr:
                from pytest_swarmtask.sources.command.stderr import Stderr

                self.stderr = Stderr.open()
            actions = [(os.POSIX_SPAWN_DUP2, self.stderr.inner, 2)] if self.stderr else []
            defaults = _numbers(_IGNORED_BY_PYTHON)
            # A signal comes either before there is a command, or when we know it: never in between.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, _numbers(_FORWARDED))

            def spawn(file: str, arguments: list[str]) -> int:
                return os.posix_spawnp(
                    file, arguments, environ, file_actions=actions, setsigdef=defaults, setsigmask=mask
                )

            try:
                self._pid = started(spawn, self._arguments)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for number in self._early:
                self._send(number)
            if self.stderr is not None:
                self.stderr.started()
                if self.stderr.resize():
                    signal.signal(signal.SIGWINCH, self._resize)

        def _resize(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the library's signature
            if self.stderr is not None and self.stderr.resize():
                self._send(number)  # the command may have asked for the size before we have set it

        def wait(self) -> Ended:
            """Pass on its standard error until it ends; what its children do after that is not waited for."""
            status, usage = self._follow()
            self._over = True
            signal.set_wakeup_fd(-1)
            os.close(self._woken)
            os.close(self._wake)
            if self.stderr is not None:
                self.stderr.drain()
                self.stderr.leave(_numbers(_FORWARDED))
            code = os.waitstatus_to_exitcode(status)
            peak = usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024
            used = {"cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3), "peak_memory": peak}
            return Ended(code, None, used) if code >= 0 else Ended(_KILLED - code, _signal_name(-code), used)

        def _follow(self) -> tuple[int, Any]:
            stderr = self.stderr
            while True:
                outer = None if stderr is None else stderr.outer
                ready = select.select([self._woken] if outer is None else [self._woken, outer], (), ())[0]
                if stderr is not None and outer in ready:
                    stderr.pass_on()
                if self._woken in ready:
                    os.read(self._woken, 4096)
                    pid, status, usage = os.wait4(self._pid or 0, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
                    if pid and (os.WIFEXITED(status) or os.WIFSIGNALED(status)):
                        return status, usage
                    if pid:
                        self._stopped = os.WIFSTOPPED(status)
                if self._stop_wanted and self._stopped:
                    self._stop()

        def _stop(self) -> None:
            """Stop, as the command has, until we are continued.

            Not before it: the shell would use the terminal again, and the command still read from it.
            """
            if self.stderr is not None:
                self.stderr.drain()
            handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)
            signal.signal(signal.SIGTSTP, handler)
            self._stop_wanted = self._stopped = False
            self._send(signal.SIGCONT)

    def become(arguments: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
        """Replace this process by a command.

        Raises:
            StartError: it cannot be started.
        """
        for number in _numbers(_IGNORED_BY_PYTHON):
            signal.signal(number, signal.SIG_DFL)

        def replace(file: str, arguments: list[str]) -> NoReturn:
            os.execvpe(file, arguments, environ)  # noqa: S606 - that is the idea

        started(replace, arguments)
        raise AssertionError("a replaced process went on")


def end_interrupted() -> None:
    """End as Ctrl-C ends a process: a shell sees 130 and stops its script, which an exit code would not make it do."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)


def _in_foreground() -> bool:
    """Tell whether what the terminal's keys send, such as Ctrl-C, goes to our process group, and so to the command."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _numbers(names: Sequence[str]) -> list[int]:
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _nothing(number: int, frame: FrameType | None) -> None:
    """Take a signal without doing anything."""
