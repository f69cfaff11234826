"""Starts the relay that delivers the events of the watched process, and waits for it.

Both sides share only files in the journal's folder. A relay has a short key, made of the values that its deliveries
depend on. So runs with the same webhooks and secrets share a relay, but a `prod` deployment and a developer's test run
do not.

To start a relay takes a lock and a `posix_spawn`. To wait for it means to read a small file that it updates.
"""

from __future__ import annotations

import os
import sys
import time

from pytest_swarmtask.core.facts.process import PATH_AT_START
from pytest_swarmtask.core.fastjson import compact
from pytest_swarmtask.core.files import open_own, private_folder, replace_file
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.core.trace import Clock
from pytest_swarmtask.journal import locks

if sys.platform != "win32":
    from posix import waitpid  # the real function: gevent replaces `os.waitpid` by one that may wait for ever

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_POLL = 0.02
"""Seconds between two looks at the relay's progress."""
_MOST_OFF = 60.0
"""Seconds by which two clocks of this process may differ. Hardware drifts by less; more is the work of a test suite."""
_NOT_FOR_OURS = (
    # With these, coverage would count our processes among those of the watched project. The others below would make
    # our processes write to the log, slow them down, or make errors of their warnings.
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
_MAIN = "from pytest_swarmtask.recording.relay_launcher import run_relay; run_relay(sys.argv[1:])"
_PRUNE = "from pytest_swarmtask.relay.retention import main; main(sys.argv[1:])"
_SET_PATH = (
    "import os, sys; sys.path[0] = sys.argv.pop(1); "
    "sys.path += [entry for entry in sys.argv.pop(1).split(os.pathsep) if entry not in ['', *sys.path]]; "
)
_SHELL = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 &'


class RelayLauncher:
    """Starts and watches one relay.

    Args:
        project: the project whose journal the relay serves.
        relay: the relay's key, see `recording.routing`.

    Attributes:
        problem: why the relay could not be started, or could not deliver; None if all is well.
    """

    __slots__ = ("_foreground", "_project", "_relay", "problem")

    def __init__(self, project: Project, relay: str) -> None:
        self._project = project
        self._relay = relay
        self._foreground = False
        self.problem: str | None = None

    def start(self, environ: Mapping[str, str]) -> bool:
        """Start the relay unless it is at work; return whether it is now. Never raises.

        If it cannot be started, `wait` delivers in this process.
        """
        try:
            private_folder(self._project.relay_folder)
            path = self._project.lock(self._relay)
            lock = locks.open_locked(path)
            if lock is None:
                return True  # it is at work
            try:
                _spawn(self._project, self._relay, lock, environ)
            except BaseException:
                locks.release(path, lock)
                raise
            os.close(lock)  # the relay has a copy of the descriptor, and so the lock
        except Exception as error:  # noqa: BLE001 - no process, no shell, no space: the work goes on
            self._foreground = True
            self.problem = f"no relay could be started ({error}); what the end of the run does not deliver, flush does"
            return False
        return True

    def wait(self, pending: Mapping[str, int], timeout: float, environ: Mapping[str, str]) -> bool:
        """Wait until segments are settled: each event is delivered or a dead letter.

        Args:
            pending: the segments with their sizes in bytes.
            timeout: seconds to wait, at most.
            environ: the environment for the relay, which is started again if it has ended.

        Returns:
            Whether they are settled.
        """
        if self._foreground:
            return self._deliver(pending, timeout, environ)
        now = Clock().now  # a test suite may have stopped the other clocks for good
        deadline = now() + timeout
        restarted = False
        self._hurry()
        while not self._is_settled(pending):
            if now() >= deadline:
                return False
            if not locks.is_held(self._project.lock(self._relay)):
                lacking = self.progress().get("problem")
                if lacking:
                    self.problem = f"the relay cannot work ({lacking}), so this session delivers its events itself"
                elif not restarted:
                    restarted = True  # it was killed, or ended after a long time without work
                    self._foreground = not self.start(environ)
                if lacking or self._foreground:
                    return self._deliver(pending, max(0.0, deadline - now()), environ)
            time.sleep(_POLL)
        return True

    def _hurry(self) -> None:
        """Ask the relay to send batches that are not full yet."""
        try:
            replace_file(self._project.hurry_request(self._relay), b"")
        except OSError:
            pass  # the relay sends them anyway when they are old enough

    def progress(self) -> dict[str, Any]:
        """Return the progress that the relay published last, see `Project.read_progress`."""
        return self._project.read_progress(self._relay)

    def _is_settled(self, pending: Mapping[str, int]) -> bool:
        settled = self.progress()["segments"]
        return all(settled.get(segment, 0) >= size for segment, size in pending.items())

    def _deliver(self, pending: Mapping[str, int], timeout: float, environ: Mapping[str, str]) -> bool:
        """Deliver in this process, with the same code as a relay."""
        if not _is_clock_right():
            return False  # timeouts would never end, and receivers would refuse signatures of another time
        try:
            # The one place where the watched process loads a relay: it could not start one.
            from pytest_swarmtask.relay import process

            process.serve(self._project, self._relay, environ, timeout=timeout)
        except Exception as error:  # noqa: BLE001 - delivery is tried again by the next relay
            self.problem = f"events could not be delivered: {error}"
        return self._is_settled(pending)


def _is_clock_right() -> bool:
    """Whether this process still has the real time: a test suite may have frozen or moved its clock for good."""
    before = time.monotonic()
    time.sleep(_POLL)
    return time.monotonic() > before and abs(time.time() - Clock().now()) < _MOST_OFF


def own_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a process of ours, without variables that only the watched process should have."""
    return {name: value for name, value in environ.items() if name not in _NOT_FOR_OURS}


def own_command(program: str, *arguments: str) -> list[str]:
    """Return the command that runs a Python program in a process of ours.

    Args:
        program: the code, in which `sys` is already imported.
        arguments: become ``sys.argv[1:]``.
    """
    # `-c` puts the working directory first on the path, where a project's own `email.py` would hide that of the
    # library. So this package's parent takes its place. The path of this process comes last: tools such as PEX, Bazel
    # and buildout give it packages that a new interpreter would not find.
    package_parent = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return [sys.executable, "-c", _SET_PATH + program, package_parent, os.pathsep.join(PATH_AT_START), *arguments]


def run_relay(arguments: list[str]) -> None:
    """Be the relay that `RelayLauncher` starts. It says in its progress file if a module is missing.

    Args:
        arguments: those of `relay.process.main`.
    """
    try:
        from pytest_swarmtask.relay.process import main

        main(arguments)
    except ImportError as error:
        project, relay = Project(arguments[0]), arguments[1]
        replace_file(project.progress(relay), compact({"problem": str(error)}).encode())
        raise


def prune_in_background(project: Project, environ: Mapping[str, str]) -> None:
    """Apply the retention to a journal in a process of ours.

    Raises:
        OSError: the process cannot be started.
    """
    private_folder(project.relay_folder)
    _start(own_command(_PRUNE, project.root), project.relay_log, own_environ(environ))


def _spawn(project: Project, relay: str, lock: int, environ: Mapping[str, str]) -> None:
    arguments = own_command(_MAIN, project.root, relay)
    if sys.platform != "win32":
        os.set_inheritable(lock, True)  # noqa: FBT003 - the library's
        arguments.append(str(lock))
    _start(arguments, project.relay_log, own_environ(environ))


def _start(arguments: list[str], log: str, env: dict[str, str]) -> None:
    """Start a process that is nobody's child, and whose output goes to the log."""
    if sys.platform == "win32":
        _spawn_windows(arguments, log, env)
        return
    os.close(open_own(log, os.O_WRONLY | os.O_APPEND))
    # A shell in between starts the process and ends, so it is not our child: a test suite that waits for all its
    # children would wait for it.
    shell = ["/bin/sh", "-c", _SHELL, "relay", log, *arguments]
    pid = os.posix_spawn("/bin/sh", shell, env, setsid=True)
    try:
        waitpid(pid, 0)
    except ChildProcessError:
        pass  # the test suite ignores SIGCHLD, so the system has reaped it


def _spawn_windows(arguments: list[str], log: str, env: dict[str, str]) -> None:
    import subprocess

    flags = getattr(subprocess, "DETACHED_PROCESS", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    with open(log, "ab") as output:
        subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, creationflags=flags
        )
