"""The relay as a process, and its two other uses: in the foreground of a run, and `swarmtask flush`."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from pytest_swarmtask import journal as journals
from pytest_swarmtask import locks
from pytest_swarmtask.handoff import lock_file, read_progress, relay_folder, yield_file
from pytest_swarmtask.journal import private_folder
from pytest_swarmtask.relay.loop import Relay
from pytest_swarmtask.relay.routes import Routes
from pytest_swarmtask.relay.survey import owing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_log = logging.getLogger("pytest_swarmtask.relay")
_MOST_LOG = 1_000_000
_TAKE_OVER = 15.0


def main(arguments: Sequence[str]) -> None:
    """Be the relay of a run: arguments are the journal's folder, the trace id and the descriptor of the held lock."""
    journal, trace_id = arguments[:2]
    lock = _adopted_lock(arguments) if len(arguments) > 2 else locks.open_locked(lock_file(journal, trace_id))
    if lock is None:
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.fstat(2).st_size > _MOST_LOG:
        os.ftruncate(2, 0)
    logging.basicConfig(
        level=logging.WARNING, format=f"%(asctime)s {trace_id[:8]} %(levelname)s %(message)s", stream=sys.stderr
    )
    try:
        while lock is not None:
            relay = Relay(journal, os.environ, {trace_id: lock})
            relay.run()
            # A writer that saw our lock in its last moment has relied on us.
            lock = locks.open_locked(lock_file(journal, trace_id)) if relay.missed() else None
    except Exception:  # noqa: BLE001 - it stands in the log
        _log.exception("the relay ends: the next one, or `swarmtask flush`, goes on where it stopped")
        sys.exit(1)


def _adopted_lock(arguments: Sequence[str]) -> int:
    """Keep the descriptor that was handed down, and close what else came along, such as make's job server."""
    lock = int(arguments[2])
    os.closerange(3, lock)
    os.closerange(lock + 1, 4096)
    os.set_inheritable(lock, False)  # noqa: FBT003 - the library's
    return lock


def serve(journal: str, trace_id: str, environ: Mapping[str, str], timeout: float) -> bool:
    """Deliver what a run has journaled so far from within this process, for at most `timeout` seconds.

    Returns:
        Whether everything was settled. False also when another relay is at work on it.
    """
    private_folder(relay_folder(journal))
    lock = locks.open_locked(lock_file(journal, trace_id))
    if lock is None:
        return False
    return Relay(journal, environ, {trace_id: lock}, adopt=False).run(timeout)


def flush(
    journal: str, environ: Mapping[str, str], timeout: float, watch: Callable[[int, int], None] | None = None
) -> bool:
    """Deliver everything that the journal owes to anybody, now, for at most `timeout` seconds.

    Relays that linger over the retries of a run that has ended are relieved; those of runs under way go on by
    themselves, and are waited for.

    Returns:
        Whether everything was settled.
    """
    deadline = time.monotonic() + timeout
    private_folder(relay_folder(journal))
    runs = list(dict.fromkeys(segment.trace_id for segment in owing(journal, Routes(journal, environ))))
    taken = {trace_id: lock for trace_id in runs if (lock := _take_over(journal, trace_id, deadline)) is not None}
    busy = [trace_id for trace_id in runs if trace_id not in taken]
    settled = Relay(journal, environ, taken, eager=True, adopt=False).run(max(0.0, deadline - time.monotonic()), watch)
    waited = [_wait_for(journal, trace_id, deadline) for trace_id in busy]
    return settled and all(waited)


def _take_over(journal: str, trace_id: str, deadline: float) -> int | None:
    """Return the lock of a run, asking the relay that holds it to go; None while the run is under way."""
    path, ask = lock_file(journal, trace_id), yield_file(journal, trace_id)
    try:
        while True:
            lock = locks.open_locked(path)
            if lock is not None:
                return lock
            if _under_way(journal, trace_id) or time.monotonic() > deadline:
                return None
            journals.write_private(ask, b"")
            time.sleep(0.05)
    finally:
        if os.path.exists(ask):
            os.unlink(ask)


def _under_way(journal: str, trace_id: str) -> bool:
    segments = (s for s in journals.segments(journal) if s.trace_id == trace_id)
    return any(locks.is_locked(os.path.join(journal, segment.name)) for segment in segments)


def _wait_for(journal: str, trace_id: str, deadline: float) -> bool:
    """Wait for the relay of a run that is under way to have delivered what there is."""
    while time.monotonic() < deadline:
        endpoints = read_progress(journal, trace_id)["endpoints"]
        if endpoints and not any(state["waiting"] for state in endpoints.values()):
            return True
        time.sleep(0.1)
    return False
