"""The standard error of a watched command: passed on byte for byte as it comes, with its end kept.

Where ours is a terminal the command gets a terminal too, so that it colours, draws and asks as it would without us.
"""

from __future__ import annotations

import errno
import os
import select
import signal

from pytest_swarmtask.core.fastjson import encode_basestring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_swarmtask.redaction.redactor import Redactor

STDERR = 2
_CHUNK = 1 << 16
_KEPT = 1 << 15
_MOST_BUFFERED = 1 << 20
"""No pipe or terminal holds more bytes than this, so what a command has written before its end is within it."""

_LONGEST_SECRET = 4096
_LONGEST_LINE = 1000
_LONGEST_TAIL = 6000
"""Bytes in an event; the tail shares an event of 16 KiB with the command and the user's metadata."""

_ESCAPES = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])"
_CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f]"


class Stderr:
    """What stands between the standard error of a command and ours.

    Attributes:
        inner: the descriptor that the command gets.
        outer: the descriptor that we read; None once there is nothing more to come.
    """

    __slots__ = ("_kept", "_terminal", "inner", "outer")

    def __init__(self, outer: int, inner: int, *, terminal: bool) -> None:
        self.outer: int | None = outer
        self.inner = inner
        self._kept = bytearray()
        self._terminal = terminal

    @classmethod
    def open(cls) -> Stderr | None:
        """Return one, or None where the command is better given ours: it is closed, or nothing like it can be had."""
        try:
            if not os.get_inheritable(STDERR):
                return None  # it was closed, and something of ours has its number
            terminal = os.isatty(STDERR)
            outer, inner = _terminal_like(STDERR) if terminal else os.pipe()
            select.select([outer], (), (), 0)  # too many open files to wait for one?
            return cls(outer, inner, terminal=terminal)
        except (OSError, ValueError):
            return None

    def started(self) -> None:
        """Leave the inner end to the command alone, so that its end can be seen."""
        os.close(self.inner)

    def resize(self) -> bool:
        """Give the command's terminal the size of ours; tell whether there is one."""
        if self._terminal and self.outer is not None:
            _copy_size(STDERR, self.outer)
        return self._terminal

    def pass_on(self) -> int:
        """Wait for bytes, pass them on, and return how many: none when there are no more to come."""
        if self.outer is None:
            return 0
        try:
            data = os.read(self.outer, _CHUNK)
        except OSError:  # the last one that had the terminal open has closed it
            data = b""
        if not data or not _write(data):
            self.close()
        self._keep(data)
        return len(data)

    def _keep(self, data: bytes) -> None:
        self._kept += data
        if len(self._kept) > 2 * _KEPT:
            del self._kept[: -_KEPT - 1]  # one byte more: it says that something came before

    def drain(self) -> None:
        """Pass on what the command, which has ended, has left behind; wait for nothing."""
        left = _MOST_BUFFERED
        while self.outer is not None and left > 0 and select.select([self.outer], (), (), 0)[0]:
            left -= self.pass_on()

    def leave(self, ignored: Iterable[int]) -> None:
        """Leave the rest to somebody else where a child of the command, such as a server, still writes.

        Without a reader it would be killed by its next line; and we must not wait for it.

        Args:
            ignored: signals that are not for the one who reads on.
        """
        if self.outer is None:
            return
        before = [(number, signal.signal(number, signal.SIG_IGN)) for number in ignored]
        try:
            os.posix_spawnp(
                "cat",
                ["cat"],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, self.outer, 0),
                    (os.POSIX_SPAWN_DUP2, STDERR, 1),
                    (os.POSIX_SPAWN_OPEN, STDERR, os.devnull, os.O_WRONLY, 0),
                ],
                setsigdef=[signal.SIGPIPE],
            )
        except OSError:
            pass  # then the next line of that child goes nowhere
        for number, handler in before:
            signal.signal(number, handler)
        self.close()

    def tail(self, lines: int, redactor: Redactor) -> str:
        """Return the last lines that came, as plain text without secrets, less where they are long."""
        text = _without_control(self._kept[-_KEPT:].decode("utf-8", "replace"))
        text = redactor.text(text, 2 * _KEPT)
        if len(self._kept) > _KEPT:
            text = text[_LONGEST_SECRET:]  # where half a secret may stand
        kept: list[str] = []
        size = 0
        for line in reversed(text.rstrip().split("\n")[-lines:]):
            shown = line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"
            size += len(encode_basestring(shown).encode())
            if size > _LONGEST_TAIL:
                break
            kept.append(shown)
        return "\n".join(reversed(kept))

    def close(self) -> None:
        """Read no more."""
        if self.outer is not None:
            os.close(self.outer)
            self.outer = None


def _write(data: bytes) -> bool:
    """Write to standard error; tell whether somebody reads there. What a full disk does not take is lost, as ever."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(STDERR, view) :]
        except BlockingIOError:  # noqa: PERF203 - each piece may meet it
            select.select((), [STDERR], ())
        except OSError as error:
            return error.errno != errno.EPIPE
    return True


def _terminal_like(fd: int) -> tuple[int, int]:
    """Return both ends of a new terminal with the size of that one, which passes bytes on as they are."""
    import termios

    attributes = termios.tcgetattr(fd)
    attributes[1] &= ~termios.OPOST  # the real one does what there is to do
    attributes[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
    outer, inner = os.openpty()
    termios.tcsetattr(inner, termios.TCSANOW, attributes)
    _copy_size(fd, outer)
    return outer, inner


def _copy_size(fd: int, to: int) -> None:
    import fcntl
    import termios

    try:
        fcntl.ioctl(to, termios.TIOCSWINSZ, fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        pass  # a terminal without a size


def _without_control(text: str) -> str:
    """Return the text as it would stand on a page: without colours, and each line as it was last drawn."""
    import re  # only for a command that failed: it costs more than a tenth of what `run` needs

    text = re.sub(_ESCAPES, "", text)
    return "\n".join(re.sub(_CONTROL, "", line.rstrip("\r").rpartition("\r")[2]) for line in text.split("\n"))
