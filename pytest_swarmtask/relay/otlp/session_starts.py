"""The start of the session around an event: it has the facts of the run, which the events of tests do not repeat.

It is read from the journal, where it stands before them in the files of the same process. So a relay that takes over
from one that was killed knows it, too.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import JournalError
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.journal.decode import decode
from pytest_swarmtask.journal.segments import Segment
from pytest_swarmtask.relay.delivery.store import writer_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.plugins.sink import PendingEvent

_MOST = 256
"""Processes whose sessions are kept in memory. Those of another one are read again."""


class _ProcessSessions:
    """What was read of one process.

    Attributes:
        offsets: how far each of its segments was read, in bytes.
        sessions: the start events of its sessions, by span id.
    """

    __slots__ = ("offsets", "sessions")

    def __init__(self) -> None:
        self.offsets: dict[str, int] = {}
        self.sessions: dict[str, Event] = {}


class SessionStarts:
    """Finds the start of the session around an event.

    Args:
        project: whose journal.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._processes: OrderedDict[tuple[str, str], _ProcessSessions] = OrderedDict()

    def around(self, pending: PendingEvent) -> Event | None:
        """Return the start of the session that the event ends, or that it belongs to; None if there is none."""
        event = pending.event
        process = self._process((event.trace_id, writer_of(event.id)))
        if process.offsets.get(pending.segment, 0) < pending.end or not pending.segment:
            self._read(process, self._segments(pending))
        sessions = process.sessions
        found = sessions.get(event.span_id) or sessions.get(event.parent_span_id or "")
        # What a test records is below the test. A process has one session, or several one after the other.
        return found or next(reversed(sessions.values()), None)

    def _process(self, key: tuple[str, str]) -> _ProcessSessions:
        process = self._processes.setdefault(key, _ProcessSessions())
        self._processes.move_to_end(key)
        if len(self._processes) > _MOST:
            self._processes.popitem(last=False)
        return process

    def _segments(self, pending: PendingEvent) -> Iterable[str]:
        """Return the names of the segments in which the start may be: one, unless the process has begun another."""
        segment = Segment.parse(pending.segment)
        if segment is not None and "_" not in segment.writer:
            return [pending.segment]
        key = pending.event.trace_id, writer_of(pending.event.id)  # of a dead letter, the segment is not known
        return [one.name for one in journals.segments(self._project.journal) if one.process == key]

    def _read(self, process: _ProcessSessions, names: Iterable[str]) -> None:
        for name in names:
            with contextlib.suppress(OSError):  # removed, or unreadable for now
                for line, end in journals.read(self._project.segment(name), process.offsets.get(name, 0)):
                    process.offsets[name] = end
                    if b'"TASK_STARTED"' in line and b'"session"' in line:
                        _add(process, line)


def _add(process: _ProcessSessions, line: bytes) -> None:
    try:
        event = decode(line)
    except JournalError:
        return
    if event.metadata.get("action") == "session":
        process.sessions[event.span_id] = event
