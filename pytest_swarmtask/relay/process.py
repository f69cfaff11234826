"""The relay as a process of its own, inside the watched process, and inside `swarmtask flush`."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.core.files import private_folder, replace_file
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.core.timing import DEFAULTS, VARIABLE, Timing
from pytest_swarmtask.journal import locks, orphans
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.relay import retention
from pytest_swarmtask.relay.alerts.sink import check_alerts
from pytest_swarmtask.relay.builtin_plugins import relay_plugins
from pytest_swarmtask.relay.delivery.backlog import pending_segments
from pytest_swarmtask.relay.delivery.loop import MAX_RELAYS, Relay
from pytest_swarmtask.relay.delivery.progress import has_delivered_everything
from pytest_swarmtask.relay.delivery.routes import Routes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


_log = logging.getLogger("pytest_swarmtask.relay")

_MAX_LOG = 1_000_000
"""Bytes of the log above which a relay that starts empties it."""

_MAX_INHERITED = 4096
"""Descriptors below this number are closed; nobody hands down more, and closing all possible ones takes a while."""

_POLL = 0.05
"""Seconds between two looks at the lock or the progress of another relay."""


def main(arguments: Sequence[str]) -> None:
    """Run a relay until its work is done.

    Args:
        arguments: the project's root, the relay's key, and the descriptor of the relay's lock if the starter took it.
    """
    project, key = Project(arguments[0]), arguments[1]
    lock = _inherited_lock(int(arguments[2])) if len(arguments) > 2 else locks.open_locked(project.lock(key))
    if lock is None:
        return  # another relay serves this key
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run; the relay delivers what led to it
    if os.fstat(2).st_size > _MAX_LOG:
        os.ftruncate(2, 0)
    logging.basicConfig(level=logging.WARNING, format=f"%(asctime)s {key} %(levelname)s %(message)s", stream=sys.stderr)
    timing = _timing(os.environ)
    try:
        while lock is not None:
            relay = Relay(project, os.environ, {key: lock}, relay_plugins(), timing=timing)
            relay.run()
            lock = _lock_again(relay, project, key)
            if lock is None:
                retention.fill_history(project, os.environ)  # nobody waits for this process, but a reader would
                retention.prune(project, os.environ)
                lock = _lock_again(relay, project, key)  # events may have come during that
    except ImportError:
        raise  # `run_relay` tells it to who waits, and may have what is missing
    except Exception:  # noqa: BLE001 - it is logged
        _log.exception("the relay ends: the next one, or `swarmtask flush`, goes on where it stopped")
        sys.exit(1)


def _timing(environ: Mapping[str, str]) -> Timing:
    """Return the waiting times, which tests shorten by an environment variable."""
    try:
        return Timing.parse(environ.get(VARIABLE, ""))
    except ValueError as error:
        _log.error("%s: %s; the defaults are used", VARIABLE, error)
        return DEFAULTS


def _lock_again(relay: Relay, project: Project, key: str) -> int | None:
    """Take the lock once more if a writer that still saw it held has started no relay of its own for its events."""
    return locks.open_locked(project.lock(key)) if relay.has_unread_events() else None


def _inherited_lock(lock: int) -> int:
    """Return the descriptor of the lock, and close all others that were inherited, such as make's job server."""
    os.closerange(3, lock)
    os.closerange(lock + 1, _MAX_INHERITED)
    os.set_inheritable(lock, False)  # noqa: FBT003 - the library's
    return lock


def serve(project: Project, key: str, environ: Mapping[str, str], timeout: float) -> bool:
    """Deliver the present events of a relay key inside the watched process, for at most `timeout` seconds.

    Returns:
        Whether every event was settled. False also if another relay serves the key.
    """
    private_folder(project.relay_folder)
    lock = locks.open_locked(project.lock(key))
    if lock is None:
        return False
    timing = _timing(environ)
    relay = Relay(project, environ, {key: lock}, relay_plugins(), adopt=False, watched=True, timing=timing)
    return relay.run(timeout)


def flush(
    project: Project, environ: Mapping[str, str], timeout: float, watch: Callable[[int, int], None] | None = None
) -> bool:
    """Deliver every pending event of the journal now, for at most `timeout` seconds.

    If a run is over and its relay only repeats failed deliveries, the relay is asked to leave them to this process. A
    relay whose run goes on keeps its work, and is waited for.

    Args:
        project: whose events.
        environ: where variables are looked up.
        timeout: in seconds.
        watch: called now and then with the number of settled events and of all events.

    Returns:
        Whether every event was settled.
    """
    deadline = time.monotonic() + timeout
    private_folder(project.relay_folder)
    orphans.close_orphaned_spans(project)
    routes = Routes(project, environ)
    pending = (routes.relay_key(segment.route) for segment in pending_segments(project, routes))
    keys = list(dict.fromkeys(key for key in pending if key is not None))
    settled, busy, plugins, timing = True, [], relay_plugins(), _timing(environ)
    for start in range(0, len(keys), MAX_RELAYS):
        some = keys[start : start + MAX_RELAYS]
        taken = {key: lock for key in some if (lock := _take_over(project, routes, key, deadline)) is not None}
        left = max(0.0, deadline - time.monotonic())
        relay = Relay(project, environ, taken, plugins, eager=True, adopt=False, timing=timing)
        settled = relay.run(left, watch) and settled
        busy += [key for key in some if key not in taken]
    waited = [_wait_for(project, key, deadline) for key in busy]
    check_alerts(project, environ, plugins, timing)
    retention.prune(project, environ)
    return settled and all(waited)


def _take_over(project: Project, routes: Routes, key: str, deadline: float) -> int | None:
    """Return the lock of a key, after asking the relay that holds it to end; None if the key's runs go on."""
    path, request = project.lock(key), project.yield_request(key)
    try:
        while True:
            lock = locks.open_locked(path)
            if lock is not None:
                return lock
            if _has_live_writer(project, routes, key) or time.monotonic() > deadline:
                return None
            replace_file(request, b"")
            time.sleep(_POLL)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(request)


def _has_live_writer(project: Project, routes: Routes, key: str) -> bool:
    segments = (segment for segment in journals.segments(project.journal) if routes.relay_key(segment.route) == key)
    return any(locks.is_locked(project.segment(segment.name)) for segment in segments)


def _wait_for(project: Project, key: str, deadline: float) -> bool:
    """Wait until a relay whose runs go on has delivered the present events; return whether it has."""
    while time.monotonic() < deadline:
        if has_delivered_everything(project, key):
            return True
        time.sleep(_POLL)
    return False
