"""State that the processes of one run share besides events: open spans, and problems that the user knows of.

A recipe of make that reports a start and an end does so from two processes. They share nothing but the run's id and
the names that they give, so each piece of state is a small file that is named by a key made of these.
"""

from __future__ import annotations

import os

from pytest_swarmtask.core.files import only_regular, private_folder, replace_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_swarmtask.core.project import Project


def save_span(project: Project, key: str, span_id: str, now: float) -> None:
    """Save an open span for the process that will end it. Never raises.

    Args:
        project: the project whose processes share it.
        key: a name that both processes can compute.
        span_id: the span.
        now: when it began, seconds since the epoch.
    """
    try:
        replace_file(os.path.join(_folder(project), key), f"{span_id} {now!r}".encode())
    except OSError:
        pass  # without the file, the end event has another span id and no duration


def take_span(project: Project, key: str) -> tuple[str, float] | None:
    """Return the span that another process saved, and when it began; None if there is none.

    The span is removed, so that the next one of the same name is not taken for it.
    """
    path = os.path.join(project.spans, key)
    try:
        with open(path, encoding="ascii", opener=only_regular) as file:
            span_id, began = file.read().split()
        os.unlink(path)
        return span_id, float(began)
    except (OSError, ValueError):
        return None


def is_first_to_say(project: Project, key: str) -> bool:
    """Whether no process of the run has told the user this yet; asking counts as telling.

    If the journal's folder cannot be written, a file in the folder for temporary files remembers it: just then every
    process of the run has the same problem to tell.
    """
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
        pass  # it is better to be told twice than never
    return True


def _folder(project: Project) -> str:
    private_folder(project.journal)
    private_folder(project.spans)
    return project.spans


def _temporary() -> str:
    return os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - the file is empty; only its existence counts
