"""Producers, relays and readers are killed at random moments again and again, and no event is lost.

The suite runs a short form. ``KILLS=300`` makes a long one; ``SEED=…`` repeats a run's random choices.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import suppress

import pytest

from pytest_swarmtask.core.event import SHARED
from pytest_swarmtask.journal import locks
from pytest_swarmtask.journal.orphans import CLOSED_SUFFIX
from tests.crash.mortals import endings
from tests.history.made import content, rows, take_in
from tests.lab import RESET, UNRELATED, WAIT, Answer, Arrival, Json, Lab, Receiver, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals")]

KILLS = int(os.environ.get("KILLS", "16"))
SEED = int(os.environ.get("SEED", "20260131"))
MOST_SECONDS = 1.0 * KILLS
"""Seconds after which the killing stops on a slow machine."""

SUITE = """
import pytest, time
from pytest_swarmtask import trigger_task_event

@pytest.mark.task("5.2")
@pytest.mark.parametrize("n", range(40))
def test(n):
    time.sleep(0.01)
    trigger_task_event("BUILD_STARTED", f"build-{n}", metadata={"padding": "ü" * (n * 50)})
    assert n % 9
"""
HUB = """
import os, sys, time
from pytest_swarmtask import AutomationIntegrator
integrator = AutomationIntegrator()
for n in range(4000):
    padding = {"padding": "x" * (n % 300)}
    os.write(1, (integrator.trigger_event("TASK_STARTED", str(n), metadata=padding) + "\\n").encode())
    time.sleep(0.002)
"""
PLAIN = ["-q", "-p", "no:cacheprovider", *UNRELATED, "--swarmtask-drain-timeout=1"]
PRODUCERS = {
    "pytest": [sys.executable, "-m", "pytest", *PLAIN, "-p", "no:xdist"],
    "xdist": [sys.executable, "-m", "pytest", *PLAIN, "-n2"],
    "integrator": [sys.executable, "-c", HUB],
    "run": [sys.executable, "-m", "pytest_swarmtask", "run", "--", sys.executable, "-c", HUB],
}
READERS = {name: [sys.executable, "-m", "pytest_swarmtask", name] for name in ("status", "flush", "report")}


class Killer:
    """Starts processes and kills them.

    Attributes:
        kills: how many processes of each kind were killed.
        promised: the ids of events whose call had returned.
    """

    def __init__(self, lab: Lab, seed: int) -> None:
        self.kills: dict[str, int] = defaultdict(int)
        self.promised: list[str] = []
        self._lab = lab
        self._random = random.Random(seed)
        self._running: list[subprocess.Popen[bytes]] = []

    def round(self) -> None:
        """Start one producer and perhaps a reader, and kill some of them and the relay."""
        choose = self._random
        kind = choose.choice(list(PRODUCERS))
        producer = self._start(PRODUCERS[kind])
        time.sleep(choose.uniform(0.2, 1.0))
        reader = self._start(READERS[choose.choice(list(READERS))]) if choose.random() < 0.6 else None
        victims = choose.sample(["producer", "relay", "reader"], choose.choice([1, 2, 2, 3]))
        for victim in victims:
            time.sleep(choose.uniform(0, 0.3))
            if victim == "producer":
                self._kill("producer", [producer.pid])
            elif victim == "relay":
                self._kill("relay", self._lab.relays())
            elif reader is not None:
                self._kill("reader", [reader.pid])
        for process in (producer, reader):
            if process is not None:
                self._finish(process)

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=self._lab.root,
            env=self._lab.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _kill(self, what: str, pids: list[int]) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):  # the process has just ended
                os.kill(pid, signal.SIGKILL)
                self.kills[what] += 1

    def _finish(self, process: subprocess.Popen[bytes]) -> None:
        """Wait briefly for the end of a process, kill the rest of its group, and keep the event ids that it printed."""
        with suppress(subprocess.TimeoutExpired):
            process.wait(self._random.uniform(0, 0.5))
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate(timeout=WAIT)
        whole = output.rpartition(b"\n")[0]
        self.promised += [line for line in whole.decode(errors="replace").split("\n") if line.endswith(SHARED)]


def moody(choose: random.Random) -> object:
    """Return the answers of a webhook that works most of the time."""

    def answer(_: Arrival) -> Answer:
        mood = choose.random()
        return 500 if mood < 0.02 else RESET if mood < 0.03 else (429, {"Retry-After": "0"}) if mood < 0.04 else 200

    return answer


def lines(lab: Lab) -> tuple[list[Json], int]:
    """Return the events of the journal, and the number of torn lines that a reader has ended.

    Only the last line of a dead writer may be torn: the kernel may kill it in the middle of a write, between two pages.
    """
    found, torn = [], 0
    for segment in lab.segments():
        *whole, rest = segment.read_bytes().split(b"\n")
        assert not rest or not locks.is_locked(str(segment))
        closing = False
        for line in filter(None, whole):
            try:
                event = json.loads(line)
            except ValueError:
                torn, closing = torn + 1, True
                continue
            assert not closing or event["id"].endswith(CLOSED_SUFFIX), "an event after a torn line"
            found.append(event)
    return found, torn


def check_history(lab: Lab, journaled: dict[str, Json]) -> None:
    """Check that the history has each event once and equals a newly built history, although its readers were killed."""
    assert lab.run("report", "--json").returncode in (0, 1)
    held = [json.loads(line) for (line,) in rows(lab.journal, "SELECT line FROM event")]
    assert {event["id"]: event for event in held} == journaled
    assert len(held) == len(journaled)
    copy = lab.root / "copy" / ".taskmaster" / "events"
    shutil.copytree(lab.journal, copy, ignore=lambda _, names: [name for name in names if not name.endswith(".jsonl")])
    take_in(copy)
    assert content(lab.journal) == content(copy)


@pytest.mark.parametrize("batch", [False, True], ids=["single", "batch"])
def test_nothing_is_lost(lab: Lab, receiver: Receiver, batch: bool) -> None:
    """Every event is kept, delivered unchanged and in the history once, and each span of a dead process ends once."""
    (lab.root / "test_it.py").write_text(SUITE)
    lab.environ["TASKMASTER_WEBHOOK_URL"] = ""  # a second endpoint could hide losses of the first
    hook = {"name": "hook", "url": receiver.url, "batch": batch, "max_events": 20, "max_age": 0.05, "evidence": True}
    lab.webhooks(hook)
    receiver.answer = moody(random.Random(SEED))  # type: ignore[assignment]
    killer = Killer(lab, SEED + batch)
    begun = time.monotonic()
    while sum(killer.kills.values()) < KILLS / 2 and time.monotonic() - begun < MOST_SECONDS / 2:
        killer.round()
    receiver.answer = lambda _: 200
    done = lab.run("flush")
    assert done.returncode == 0, f"seed {SEED}: {done.stdout}{done.stderr}{lab.log()}"
    lab.wait_for_end()

    events, torn = lines(lab)
    journaled = {event["id"]: event for event in events}
    assert len(journaled) == len(events), "an id stands in the journal twice"
    assert set(killer.promised) <= journaled.keys()
    assert {event["id"]: event for event in receiver.accepted} == journaled
    payloads: dict[str, Json | list[Json]] = {}
    for arrival in receiver.arrivals:
        assert payloads.setdefault(arrival.webhook_id, arrival.events) == arrival.events

    ended = endings(list(journaled.values()))
    owned = [event for event in journaled.values() if not event["id"].endswith(SHARED)]
    begun_spans = {event["span_id"] for event in owned if event["event_type"].endswith("_STARTED")}
    assert {span: ended[span] for span in begun_spans} == dict.fromkeys(begun_spans, 1)
    found = lab.status()
    assert found["foreign"] == torn
    assert (found["endpoints"]["hook"]["waiting"], found["endpoints"]["hook"]["dead"]) == (0, 0)
    assert "Traceback" not in lab.log()
    wait_until(lambda: not lab.relays())
    check_history(lab, journaled)
    deliveries = sum(len(arrival.events) for arrival in receiver.arrivals)
    sys.stdout.write(
        f"seed {SEED}: killed {dict(killer.kills)} in {time.monotonic() - begun:.0f} s; "
        f"{len(journaled)} events, {len(receiver.arrivals)} requests, {deliveries} deliveries\n"
    )
