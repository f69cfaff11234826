"""The HTML report at the end of a session.

A process of its own makes it, so that the watched process loads neither SQLite nor the report.
"""

from __future__ import annotations

import os
import subprocess

from pytest_swarmtask.recording.relay_launcher import own_command, own_environ

_MAIN = "import runpy; runpy.run_module('pytest_swarmtask', run_name='__main__')"
_TIMEOUT = 60.0
"""Seconds that the report may take. Rebuilding the history from a big journal can take nearly as long."""
_Popen, _TimeoutExpired = subprocess.Popen, subprocess.TimeoutExpired
"""Bound at import, because a suite may patch them."""


class ReportFile:
    """Has the report on a session written.

    Args:
        path: the HTML file.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def write(self, root: str, run: str) -> tuple[str, bool]:
        """Write the report on a run; return a line for the terminal, and whether the report was written.

        Args:
            root: the root of the project.
            run: the id of the run.
        """
        try:
            problem = self._problem(root, run)
        except (OSError, ValueError) as error:
            problem = str(error)
        if problem is None:
            return f"report: {self._path}", True
        return f"warning: no report was written to {self._path}: {problem}", False

    def _problem(self, root: str, run: str) -> str | None:
        process = _Popen(
            # A server that `SWARMTASK_SERVER` names does not have this run yet.
            own_command(_MAIN, "report", "--from", "", "--root", root, "--run", run, "--html", self._path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=own_environ(os.environ),
        )
        try:
            errors = process.communicate(timeout=_TIMEOUT)[1]
        except _TimeoutExpired:
            return f"it took longer than {_TIMEOUT:.0f} s; write it with: swarmtask report --run {run[:12]} --html FILE"
        finally:
            if process.poll() is None:  # it took too long, or the user pressed Ctrl-C
                process.kill()
                process.communicate()
        if process.returncode == 0:
            return None
        said = errors.decode(errors="replace").strip().rpartition("\n")[2].removeprefix("swarmtask: ")
        return said or f"exit code {process.returncode}"
