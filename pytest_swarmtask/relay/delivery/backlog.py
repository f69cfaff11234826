"""The one reader of how far deliveries are: the relay's database, and the journal's lines after its cursors.

What a relay at work publishes of itself is in its progress file instead, see `relay.delivery.progress`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.core.errors import JournalError
from pytest_swarmtask.journal import segment_file
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.journal.decode import decode
from pytest_swarmtask.relay.delivery.store import EndpointState, Position, Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.journal.segments import Segment
    from pytest_swarmtask.relay.delivery.routes import Routes
    from pytest_swarmtask.relay.delivery.store import DeadLetter, Dropped


class DeliveryState(NamedTuple):
    """The content of the relay's database, as of one moment.

    Attributes:
        states: by endpoint.
        positions: by endpoint and segment; those that are missing are at the beginning.
        letters: endpoint and event id of each dead letter.
        dropped: how many dead letters were dropped.
    """

    states: Mapping[str, EndpointState]
    positions: Mapping[tuple[str, str], Position]
    letters: Sequence[tuple[str, str]]
    dropped: Sequence[Dropped]

    def position(self, endpoint: str, segment: str) -> Position:
        """Return how far an endpoint is in a segment."""
        return self.positions.get((endpoint, segment), Position())


def read_delivery_state(project: Project) -> DeliveryState:
    """Return the content of the database; no database is created.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    if not os.path.exists(project.database):
        return DeliveryState({}, {}, (), ())
    with contextlib.closing(Store(project.database)) as store:
        positions = {(endpoint, segment): position for endpoint, segment, position in store.positions()}
        return DeliveryState(store.states(), positions, store.dead_ids(), store.dropped())


def dead_letters(project: Project) -> list[DeadLetter]:
    """Return the dead letters of a project, oldest first; no database is created.

    Raises:
        sqlite3.Error: the relay's database cannot be read.
    """
    if not os.path.exists(project.database):
        return []
    with contextlib.closing(Store(project.database)) as store:
        return list(store.dead_letters())


# -- events that still have to be delivered ----------------------------------------------------------------------------


def pending_segments(project: Project, routes: Routes) -> list[Segment]:
    """Return the segments with events that still have to be delivered to an endpoint, oldest first.

    If the database cannot be read, all events count as undelivered. The delivery that then writes to the database
    reports the error.
    """
    try:
        state = read_delivery_state(project)
    except (sqlite3.Error, OSError):
        state = DeliveryState({}, {}, (), ())
    return [segment for segment in journals.segments(project.journal) if _is_pending(project, segment, routes, state)]


def _is_pending(project: Project, segment: Segment, routes: Routes, state: DeliveryState) -> bool:
    offsets = {state.position(name, segment.name).offset for name in routes.endpoints(segment.route)}
    path = project.segment(segment.name)
    try:
        return any(_is_behind(path, offset) for offset in offsets)
    except OSError:
        return False  # removed meanwhile


def _is_behind(path: str, offset: int) -> bool:
    """Whether a segment has a whole line after a cursor."""
    if segment_file.size(path) == offset:
        return False
    # A cursor that does not point to the beginning of a line is damaged: the outbox then delivers the segment again.
    return not journals.begins_line(path, offset) or next(journals.read(path, offset), None) is not None


@dataclass
class Backlog:
    """The events that still have to be delivered to one endpoint.

    Attributes:
        waiting: lines after its cursors.
        oldest: the timestamp of the oldest of these events, as events have it, or empty.
        dead: how many dead letters it has.
    """

    waiting: int = 0
    oldest: str = ""
    dead: int = 0


def backlogs(project: Project, routes: Routes) -> dict[str, Backlog]:
    """Return the backlog of each endpoint. Only the lines after the cursors are read.

    Raises:
        sqlite3.Error: the relay's database cannot be read.
    """
    state = read_delivery_state(project)
    found = {name: Backlog() for name in state.states}
    for segment in journals.segments(project.journal):
        for name in routes.endpoints(segment.route):
            backlog = found.setdefault(name, Backlog())
            with contextlib.suppress(OSError):  # removed meanwhile
                _add_lines_after(backlog, project.segment(segment.name), state.position(name, segment.name).offset)
    for name, _ in state.letters:
        found.setdefault(name, Backlog()).dead += 1
    return found


def _add_lines_after(backlog: Backlog, path: str, offset: int) -> None:
    for number, line in enumerate(lines_after(path, offset)):
        backlog.waiting += 1
        if number == 0:  # the lines of a segment are in the order of their timestamps
            with contextlib.suppress(JournalError):
                backlog.oldest = min(filter(None, (backlog.oldest, decode(line).timestamp)))


def lines_after(path: str, offset: int) -> Iterator[bytes]:
    """Yield the whole lines of a segment after a cursor.

    Raises:
        OSError: the segment cannot be read, as where it was removed meanwhile.
    """
    if segment_file.size(path) > offset:
        yield from (line for line, _ in journals.read(path, offset))
