"""The numbers of `swarmtask status`: what a journal has, and how far its deliveries are."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_swarmtask.history.rows import decode
from pytest_swarmtask.history.session import SegmentCounts, segment_counts
from pytest_swarmtask.journal import locks, orphans, segment_file
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.journal.compression import DamagedSegmentError
from pytest_swarmtask.relay.delivery.backlog import lines_after, read_delivery_state
from pytest_swarmtask.relay.delivery.routes import Routes
from pytest_swarmtask.relay.delivery.store import EXPIRED, PURGED, REJECTED, EndpointState, writer_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.journal.segments import Segment
    from pytest_swarmtask.relay.delivery.backlog import DeliveryState


@dataclass
class EndpointSurvey:
    """One endpoint. Each event that must be delivered to it is in one of the counts.

    Attributes:
        state: as the last delivery left it.
        delivered: events that it accepted.
        waiting: lines that it has not got yet, also those that its filter will leave out.
        dead: dead letters, also those whose event the journal does not have any more.
        purged, expired: dead letters that were dropped: by a person, or by retention.
        rejected: events that the receiver refused although it accepted the request. They are not sent again.
    """

    state: EndpointState = field(default_factory=EndpointState)
    delivered: int = 0
    waiting: int = 0
    dead: int = 0
    purged: int = 0
    expired: int = 0
    rejected: int = 0


@dataclass
class Survey:
    """A journal and its deliveries.

    Attributes:
        runs: trace ids, oldest first, as the keys of a dictionary.
        relays: keys of the relays at work.
        segments: how many files.
        events: how many events.
        foreign: lines that are no events.
        torn: segments of dead writers whose last line has no end.
        damaged: names of compressed segments that cannot be read to their end.
        endpoints: by name.
    """

    runs: dict[str, None] = field(default_factory=dict)
    relays: list[str] = field(default_factory=list)
    segments: int = 0
    events: int = 0
    foreign: int = 0
    torn: int = 0
    damaged: list[str] = field(default_factory=list)
    endpoints: dict[str, EndpointSurvey] = field(default_factory=dict)

    @property
    def is_all_delivered(self) -> bool:
        """Whether no event waits and none is a dead letter."""
        return not any(endpoint.waiting or endpoint.dead for endpoint in self.endpoints.values())


def survey(project: Project, environ: Mapping[str, str]) -> Survey:
    """Return the survey of a journal; an empty one if there is no journal. Spans of dead processes are closed first.

    Lines that the history has counted are not decoded again.

    Raises:
        sqlite3.Error: the relay's database cannot be read.
    """
    known = segment_counts(project)
    orphans.close_orphaned_spans(project)
    routes, segments = Routes(project, environ), journals.segments(project.journal)
    result = Survey(endpoints=_endpoints(project, routes, segments))
    for segment in segments:
        result.runs.setdefault(segment.trace_id)
        result.segments += 1
        _count_lines(result, project.segment(segment.name), known.get(segment.name, SegmentCounts()))
    keys = {routes.relay_key(segment.route) for segment in segments}
    result.relays = sorted(key for key in keys if key is not None and locks.is_held(project.lock(key)))
    return result


def survey_endpoints(project: Project, environ: Mapping[str, str]) -> dict[str, EndpointSurvey]:
    """Return how far the deliveries to each endpoint are. Spans of dead processes are closed first.

    Only the lines after the cursors are read, and none is decoded.

    Raises:
        sqlite3.Error: the relay's database cannot be read.
    """
    orphans.close_orphaned_spans(project)
    return _endpoints(project, Routes(project, environ), journals.segments(project.journal))


def _endpoints(project: Project, routes: Routes, segments: Sequence[Segment]) -> dict[str, EndpointSurvey]:
    state = read_delivery_state(project)
    found = {name: EndpointSurvey(one) for name, one in state.states.items()}
    for segment in segments:
        for name in routes.endpoints(segment.route):
            endpoint = found.setdefault(name, EndpointSurvey())
            position = state.position(name, segment.name)
            # Cursors count an event as dead when it becomes a dead letter. `_count_letters` corrects for what happened
            # to it later.
            endpoint.delivered += position.delivered + position.dead
            with contextlib.suppress(OSError):  # removed meanwhile
                for _ in lines_after(project.segment(segment.name), position.offset):
                    endpoint.waiting += 1
    _count_letters(found, {segment.process[1] for segment in segments}, state)
    return found


def _count_lines(result: Survey, path: str, known: SegmentCounts) -> None:
    """Count the lines of a segment into the survey. Known lines are not read."""
    try:
        size = segment_file.size(path)
        if known.offset > size or not (known.offset == size or journals.begins_line(path, known.offset)):
            known = SegmentCounts()  # another file than the one that the history has counted
    except DamagedSegmentError:
        known = SegmentCounts()
    except OSError:
        return  # removed meanwhile
    result.events += known.events
    result.foreign += known.foreign
    end = known.offset
    if end == size:
        return
    try:
        for line, after in journals.read(path, end):
            end = after
            if decode(line) is not None:
                result.events += 1
            else:
                result.foreign += 1
        if size > end and not locks.is_locked(path):
            result.torn += 1
    except DamagedSegmentError as error:
        result.damaged.append(os.path.basename(error.filename))
    except OSError:
        pass  # removed meanwhile


def _count_letters(found: dict[str, EndpointSurvey], writers: set[str], state: DeliveryState) -> None:
    """Move events that are dead letters, or were dropped, from `delivered` to where they belong.

    A dead letter that is in neither list any more was replayed, and so it was delivered. The counts of a letter
    whose segment is gone are not in `delivered`: its writer is not among `writers`.
    """
    for name, event_id in state.letters:
        endpoint = found.setdefault(name, EndpointSurvey())
        endpoint.dead += 1
        endpoint.delivered -= writer_of(event_id) in writers
    for name, writer, cause, count in state.dropped:
        endpoint = found.setdefault(name, EndpointSurvey())
        endpoint.purged += count * (cause == PURGED)
        endpoint.expired += count * (cause == EXPIRED)
        endpoint.rejected += count * (cause == REJECTED)
        endpoint.delivered -= count * (writer in writers)
