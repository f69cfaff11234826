"""The job summary of GitHub Actions: each session appends its part to the file that `GITHUB_STEP_SUMMARY` names.

See https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#adding-a-job-summary
"""

from __future__ import annotations

import os

from pytest_swarmtask.core.files import only_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

VARIABLE = "GITHUB_STEP_SUMMARY"
_MAX_SIZE = 512 * 1024
"""Bytes of the file. GitHub drops a summary above 1 MiB; half of it is left to other programs of the step."""


class StepSummary:
    """Appends the Markdown of one session to the file.

    Args:
        path: the file.
        markdown: makes the text from the arguments of `append`.
    """

    def __init__(self, path: str, markdown: Callable[..., str]) -> None:
        self._path = path
        self._markdown = markdown

    def problem(self) -> str | None:
        """Return why the file cannot be written, or None if it can."""
        try:
            os.close(self._open())
        except OSError as error:
            return f"{VARIABLE} cannot be written: {error}"
        return None

    def append(self, **facts: Any) -> None:
        """Append the part of one session in one write, or nothing if the file would become too large.

        Raises:
            OSError: the file cannot be written.
        """
        text = self._markdown(**facts).encode("utf-8", "backslashreplace")
        file = self._open()
        try:
            if os.fstat(file).st_size + len(text) <= _MAX_SIZE:
                os.write(file, text)
        finally:
            os.close(file)

    def _open(self) -> int:
        return only_regular(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
