"""The log of a CI job, in which a text can be a command to the service."""

from __future__ import annotations

import io
import os
import re
import stat
import sys
from typing import Any, Literal

from pytest_swarmtask.core.project import is_affirmed

# A space is put behind what matches, which is always a part of the command. Each service is named by its variable.
_AT_START = {
    # `::error::text`, also after white space:
    # https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
    "GITHUB_ACTIONS": r"\s*:(?=:)",
}
"""What begins a line that is a command."""
_ANYWHERE = {
    # `##[error]text` is the older form. The runner finds it anywhere in a line.
    "GITHUB_ACTIONS": r"#(?=#\[)",
    # The agent finds `##vso[task.complete]` anywhere in a line, on both outputs:
    # https://learn.microsoft.com/en-us/azure/devops/pipelines/scripts/logging-commands
    "TF_BUILD": r"#(?=#(?:vso)?\[)",
    # https://www.jetbrains.com/help/teamcity/service-messages.html
    "TEAMCITY_VERSION": r"#(?=#teamcity\[)",
}
"""What begins a command anywhere in a line."""
# The folds of GitLab and Travis, and the notes of Jenkins, need escape characters, which are never printed. The
# headings of Buildkite only fold a log.


def guard_job_log() -> None:
    """Keep texts of events, such as the message of a failed test, from being commands to the service of this job.

    Nothing is changed outside of a service that has commands, and where an output is a file.
    """
    at_start, anywhere = _pattern(_AT_START), _pattern(_ANYWHERE)
    if at_start is None and anywhere is None:
        return
    for name in ("stdout", "stderr"):
        output = getattr(sys, name)
        if isinstance(output, io.TextIOWrapper) and _may_be_a_log(output):
            setattr(sys, name, _JobLog(output, at_start, anywhere))


def print_command(command: str) -> None:
    """Print a command of our own, which the service is to execute."""
    output = sys.stdout
    print(command, file=output.unguarded if isinstance(output, _JobLog) else output, flush=True)


def annotate(root: str, title: str, place: str, text: str, severity: Literal["info", "critical"] = "critical") -> None:
    """Annotate a line of a file, as GitHub Actions shows it: an error, or a notice.

    Args:
        root: the project's folder.
        title: the title.
        place: file and line; empty for none.
        text: the text.
        severity: how bad it is.
    """
    from pytest_swarmtask.relay.notify.channels import annotation, in_workspace
    from pytest_swarmtask.relay.notify.message import Message

    message = Message(name=title, title=title, text=text, severity=severity, place=place)
    print_command(annotation(message, lambda file: in_workspace(file, root, os.environ)))


def _may_be_a_log(output: io.TextIOWrapper) -> bool:
    try:
        return not stat.S_ISREG(os.fstat(output.fileno()).st_mode)
    except (OSError, ValueError):  # it is closed, or a stand-in without a descriptor
        return False


def _pattern(commands: dict[str, str]) -> re.Pattern[str] | None:
    patterns = [pattern for variable, pattern in commands.items() if is_affirmed(os.environ, variable)]
    return re.compile("|".join(patterns), re.IGNORECASE) if patterns else None


class _JobLog(io.TextIOWrapper):
    """Standard output or standard error with a space in each command.

    Attributes:
        unguarded: the output as it was.
    """

    def __init__(
        self, output: io.TextIOWrapper, at_start: re.Pattern[str] | None, anywhere: re.Pattern[str] | None
    ) -> None:
        super().__init__(
            output.buffer, output.encoding, output.errors, line_buffering=output.line_buffering, write_through=True
        )
        self.unguarded = output  # it would close the buffer if it were collected
        self._at_start = at_start
        self._anywhere = anywhere
        self._is_blank = True  # whether the line has only white space so far

    def write(self, text: str) -> Any:
        # Services end a line at a carriage return, too.
        super().write("".join(map(self._safe, re.split(r"([\r\n])", text))))
        return len(text)

    def _safe(self, part: str) -> str:
        if part in ("\r", "\n"):
            self._is_blank = True
            return part
        found = self._at_start.match(part) if self._at_start and self._is_blank else None
        self._is_blank = self._is_blank and not part.strip()
        if found:
            part = f"{found[0]} {part[found.end() :]}"
        return self._anywhere.sub(r"\g<0> ", part) if self._anywhere else part
