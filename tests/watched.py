"""A project in which commands are run by `swarmtask run`, with and without a terminal."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.lab import ProjectFolder, clean_environ

Event = dict[str, Any]
Done = subprocess.CompletedProcess[bytes]

ENDINGS = ("COMPLETED", "PASSED", "FAILED")
PATIENCE = 30.0


class Watched(ProjectFolder):
    """A project's folder, with methods that call `swarmtask run` in it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "project")
        self.command = [sys.executable, "-m", "pytest_swarmtask", "run"]
        self._bin = folder / "bin"
        self._bin.mkdir()
        self.tool("swarmtask", f'exec "{sys.executable}" -m pytest_swarmtask "$@"')

    def tool(self, name: str, text: str) -> Path:
        """Put a shell script onto the PATH of the project's commands."""
        path = self._bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def environ(self, **more: str) -> dict[str, str]:
        """Return the environment of the project's commands."""
        path = os.pathsep.join([str(self._bin), os.path.dirname(sys.executable), os.environ["PATH"]])
        return clean_environ(**{"PATH": path, **more})

    def run(self, *arguments: str | bytes, **environ: str) -> Done:
        """Call `swarmtask run` with these arguments and wait for its end."""
        return self.plain(*self.command, *arguments, **environ)

    def shell(self, text: str, **environ: str) -> Done:
        """Run a shell script that can call `swarmtask`."""
        return self.plain("/bin/sh", "-c", text, **environ)

    def plain(self, *command: str | bytes, **environ: str) -> Done:
        """Run a command without `swarmtask run`."""
        return self.fed(b"", *command, **environ)

    def fed(self, stdin: bytes, *command: str | bytes, **environ: str) -> Done:
        """Run a command with `stdin` as its standard input."""
        return subprocess.run(
            command,
            cwd=self.root,
            env=self.environ(**environ),
            input=stdin,
            capture_output=True,
            timeout=2 * PATIENCE,
            check=False,
        )

    def begin(self, *arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start `swarmtask run` in its own session, without a terminal, and return at once."""
        return subprocess.Popen(
            [*self.command, *arguments],
            cwd=self.root,
            env=self.environ(**environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def terminal(self, *command: str, rows: int = 24, columns: int = 80, **environ: str) -> Terminal:
        """Start a command at its own terminal."""
        return Terminal(command, self.root, self.environ(**environ), rows, columns)

    def pair(self, task_id: str | None = None) -> tuple[Event, Event]:
        """Return the start event and the end event of a task.
        Without a task id the journal must contain only one task.
        """
        start, end = [event for event in self.events() if task_id in (None, event["task_id"])]
        assert start["event_type"].endswith("_STARTED")
        assert end["event_type"].endswith(ENDINGS)
        for field in ("task_id", "trace_id", "span_id", "parent_span_id"):
            assert start[field] == end[field]
        return start, end

    def end(self, task_id: str | None = None) -> Event:
        """Return the end event of a task, and check that its start event exists."""
        return self.pair(task_id)[1]


class Terminal:
    """A pseudo terminal, used from the side of the person who sits at it."""

    def __init__(self, command: Sequence[str], cwd: Path, environ: Mapping[str, str], rows: int, columns: int) -> None:
        self._outer, inner = os.openpty()
        self.resize(rows, columns)
        # A session leader gets the first terminal that it opens as its controlling terminal.
        opening = ["/bin/sh", "-c", 'exec "$@" <"$0" >"$0" 2>"$0"', os.ttyname(inner), *command]
        self._process = subprocess.Popen(opening, cwd=cwd, env=environ, start_new_session=True)
        self._open = [self._outer, inner]  # keep both ends open, so that the output can still be read after the end
        self.shown = b""

    @property
    def pid(self) -> int:
        """The process id of the command."""
        return self._process.pid

    def resize(self, rows: int, columns: int) -> None:
        """Resize the terminal. Its foreground processes are notified."""
        fcntl.ioctl(self._outer, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: bytes) -> None:
        """Send key presses to the terminal."""
        os.write(self._outer, text)

    def insist(self, key: bytes) -> int:
        """Press a key, again after some seconds, until the command ends, and return its exit code.

        Python notices a Ctrl-C that comes just before it waits for input only with the next key.
        """

        def press() -> None:
            self.type(key)
            again = time.monotonic() + PATIENCE / 5
            while self._process.poll() is None and time.monotonic() < again:
                self._look(0.05)

        wait_for(lambda: self._process.poll() is not None, press)
        return self.end()

    def _look(self, wait: float) -> bool:
        if not select.select([self._outer], (), (), wait)[0]:
            return False
        self.shown += os.read(self._outer, 65536)
        return True

    def until(self, text: bytes) -> bytes:
        """Wait until the terminal shows this text, and return everything that it shows."""
        self._wait(lambda: text in self.shown, repr(text))
        return self.shown

    def _wait(self, reached: Callable[[], bool], what: str) -> None:
        try:
            wait_for(reached, lambda: self._look(0.05))
        except AssertionError:
            raise AssertionError(f"waited too long for {what}, shown is {self.shown!r}") from None

    def end(self) -> int:
        """Wait for the end of the command. Return its exit code, or the negated signal number."""
        self._wait(lambda: self._process.poll() is not None, "the end")
        while self._look(0):
            pass
        return self._process.returncode

    def hang_up(self) -> None:
        """Close the terminal's window."""
        for fd in self._open:
            os.close(fd)
        self._open = []

    def stop(self) -> None:
        """Kill the command if it is still running."""
        self.hang_up()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def wait_for(reached: Callable[[], bool], step: Callable[[], object] = lambda: time.sleep(0.01)) -> None:
    """Repeat a step until a condition is true.
    Raises:
        AssertionError: the condition is still false after `PATIENCE` seconds.
    """
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, "waited too long"
        step()
