"""The spans that user code begins with one event and ends with another.

The caller gives no span id, only a kind and a task id. Both events may come from one process, or from two that share
nothing but the run and these names, such as two lines of a recipe of make.
"""

from __future__ import annotations

from pytest_swarmtask.core.trace import derived_span
from pytest_swarmtask.journal import run_state

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
            run_state.save_span(self._project, key, span_id, now)
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
        begun_elsewhere = run_state.take_span(self._project, key) if self._around is not None else None
        return begun_elsewhere or (key, None)
