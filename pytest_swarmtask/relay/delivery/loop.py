"""The relay: it follows segments, runs a delivery for each endpoint, publishes its progress, and ends when done."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.core.project import BACKGROUND
from pytest_swarmtask.core.timing import DEFAULTS
from pytest_swarmtask.journal import locks
from pytest_swarmtask.journal.orphans import close_orphaned_spans
from pytest_swarmtask.journal.watcher import SegmentWatcher
from pytest_swarmtask.relay.delivery.backlog import pending_segments
from pytest_swarmtask.relay.delivery.progress import ProgressFile
from pytest_swarmtask.relay.delivery.routes import Routes
from pytest_swarmtask.relay.delivery.served_segment import ServedSegment
from pytest_swarmtask.relay.delivery.worker import Delivery

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pluggy

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.core.timing import Timing
    from pytest_swarmtask.journal.segments import Segment

_RECENT = 86400.0
"""Age in seconds up to which a new relay looks for dead writers in segments that are delivered already.

A journal may have thousands of segments. `status` and `flush` look at all of them.
"""

MAX_RELAYS = 50
"""How many relays' work one process takes over at once: each of their locks is an open file."""

_MAX_FAILURES = 5
"""Failures in a row after which a relay leaves an endpoint to a later relay, if somebody waits for the relay to end."""

_STOP_TIMEOUT = 1.0
"""Seconds that the end waits for each delivery. A thread that is in a longer request is left behind."""


class Relay:
    """Delivers the events of one or more relay keys.

    A relay key stands for the values of the variables that deliveries depend on, so all events of a key go to the
    same URLs with the same secrets.

    Args:
        project: the project whose journal this is.
        environ: where variables are looked up.
        keys: the relay keys, each with the descriptor of its lock, which the caller has taken.
        plugins: the plug-in manager that makes the sinks.
        eager: try every endpoint at once, whatever its schedule says.
        adopt: at the start, also take over the pending events of other keys whose relay has ended.
        watched: this is the watched process, where no trigger and no alert may run; their events wait for a relay.
        timing: waiting times.
    """

    def __init__(  # noqa: PLR0913 - what it serves, and how
        self,
        project: Project,
        environ: Mapping[str, str],
        keys: Mapping[str, int],
        plugins: pluggy.PluginManager,
        *,
        eager: bool = False,
        adopt: bool = True,
        watched: bool = False,
        timing: Timing = DEFAULTS,
    ) -> None:
        self._project = project
        self._routes = Routes(project, environ)
        self._keys = tuple(keys)
        self._locks = dict(keys)  # later also those of adopted keys
        self._plugins = plugins
        self._eager = eager
        self._adopt = adopt
        self._watched = watched
        self._timing = timing
        self._watcher = SegmentWatcher(project, timing)
        self._served: dict[str, ServedSegment] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._progress = ProgressFile(project, self._keys)
        self._hurry = False
        self._renewal = 0.0  # when the locks are renewed next
        self._alive_at = time.monotonic()  # when a writer was alive, or a line was new

    def run(self, timeout: float | None = None, watch: Callable[[int, int], None] | None = None) -> bool:
        """Deliver until the runs are over and there is nothing more to do.

        Args:
            timeout: seconds after which to end in any case. With a timeout, the relay does not wait for the runs: it
                ends as soon as every event is settled or has to wait for a later relay.
            watch: called now and then with the number of settled events and of all events.

        Returns:
            Whether every event was delivered, or became a dead letter.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        self._discard_yield_requests()
        unread = False
        try:
            while True:
                # `has_unread_events` counts what it finds as read, so that this look would not find it again.
                self._wake_deliveries(grown=self._read_journal() or unread)
                self._progress.publish(self._served.values(), self._deliveries.values())
                if watch is not None:
                    watch(*self._totals())
                if not self._keeps_locks() or self._is_asked_to_yield():
                    break
                if deadline is not None and time.monotonic() >= deadline:
                    break
                done = self._is_done(awaited=timeout is not None)
                unread = done and self.has_unread_events()
                if done and not unread:
                    break
                time.sleep(self._timing.poll)
        finally:
            self._end()
        return not any(served.unfinished() for served in self._served.values())

    def has_unread_events(self) -> bool:
        """Whether events for this relay were written after its last look at the journal, by a trigger for example."""
        grown = any(served.grow() for served in self._served.values())
        return grown or any(map(self._is_ours, self._watcher.unseen()))

    # -- the journal ---------------------------------------------------------------------------------------------

    def _read_journal(self) -> bool:
        """Find new segments and new lines; return whether there are any."""
        grown = self._serve_new_segments()
        self._watcher.close_orphaned_spans()
        for served in self._served.values():
            if not served.is_final:
                name = served.segment.name
                served.is_final = self._watcher.is_final(name)
                served.is_live = not served.is_final and self._watcher.is_live(name)
                grown = served.grow() or grown
        if grown or not self._are_runs_over():
            self._alive_at = time.monotonic()
        return grown

    def _serve_new_segments(self) -> bool:
        new = self._watcher.new_segments()
        if not new:
            return False
        ours = list(filter(self._is_ours, new))
        if not self._served:
            ours = self._without_settled(ours)
        for segment in ours:
            self._serve(segment)
        if self._adopt:
            self._adopt = False  # only at the start: later runs start relays of their own
            self._adopt_others()
        return bool(ours)

    def _is_ours(self, segment: Segment) -> bool:
        return self._routes.relay_key(segment.route) in self._locks

    def _without_settled(self, segments: list[Segment]) -> list[Segment]:
        """Return the segments that are live or have pending events. A relay does not serve delivered segments."""
        # Asked before looking for pending events, so that the last lines of a dead writer are found.
        kept = {segment.name for segment in segments if self._is_live(segment)}
        dead = {segment.name for segment in segments if segment.name not in kept and self._is_recent(segment.name)}
        close_orphaned_spans(self._project, dead)
        kept.update(segment.name for segment in pending_segments(self._project, self._routes))
        return [segment for segment in segments if segment.name in kept]

    def _is_live(self, segment: Segment) -> bool:
        return locks.is_locked(self._project.segment(segment.name))

    def _is_recent(self, name: str) -> bool:
        try:
            return time.time() - os.stat(self._project.segment(name)).st_mtime < _RECENT
        except OSError:
            return False  # removed meanwhile

    def _adopt_others(self) -> None:
        """Take over the pending events of keys that have no relay and no living writer.

        Events of another environment are left alone: the values of its variables are unknown here.
        """
        pending: dict[str, list[Segment]] = {}
        for segment in pending_segments(self._project, self._routes):
            key = self._routes.relay_key(segment.route)
            if key is not None and key not in self._locks and self._routes.is_of_our_environment(segment.route):
                pending.setdefault(key, []).append(segment)
        for key, segments in list(pending.items())[:MAX_RELAYS]:
            if any(map(self._is_live, segments)):
                continue  # the run goes on, and starts a relay itself
            lock = locks.open_locked(self._project.lock(key))
            if lock is not None:
                self._locks[key] = lock
                for segment in segments:
                    self._serve(segment)

    def _serve(self, segment: Segment) -> None:
        names = self._routes.endpoints(segment.route)
        allowed = [name for name in names if not (self._watched and name.startswith(BACKGROUND))]
        deliveries = [self._delivery(segment.route, name) for name in allowed]
        path = self._project.segment(segment.name)
        self._served[segment.name] = ServedSegment(path, segment, deliveries)
        for delivery in deliveries:
            delivery.add(path)

    def _delivery(self, route: str, endpoint: str) -> Delivery:
        delivery = self._deliveries.get(endpoint)
        if delivery is None:
            sink = self._routes.sink(route, endpoint, self._plugins, self._timing)
            delivery = Delivery(endpoint, sink, self._project.database, eager=self._eager, timing=self._timing)
            self._deliveries[endpoint] = delivery
            delivery.start()
        return delivery

    # -- deliveries ------------------------------------------------------------------------------------------------

    def _wake_deliveries(self, *, grown: bool) -> None:
        """Wake the deliveries if there are new lines, or if the last lines have become urgent."""
        hurry = self._are_runs_over() or any(os.path.exists(self._project.hurry_request(key)) for key in self._keys)
        if grown or hurry != self._hurry:
            self._hurry = hurry
            for delivery in self._deliveries.values():
                delivery.poke(hurry=hurry)

    def _totals(self) -> tuple[int, int]:
        served = self._served.items()
        settled = sum(delivery.position(name).lines for name, one in served for delivery in one.deliveries)
        return settled, sum(one.lines * len(one.deliveries) for _, one in served)

    def _keeps_locks(self) -> bool:
        """Renew the locks; return False if another process has one by now, and delivers its events."""
        if time.monotonic() < self._renewal:
            return True
        self._renewal = time.monotonic() + locks.RENEWAL
        kept = [locks.renew(self._project.lock(key), lock) for key, lock in self._locks.items()]
        return all(kept)

    # -- the end -------------------------------------------------------------------------------------------------

    def _are_runs_over(self) -> bool:
        return not any(served.is_live for served in self._served.values())

    def _discard_yield_requests(self) -> None:
        """Remove requests that were meant for an earlier relay, and whose author may have died since."""
        for key in self._locks:
            with contextlib.suppress(OSError):  # there is none
                os.unlink(self._project.yield_request(key))

    def _is_asked_to_yield(self) -> bool:
        """Whether another process, such as `flush`, wants to deliver the rest, and all runs are over."""
        return self._are_runs_over() and any(os.path.exists(self._project.yield_request(key)) for key in self._locks)

    def _is_done(self, *, awaited: bool) -> bool:
        """Whether there is nothing more to do.

        Args:
            awaited: somebody waits for the relay to end.
        """
        quiet = time.monotonic() - self._alive_at
        if not awaited and quiet < self._timing.linger:
            return False
        unfinished = [delivery for served in self._served.values() for delivery in served.unfinished()]
        late = quiet > self._timing.retry_linger
        if awaited or late:
            return all(_can_be_left(delivery, late=late) for delivery in unfinished)
        # A delivery without events may be busy, too: with an alert that is due in a moment, for example.
        busy = any(delivery.busy for delivery in self._deliveries.values())
        return not busy and not any(delivery.trying for delivery in unfinished)

    def _end(self) -> None:
        for delivery in self._deliveries.values():
            delivery.stop()
        for delivery in self._deliveries.values():
            delivery.join(_STOP_TIMEOUT)  # its cursors are in the database, so nothing is lost if it does not end
        self._progress.publish(self._served.values(), self._deliveries.values())
        for key, lock in self._locks.items():
            with contextlib.suppress(OSError):  # it never existed, or the folder is not writable any more
                os.unlink(self._project.hurry_request(key))
            locks.release(self._project.lock(key), lock)


def _can_be_left(delivery: Delivery, *, late: bool) -> bool:
    """Whether a delivery has to wait: for a person, or for an attempt that is too far away."""
    is_failing = delivery.state.state == "retrying" and (late or delivery.state.failures >= _MAX_FAILURES)
    return is_failing or not delivery.trying
