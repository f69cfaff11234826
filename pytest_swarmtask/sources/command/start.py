"""Starting a command as a shell does: found on the path, with the environment and the files that we were given.

A command that cannot be started gets the message and the exit code that a shell gives it.
"""

from __future__ import annotations

import errno
import os

from pytest_swarmtask.core.errors import SwarmtaskError
from pytest_swarmtask.core.files import only_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_COERCED = ("C.UTF-8", "C.utf8", "UTF-8")
"""The locales that Python may set in place of C, see https://peps.python.org/pep-0538/."""

# Section 2.8.2 of https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html
_NOT_FOUND = 127
_NOT_EXECUTABLE = 126


class StartError(SwarmtaskError):
    """A command that could not be started. The message says why as a shell would.

    Attributes:
        exit_code: what a shell would return: 127 if there is no such command, else 126.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def original_environ() -> dict[str, str]:
    """Return the environment that this process was started with.

    If the locale is C, Python changes `LC_CTYPE` in it to UTF-8, also for its children; the command must not see that.
    """
    environ = dict(os.environ)
    if environ.get("LC_CTYPE") in _COERCED:
        try:
            with open("/proc/self/environ", "rb") as file:
                before = [line.partition(b"=") for line in file.read().split(b"\0") if line.startswith(b"LC_CTYPE=")]
        except OSError:
            return environ  # not Linux: the original value cannot be known
        del environ["LC_CTYPE"]
        environ |= {os.fsdecode(name): os.fsdecode(value) for name, _, value in before}
    return environ


def occupy_standard_descriptors() -> None:
    """Open `os.devnull` for each standard file that is closed, so that no file of ours gets its number.

    The command does not get these: Python opens files so that they close when another program starts.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)


def _lookup(name: str) -> str | None:
    """Return the file that the name of a command means, preferably one that can be executed, or None."""
    folders = [""] if "/" in name else os.environ.get("PATH", os.defpath).split(os.pathsep)
    files = [path for path in (os.path.join(folder, name) for folder in folders) if os.path.isfile(path)]
    return next((path for path in files if os.access(path, os.X_OK)), files[0] if files else None)


def start_error(name: str, error: OSError) -> StartError:
    """Return the error for a command that could not be started, as a shell words it."""
    found = _lookup(name)
    if found is None and "/" not in name:  # whatever the error: a folder of PATH may be unreadable
        return StartError(f"{name}: command not found", _NOT_FOUND)
    if isinstance(error, FileNotFoundError):
        missing = f"{name}: No such file or directory"
        return StartError(f"{missing}: the interpreter in its first line" if found else missing, _NOT_FOUND)
    reason = errno.EISDIR if os.path.isdir(name) else error.errno or 0
    return StartError(f"{name}: {os.strerror(reason)}", _NOT_EXECUTABLE)


def start_as_shell(start: Callable[[str, list[str]], int], arguments: Sequence[str]) -> int:
    """Start a command by calling `start` with its file and arguments, and return the result of `start`.

    As in any shell, a script whose first line names no interpreter is run by the shell.

    Raises:
        StartError: the command cannot be started.
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
        raise start_error(name, error) from None


def _is_binary(path: str) -> bool:
    """Whether a file is no script. Bash, too, looks for a NUL byte in its beginning."""
    try:
        with open(path, "rb", opener=only_regular) as file:
            return b"\0" in file.read(128)
    except OSError:
        return False  # executable and not readable: the shell will say that it cannot read it
