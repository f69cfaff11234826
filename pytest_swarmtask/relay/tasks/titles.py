"""Events with the title of their task, for sinks that know tasks by id alone.

Titles are looked up in the relay: the watched process reads no file of the task manager, and the journal stays as
it is. The title is put into the written line, so nothing is decoded and encoded again.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING

import msgspec

from pytest_swarmtask.core.errors import TaskManagerError
from pytest_swarmtask.core.timing import DEFAULTS
from pytest_swarmtask.redaction.redactor import Redactor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_swarmtask.core.timing import Timing
    from pytest_swarmtask.plugins.hookspecs import SinkRequest
    from pytest_swarmtask.plugins.sink import PendingEvent, SendResult, Sink
    from pytest_swarmtask.relay.tasks.taskmaster import TaskMasterFile

_LARGEST = 5_000_000
"""Bytes of a file that is read for titles, at most."""
_LONGEST = 200


class Titles:
    """The titles of the tasks in a file, read again when it has changed; none where it cannot be read."""

    def __init__(self, file: TaskMasterFile, environ: Mapping[str, str], timing: Timing = DEFAULTS) -> None:
        self._file = file
        self._redactor = Redactor(environ)
        self._look_every = timing.titles_look
        self._titles: dict[str, str] = {}
        self._stamp: tuple[int, ...] = ()
        self._looked: float | None = None

    def of(self, task_id: str | None) -> str | None:
        """Return the title of a task, without secrets."""
        now = time.monotonic()
        if self._looked is None or now - self._looked > self._look_every:
            self._looked = now
            self._look()
        return self._titles.get(task_id or "")

    def _look(self) -> None:
        stamp = self._file.stamp()
        if stamp == self._stamp or not stamp or stamp[-1] > _LARGEST:
            return
        self._stamp = stamp
        with contextlib.suppress(TaskManagerError):  # whoever keeps statuses in step says so
            tasks = self._file.read().values()
            self._titles = {task.id: self._redactor.text(task.title, _LONGEST) for task in tasks if task.title}


class TitledSink:
    """Hands records on to a sink, with `task_title` in the metadata of those whose task has a title."""

    def __init__(self, sink: Sink, titles: Titles) -> None:
        self._sink = sink
        self._titles = titles
        self.name = sink.name
        self.max_events = sink.max_events
        self.max_bytes = sink.max_bytes
        self.max_age = sink.max_age
        self.accepts = sink.accepts
        self.run_pending = sink.run_pending
        self.close = sink.close

    def send(self, records: Sequence[PendingEvent]) -> SendResult:
        """Hand the records on."""
        return self._sink.send([self._titled(record) for record in records])

    def _titled(self, record: PendingEvent) -> PendingEvent:
        title = self._titles.of(record.event.task_id)
        metadata = record.event.metadata
        if title is None or "task_title" in metadata or not record.line.endswith(b"}}") or not metadata:
            return record
        addition = f',"task_title":{json.dumps(title, ensure_ascii=False)}}}}}'.encode("utf-8", "replace")
        metadata["task_title"] = title
        return msgspec.structs.replace(record, line=record.line[:-2] + addition)


def titled(sink: Sink, request: SinkRequest) -> Sink:
    """Return a sink that gets titles, too, where the project has a file of tasks to take them from."""
    tasks = request.workflow.task_integration.task_manager if request.workflow else None
    if tasks is None or not (tasks.enabled and tasks.titles and tasks.kind == "taskmaster"):
        return sink
    from pytest_swarmtask.relay.tasks.taskmaster import TaskMasterFile

    file = TaskMasterFile.configured(tasks, request.project.root, request.environ)
    return TitledSink(sink, Titles(file, request.environ, request.timing))
