"""The HTML report at a session's end, made by a process of its own: the watched one loads none of what that takes."""

from __future__ import annotations

import os
import subprocess

from pytest_swarmtask.recording.relay_launcher import own_command, own_environ

_MAIN = "import runpy; runpy.run_module('pytest_swarmtask', run_name='__main__')"
_PATIENCE = 60.0
"""Seconds that it may take; a history that is made anew from a big journal takes that long."""
_start, _Late = subprocess.Popen, subprocess.TimeoutExpired
"""Held here: a suite may patch what starts processes."""


class ReportFile:
    """Has a report written.

    Args:
        path: the file.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def write(self, root: str, run: str) -> tuple[str, bool]:
        """Write the report on a run of the project in a folder; return what to say of it, and whether it is well."""
        try:
            problem = self._problem(root, run)
        except (OSError, ValueError) as error:
            problem = str(error)
        if problem is None:
            return f"report: {self._path}", True
        return f"warning: no report was written to {self._path}: {problem}", False

    def _problem(self, root: str, run: str) -> str | None:
        process = _start(
            own_command(_MAIN, "report", "--root", root, "--run", run, "--html", self._path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=own_environ(os.environ),
        )
        try:
            errors = process.communicate(timeout=_PATIENCE)[1]
        except _Late:
            return (
                f"it took longer than {_PATIENCE:.0f} s; write it with: swarmtask report --run {run[:12]} --html FILE"
            )
        finally:
            if process.poll() is None:  # too slow, or Ctrl-C
                process.kill()
                process.communicate()
        if process.returncode == 0:
            return None
        said = errors.decode(errors="replace").strip().rpartition("\n")[2].removeprefix("swarmtask: ")
        return said or f"exit code {process.returncode}"
