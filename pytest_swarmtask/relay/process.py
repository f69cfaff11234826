"""The relay as a process, and its two other uses: in the foreground of a run, and `swarmtask flush`."""

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
from pytest_swarmtask.relay.delivery.backlog import owing
from pytest_swarmtask.relay.delivery.loop import AT_ONCE, Relay
from pytest_swarmtask.relay.delivery.routes import Routes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


_log = logging.getLogger("pytest_swarmtask.relay")
_MOST_LOG = 1_000_000
_LOOK_AGAIN = 0.05


def main(arguments: Sequence[str]) -> None:
    """Be a relay: arguments are the project's root, the relay's key and the descriptor of the lock it holds."""
    project, key = Project(arguments[0]), arguments[1]
    lock = _adopted_lock(arguments) if len(arguments) > 2 else locks.open_locked(project.lock(key))
    if lock is None:
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.fstat(2).st_size > _MOST_LOG:
        os.ftruncate(2, 0)
    logging.basicConfig(level=logging.WARNING, format=f"%(asctime)s {key} %(levelname)s %(message)s", stream=sys.stderr)
    timing = _timing(os.environ)
    try:
        while lock is not None:
            relay = Relay(project, os.environ, {key: lock}, relay_plugins(), timing=timing)
            relay.run()
            lock = _needed_again(relay, project, key)
            if lock is None:
                retention.prune(project, os.environ)
                lock = _needed_again(relay, project, key)
    except Exception:  # noqa: BLE001 - it stands in the log
        _log.exception("the relay ends: the next one, or `swarmtask flush`, goes on where it stopped")
        sys.exit(1)


def _timing(environ: Mapping[str, str]) -> Timing:
    """Return the waiting times, which tests shorten by an environment variable."""
    try:
        return Timing.parse(environ.get(VARIABLE, ""))
    except ValueError as error:
        _log.error("%s: %s; the defaults are used", VARIABLE, error)
        return DEFAULTS


def _needed_again(relay: Relay, project: Project, key: str) -> int | None:
    """Return the lock once more where a writer that saw it held in its last moment has relied on us."""
    return locks.open_locked(project.lock(key)) if relay.missed() else None


def _adopted_lock(arguments: Sequence[str]) -> int:
    """Keep the descriptor that was handed down, and close what else came along, such as make's job server."""
    lock = int(arguments[2])
    os.closerange(3, lock)
    os.closerange(lock + 1, 4096)
    os.set_inheritable(lock, False)  # noqa: FBT003 - the library's
    return lock


def serve(project: Project, key: str, environ: Mapping[str, str], timeout: float) -> bool:
    """Deliver what has been journaled for a relay so far from within the watched process, at most `timeout` seconds.

    Returns:
        Whether everything was settled. False also when another relay is at work on it.
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
    """Deliver everything that the journal owes to anybody, now, for at most `timeout` seconds.

    Relays that linger over the retries of a run that has ended are relieved; those of runs under way go on by
    themselves, and are waited for.

    Returns:
        Whether everything was settled.
    """
    deadline = time.monotonic() + timeout
    private_folder(project.relay_folder)
    orphans.close_orphaned_spans(project)
    routes = Routes(project, environ)
    owing_keys = (routes.relay(segment.route) for segment in owing(project, routes))
    keys = list(dict.fromkeys(key for key in owing_keys if key is not None))
    settled, busy, plugins, timing = True, [], relay_plugins(), _timing(environ)
    for start in range(0, len(keys), AT_ONCE):
        some = keys[start : start + AT_ONCE]
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
    """Return the lock of a relay, asking the one that holds it to go; None while its runs are under way."""
    path, ask = project.lock(key), project.yield_request(key)
    try:
        while True:
            lock = locks.open_locked(path)
            if lock is not None:
                return lock
            if _under_way(project, routes, key) or time.monotonic() > deadline:
                return None
            replace_file(ask, b"")
            time.sleep(_LOOK_AGAIN)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(ask)


def _under_way(project: Project, routes: Routes, key: str) -> bool:
    segments = (segment for segment in journals.segments(project.journal) if routes.relay(segment.route) == key)
    return any(locks.is_locked(project.segment(segment.name)) for segment in segments)


def _wait_for(project: Project, key: str, deadline: float) -> bool:
    """Wait for a relay whose runs are under way to have delivered what there is."""
    while time.monotonic() < deadline:
        runs = project.read_progress(key)["runs"]
        if runs and not any(counts["waiting"] for run in runs.values() for counts in run.values()):
            return True
        time.sleep(_LOOK_AGAIN)
    return False
