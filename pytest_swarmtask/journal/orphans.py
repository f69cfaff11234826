"""Writes the end events that dead processes could not write, once.

A process is dead if it holds the lock of none of its segments. Process ids and clocks do not count, and a suspended
process keeps its locks. Only spans that no other process may end are closed (see `core.event.SHARED`).

The end events go into one more segment of the dead process. Its name and the ids in it follow from the process's last
segment, and the file appears whole and only if it does not exist yet. So several readers may try at the same time, and
each may be killed at any moment.
"""

from __future__ import annotations

import collections
import contextlib
import os
import re
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.core.errors import JournalError
from pytest_swarmtask.core.event import MAX_EVENT, SHARED, Event
from pytest_swarmtask.core.timestamps import seconds_of
from pytest_swarmtask.core.trace import CAUSED_BY, Clock
from pytest_swarmtask.journal import locks
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.journal.decode import decode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.journal.segments import Segment

_SUFFIX = "_end"
"""Appended to the writer's name in the segment of the end events."""

_SPAN = re.compile(
    rb'\{"id":"(?P<id>[^"]*)","event_type":"[A-Z]+_(?P<verb>[A-Z]+)",'
    rb'.*?"span_id":"(?P<span>[0-9a-f]{16})","parent_span_id":"?(?P<parent>[0-9a-f]{16}|null)'
)
"""The fields of a journal line that are needed here. Texts escape quotation marks, so no text can look like a field.

This is several times faster than to decode each line.
"""

_OF_SESSIONS = ("workflow", "action", "test_type", "coverage", CAUSED_BY)
"""Metadata that the end of a session repeats of its start, which has all facts of the run. Other ends repeat all."""


def close_orphaned_spans(project: Project, among: Collection[str] | None = None) -> None:
    """Write the missing end events of dead processes.

    If they cannot be written now, the next reader will try. The journal of another user is left to its owner, who could
    not read our files.

    Args:
        project: the project whose journal this is.
        among: names of segments; only the processes that wrote these are examined. By default all are.
    """
    if not is_ours(project):
        return
    for segments in _processes(project):
        if among is None or any(segment.name in among for segment in segments):
            with contextlib.suppress(OSError):
                _end(project, segments)


def is_ours(project: Project) -> bool:
    """Whether a journal belongs to this user."""
    try:
        return not hasattr(os, "geteuid") or os.stat(project.journal).st_uid == os.geteuid()
    except OSError:
        return False


def _processes(project: Project) -> Iterable[list[Segment]]:
    """Return the segments of each process for which no end events were written yet."""
    found: dict[tuple[str, str], list[Segment]] = {}
    for segment in journals.segments(project.journal):
        found.setdefault(segment.process, []).append(segment)
    return [segments for segments in found.values() if not any(s.writer.endswith(_SUFFIX) for s in segments)]


def _end(project: Project, segments: Sequence[Segment]) -> None:
    paths = [project.segment(segment.name) for segment in segments]
    if not all(locks.is_free(path) for path in paths):
        return  # it lives, or the file system has no locks to tell
    starts = _left_open(paths)
    if starts:
        last = segments[-1]
        writer = last.writer + _SUFFIX
        name = f"{last.created}-{last.trace_id}-{writer}-{last.route}{journals.SUFFIX}"
        _create_whole(project.segment(name), b"".join(_ends(writer, starts, paths)))


def _left_open(paths: Iterable[str]) -> list[Event]:
    """Return the start events of the spans that a dead process has not ended, oldest first.

    A span inside a span that has ended is not open: its end event was lost, because the disk was full, for example.
    """
    starts: dict[bytes, tuple[bytes, bytes]] = {}
    ended: set[bytes] = set()
    for path in paths:
        for line, _ in journals.read(path):
            found = _SPAN.match(line)
            if found is None or found["id"].endswith(SHARED.encode()):
                continue
            if found["verb"] == b"STARTED":
                starts[found["span"]] = (found["parent"], line)
            else:
                ended.add(found["span"])
                starts.pop(found["span"], None)
    return list(_still_open(starts, ended))


def _still_open(starts: dict[bytes, tuple[bytes, bytes]], ended: set[bytes]) -> Iterator[Event]:
    for span, (parent, line) in starts.items():
        if parent in ended:
            ended.add(span)
        else:
            with contextlib.suppress(JournalError):
                yield decode(line)


def _create_whole(path: str, content: bytes) -> None:
    """Create a whole file in one step, unless it exists.

    `core.files.replace_file` would not do: a second reader would replace the segment that the first one has put there,
    while a relay reads it. A link never replaces. What was written is forced to the disk, since nobody tries again once
    the file is there.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.urandom(8).hex()}.new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass  # another reader was faster
        except OSError:  # the file system has no links
            if not os.path.exists(path):
                os.rename(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


# -- the events ----------------------------------------------------------------------------------------------------


def _ends(writer: str, starts: Sequence[Event], paths: Sequence[str]) -> Iterator[bytes]:
    """Yield the lines of the end events, inner spans first: tests, then their tasks, then the session."""
    seen = max(os.stat(path).st_mtime for path in paths)  # the last time that the process certainly lived
    outcomes = _outcomes(paths, starts)
    depths: dict[str, int] = {}
    for start in starts:
        depths[start.span_id] = depths.get(start.parent_span_id or "", -1) + 1
    inside_first = sorted(starts, key=lambda start: (-depths[start.span_id], not _is_test(start)))
    for number, start in enumerate(inside_first, 1):
        yield _end_of(start, f"{writer}-{number}", seen, outcomes[start.span_id])


def _is_test(event: Event) -> bool:
    return event.event_type.startswith("TEST_")


def _outcomes(paths: Iterable[str], starts: Iterable[Event]) -> dict[str, dict[str, int]]:
    """Return the numbers of tests by outcome for each span around them. Tests that are still open have crashed."""
    counts: dict[str, dict[str, int]] = collections.defaultdict(lambda: collections.defaultdict(int))
    for start in starts:
        if _is_test(start):
            counts[start.parent_span_id or ""]["crashed"] += 1
    for path in paths:
        for line, _ in journals.read(path):
            found = _SPAN.match(line)
            if found is not None and found["verb"] != b"STARTED" and b'"outcome":' in line:
                with contextlib.suppress(JournalError):
                    event = decode(line)
                    if _is_test(event):
                        counts[event.parent_span_id or ""][str(event.metadata.get("outcome"))] += 1
    return counts


def _end_of(start: Event, event_id: str, seen: float, outcomes: dict[str, int]) -> bytes:
    timestamp = Clock().timestamp()
    repeated = {key: value for key, value in start.metadata.items() if not _is_session(start) or key in _OF_SESSIONS}
    facts = {"timestamp": timestamp, **_facts(start, seen, outcomes)}
    event = Event(
        event_id,
        f"{start.event_type.partition('_')[0]}_FAILED",
        start.task_id,
        "failed",
        timestamp,
        start.source,
        start.trace_id,
        start.span_id,
        start.parent_span_id,
        {**repeated, **facts},
    )
    line = event.encode()
    if len(line) > MAX_EVENT:  # the start event was nearly as long as an event may be
        event.metadata = {key: repeated[key] for key in _OF_SESSIONS if key in repeated} | facts
        line = event.encode()
    return line


def _facts(start: Event, seen: float, outcomes: dict[str, int]) -> dict[str, Any]:
    """Return what is known of the end of a span whose process has died.

    The duration lasts until the process was last seen, not until now: the end event may be written much later.
    """
    last_seen = Clock().timestamp(seen)
    error = f"the process was killed or crashed: it died without a word, last seen at {last_seen}"
    facts: dict[str, Any] = {"success": False, "error": error, "last_seen": last_seen}
    with contextlib.suppress(ValueError):
        facts["duration"] = round(max(0.0, seen - seconds_of(start.timestamp)), 6)
    if _is_test(start):
        facts |= {"test_passed": False, "outcome": "crashed"}
    if _is_session(start):
        facts |= {"test_passed": False, "reason": "killed or crashed", "partial": True}
        facts |= {"tests": sum(outcomes.values()), "counts": dict(sorted(outcomes.items()))}
    return facts


def _is_session(event: Event) -> bool:
    return event.metadata.get("action") == "session"
