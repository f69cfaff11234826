"""Retention: the journal stays within an age and a size, and no event waits for its delivery for ever.

Old segments are compressed, once nothing but a look at the past needs them.

A segment is removed only if its process is dead and its open spans are closed, no process of its run lives, and every
endpoint has its events, or dead letters of them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.config.load import load
from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.core.service_errors import HistoryError
from pytest_swarmtask.history import session
from pytest_swarmtask.history.session import segment_counts
from pytest_swarmtask.journal import locks, orphans, segment_file
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.journal.compression import MAX_LENGTH
from pytest_swarmtask.relay.builtin_plugins import relay_plugins
from pytest_swarmtask.relay.delivery.age_clock import RetentionClock
from pytest_swarmtask.relay.delivery.backlog import pending_segments
from pytest_swarmtask.relay.delivery.outbox import Outbox
from pytest_swarmtask.relay.delivery.routes import Routes
from pytest_swarmtask.relay.delivery.store import EXPIRED, Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_swarmtask.config.monitoring import Retention
    from pytest_swarmtask.journal.segments import Segment

_log = logging.getLogger("pytest_swarmtask.relay")
_DAY = 86400.0

_COMPRESS_AFTER = _DAY
"""Seconds since its last write after which a segment is compressed: people and other tools look at today's as text."""
_WORTH = 4096
"""Bytes below which a segment is not compressed, because a file system gives a smaller file no less room."""
_COMPRESSED_AT_ONCE = 50_000_000
"""Bytes that are compressed at once, or one segment. It bounds how long a command has to wait, to half a second."""

_BATCH = 100
"""Events that become dead letters in one transaction."""


class _Process(NamedTuple):
    """The segments of one process.

    Attributes:
        segments: oldest first.
        last: when it last wrote, in seconds since the epoch.
        size: of all their files, in bytes.
    """

    segments: list[Segment]
    last: float
    size: int


def prune(project: Project, environ: Mapping[str, str], retention: Retention | None = None) -> None:
    """Apply a retention to a journal; nothing is done in another user's, or with an invalid configuration.

    If the disk or the database fails, the rest is left for the next time.

    Args:
        project: the project.
        environ: the variables that the configuration may name.
        retention: what to keep. None means what the configuration says.
    """
    try:
        retention = retention or load(project, environ).workflow.monitoring.retention
    except ConfigError:
        return
    if not orphans.is_ours(project):
        return
    with contextlib.suppress(OSError, sqlite3.Error):
        routes = Routes(project, environ)
        ages = RetentionClock(project.retention_clock)
        _give_up_late_events(project, routes, retention, ages)
        _expire_dead_letters(project, retention, ages)
        orphans.close_orphaned_spans(project)
        if _remove_settled_segments(project, environ, routes, retention):
            _forget_removed_segments(project)
        if any(_uncompressed_segments(project)):
            fill_history(project, environ)
            _compress_settled_segments(project, routes)
        _remove_leftovers(project, time.time() - retention.journal_age)


def main(arguments: Sequence[str]) -> None:
    """Be the process that `recording.relay_launcher.prune_in_background` starts.

    Args:
        arguments: the project's root.
    """
    prune(Project(arguments[0]), os.environ)


def prune_if_needed(project: Project, environ: Mapping[str, str]) -> None:
    """Apply the retention if the journal seems to be beyond its bounds, which costs little if it is not.

    Segments that have become old are compressed in any case.

    Where there is no webhook there is no relay, so the commands that read the journal call this.
    """
    try:
        retention = load(project, environ).workflow.monitoring.retention
    except ConfigError:
        return
    if _is_beyond_bounds(_processes(project), retention):
        prune(project, environ)
    elif orphans.is_ours(project):
        with contextlib.suppress(OSError, sqlite3.Error):
            _compress_settled_segments(project, Routes(project, environ))


def fill_history(project: Project, environ: Mapping[str, str]) -> None:
    """Import the journal into the history, which keeps the events longer than the journal does.

    This is most of the work of a retention, so it is done only if a segment may be removed or compressed next, and
    where nobody waits.
    """
    with contextlib.suppress(HistoryError, OSError, sqlite3.Error):  # commands that read the history report it
        session.update(project, environ)


def _is_beyond_bounds(processes: Sequence[_Process], retention: Retention) -> bool:
    """Whether a journal has segments that are too old, or too many."""
    is_old = bool(processes) and processes[0].last < time.time() - retention.journal_age
    return is_old or sum(process.size for process in processes) > retention.journal_bytes


def _processes(project: Project) -> list[_Process]:
    """Return the processes that have written a journal, sorted by their last write."""
    found: dict[tuple[str, str], list[Segment]] = {}
    for segment in journals.segments(project.journal):
        found.setdefault(segment.process, []).append(segment)
    result = []
    for segments in found.values():
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile
            files = [segment_file.state(project.segment(segment.name)) for segment in segments]
            result.append(_Process(segments, max(f.st_mtime for f in files), sum(f.st_size for f in files)))
    return sorted(result, key=lambda process: process.last)


def _live_runs(project: Project, processes: Sequence[_Process]) -> set[str]:
    """Return the trace ids of the runs in which a process is alive."""
    segments = (segment for process in processes for segment in process.segments)
    return {segment.trace_id for segment in segments if not segment_file.has_no_writer(project.segment(segment.name))}


# -- events that could not be delivered --------------------------------------------------------------------------------


def _give_up_late_events(project: Project, routes: Routes, retention: Retention, ages: RetentionClock) -> None:
    """Make dead letters of the events that have been waiting for too long."""
    limit = ages.limit(retention.undelivered_age)
    processes = _processes(project)
    late = [process for process in processes if process.last < limit]
    if not late:
        return
    live = _live_runs(project, processes)
    pending = {segment.name for segment in pending_segments(project, routes)}
    for segment in (segment for process in late for segment in process.segments):
        if segment.name in pending and segment.trace_id not in live:
            with _in_place_of_relay(project, routes.relay_key(segment.route)) as is_alone:
                if is_alone:
                    _make_dead_letters(project, routes, segment, retention.undelivered_age)


@contextlib.contextmanager
def _in_place_of_relay(project: Project, key: str | None) -> Iterator[bool]:
    """Hold the lock of a relay key meanwhile; yield False if that is impossible, as a relay is at work."""
    path = project.lock(key or "")
    lock = None if key is None else locks.open_locked(path)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            locks.release(path, lock)


def _make_dead_letters(project: Project, routes: Routes, segment: Segment, age: float) -> None:
    path = project.segment(segment.name)
    plugins = relay_plugins()
    with contextlib.closing(Store(project.database)) as store:
        for endpoint in routes.endpoints(segment.route):
            last_reason = store.state(endpoint).reason
            reason = f"not delivered within {age / _DAY:g} days{f': {last_reason}' if last_reason else ''}"
            outbox = Outbox(endpoint, routes.sink(segment.route, endpoint, plugins).accepts, store)
            outbox.add(path)
            count = 0
            while outbox.read_ahead(_BATCH):
                late = outbox.next_batch(_BATCH, journals.MAX_LINE)
                outbox.settle(late, refused=reason)
                count += len(late)
            outbox.save()
            if count:
                _log.warning("%s: %d events of %s become dead letters: %s", endpoint, count, segment.name, reason)


def _expire_dead_letters(project: Project, retention: Retention, ages: RetentionClock) -> None:
    """Drop the dead letters that are too old, and the oldest ones while there are too many."""
    path = project.database
    if not os.path.exists(path):
        return
    with contextlib.closing(Store(path)) as store:
        excess = store.excess_letters(ages.limit(retention.dead_letter_age), retention.dead_letter_bytes)
        count = store.drop(excess, EXPIRED) if excess else 0
    if count:
        _log.warning("%d dead letters are dropped: too old or too many (monitoring.retention)", count)


# -- the journal's files -----------------------------------------------------------------------------------------------


def _remove_settled_segments(
    project: Project, environ: Mapping[str, str], routes: Routes, retention: Retention
) -> bool:
    """Remove the settled segments that are too old or too many; return whether there were any."""
    processes = _processes(project)
    if not _is_beyond_bounds(processes, retention):
        return False
    limit = time.time() - retention.journal_age
    excess = sum(process.size for process in processes) - retention.journal_bytes
    # Who is alive is asked before the import: a process that ends during it may have written lines that it missed.
    live = _live_runs(project, processes)
    fill_history(project, environ)
    pending = {segment.name for segment in pending_segments(project, routes)}
    removed = False
    for process in processes:
        if process.last >= limit and excess <= 0:
            break
        if not any(segment.trace_id in live or segment.name in pending for segment in process.segments):
            removed = True
            excess -= process.size
            # Starts go before their ends: an end that was removed first would leave the span of a dead process open.
            for segment in process.segments:
                segment_file.remove(project.segment(segment.name))
    return removed


def _compress_settled_segments(project: Project, routes: Routes) -> None:
    """Compress old segments that the history has imported and every endpoint has settled."""
    old = list(_uncompressed_segments(project))
    if not old:
        return
    imported = segment_counts(project)
    pending = {segment.name for segment in pending_segments(project, routes)}
    with _alone_in_compressing(project) as is_alone:
        left = _COMPRESSED_AT_ONCE if is_alone else 0
        for name, size in old:
            if left > 0 and name not in pending and name in imported and imported[name].offset == size:
                left -= size
                with contextlib.suppress(OSError):  # it was removed meanwhile, or the disk is full
                    segment_file.compress(project.segment(name))


def _uncompressed_segments(project: Project) -> Iterator[tuple[str, int]]:
    """Yield name and size of each plain segment that is old, and to which nobody will write any more."""
    limit = time.time() - _COMPRESS_AFTER
    for segment in journals.segments(project.journal):
        path = project.segment(segment.name)
        with contextlib.suppress(FileNotFoundError):  # it is compressed
            file = os.stat(path)
            is_of_use = _WORTH <= file.st_size <= MAX_LENGTH
            if is_of_use and file.st_mtime < limit and orphans.is_closed(path) and locks.is_free(path):
                yield segment.name, file.st_size


@contextlib.contextmanager
def _alone_in_compressing(project: Project) -> Iterator[bool]:
    """Keep other processes from compressing meanwhile; yield False if one is at it already."""
    lock = locks.open_locked(project.compression_lock)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            locks.release(project.compression_lock, lock)


def _forget_removed_segments(project: Project) -> None:
    """Remove the cursors of segments that are gone."""
    path = project.database
    if os.path.exists(path):
        with contextlib.closing(Store(path)) as store:
            segments = journals.segments(project.journal)
            names, writers = {one.name for one in segments}, {one.process[1] for one in segments}
            store.forget_all_but(names, writers)


def _remove_leftovers(project: Project, limit: float) -> None:
    """Remove files that belong to no segment and were not used since a time, in seconds since the epoch.

    A process that begins to use a route or a relay's progress touches the file, so a file in use is not old.
    """
    routes = {segment.route for segment in journals.segments(project.journal)}
    # ".new" is the ending of files that were not written to their end when their process was killed.
    for folder, ending, kept in (
        ("routes", ".json", routes),
        ("relay", ".json", ()),
        ("spans", "", (".gitignore",)),
        ("", ".new", ()),
        ("routes", ".new", ()),
        ("relay", ".new", ()),
    ):
        for path in _files(project.segment(folder), ending, limit):
            if os.path.basename(path).removesuffix(ending) not in kept:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)


def _files(folder: str, ending: str, limit: float) -> list[str]:
    """Return the files of a folder that have this ending and were last written before the limit."""
    try:
        files = [file for file in os.scandir(folder) if file.name.endswith(ending) and file.is_file()]
        return [file.path for file in files if file.stat().st_mtime < limit]
    except FileNotFoundError:
        return []
