"""The relay: follows its segments, feeds a delivery for each endpoint, says how far it is, and ends."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.core.files import replace_file
from pytest_swarmtask.core.project import BACKGROUND
from pytest_swarmtask.core.timing import DEFAULTS
from pytest_swarmtask.journal import locks
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.journal.watcher import SegmentWatcher
from pytest_swarmtask.relay.delivery.backlog import owing
from pytest_swarmtask.relay.delivery.routes import Routes
from pytest_swarmtask.relay.delivery.worker import Delivery

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pluggy

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.core.timing import Timing
    from pytest_swarmtask.journal.segments import Segment

_RECENT = 86400.0
"""Seconds for which a new relay looks for deaths in what was delivered long ago; `status` and `flush` look at all."""

AT_ONCE = 50
"""Relays, at most, whose work is taken over at once: each holds a file open."""

_FEW = 5
"""Failures in a row after which a relay that a person waits for leaves the rest to the schedule."""


class _Followed:
    """A segment that is being served.

    Attributes:
        size, lines: how much of it there is.
        deliveries: the endpoints that it is owed to.
        live: whether its writer still holds it.
    """

    __slots__ = ("deliveries", "lines", "live", "path", "segment", "size")

    def __init__(self, path: str, segment: Segment, deliveries: list[Delivery]) -> None:
        self.path = path
        self.segment = segment
        self.deliveries = deliveries
        self.size = 0
        self.lines = 0
        self.live = True

    def grow(self) -> bool:
        """Look how much there is now, in whole lines; tell whether it is more than before."""
        try:
            if os.stat(self.path).st_size <= self.size:
                return False
            before = self.size
            for _, end in journals.read(self.path, self.size):
                self.size = end
                self.lines += 1
        except OSError:
            return False
        return self.size > before

    def behind(self) -> list[Delivery]:
        """Return the deliveries that are not through with all of it."""
        name = self.segment.name
        return [delivery for delivery in self.deliveries if delivery.position(name).offset < self.size]

    @property
    def settled(self) -> bool:
        """Whether every endpoint is through with all of it."""
        return not self.behind()


class Relay:
    """Serves the runs of a journal whose deliveries depend on the same values of variables.

    Args:
        project: the project whose journal this is.
        environ: where variables are looked up.
        keys: the keys of the relays to be, each with the descriptor of its lock, which is held.
        plugins: the plug-in manager that makes the sinks.
        eager: try every endpoint at once, whatever its schedule says.
        adopt: also take over what a relay of another key has left.
        watched: this is the watched process, where no trigger and no alert may run; they wait for a relay.
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
        self._own = tuple(keys)
        self._locks = dict(keys)
        self._plugins = plugins
        self._eager = eager
        self._adopt = adopt
        self._watched = watched
        self._timing = timing
        self._deliveries: dict[str, Delivery] = {}
        self._followed: dict[str, _Followed] = {}
        self._watcher = SegmentWatcher(project, timing)
        self._alive_at = time.monotonic()
        self._hurry = False
        self._progress: dict[str, Any] = {}

    def run(self, timeout: float | None = None, watch: Callable[[int, int], None] | None = None) -> bool:
        """Serve until the runs are over and drained.

        Args:
            timeout: seconds after which to end in any case; then the runs need not be over either: it ends as
                soon as what the journal holds is settled or nothing more can be done about it now.
            watch: called now and then with the events settled and the events there are.

        Returns:
            Whether everything that is owed was settled.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        self._forget_requests()
        try:
            while True:
                self._poke(grown=self._look())
                self._report()
                if watch is not None:
                    watch(*self._totals())
                if self._yielded() or (deadline is not None and time.monotonic() >= deadline):
                    break
                if self._idle(over_now=timeout is not None) and not self.missed():
                    break
                time.sleep(self._timing.poll)
        finally:
            self._end()
        return all(followed.settled for followed in self._followed.values())

    def missed(self) -> bool:
        """Tell whether something was written for our runs since we looked, perhaps by a trigger."""
        grown = any(followed.grow() for followed in self._followed.values())
        return grown or any(self._routes.relay(segment.route) in self._locks for segment in self._watcher.unseen())

    # -- segments ----------------------------------------------------------------------------------------------

    def _look(self) -> bool:
        """Find new segments and new lines; tell whether there are any."""
        grown = self._list()
        for followed in self._followed.values():
            if followed.live:
                followed.live = self._watcher.is_live(followed.segment.name)
                grown = followed.grow() or grown  # after `is_live`, so that the last lines of a dead writer are read
        self._watcher.close_orphaned_spans()
        if any(followed.live for followed in self._followed.values()) or grown:
            self._alive_at = time.monotonic()
        return grown

    def _list(self) -> bool:
        new = self._watcher.new_segments()
        if not new:
            return False
        own = [segment for segment in new if self._routes.relay(segment.route) in self._locks]
        if not self._followed:  # at the start, what was settled long ago need not be looked at
            live = {segment.name for segment in own if locks.is_locked(self._path(segment))}
            owed = live.union(segment.name for segment in owing(self._project, self._routes))
            settled = [segment.name for segment in own if segment.name not in owed]
            self._watcher.presume_dead(filter(self._is_recent, settled))
            own = [segment for segment in own if segment.name in owed]
        for segment in own:
            self._follow(segment)
        if self._adopt:
            self._adopt = False  # once: later runs start relays of their own
            self._adopt_others()
        return bool(own)

    def _is_recent(self, name: str) -> bool:
        try:
            return time.time() - os.stat(self._project.segment(name)).st_mtime < _RECENT
        except OSError:
            return False

    def _adopt_others(self) -> None:
        """Take over what is left of runs that have no relay and no living writer; what others serve is theirs.

        Other environments are left alone: what a variable means there, we do not know.
        """
        left: dict[str, list[Segment]] = {}
        for segment in owing(self._project, self._routes):
            key = self._routes.relay(segment.route)
            if key is not None and key not in self._locks and self._routes.is_at_home(segment.route):
                left.setdefault(key, []).append(segment)
        for key, segments in list(left.items())[:AT_ONCE]:
            if any(locks.is_locked(self._path(segment)) for segment in segments):
                continue
            lock = locks.open_locked(self._project.lock(key))
            if lock is not None:
                self._locks[key] = lock
                for segment in segments:
                    self._follow(segment)

    def _follow(self, segment: Segment) -> None:
        path = self._path(segment)
        names = self._routes.endpoints(segment.route)
        owed = [name for name in names if not (self._watched and name.startswith(BACKGROUND))]
        deliveries = [self._delivery(segment.route, name) for name in owed]
        self._followed[segment.name] = _Followed(path, segment, deliveries)
        for delivery in deliveries:
            delivery.add(path)

    def _path(self, segment: Segment) -> str:
        return self._project.segment(segment.name)

    def _delivery(self, route: str, endpoint: str) -> Delivery:
        known = self._deliveries.get(endpoint)
        if known is None:
            sink = self._routes.sink(route, endpoint, self._plugins, self._timing)
            path = self._project.database
            known = self._deliveries[endpoint] = Delivery(endpoint, sink, path, eager=self._eager, timing=self._timing)
            known.start()
        return known

    # -- what is going on --------------------------------------------------------------------------------------

    def _poke(self, *, grown: bool) -> None:
        hurry = self._over() or any(os.path.exists(self._project.hurry_request(key)) for key in self._own)
        if grown or hurry != self._hurry:
            self._hurry = hurry
            for delivery in self._deliveries.values():
                delivery.poke(hurry=hurry)

    def _over(self) -> bool:
        return not any(followed.live for followed in self._followed.values())

    def _forget_requests(self) -> None:
        """Take no notice of what was asked of another relay by somebody who may have died since."""
        for key in self._locks:
            with contextlib.suppress(OSError):  # there is none
                os.unlink(self._project.yield_request(key))

    def _yielded(self) -> bool:
        """Tell whether somebody wants to serve what is left in our stead, and all runs are over."""
        return self._over() and any(os.path.exists(self._project.yield_request(key)) for key in self._locks)

    def _idle(self, *, over_now: bool) -> bool:
        """Tell whether there is nothing more to do."""
        quiet = time.monotonic() - self._alive_at
        if not over_now and quiet < self._timing.linger:
            return False
        if over_now or quiet > self._timing.retry_linger:
            late = quiet > self._timing.retry_linger
            return all(followed.settled or self._given_up(followed, late=late) for followed in self._followed.values())
        return not any(delivery.busy for delivery in self._deliveries.values()) and self._all_done()

    def _all_done(self) -> bool:
        return not any(delivery.trying for followed in self._followed.values() for delivery in followed.behind())

    def _given_up(self, followed: _Followed, *, late: bool) -> bool:
        """Tell whether what is left of a segment has to wait: for a person, or for the schedule."""
        return all(
            not delivery.trying or (delivery.state.state == "retrying" and (late or delivery.state.failures >= _FEW))
            for delivery in followed.behind()
        )

    # -- progress ----------------------------------------------------------------------------------------------

    def _report(self) -> None:
        """Write down how far it is, where that has changed, for those who wait."""
        progress = self._progress_now()
        if progress != self._progress:
            self._progress = progress
            content = json.dumps(progress).encode()
            for key in self._own:
                with contextlib.suppress(OSError):  # whoever waits will wait a little longer
                    replace_file(self._project.progress(key), content)

    def _progress_now(self) -> dict[str, Any]:
        segments: dict[str, int] = {}
        runs: dict[str, dict[str, dict[str, int]]] = {}
        for name, followed in self._followed.items():
            run = runs.setdefault(followed.segment.trace_id, {})
            # Those in the background may take long, and nobody waits for them.
            awaited = [delivery for delivery in followed.deliveries if not delivery.endpoint.startswith(BACKGROUND)]
            trying = [delivery for delivery in awaited if delivery.trying]
            segments[name] = min((delivery.position(name).offset for delivery in trying), default=followed.size)
            for delivery in followed.deliveries:
                position = delivery.position(name)
                counts = run.setdefault(delivery.endpoint, {"waiting": 0, "dead": 0})
                counts["waiting"] += followed.lines - position.lines
                counts["dead"] += position.dead
        states = {name: d.state for name, d in self._deliveries.items()}
        endpoints = {name: {"state": state.state, "reason": state.reason} for name, state in states.items()}
        return {"segments": segments, "endpoints": endpoints, "runs": runs}

    def _totals(self) -> tuple[int, int]:
        settled = sum(d.position(name).lines for name, f in self._followed.items() for d in f.deliveries)
        return settled, sum(followed.lines * len(followed.deliveries) for followed in self._followed.values())

    def _end(self) -> None:
        for delivery in self._deliveries.values():
            delivery.stop()
        for delivery in self._deliveries.values():
            delivery.join(timeout=1.0)  # one that is stuck in a request is left behind; its cursor stands
        self._report()
        for key, lock in self._locks.items():
            self._leave(key, lock)

    def _leave(self, key: str, lock: int) -> None:
        for path in (self._project.hurry_request(key), self._project.lock(key)):
            with contextlib.suppress(OSError):  # never was, or cannot be
                os.unlink(path)
        os.close(lock)
