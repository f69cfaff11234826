"""A command that is watched: started as a shell starts it, sent the signals that come to us, measured to its end.

It gets our standard files, our process group and our environment, so it can tell no difference; only its standard
error goes through us where its end is wanted (`pytest_swarmtask.capture.stderr`).
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys

from pytest_swarmtask.errors import SwarmtaskError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType
    from typing import Any, NoReturn

    from pytest_swarmtask.capture.stderr import Stderr

_FORWARDED = ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
_FROM_THE_KEYBOARD = ("SIGINT", "SIGQUIT")
_IGNORED_BY_PYTHON = ("SIGPIPE", "SIGXFSZ")
_COERCED = ("C.UTF-8", "C.utf8", "UTF-8")
_NOT_FOUND = 127
_NOT_EXECUTABLE = 126
_KILLED = 128


class StartError(SwarmtaskError):
    """A command that could not be started; the message says why as a shell would.

    `exit_code` is what a shell would return: 127 where there is no such command, else 126.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


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


def given_environ() -> dict[str, str]:
    """Return the environment that we were started with.

    Where the locale is C, Python makes it UTF-8 for its children, too (PEP 538); the command must not see that.
    """
    environ = dict(os.environ)
    if environ.get("LC_CTYPE") in _COERCED:
        try:
            with open("/proc/self/environ", "rb") as file:
                before = [line.partition(b"=") for line in file.read().split(b"\0") if line.startswith(b"LC_CTYPE=")]
        except OSError:
            return environ  # not Linux: it cannot be known
        del environ["LC_CTYPE"]
        environ |= {os.fsdecode(name): os.fsdecode(value) for name, _, value in before}
    return environ


def keep_standard_files() -> None:
    """See to it that nothing that we open gets the number of a standard file that was closed."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # it is closed again where the command starts
    os.close(fd)


def _lookup(name: str) -> str | None:
    """Return the file that a command's name means, one that can be executed if there is one; None without any."""
    folders = [""] if "/" in name else os.environ.get("PATH", os.defpath).split(os.pathsep)
    files = [path for path in (os.path.join(folder, name) for folder in folders) if os.path.isfile(path)]
    return next((path for path in files if os.access(path, os.X_OK)), files[0] if files else None)


def _refusal(name: str, error: OSError) -> StartError:
    """Return why a command could not be started, as a shell says it."""
    found = _lookup(name)
    if found is None and "/" not in name:  # also where a folder of PATH cannot be read
        return StartError(f"{name}: command not found", _NOT_FOUND)
    if isinstance(error, FileNotFoundError):
        missing = f"{name}: No such file or directory"
        return StartError(f"{missing}: the interpreter in its first line" if found else missing, _NOT_FOUND)
    reason = errno.EISDIR if os.path.isdir(name) else error.errno or 0
    return StartError(f"{name}: {os.strerror(reason)}", _NOT_EXECUTABLE)


def _started(start: Callable[[str, list[str]], int], arguments: Sequence[str]) -> int:
    """Start a command by calling `start` with its file and arguments, and return what that returns.

    As in any shell, a script without a first line that names its interpreter is one for the shell.

    Raises:
        StartError: it cannot be started.
    """
    name = arguments[0]
    if not name:
        raise StartError(f"{name!r}: command not found", _NOT_FOUND)
    try:
        try:
            return start(name, list(arguments))
        except OSError as error:
            script = _lookup(name) if error.errno == errno.ENOEXEC else None
            if script is None or _is_binary(script):
                raise
            return start("/bin/sh", ["/bin/sh", script, *arguments[1:]])
    except OSError as error:
        raise _refusal(name, error) from None


def _is_binary(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return b"\0" in file.read(128)
    except OSError:
        return False  # it may be executed and not read: the shell says so


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
                raise _refusal(self._arguments[0], error) from None

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

        __slots__ = ("_arguments", "_early", "_over", "_pid", "_wake", "_woken", "interrupted", "stderr")

        def __init__(self, arguments: Sequence[str]) -> None:
            self.interrupted = False
            self.stderr: Stderr | None = None
            self._arguments = arguments
            self._early: list[int] = []
            self._over = False
            self._pid: int | None = None
            self._wake = self._woken = -1

        def listen(self) -> None:
            """Take the signals that are for the command; what comes before it is there is kept for it.

            A signal that is ignored stays so, for the command as well (`nohup`).

            Raises:
                OSError: no more files can be opened.
            """
            self._woken, self._wake = os.pipe()
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
            if self._pid is None:
                self._early.append(number)
            elif not typed and not self._over:  # what was typed the command has from the terminal, as we have
                self._send(number)

        def _send(self, number: int) -> None:
            try:
                os.kill(self._pid or 0, number)
            except OSError:
                pass  # it has ended, or runs as somebody else

        def start(self, environ: Mapping[str, str], *, keep_stderr: bool) -> None:
            """Start it.

            Args:
                environ: its environment.
                keep_stderr: whether the end of its standard error is wanted.

            Raises:
                StartError: it cannot be started.
            """
            if keep_stderr:
                from pytest_swarmtask.capture.stderr import Stderr

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
                self._pid = _started(spawn, self._arguments)
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
                    pid, status, usage = os.wait4(self._pid or 0, os.WNOHANG)
                    if pid:
                        return status, usage

    def become(arguments: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
        """Replace this process by a command.

        Raises:
            StartError: it cannot be started.
        """
        for number in _numbers(_IGNORED_BY_PYTHON):
            signal.signal(number, signal.SIG_DFL)

        def replace(file: str, arguments: list[str]) -> NoReturn:
            os.execvpe(file, arguments, environ)  # noqa: S606 - that is the idea

        _started(replace, arguments)
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
