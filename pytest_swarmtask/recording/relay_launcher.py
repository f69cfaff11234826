"""Hand-off: from the watched process to the relay that serves it, over nothing but the journal's folder.

A relay is known by a short key that stands for the values its deliveries depend on, so runs with the same
webhooks and secrets share one, and a `prod` deployment never shares one with a developer's test run.

Starting a relay costs a lock and a `posix_spawn`; waiting for it is reading a small file that it keeps.
"""

from __future__ import annotations

import os
import sys
import time

from pytest_swarmtask.core.files import private_folder, replace_file
from pytest_swarmtask.core.trace import Clock
from pytest_swarmtask.journal import locks

if sys.platform != "win32":
    from posix import waitpid  # the real one, where gevent has replaced that of `os` by one that may wait for ever

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pytest_swarmtask.core.project import Project

_POLL = 0.02
_MOST_OFF = 60.0
"""Seconds by which clocks may disagree before it is not the hardware that is to blame."""
_NOT_FOR_OURS = (
    # Coverage would measure our processes into the watched project's data; the rest would make it noisy or strict.
    "COV_CORE_SOURCE",
    "COV_CORE_CONFIG",
    "COV_CORE_DATAFILE",
    "COVERAGE_PROCESS_START",
    "COVERAGE_PROCESS_CONFIG",
    "PYTHONWARNINGS",
    "PYTHONDEVMODE",
    "PYTHONINSPECT",
    "PYTHONSTARTUP",
    "PYTHONTRACEMALLOC",
    "PYTHONPROFILEIMPORTTIME",
)
_MAIN = "from pytest_swarmtask.relay.process import main; main(sys.argv[1:])"
_SHELL = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 &'


class RelayLauncher:
    """The watched process's view of the relay that serves it."""

    __slots__ = ("_foreground", "_project", "_relay", "problem")

    def __init__(self, project: Project, relay: str) -> None:
        self._project = project
        self._relay = relay
        self._foreground = False
        self.problem: str | None = None

    def start(self, environ: Mapping[str, str]) -> bool:
        """See to it that a relay serves this run; tell whether one does.

        Never raises: where none can be started, `wait` delivers by itself.
        """
        try:
            private_folder(self._project.relay_folder)
            lock = locks.open_locked(self._project.lock(self._relay))
            if lock is None:
                return True  # one is at work
            try:
                _spawn(self._project, self._relay, lock, environ)
            finally:
                os.close(lock)  # the relay has its own copy, and with it the lock
        except Exception as error:  # noqa: BLE001 - no process, no shell, no space: the work goes on
            self._foreground = True
            self.problem = f"no relay could be started ({error}); what the end of the run does not deliver, flush does"
            return False
        return True

    def wait(self, owed: Mapping[str, int], timeout: float, environ: Mapping[str, str]) -> bool:
        """Wait until segments are settled up to these sizes in bytes, at most `timeout` seconds.

        Returns:
            Whether they are: every event delivered, or a dead letter.
        """
        if self._foreground:
            return self._deliver(owed, timeout, environ)
        now = Clock().now  # a suite may have stopped the other clocks for good
        deadline = now() + timeout
        restarted = False
        self._hurry()
        while not self._settled(owed):
            if now() >= deadline:
                return False
            if not restarted and not locks.is_locked(self._project.lock(self._relay)):
                restarted = True  # it was killed, or had nothing to do for a long while
                if not self.start(environ):
                    return self._deliver(owed, max(0.0, deadline - now()), environ)
            time.sleep(_POLL)
        return True

    def _hurry(self) -> None:
        """Have batches sent that are not full."""
        try:
            replace_file(self._project.hurry_request(self._relay), b"")
        except OSError:
            pass  # they go when they are old enough

    def progress(self) -> dict[str, Any]:
        """Return what the relay last said."""
        return self._project.read_progress(self._relay)

    def _settled(self, owed: Mapping[str, int]) -> bool:
        settled = self.progress()["segments"]
        return all(settled.get(segment, 0) >= size for segment, size in owed.items())

    def _deliver(self, owed: Mapping[str, int], timeout: float, environ: Mapping[str, str]) -> bool:
        if not _clock_is_right():
            return False  # timeouts would never end, and signatures be refused
        try:
            # The one place where the watched process loads a relay: it could not start one.
            from pytest_swarmtask.relay import process

            process.serve(self._project, self._relay, environ, timeout=timeout)
        except Exception as error:  # noqa: BLE001 - delivery is tried again by the next relay
            self.problem = f"events could not be delivered: {error}"
        return self._settled(owed)


def _clock_is_right() -> bool:
    """Tell whether this process still has the real time: a suite may have stopped or moved its clock for good."""
    before = time.monotonic()
    time.sleep(_POLL)
    return time.monotonic() > before and abs(time.time() - Clock().now()) < _MOST_OFF


def own_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a process of ours: without what is meant for the watched one alone."""
    return {name: value for name, value in environ.items() if name not in _NOT_FOR_OURS}


def own_command(program: str, *arguments: str) -> list[str]:
    """Return the command of a process of ours that runs a program, in which `sys` is known, with these arguments.

    The working directory is not on its path: a project's own `email.py` must not shadow the library's.
    """
    package_parent = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return [sys.executable, "-c", f"import sys; sys.path[0] = sys.argv.pop(1); {program}", package_parent, *arguments]


def _spawn(project: Project, relay: str, lock: int, environ: Mapping[str, str]) -> None:
    arguments = own_command(_MAIN, project.root, relay)
    env = own_environ(environ)
    log = project.relay_log
    if sys.platform == "win32":
        _spawn_windows(arguments, log, env)
        return
    os.close(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    os.set_inheritable(lock, True)  # noqa: FBT003 - the library's
    # A shell in between makes the relay nobody's child: a suite that waits for its children must not meet it.
    shell = ["/bin/sh", "-c", _SHELL, "relay", log, *arguments, str(lock)]
    pid = os.posix_spawn("/bin/sh", shell, env, setsid=True)
    try:
        waitpid(pid, 0)
    except ChildProcessError:
        pass  # the suite ignores SIGCHLD, the system has reaped it


def _spawn_windows(arguments: list[str], log: str, env: dict[str, str]) -> None:
    import subprocess

    flags = getattr(subprocess, "DETACHED_PROCESS", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    with open(log, "ab") as output:
        subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, creationflags=flags
        )
