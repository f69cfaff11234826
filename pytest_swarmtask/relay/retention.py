"""Retention: the journal stays within an age and a size, and what nobody takes does not wait for ever.

Removed is only what is settled: written by processes that are dead and whose ends are written, in runs of which no
process lives, with every endpoint through.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.config.load import load
from pytest_swarmtask.core.errors import ConfigError, HistoryError
from pytest_swarmtask.history import session
from pytest_swarmtask.journal import locks, orphans
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.relay.builtin_plugins import relay_plugins
from pytest_swarmtask.relay.delivery.age_clock import RetentionClock
from pytest_swarmtask.relay.delivery.backlog import owing
from pytest_swarmtask.relay.delivery.outbox import Outbox
from pytest_swarmtask.relay.delivery.routes import Routes
from pytest_swarmtask.relay.delivery.store import EXPIRED, Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_swarmtask.config.monitoring import Retention
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.journal.segments import Segment

_log = logging.getLogger("pytest_swarmtask.relay")
_DAY = 86400.0
_AT_ONCE = 100


class _Process(NamedTuple):
    """What one process has written: its segments, oldest first; the last write, seconds since the epoch; bytes."""

    segments: list[Segment]
    last: float
    size: int


def prune(project: Project, environ: Mapping[str, str]) -> None:
    """Apply the configured retention to a journal. Without a valid configuration, or in another user's, do nothing.

    What cannot be done now is left for the next time.
    """
    try:
        retention = load(project, environ).workflow.monitoring.retention
    except ConfigError:
        return
    if not orphans.is_ours(project):
        return
    with contextlib.suppress(OSError, sqlite3.Error):
        routes = Routes(project, environ)
        ages = RetentionClock(project.retention_clock)
        _give_up(project, routes, retention, ages)
        _expire(project, retention, ages)
        _remember(project, environ)
        if _remove(project, routes, retention):
            _forget(project)
        _tidy(project, time.time() - retention.journal_age)


def _remember(project: Project, environ: Mapping[str, str]) -> None:
    """Take what there is into the history, where it stays when the journal has lost it."""
    with contextlib.suppress(HistoryError):  # is told to whoever asks it something
        session.update(project, environ)


def _processes(project: Project) -> list[_Process]:
    """Return the processes that have written a journal, the one that wrote last at the end."""
    found: dict[tuple[str, str], list[Segment]] = {}
    for segment in journals.segments(project.journal):
        found.setdefault(segment.process, []).append(segment)
    result = []
    for segments in found.values():
        with contextlib.suppress(FileNotFoundError):  # somebody else has just removed it
            files = [os.stat(project.segment(segment.name)) for segment in segments]
            result.append(_Process(segments, max(f.st_mtime for f in files), sum(f.st_size for f in files)))
    return sorted(result, key=lambda process: process.last)


def _living(project: Project, processes: Sequence[_Process]) -> set[str]:
    """Return the runs in which a process is alive."""
    segments = (segment for process in processes for segment in process.segments)
    return {segment.trace_id for segment in segments if not locks.is_free(project.segment(segment.name))}


# -- what nobody took --------------------------------------------------------------------------------------------------


def _give_up(project: Project, routes: Routes, retention: Retention, ages: RetentionClock) -> None:
    """Make dead letters of what has been waiting for too long."""
    limit = ages.limit(retention.undelivered_age)
    processes = _processes(project)
    late = [process for process in processes if process.last < limit]
    if not late:
        return
    living = _living(project, processes)
    owed = {segment.name for segment in owing(project, routes)}
    for segment in (segment for process in late for segment in process.segments):
        if segment.name in owed and segment.trace_id not in living:
            with _instead_of_relay(project, routes.relay(segment.route)) as alone:
                if alone:
                    _bury(project, routes, segment, retention.undelivered_age)


@contextlib.contextmanager
def _instead_of_relay(project: Project, key: str | None) -> Iterator[bool]:
    """Keep relays away from what is theirs; give False where one is at work."""
    path = project.lock(key or "")
    lock = None if key is None else locks.open_locked(path)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.unlink(path)
            os.close(lock)


def _bury(project: Project, routes: Routes, segment: Segment, age: float) -> None:
    path = project.segment(segment.name)
    plugins = relay_plugins()
    with contextlib.closing(Store(project.database)) as store:
        for endpoint in routes.endpoints(segment.route):
            trouble = store.state(endpoint).reason
            reason = f"not delivered within {age / _DAY:g} days{f': {trouble}' if trouble else ''}"
            outbox = Outbox(endpoint, routes.sink(segment.route, endpoint, plugins).accepts, store)
            outbox.add(path)
            count = 0
            while outbox.read_ahead(_AT_ONCE):
                late = outbox.next_batch(_AT_ONCE, journals.MAX_LINE)
                outbox.settle(late, refused=reason)
                count += len(late)
            outbox.save()
            if count:
                _log.warning("%s: %d events of %s become dead letters: %s", endpoint, count, segment.name, reason)


def _expire(project: Project, retention: Retention, ages: RetentionClock) -> None:
    """Drop the dead letters that are too old, and the oldest ones while there are too many."""
    path = project.database
    if not os.path.exists(path):
        return
    with contextlib.closing(Store(path)) as store:
        excess = store.excess_letters(ages.limit(retention.dead_letter_age), retention.dead_letter_bytes)
        count = store.drop(excess, EXPIRED) if excess else 0
    if count:
        _log.warning("%d dead letters are dropped: too old or too many (monitoring.retention)", count)


# -- what is settled ---------------------------------------------------------------------------------------------------


def _remove(project: Project, routes: Routes, retention: Retention) -> bool:
    """Remove settled segments that are too old or too many; tell whether there were any."""
    limit = time.time() - retention.journal_age
    processes = _processes(project)
    excess = sum(process.size for process in processes) - retention.journal_bytes
    if not processes or (processes[0].last >= limit and excess <= 0):
        return False
    orphans.close_orphaned_spans(project)
    processes = _processes(project)
    living = _living(project, processes)
    owed = {segment.name for segment in owing(project, routes)}
    removed = False
    for process in processes:
        if process.last >= limit and excess <= 0:
            break
        if not any(segment.trace_id in living or segment.name in owed for segment in process.segments):
            removed = True
            excess -= process.size
            for segment in process.segments:  # starts before their ends, or it would look like a death
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(project.segment(segment.name))
    return removed


def _forget(project: Project) -> None:
    """Forget the cursors of segments that are gone."""
    path = project.database
    if os.path.exists(path):
        with contextlib.closing(Store(path)) as store:
            segments = journals.segments(project.journal)
            store.forget_all_but({one.name for one in segments}, {one.process[1] for one in segments})


def _tidy(project: Project, limit: float) -> None:
    """Remove what is left of what is gone, if nothing has used it for as long as the journal is kept.

    A route or a relay's progress is touched by whoever begins to use it.
    """
    routes = {segment.route for segment in journals.segments(project.journal)}
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
    """Return the files of a folder with this ending that were last written before the limit."""
    try:
        files = [file for file in os.scandir(folder) if file.name.endswith(ending) and file.is_file()]
        return [file.path for file in files if file.stat().st_mtime < limit]
    except FileNotFoundError:
        return []
