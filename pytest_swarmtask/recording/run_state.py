"""State that the processes of one run share besides events: open spans, and problems that the user knows of.

User code begins a span with one event and ends it with another. It gives no span id, only a kind and a task id. Both
events may come from one process, or from two that share nothing but the run and these names, such as two lines of a
recipe of make. So each piece of state is a small file that is named by a key made of these.
"""

from __future__ import annotations

import os

from pytest_swarmtask.core.files import only_regular, private_folder, replace_file
from pytest_swarmtask.core.trace import derived_span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.core.trace import Ids

_MOST = 100_000
"""Spans that are remembered, at most, so that a process which never ends its spans does not grow without bound."""


class SpanBook:
    """Finds the span of an event by its kind and task id.

    Args:
        project: the project in which processes leave open spans for each other.
        ids: makes new span ids.
        trace_id: the run.
        around: the name of this process's part of the run, see `core.trace.run_context`. None means that no other
            process belongs to the run, so no span is shared.
    """

    __slots__ = ("_around", "_ids", "_open", "_project", "_trace_id", "_used")

    def __init__(self, project: Project, ids: Ids, trace_id: str, around: str | None) -> None:
        self._project = project
        self._ids = ids
        self._open: dict[tuple[str, str | None], tuple[str, float]] = {}
        self._used: set[str] = set()
        self.join(trace_id, around)

    def join(self, trace_id: str, around: str | None) -> None:
        """Find spans of another run from now on."""
        self._trace_id = trace_id
        self._around = around

    def begin(self, kind: str, task_id: str | None, now: float, *, ends_elsewhere: bool) -> str:
        """Return the id of a span that begins now.

        Args:
            kind: ``TASK``, ``BUILD``, ``DEPLOYMENT`` or ``TEST``.
            task_id: the task that the span is about.
            now: seconds since the epoch.
            ends_elsewhere: another process will end the span.
        """
        key = span_id = derived_span(self._trace_id, self._around, kind, task_id)
        if ends_elsewhere and self._around is not None:
            span_id = self._ids.span()
            _save_span(self._project, key, span_id, now)
        elif span_id in self._used:  # the same task once more in one process: a span of its own
            span_id = self._ids.span()
        elif len(self._used) < _MOST:
            self._used.add(span_id)
        if len(self._open) < _MOST:
            self._open[kind, task_id] = (span_id, now)
        return span_id

    def end(self, kind: str, task_id: str | None) -> tuple[str, float | None]:
        """Return the id of a span that ends, and when it began; None if no process is known to have begun it."""
        begun_here = self._open.pop((kind, task_id), None)
        if begun_here is not None:
            return begun_here
        key = derived_span(self._trace_id, self._around, kind, task_id)
        begun_elsewhere = _take_span(self._project, key) if self._around is not None else None
        return begun_elsewhere or (key, None)


def _save_span(project: Project, key: str, span_id: str, now: float) -> None:
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


def _take_span(project: Project, key: str) -> tuple[str, float] | None:
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
