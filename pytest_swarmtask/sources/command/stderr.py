"""The standard error of a watched command: passed on byte for byte as it comes, with its last lines kept.

If ours is a terminal, the command gets a terminal, too, so that it colours, draws and asks as it would without us.
"""

from __future__ import annotations

import errno
import os
import select

from pytest_swarmtask.core.fastjson import encode_basestring

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Iterable

    from pytest_swarmtask.redaction.redactor import Redactor
else:
    import _signal as signal  # as in `process`

STDERR = 2
_CHUNK = 1 << 16
_KEPT = 1 << 15
"""Bytes of the end that are kept; the lines for the event are taken from them."""
_MAX_BUFFERED = 1 << 20
"""Bytes that a pipe or terminal can hold, at most: all that a command has written before its end is among them."""

_MAX_SECRET = 4096
"""Characters that are dropped after a cut: the end of a secret may be left there, which cannot be recognized."""
_MAX_LINE = 1000
_MAX_TAIL = 6000
"""Bytes in an event. An event has 16 KiB (`MAX_FACTS`), which the tail shares with the command and the caller's
metadata."""

# Escape sequences as in ECMA-48: CSI, OSC up to its end, and the short ones.
_ESCAPES = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])"
_CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f]"


class Stderr:
    """A pipe or a terminal between the standard error of a command and ours.

    Attributes:
        command_end: the descriptor that the command gets.
        our_end: the descriptor that we read; None once nothing more can come.
    """

    __slots__ = ("_is_terminal", "_kept", "command_end", "our_end")

    def __init__(self, our_end: int, command_end: int, *, terminal: bool) -> None:
        self.our_end: int | None = our_end
        self.command_end = command_end
        self._kept = bytearray()
        self._is_terminal = terminal

    @classmethod
    def open(cls) -> Stderr | None:
        """Return one, or None if the command should get ours: ours is closed, or no pipe or terminal can be opened."""
        try:
            if not os.get_inheritable(STDERR):
                return None  # it was closed, and a file of ours has its number
            terminal = os.isatty(STDERR)
            our_end, command_end = _terminal_like(STDERR) if terminal else os.pipe()
            select.select([our_end], (), (), 0)  # raises if its number is too high to be waited for
            return cls(our_end, command_end, terminal=terminal)
        except (OSError, ValueError):
            return None

    def close_command_end(self) -> None:
        """Close our copy of the command's end, once the command has it: only then can we see that it closes its own."""
        os.close(self.command_end)

    def resize(self) -> bool:
        """Give the command's terminal the size of ours; return whether it has a terminal."""
        if self._is_terminal and self.our_end is not None:
            _copy_size(STDERR, self.our_end)
        return self._is_terminal

    def pass_on(self) -> int:
        """Wait for bytes and pass them on; return how many there were, 0 if no more can come."""
        if self.our_end is None:
            return 0
        try:
            data = os.read(self.our_end, _CHUNK)
        except OSError:  # EIO: nobody has the terminal open any more
            data = b""
        if not data or not _write(data):
            self.close()
        self._keep(data)
        return len(data)

    def _keep(self, data: bytes) -> None:
        self._kept += data
        if len(self._kept) > 2 * _KEPT:
            del self._kept[: -_KEPT - 1]  # keep one byte more, which shows `tail` that something came before

    def drain(self) -> None:
        """Pass on what the command has written and nobody has read yet, without waiting for more."""
        left = _MAX_BUFFERED
        while self.our_end is not None and left > 0 and select.select([self.our_end], (), (), 0)[0]:
            left -= self.pass_on()

    def leave_to_others(self, ignored: Iterable[int]) -> None:
        """Let a process of its own pass on the rest, if a child of the command, such as a server, still writes.

        Without a reader, the next line of the child would kill it; and we must not wait for the child to end.

        Args:
            ignored: numbers of signals that the new process must ignore, since they are not meant for it.
        """
        if self.our_end is None:
            return
        handlers = [(number, signal.signal(number, signal.SIG_IGN)) for number in ignored]  # it inherits that
        try:
            os.posix_spawnp(
                "cat",
                ["cat"],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, self.our_end, 0),
                    (os.POSIX_SPAWN_DUP2, STDERR, 1),
                    (os.POSIX_SPAWN_OPEN, STDERR, os.devnull, os.O_WRONLY, 0),
                ],
                setsigdef=[signal.SIGPIPE],
            )
        except OSError:
            pass  # then nobody reads what the child writes
        for number, handler in handlers:
            signal.signal(number, handler)
        self.close()

    def tail(self, lines: int, redactor: Redactor, *, is_traced: bool = False) -> str:
        """Return the last lines as plain text without secrets; fewer of them if they are long.

        Args:
            lines: how many.
            redactor: hides the secrets.
            is_traced: whether a shell prints each command that it runs. These lines say nothing of what went wrong.
        """
        text = _without_control(self._kept[-_KEPT:].decode("utf-8", "replace"))
        text = redactor.text(text, 2 * _KEPT)
        if len(self._kept) > _KEPT:
            text = text[_MAX_SECRET:]
        kept: list[str] = []
        size = 0
        found = text.rstrip().split("\n")
        if is_traced:
            found = [line for line in found if not (line[:1] == "+" and line.lstrip("+")[:1] == " ")]
        for line in reversed(found[-lines:]):
            shown = line if len(line) <= _MAX_LINE else f"{line[:_MAX_LINE]}…"
            size += len(encode_basestring(shown).encode())
            if size > _MAX_TAIL:
                break
            kept.append(shown)
        return "\n".join(reversed(kept))

    def close(self) -> None:
        """Stop reading."""
        if self.our_end is not None:
            os.close(self.our_end)
            self.our_end = None


def _write(data: bytes) -> bool:
    """Write to standard error; return whether somebody reads it. What a full disk does not take is lost."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(STDERR, view) :]
        except BlockingIOError:  # noqa: PERF203 - another process has made it non-blocking, which can hit each piece
            select.select((), [STDERR], ())
        except OSError as error:
            return error.errno != errno.EPIPE
    return True


def _terminal_like(fd: int) -> tuple[int, int]:
    """Return our end and the command's end of a new terminal, like an existing one, that passes on bytes unchanged."""
    import termios

    attributes = termios.tcgetattr(fd)
    attributes[1] &= ~termios.OPOST  # the real terminal will translate line ends
    # Nothing is typed into this one: echo, line editing and signals of keys belong to the real terminal.
    attributes[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
    our_end, command_end = os.openpty()
    termios.tcsetattr(command_end, termios.TCSANOW, attributes)
    _copy_size(fd, our_end)
    return our_end, command_end


def _copy_size(fd: int, to: int) -> None:
    import fcntl
    import termios

    try:
        fcntl.ioctl(to, termios.TIOCSWINSZ, fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        pass  # a terminal without a size


def _without_control(text: str) -> str:
    """Return the text without colours, and each line as it was drawn last: progress bars draw a line many times."""
    import re  # only for a command that failed: it costs more than a tenth of what `run` needs

    text = re.sub(_ESCAPES, "", text)
    return "\n".join(re.sub(_CONTROL, "", line.rstrip("\r").rpartition("\r")[2]) for line in text.split("\n"))
