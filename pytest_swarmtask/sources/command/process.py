"""The process of a watched command: started as a shell starts it, sent our signals, measured to its end.

It gets our standard files, our process group and our environment, so it cannot notice that it is watched. Only its
standard error passes through us, if its last lines are wanted (`pytest_swarmtask.sources.command.stderr`).
"""

from __future__ import annotations

import os
import select
import sys

from pytest_swarmtask.sources.command.start import start_as_shell, start_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence
    from types import FrameType
    from typing import Any, NoReturn

    from pytest_swarmtask.sources.command.stderr import Stderr
else:
    import _signal as signal  # `signal` would load `enum` and `functools`: a fifth of the time of `run`

_FORWARDED = ("SIGINT", "SIGQUIT", "SIGTSTP", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
_FROM_THE_KEYBOARD = ("SIGINT", "SIGQUIT", "SIGTSTP")
_IGNORED_BY_PYTHON = ("SIGPIPE", "SIGXFSZ")
_KILLED = 128
"""A shell adds the number of the signal to it for the exit code of a command that a signal has killed."""


class CommandResult:
    """How a command has ended.

    Attributes:
        exit_code: the exit code as a shell returns it: the command's own, or 128 and the number of the signal that
            killed it.
        signal: the name of that signal, or None.
        usage: CPU seconds (``cpu_seconds``) and peak memory in bytes (``peak_memory``), where they are known.
    """

    __slots__ = ("exit_code", "signal", "usage")

    def __init__(self, exit_code: int, killed_by: str | None, usage: dict[str, float]) -> None:
        self.exit_code = exit_code
        self.signal = killed_by
        self.usage = usage

    @property
    def error(self) -> str | None:
        """Why the command has failed, in a few words; None if it has succeeded."""
        if self.signal is not None:
            return f"killed by {self.signal}"
        return f"exit code {self.exit_code}" if self.exit_code else None


class PosixCommand:
    """One run of a command: `take_signals`, `start`, `wait`.

    Attributes:
        was_interrupted: whether the user pressed Ctrl-C while it ran.
        stderr: passes its standard error on; None if it writes to ours directly.
    """

    __slots__ = (
        "_arguments",
        "_early_signals",
        "_has_ended",
        "_is_stopped",
        "_pid",
        "_stop_requested",
        "_wakeup_read",
        "_wakeup_write",
        "stderr",
        "was_interrupted",
    )

    def __init__(self, arguments: Sequence[str]) -> None:
        self.was_interrupted = False
        self.stderr: Stderr | None = None
        self._arguments = arguments
        self._early_signals: list[int] = []
        self._has_ended = False
        self._pid: int | None = None
        self._stop_requested = self._is_stopped = False
        self._wakeup_read = self._wakeup_write = -1

    def take_signals(self) -> None:
        """Handle the signals that are meant for the command. Those that come before it is started are kept for it.

        A signal that is ignored stays ignored, also for the command, as `nohup` wants it.

        Raises:
            OSError, ValueError: too many files are open, so that no pipe can be made or waited for.
        """
        # A signal writes to this pipe, so it also ends a `select` that waits for standard error (PEP 475 restarts it).
        self._wakeup_read, self._wakeup_write = os.pipe()
        select.select([self._wakeup_read], (), (), 0)  # raises here rather than later if the number is too high
        os.set_blocking(self._wakeup_read, False)
        os.set_blocking(self._wakeup_write, False)
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        for number in _numbers(_FORWARDED):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._forward)
        signal.signal(signal.SIGCHLD, _ignore)

    def _forward(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the library's signature
        is_typed = number in _numbers(_FROM_THE_KEYBOARD) and _is_in_foreground()
        if is_typed and number == signal.SIGINT:
            self.was_interrupted = True
        if number == signal.SIGTSTP:
            self._stop_requested = True
        if self._pid is None:
            self._early_signals.append(number)
        elif not is_typed:  # the terminal sends a typed one to the whole process group, so the command has it already
            self._send(number)

    def _send(self, number: int) -> None:
        if self._pid is None or self._has_ended:
            return
        try:
            os.kill(self._pid, number)
        except OSError:
            pass  # the command has just ended, or runs as another user

    def start(self, environ: Mapping[str, str], *, keep_stderr: bool) -> None:
        """Start the command.

        Args:
            environ: its environment.
            keep_stderr: whether the last lines of its standard error are wanted.

        Raises:
            StartError: it cannot be started.
        """
        if keep_stderr:
            from pytest_swarmtask.sources.command.stderr import Stderr

            self.stderr = Stderr.open()
        actions = [(os.POSIX_SPAWN_DUP2, self.stderr.command_end, 2)] if self.stderr else []
        defaults = _numbers(_IGNORED_BY_PYTHON)
        # Blocked, a signal comes either before there is a command, or once its pid is known: never in between.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _numbers(_FORWARDED))

        def spawn(file: str, arguments: list[str]) -> int:
            return os.posix_spawnp(file, arguments, environ, file_actions=actions, setsigdef=defaults, setsigmask=mask)

        try:
            self._pid = start_as_shell(spawn, self._arguments)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number in self._early_signals:
            self._send(number)
        if self.stderr is not None:
            self.stderr.close_command_end()
            if self.stderr.resize():
                signal.signal(signal.SIGWINCH, self._resize)

    def _resize(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the library's signature
        if self.stderr is not None and self.stderr.resize():
            self._send(number)  # again: the command may have asked for the size before it was set here

    def wait(self) -> CommandResult:
        """Pass its standard error on until the command ends. Its own children may go on; they are not waited for."""
        status, usage = self._follow()
        self._has_ended = True
        signal.set_wakeup_fd(-1)
        os.close(self._wakeup_read)
        os.close(self._wakeup_write)
        if self.stderr is not None:
            self.stderr.drain()
            self.stderr.leave_to_others(_numbers(_FORWARDED))
        code = os.waitstatus_to_exitcode(status)
        peak = usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024  # macOS counts bytes, others KiB
        used = {"cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3), "peak_memory": peak}
        if code >= 0:
            return CommandResult(code, None, used)
        return CommandResult(_KILLED - code, _signal_name(-code), used)

    def _follow(self) -> tuple[int, Any]:
        """Return the wait status and the resource usage of the command, once it has ended."""
        stderr = self.stderr
        while True:
            our_end = None if stderr is None else stderr.our_end
            watched = [self._wakeup_read] if our_end is None else [self._wakeup_read, our_end]
            ready = select.select(watched, (), ())[0]
            if stderr is not None and our_end in ready:
                stderr.pass_on()
            if self._wakeup_read in ready:
                os.read(self._wakeup_read, 4096)
                pid, status, usage = os.wait4(self._pid or 0, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
                if pid and (os.WIFEXITED(status) or os.WIFSIGNALED(status)):
                    return status, usage
                if pid:
                    self._is_stopped = os.WIFSTOPPED(status)
            if self._stop_requested and self._is_stopped:
                self._stop()

    def _stop(self) -> None:
        """Stop this process, as the command has stopped, until the shell continues it.

        Not earlier than the command: the shell would take the terminal back while the command still reads from it.
        """
        if self.stderr is not None:
            self.stderr.drain()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        self._stop_requested = self._is_stopped = False
        self._send(signal.SIGCONT)

    def replace_process(self, environ: Mapping[str, str]) -> NoReturn:
        """Replace this process by the command, which then is not watched.

        Raises:
            StartError: it cannot be started.
        """
        for number in _numbers(_IGNORED_BY_PYTHON):
            signal.signal(number, signal.SIG_DFL)

        def replace(file: str, arguments: list[str]) -> NoReturn:
            os.execvpe(file, arguments, environ)  # noqa: S606 - without a shell on purpose

        start_as_shell(replace, self._arguments)
        raise AssertionError("a replaced process went on")


class WindowsCommand:
    """The same for Windows, which has no such signals, terminals and measurements."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = list(arguments)
        self.was_interrupted = False
        self.stderr: Stderr | None = None

    def take_signals(self) -> None:
        """Leave Ctrl-C to the command, which gets it from the console, too."""
        signal.signal(signal.SIGINT, _ignore)

    def start(self, environ: Mapping[str, str], *, keep_stderr: bool) -> None:  # noqa: ARG002 - not kept here
        """Start the command; see `PosixCommand.start`."""
        import subprocess  # loads slowly, and POSIX needs none of it

        try:
            self._process = subprocess.Popen(self._arguments, env=environ)
        except OSError as error:
            raise start_error(self._arguments[0], error) from None

    def wait(self) -> CommandResult:
        """Wait for the end of the command."""
        return CommandResult(self._process.wait(), None, {})

    def replace_process(self, environ: Mapping[str, str]) -> NoReturn:
        """Run the command unwatched and end with its exit code: Windows cannot replace a process."""
        self.take_signals()
        self.start(environ, keep_stderr=False)
        sys.exit(self.wait().exit_code)


if sys.platform == "win32":
    Command = WindowsCommand
else:
    Command = PosixCommand


def end_by_interrupt() -> None:
    """End as Ctrl-C ends a process: a shell then stops its script, which it does not do for the exit code 130."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)


def _is_in_foreground() -> bool:
    """Whether the terminal sends signals of its keys, such as Ctrl-C, to our process group, and so to the command."""
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
    """Return the numbers of those signals that this system has."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def _signal_name(number: int) -> str:
    from signal import Signals  # few commands are killed

    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"  # a real-time signal


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing.

    Unlike `SIG_IGN`, a handler makes the signal write to the wakeup pipe, and the command does not inherit it.
    """
