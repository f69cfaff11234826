"""Add the title of its task to each event on its way to a sink, as events only have the id.

The relay looks titles up: the watched process never reads the task manager's file, and the journal stays as it was
written. The title is inserted into the journal line, so that no event has to be encoded again.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING

import msgspec

from pytest_swarmtask.core.service_errors import TaskManagerError
from pytest_swarmtask.core.timing import DEFAULTS
from pytest_swarmtask.journal.decode import decode_fields
from pytest_swarmtask.redaction.redactor import Redactor
from pytest_swarmtask.relay.delivery.editing import EditingSink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.core.timing import Timing
    from pytest_swarmtask.plugins.hookspecs import SinkRequest
    from pytest_swarmtask.plugins.sink import PendingEvent, Sink
    from pytest_swarmtask.relay.tasks.taskmaster import TaskMasterFile

_LARGEST = 5_000_000
"""Bytes of the largest file that is read. Reading a larger one would take the relay too long."""
_LONGEST = 200
"""Characters of a title that are kept."""


class Titles:
    """The titles of the tasks in a file, which is read again when it has changed. An unreadable file has none."""

    def __init__(self, file: TaskMasterFile, environ: Mapping[str, str], timing: Timing = DEFAULTS) -> None:
        self._file = file
        self._redactor = Redactor(environ)
        self._look_every = timing.titles_look
        self._titles: dict[str, str] = {}
        self._stamp: tuple[int, ...] = ()
        self._looked: float | None = None

    def of(self, task_id: str | None) -> str | None:
        """Return the title of a task, without secrets, or None if it is not known."""
        now = time.monotonic()
        if self._looked is None or now - self._looked > self._look_every:
            self._looked = now
            self._look()
        return self._titles.get(task_id or "")

    def added_to(self, pending: PendingEvent) -> PendingEvent:
        """Return an event with `task_title` in its metadata if its task has a title."""
        title = self.of(pending.fields.task_id)
        # Metadata is the last field of a line that we wrote, so that the line ends with its brace and the event's.
        if title is None or not pending.line.endswith(b"}}"):
            return pending
        metadata = pending.event.metadata
        if "task_title" in metadata or not metadata:
            return pending
        addition = f',"task_title":{json.dumps(title, ensure_ascii=False)}}}}}'.encode("utf-8", "replace")
        line = pending.line[:-2] + addition
        return msgspec.structs.replace(pending, line=line, fields=decode_fields(line))

    def _look(self) -> None:
        stamp = self._file.stamp()
        if stamp == self._stamp or not stamp or stamp[-1] > _LARGEST:
            return
        self._stamp = stamp
        with contextlib.suppress(TaskManagerError):  # the sink of the task manager reports such a file
            tasks = self._file.read().values()
            self._titles = {task.id: self._redactor.text(task.title, _LONGEST) for task in tasks if task.title}


def titled(sink: Sink, request: SinkRequest) -> Sink:
    """Return the sink, with titles added to its events if the project has a file of tasks."""
    tasks = request.workflow.task_integration.task_manager
    if not (tasks.enabled and tasks.titles and tasks.kind == "taskmaster"):
        return sink
    from pytest_swarmtask.relay.tasks.taskmaster import TaskMasterFile

    file = TaskMasterFile.configured(tasks, request.project.root, request.environ)
    return EditingSink(sink, Titles(file, request.environ, request.timing).added_to)
