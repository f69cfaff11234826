"""The log of a job of GitHub Actions, in which a line can be a command."""

from __future__ import annotations

import io
import os
import stat
import sys
from typing import Any

_COMMANDS = ("::", "##[")
"""How a line begins that the runner executes, such as ``::error::text``, also after white space."""


def guard_job_log() -> None:
    """Keep texts of events, such as the message of a failed test, from being commands to the runner of this job.

    Outside of GitHub Actions, and where standard output is a file, nothing is changed.
    """
    if os.environ.get("GITHUB_ACTIONS") != "true" or not isinstance(sys.stdout, io.TextIOWrapper):
        return
    if not stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode):
        sys.stdout = _JobLog(sys.stdout)


class _JobLog(io.TextIOWrapper):
    """Standard output with a space in the first two characters of each command."""

    def __init__(self, output: io.TextIOWrapper) -> None:
        super().__init__(
            output.buffer, output.encoding, output.errors, line_buffering=output.line_buffering, write_through=True
        )
        self._output = output  # it would close the buffer if it were collected
        self._is_blank = True  # whether the line has only white space so far

    def write(self, text: str) -> Any:
        first, *lines = text.split("\n")
        safe = [self._safe(first)]
        for line in lines:
            self._is_blank = True
            safe.append(self._safe(line))
        super().write("\n".join(safe))
        return len(text)

    def _safe(self, line: str) -> str:
        bare = line.lstrip()
        if self._is_blank and bare.startswith(_COMMANDS):
            at = len(line) - len(bare) + 1
            line = f"{line[:at]} {line[at:]}"
        self._is_blank = self._is_blank and not bare
        return line
