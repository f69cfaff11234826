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
    """A project's folder, and `swarmtask run` in it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "project")
        self.command = [sys.executable, "-m", "pytest_swarmtask", "run"]
        self._bin = folder / "bin"
        self._bin.mkdir()
        self.tool("swarmtask", f'exec "{sys.executable}" -m pytest_swarmtask "$@"')

    def tool(self, name: str, text: str) -> Path:
        """Put a shell script onto the path of what runs here."""
        path = self._bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def environ(self, **more: str) -> dict[str, str]:
        """Return the environment of what runs here."""
        path = os.pathsep.join([str(self._bin), os.path.dirname(sys.executable), os.environ["PATH"]])
        return clean_environ(**{"PATH": path, **more})

    def run(self, *arguments: str | bytes, **environ: str) -> Done:
        """Call `swarmtask run` with these arguments and wait for its end."""
        return self.plain(*self.command, *arguments, **environ)

    def shell(self, text: str, **environ: str) -> Done:
        """Run a shell script that knows `swarmtask`."""
        return self.plain("/bin/sh", "-c", text, **environ)

    def plain(self, *command: str | bytes, **environ: str) -> Done:
        """Run any command as it is."""
        return self.fed(b"", *command, **environ)

    def fed(self, stdin: bytes, *command: str | bytes, **environ: str) -> Done:
        """Run any command with this on its standard input."""
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
        """Call `swarmtask run` in a session of its own, without a terminal, and return it as soon as it is started."""
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
        """Start a command at a terminal of its own."""
        return Terminal(command, self.root, self.environ(**environ), rows, columns)

    def pair(self, task_id: str | None = None) -> tuple[Event, Event]:
        """Return the one start and the one end of a task, or of all that is there; they belong together."""
        start, end = [event for event in self.events() if task_id in (None, event["task_id"])]
        assert start["event_type"].endswith("_STARTED")
        assert end["event_type"].endswith(ENDINGS)
        for field in ("task_id", "trace_id", "span_id", "parent_span_id"):
            assert start[field] == end[field]
        return start, end

    def end(self, task_id: str | None = None) -> Event:
        """Return the event of the end; the start is there, too."""
        return self.pair(task_id)[1]


class Terminal:
    """A pseudo terminal, seen from the side of the person who sits at it."""

    def __init__(self, command: Sequence[str], cwd: Path, environ: Mapping[str, str], rows: int, columns: int) -> None:
        self._outer, inner = os.openpty()
        self.resize(rows, columns)
        # A session's leader gets the first terminal that it opens as its own.
        opening = ["/bin/sh", "-c", 'exec "$@" <"$0" >"$0" 2>"$0"', os.ttyname(inner), *command]
        self._process = subprocess.Popen(opening, cwd=cwd, env=environ, start_new_session=True)
        self._open = [self._outer, inner]  # both, so that what is shown is still there after the end
        self.shown = b""

    @property
    def pid(self) -> int:
        """The process id of the command."""
        return self._process.pid

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal another size, of which its foreground processes are told."""
        fcntl.ioctl(self._outer, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: bytes) -> None:
        """Press keys."""
        os.write(self._outer, text)

    def _look(self, wait: float) -> bool:
        if not select.select([self._outer], (), (), wait)[0]:
            return False
        self.shown += os.read(self._outer, 65536)
        return True

    def until(self, text: bytes) -> bytes:
        """Wait until this is shown, and return all that is."""
        self._wait(lambda: text in self.shown, repr(text))
        return self.shown

    def _wait(self, reached: Callable[[], bool], what: str) -> None:
        try:
            wait_for(reached, lambda: self._look(0.05))
        except AssertionError:
            raise AssertionError(f"waited too long for {what}, shown is {self.shown!r}") from None

    def end(self) -> int:
        """Wait for the end of the command; return its exit code, or the number of its signal below zero."""
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
        """End what still runs."""
        self.hang_up()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def wait_for(reached: Callable[[], bool], step: Callable[[], object] = lambda: time.sleep(0.01)) -> None:
    """Repeat a step until something is reached.

    Raises:
        AssertionError: it takes too long.
    """
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, "waited too long"
        step()
