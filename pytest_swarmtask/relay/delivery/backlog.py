"""How far deliveries are: what the relay's database holds, and what is still behind its cursors."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.core.errors import JournalError
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.journal.decode import decode
from pytest_swarmtask.relay.delivery.store import EndpointState, Position, Store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.journal.segments import Segment
    from pytest_swarmtask.relay.delivery.routes import Routes
    from pytest_swarmtask.relay.delivery.store import Dropped


class Stored(NamedTuple):
    """What the relay's database holds: states by endpoint, positions by endpoint and segment, ids of dead letters."""

    states: Mapping[str, EndpointState]
    positions: Mapping[tuple[str, str], Position]
    letters: Sequence[tuple[str, str]]
    dropped: Sequence[Dropped]


def read_stored(project: Project) -> Stored:
    """Return what the database holds, without making one.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    path = project.database
    if not os.path.exists(path):
        return Stored({}, {}, (), ())
    with contextlib.closing(Store(path)) as store:
        positions = {(endpoint, segment): position for endpoint, segment, position in store.positions()}
        return Stored(store.states(), positions, store.dead_ids(), store.dropped())


def owing(project: Project, routes: Routes) -> list[Segment]:
    """Return the segments of which an endpoint still has to get something, oldest first.

    A database that cannot be read leaves everything owing: it is found out when it is written to.
    """
    try:
        positions = read_stored(project).positions
    except (sqlite3.Error, OSError):
        positions = {}
    return [segment for segment in journals.segments(project.journal) if _owes(project, segment, routes, positions)]


@dataclass
class Backlog:
    """What an endpoint still has to get.

    Attributes:
        waiting: lines behind its cursors.
        oldest: when the oldest of these events was, as in events, or empty.
        dead: how many dead letters it has.
    """

    waiting: int = 0
    oldest: str = ""
    dead: int = 0


def backlogs(project: Project, routes: Routes) -> dict[str, Backlog]:
    """Return what endpoints still have to get; only what is behind the cursors is read.

    Raises:
        sqlite3.Error: the relay's database cannot be read.
    """
    stored = read_stored(project)
    found = {name: Backlog() for name in stored.states}
    for segment in journals.segments(project.journal):
        for name in routes.endpoints(segment.route):
            backlog = found.setdefault(name, Backlog())
            position = stored.positions.get((name, segment.name), Position())
            with contextlib.suppress(OSError):  # removed while we looked
                _add_behind(backlog, project.segment(segment.name), position.offset)
    for name, _ in stored.letters:
        found.setdefault(name, Backlog()).dead += 1
    return found


def _add_behind(backlog: Backlog, path: str, offset: int) -> None:
    if os.stat(path).st_size <= offset:
        return
    for number, (line, _) in enumerate(journals.read(path, offset)):
        backlog.waiting += 1
        if number == 0:
            with contextlib.suppress(JournalError):
                backlog.oldest = min(filter(None, (backlog.oldest, decode(line).timestamp)))


def _owes(project: Project, segment: Segment, routes: Routes, positions: Mapping[tuple[str, str], Position]) -> bool:
    endpoints = routes.endpoints(segment.route)
    if not endpoints:
        return False
    path = project.segment(segment.name)
    settled = {positions.get((name, segment.name), Position()).offset for name in endpoints}
    try:
        return any(_is_behind(path, offset) for offset in settled)
    except OSError:
        return False


def _is_behind(path: str, offset: int) -> bool:
    if os.stat(path).st_size == offset:
        return False
    # A cursor that points nowhere is damaged: the segment is delivered again (see `Outbox.add`).
    return not journals.begins_line(path, offset) or next(journals.read(path, offset), None) is not None
