"""Processes for the tests to kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from tests.lab import UNRELATED, WAIT, Json, Lab, wait_until

DIE = {
    "SIGKILL": "os.kill(os.getpid(), 9)",
    "os._exit": "os._exit(0)",
    "segfault": "ctypes.string_at(0)",
    "abort": "os.abort()",
}
WAITING = """
import os, pathlib, pytest, time

def wait_for(name):
    deadline = time.monotonic() + 60
    while not pathlib.Path(name).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
"""


@contextmanager
def started(lab: Lab, command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a command in a process group of its own, and kill the whole group at the end."""
    process = subprocess.Popen(
        command,
        cwd=lab.root,
        env=lab.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=WAIT)


def session(*arguments: str) -> list[str]:
    """Return the command of a pytest session."""
    plain = ["-q", "-p", "no:cacheprovider", *UNRELATED, "--swarmtask-drain-timeout=0"]
    return [sys.executable, "-m", "pytest", *plain, *arguments]


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process that the test started, and wait until it is gone."""
    process.kill()
    process.wait(WAIT)


def wait_for_events(lab: Lab, event_type: str, count: int) -> list[Json]:
    """Wait until the journal contains this number of events of a type."""
    wait_until(lambda: len(of(lab, event_type)) >= count, f"{count} {event_type}")
    return of(lab, event_type)


def of(lab: Lab, *event_types: str) -> list[Json]:
    """Return the journaled events of these types."""
    return [event for event in lab.events() if event["event_type"] in event_types]


def ends(lab: Lab) -> list[Json]:
    """Return the end events that were written on behalf of crashed processes."""
    return [event for event in lab.events() if event["id"].endswith("-end")]


def told(events: Sequence[Json]) -> list[tuple[str, str]]:
    """Return the type and the task id of each event."""
    return [(event["event_type"], event["task_id"]) for event in events]


def endings(events: Sequence[Json]) -> Counter[str]:
    """Return the number of end events of each span."""
    return Counter(event["span_id"] for event in events if not event["event_type"].endswith("_STARTED"))
