"""Starting a command as a shell does: found on the path, with the environment and the files that we were given.

What cannot be started is answered as a shell answers it, in words and exit code.
"""

from __future__ import annotations

import errno
import os

from pytest_swarmtask.core.errors import SwarmtaskError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_COERCED = ("C.UTF-8", "C.utf8", "UTF-8")
_NOT_FOUND = 127
_NOT_EXECUTABLE = 126


class StartError(SwarmtaskError):
    """A command that could not be started; the message says why as a shell would.

    `exit_code` is what a shell would return: 127 where there is no such command, else 126.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


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


def refusal(name: str, error: OSError) -> StartError:
    """Return why a command could not be started, as a shell says it."""
    found = _lookup(name)
    if found is None and "/" not in name:  # also where a folder of PATH cannot be read
        return StartError(f"{name}: command not found", _NOT_FOUND)
    if isinstance(error, FileNotFoundError):
        missing = f"{name}: No such file or directory"
        return StartError(f"{missing}: the interpreter in its first line" if found else missing, _NOT_FOUND)
    reason = errno.EISDIR if os.path.isdir(name) else error.errno or 0
    return StartError(f"{name}: {os.strerror(reason)}", _NOT_EXECUTABLE)


def started(start: Callable[[str, list[str]], int], arguments: Sequence[str]) -> int:
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
        raise refusal(name, error) from None


def _is_binary(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return b"\0" in file.read(128)
    except OSError:
        return False  # it may be executed and not read: the shell says so
