"""Writes the end events that dead processes could not write, once.

A process is dead if it holds the lock of none of its segments. Process ids and clocks do not count, and a suspended
process keeps its locks. Only spans that no other process may end are closed (see `core.event.SHARED`).

A reader takes the lock of the dead process's last segment, and appends the end events to it: a death costs no file.
The reader may be killed at any moment. The next one sees which spans have ended, and appends the other end events.

When all is written, the segments become read-only. This tells later readers that they need not read them again. If the
mode is lost, as in a copy, they read them once more and find nothing to do.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import stat
import sys
from array import array
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_swarmtask.core.errors import JournalError
from pytest_swarmtask.core.event import MAX_FACTS, SHARED, Event
from pytest_swarmtask.core.files import only_regular
from pytest_swarmtask.core.timestamps import seconds_of
from pytest_swarmtask.core.trace import CAUSED_BY, Clock
from pytest_swarmtask.journal import locks, segment_file
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.journal.decode import decode, decode_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_swarmtask.core.project import Project

    Spans = dict[str, int | None]
    """By span: the position of its start event, or None if it has ended. In the order of the starts."""

    Counts = dict[str, collections.Counter[str]]
    """By span: how many tests directly below it have ended with each outcome."""

CLOSED_SUFFIX = "-end"
"""Appended to the id of the start event, it makes the id of the end event: whoever writes it, the id is the same."""

_OFFSET_BITS = 40
"""A position is one number, because there may be a million: an offset, and above these bits the segment's number."""

_BUFFER = 1 << 18
"""Bytes that are written at once: the ends of a usual session, which are there as a whole or not at all."""

_OF_SESSIONS = ("workflow", "action", "test_type", "coverage", CAUSED_BY)
"""Metadata that the end of a session repeats of its start, which has all facts of the run. Other ends repeat all."""


def close_orphaned_spans(project: Project, among: set[str] | None = None) -> None:
    """Write the missing end events of dead processes.

    If they cannot be written now, the next reader will try. The journal of another user is left to its owner.

    Args:
        project: the project whose journal this is.
        among: names of segments; only the processes that wrote these are examined. By default all are.
    """
    if not is_ours(project):
        return
    wanted = {
        process: paths
        for process, paths in _processes(project).items()
        if among is None or any(os.path.basename(path) in among for path in paths)
    }
    dead = {process: paths for process, paths in wanted.items() if not all(map(is_closed, paths)) and _is_dead(paths)}
    # A living process may have begun its next segment after the folder was listed, and left the one before.
    now = _processes(project) if dead else {}
    for process, paths in dead.items():
        if now.get(process) == paths:
            with contextlib.suppress(OSError, JournalError):  # JournalError: somebody has changed the file
                _close(paths)


def is_ours(project: Project) -> bool:
    """Whether a journal belongs to this user."""
    try:
        return not hasattr(os, "geteuid") or os.stat(project.journal).st_uid == os.geteuid()
    except OSError:
        return False


def _processes(project: Project) -> dict[tuple[str, str], list[str]]:
    """Return the paths of the segments of each process, oldest first."""
    found: dict[tuple[str, str], list[str]] = {}
    for segment in journals.segments(project.journal):
        found.setdefault(segment.process, []).append(project.segment(segment.name))
    return found


def _is_dead(paths: Iterable[str]) -> bool:
    """Whether the writer of these segments is dead: never where the file system has no locks to tell."""
    return all(map(segment_file.has_no_writer, paths))


def is_closed(path: str) -> bool:
    """Whether nothing is left to close in a segment, as its mode says, or because it is compressed or removed."""
    try:
        return not os.stat(path).st_mode & stat.S_IWUSR
    except OSError:
        return True


def _close(paths: Sequence[str]) -> None:
    written = max(segment_file.state(path).st_mtime for path in paths)  # the last time that the process certainly lived
    with open(paths[-1], "ab", _BUFFER, opener=_existing) as file:
        if not locks.inherit(file.fileno()):
            return  # another reader is at it
        if not journals.begins_line(paths[-1], file.tell()):
            file.write(b"\n")  # the last line is torn
            file.flush()
        file.writelines(_ends(paths, written))
        file.flush()
        if sys.platform != "win32":  # where read-only files cannot be removed
            for path in paths:
                with contextlib.suppress(FileNotFoundError):  # it is compressed already
                    os.chmod(path, stat.S_IRUSR)


def _existing(path: str, flags: int) -> int:
    """Open a segment for `open`, unless it was removed. A link in its place is not followed."""
    return only_regular(path, flags & ~os.O_CREAT | getattr(os, "O_NOFOLLOW", 0))


# -- the open spans ------------------------------------------------------------------------------------------------


def _scan(paths: Iterable[str]) -> tuple[Spans, bytes]:
    """Return the spans of a dead process, and its last event."""
    spans: Spans = {}
    last = b""
    for number, path in enumerate(paths):
        for line, end in journals.read(path):
            with contextlib.suppress(JournalError):
                event = decode_fields(line)
                if not event.id.endswith(SHARED):
                    position = number << _OFFSET_BITS | end - len(line) - 1
                    spans[event.span_id] = position if event.event_type.endswith("_STARTED") else None
                last = line
    return spans, last


def _lines_at(positions: Iterable[int], paths: Sequence[str]) -> Iterator[bytes]:
    for number, some in itertools.groupby(positions, lambda position: position >> _OFFSET_BITS):
        with journals.open_lines(paths[number]) as file:
            for position in some:
                file.seek(position & (1 << _OFFSET_BITS) - 1)
                yield file.readline().rstrip(b"\n")


def _inside_first(spans: Spans, paths: Sequence[str]) -> tuple[list[array[int]], Counts]:
    """Return the positions of the open spans' starts, level by level: tests, then their tasks, then the session.

    A span inside a span that has ended is not open: its end event was lost, because the disk was full, for example.
    Also return the counts of the tests that are open: they have crashed.
    """
    starts = array("q", (position for position in spans.values() if position is not None))
    levels: dict[tuple[int, bool], array[int]] = collections.defaultdict(lambda: array("q"))
    counts: Counts = collections.defaultdict(collections.Counter)
    for position, start in zip(starts, map(decode_fields, _lines_at(starts, paths)), strict=True):
        parent = start.parent_span_id or ""
        above = spans.get(parent, -1)
        # Spans start before those inside of them. So from here on, this one's value is its depth, or None.
        depth = spans[start.span_id] = None if above is None else above + 1
        if depth is not None:
            is_test = start.event_type.startswith("TEST_")
            levels[-depth, not is_test].append(position)
            if is_test:
                counts[parent]["crashed"] += 1
    return [levels[key] for key in sorted(levels)], counts


def _add_outcomes(counts: Counts, paths: Iterable[str]) -> None:
    """Count the tests that have ended."""
    for path in paths:
        for line, _ in journals.read(path):
            if b'"outcome":' in line:
                with contextlib.suppress(JournalError):
                    event = decode(line)
                    if event.event_type.startswith("TEST_"):
                        counts[event.parent_span_id or ""][str(event.metadata.get("outcome"))] += 1


# -- the events ----------------------------------------------------------------------------------------------------


class _Death(NamedTuple):
    """What the end events of one process have in common.

    Attributes:
        now: the timestamp of these events.
        seen: when the process was last seen, in seconds since the epoch.
        facts: metadata.
    """

    now: str
    seen: float
    facts: dict[str, Any]


def _death(written: float, last: bytes) -> _Death:
    """Return the death of a process that wrote its last event and has last written at a time."""
    seen = written
    with contextlib.suppress(JournalError, KeyError, TypeError, ValueError):
        event = decode(last)
        if event.id.endswith(CLOSED_SUFFIX):  # an earlier reader has told the death already
            seen = seconds_of(event.metadata["last_seen"])
        else:  # the clock of files is some milliseconds behind
            seen = max(written, seconds_of(event.timestamp))
    now, last_seen = Clock().timestamp(), Clock().timestamp(seen)
    error = f"the process was killed or crashed: it died without a word, last seen at {last_seen}"
    return _Death(now, seen, {"timestamp": now, "success": False, "error": error, "last_seen": last_seen})


def _ends(paths: Sequence[str], written: float) -> Iterator[bytes]:
    """Yield the lines of the end events that are missing, inner spans first."""
    spans, last = _scan(paths)
    levels, counts = _inside_first(spans, paths)
    del spans
    if levels:
        _add_outcomes(counts, paths)
        death = _death(written, last)
        for line in _lines_at(itertools.chain.from_iterable(levels), paths):
            with contextlib.suppress(JournalError):
                start = decode(line)
                yield _end_of(start, death, counts.get(start.span_id, {}))


def _end_of(start: Event, death: _Death, outcomes: Mapping[str, int]) -> bytes:
    kind = start.event_type.partition("_")[0]
    brief = {key: start.metadata[key] for key in _OF_SESSIONS if key in start.metadata}
    facts = dict(death.facts)
    # It lasts until the process was last seen, not until now: the end event may be written much later.
    with contextlib.suppress(ValueError):
        facts["duration"] = round(max(0.0, death.seen - seconds_of(start.timestamp)), 6)
    if kind == "TEST":
        facts |= {"test_passed": False, "outcome": "crashed"}
    is_session = start.metadata.get("action") == "session"
    if is_session:
        facts |= {"test_passed": False, "reason": "killed or crashed", "partial": True}
        facts |= {"tests": sum(outcomes.values()), "counts": dict(sorted(outcomes.items()))}
    event = Event(
        start.id + CLOSED_SUFFIX,
        f"{kind}_FAILED",
        start.task_id,
        "failed",
        death.now,
        start.source,
        start.trace_id,
        start.span_id,
        start.parent_span_id,
        {**(brief if is_session else start.metadata), **facts},
    )
    line = event.encode()
    if len(line) > MAX_FACTS:  # the start event was nearly as long as an event may be
        event.metadata = {**brief, **facts}
        line = event.encode()
    return line
