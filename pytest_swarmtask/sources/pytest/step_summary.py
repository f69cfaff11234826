"""The job summary of GitHub Actions: the file that `GITHUB_STEP_SUMMARY` names gets a part from each session."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

VARIABLE = "GITHUB_STEP_SUMMARY"
_MOST = 512 * 1024
"""GitHub shows nothing of a summary above 1 MiB; others may write there, too."""


class StepSummary:
    """Appends to the file what is made of a session's facts.

    Args:
        path: the file.
        markdown: makes the text, from what is passed to `append`.
    """

    def __init__(self, path: str, markdown: Callable[..., str]) -> None:
        self._path = path
        self._markdown = markdown

    def problem(self) -> str | None:
        """Return why nothing could be appended, or None."""
        try:
            os.close(self._open())
        except OSError as error:
            return f"{VARIABLE} cannot be written: {error}"
        return None

    def append(self, **facts: Any) -> None:
        """Append the part of one session, in one piece.

        Raises:
            OSError: it cannot be written.
        """
        text = self._markdown(**facts).encode("utf-8", "backslashreplace")
        file = self._open()
        try:
            if os.fstat(file).st_size + len(text) <= _MOST:
                os.write(file, text)
        finally:
            os.close(file)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
