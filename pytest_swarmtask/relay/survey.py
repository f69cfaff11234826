"""What a journal holds and how far its deliveries are, read without disturbing anybody."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_swarmtask.history.rows import decode
from pytest_swarmtask.history.session import Counted, counted
from pytest_swarmtask.journal import locks, orphans
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.relay.delivery.backlog import read_stored
from pytest_swarmtask.relay.delivery.routes import Routes
from pytest_swarmtask.relay.delivery.store import EXPIRED, PURGED, EndpointState, Position, writer_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.journal.segments import Segment
    from pytest_swarmtask.relay.delivery.backlog import Stored


@dataclass
class EndpointSurvey:
    """One endpoint: every event that is owed to it is in one of the counts, unless it is not for it.

    Attributes:
        dead: dead letters, also of events that the journal has lost since.
        purged, expired: dead letters that were dropped, because a person wanted it, or by retention.
    """

    state: EndpointState = field(default_factory=EndpointState)
    delivered: int = 0
    waiting: int = 0
    dead: int = 0
    purged: int = 0
    expired: int = 0


@dataclass
class Survey:
    """A journal.

    Attributes:
        runs: trace ids, oldest first, as the keys of a dictionary.
        relays: keys of the relays that are at work.
        segments: how many files.
        events: how many events.
        foreign: lines that are no events.
        torn: segments of dead writers whose last line has no end.
        endpoints: by name.
    """

    runs: dict[str, None] = field(default_factory=dict)
    relays: list[str] = field(default_factory=list)
    segments: int = 0
    events: int = 0
    foreign: int = 0
    torn: int = 0
    endpoints: dict[str, EndpointSurvey] = field(default_factory=dict)

    @property
    def well(self) -> bool:
        """Whether nothing waits and nothing was refused."""
        return not any(endpoint.waiting or endpoint.dead for endpoint in self.endpoints.values())


def survey(project: Project, environ: Mapping[str, str]) -> Survey:
    """Return what a journal holds; an empty survey where there is none. What the dead left open is ended first.

    What the history has counted is not read again.

    Raises:
        sqlite3.Error: the relay's database cannot be read.
    """
    known = counted(project)
    orphans.close_orphaned_spans(project, _not_closed(project, known))
    result = Survey()
    routes = Routes(project, environ)
    stored = read_stored(project)
    for name, state in stored.states.items():
        result.endpoints[name] = EndpointSurvey(state)
    for segment in journals.segments(project.journal):
        lines = _count_lines(result, project.segment(segment.name), known.get(segment.name, Counted()))
        _add(result, segment, lines, routes, stored.positions)
    _count_letters(result, project, stored)
    keys = {routes.relay(segment.route) for segment in journals.segments(project.journal)} - {None}
    result.relays = sorted(key for key in keys if key is not None and locks.is_locked(project.lock(key)))
    return result


def _count_letters(result: Survey, project: Project, stored: Stored) -> None:
    """Count as dead what is a dead letter still: what was one and is none was dropped, else replayed and delivered."""
    writers = {segment.process[1] for segment in journals.segments(project.journal)}
    for endpoint in result.endpoints.values():
        endpoint.delivered, endpoint.dead = endpoint.delivered + endpoint.dead, 0
    for name, event_id in stored.letters:
        endpoint = result.endpoints.setdefault(name, EndpointSurvey())
        endpoint.dead += 1
        endpoint.delivered -= writer_of(event_id) in writers  # else its segment is gone
    for name, writer, cause, count in stored.dropped:
        endpoint = result.endpoints.setdefault(name, EndpointSurvey())
        endpoint.purged += count * (cause == PURGED)
        endpoint.expired += count * (cause == EXPIRED)
        endpoint.delivered -= count * (writer in writers)


def _not_closed(project: Project, known: Mapping[str, Counted]) -> set[str]:
    """Return the segments that may hold the start of what never ended."""
    sizes = {segment.name: _size(project.segment(segment.name)) for segment in journals.segments(project.journal)}
    return {name for name, size in sizes.items() if name not in known or not _is_closed(known[name], size)}


def _is_closed(known: Counted, size: int) -> bool:
    return known.closed and known.offset == size


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0  # removed while we looked


def _add(
    result: Survey, segment: Segment, lines: int, routes: Routes, positions: Mapping[tuple[str, str], Position]
) -> None:
    result.runs.setdefault(segment.trace_id)
    result.segments += 1
    for name in routes.endpoints(segment.route):
        endpoint = result.endpoints.setdefault(name, EndpointSurvey())
        position = positions.get((name, segment.name), Position())
        endpoint.delivered += position.delivered
        endpoint.dead += position.dead
        endpoint.waiting += lines - position.lines


def _count_lines(result: Survey, path: str, known: Counted) -> int:
    """Add the lines of a segment, and return how many there are; only those are read that are not yet known."""
    try:
        if known.offset > os.stat(path).st_size or not journals.begins_line(path, known.offset):
            known = Counted()  # it is not the file that was counted
    except OSError:
        return 0  # removed while we looked
    result.events += known.events
    result.foreign += known.foreign
    lines, end = known.events + known.foreign, known.offset
    try:
        for line, after in journals.read(path, end):
            lines, end = lines + 1, after
            if decode(line) is not None:
                result.events += 1
            else:
                result.foreign += 1
        if os.stat(path).st_size > end and not locks.is_locked(path):
            result.torn += 1
    except OSError:
        pass  # removed while we looked
    return lines
