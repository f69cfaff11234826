"""What the processes of one run know of each other besides events: the spans that are open, and what was said.

A recipe that reports a start and an end does it from two processes, which share nothing but the run and the names.
"""

from __future__ import annotations

import os

from pytest_swarmtask.core.files import private_folder, replace_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_swarmtask.core.project import Project


def begin(project: Project, key: str, span_id: str, now: float) -> None:
    """Keep a span for the process that ends it.

    Args:
        project: the project whose journal this is.
        key: what both processes know it by.
        span_id: the span.
        now: when it began, seconds since the epoch.
    """
    try:
        replace_file(os.path.join(_folder(project), key), f"{span_id} {now!r}".encode())
    except OSError:
        pass  # its end will have no duration


def take(project: Project, key: str) -> tuple[str, float] | None:
    """Return the span that another process began, and when; None where none did. It is given only once."""
    path = os.path.join(project.spans, key)
    try:
        with open(path, encoding="ascii") as file:
            span_id, began = file.read().split()
        os.unlink(path)
        return span_id, float(began)
    except (OSError, ValueError):
        return None


def is_first_to_say(project: Project, key: str) -> bool:
    """Tell whether no process has said this yet. Where the journal cannot be written, temporary files remember it."""
    try:
        folder = _folder(project)
        if not os.access(folder, os.W_OK):
            folder = _temporary()
    except OSError:
        folder = _temporary()
    try:
        os.close(os.open(os.path.join(folder, f"said-{key}"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    except OSError:
        pass  # better twice than never
    return True


def _folder(project: Project) -> str:
    private_folder(project.journal)
    private_folder(project.spans)
    return project.spans


def _temporary() -> str:
    return os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - an empty file that only says that it is there
