"""A project that sends its alerts to a live webhook, and past runs that the real recorder writes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pytest_swarmtask.relay.delivery.memory import RelayMemory
from tests.lab import WAIT, Json, Lab, Receiver, wait_until

PLAY = """
import json, sys, uuid
from pytest_swarmtask.recording.recorder import get_recorder

recorder = get_recorder()
now = recorder.clock.now() - 3600
for facts, coverage, ends in json.load(sys.stdin):
    recorder.join(uuid.uuid4().hex, None)
    suite = recorder.span_id()

    def say(event_type, task_id, metadata, span_id, parent=None):
        global now
        now += 1
        recorder.record(event_type, task_id, metadata, span_id=span_id, parent_span_id=parent, now=now)

    say("TASK_STARTED", "suite", facts, suite)
    for event_type, task_id, metadata in ends:
        span_id = recorder.span_id()
        say(event_type.partition("_")[0] + "_STARTED", task_id, {}, span_id, suite)
        say(event_type, task_id, metadata, span_id, suite)
    say("TASK_COMPLETED", "suite", {} if coverage is None else {"coverage_percent": coverage}, suite)
recorder.close()
"""


class Run(NamedTuple):
    """A past run: its facts, its coverage, and its ended spans as event type, task id and metadata."""

    facts: Json
    coverage: float | None
    ends: list[tuple[str, str, Json]]


class World(Lab):
    """A project that sends its alerts to a webhook through the notifier `chat`."""

    def __init__(self, root: Path, receiver: Receiver) -> None:
        super().__init__(root)
        self.receiver = receiver

    def watch(
        self, *alerts: Json, chat: Json | None = None, webhooks: tuple[Json, ...] = (), **monitoring: Any
    ) -> None:
        """Configure alerts, which notify `chat` unless they name another notifier. The receiver gets no events."""
        notifiers = [{"name": "chat", "kind": "webhook", "webhook": "chat", **(chat or {})}]
        notifiers += monitoring.pop("notifiers", [])
        section = {"alerts": [{"notify": ["chat"], **alert} for alert in alerts], "notifiers": notifiers, **monitoring}
        hook = {"name": "chat", "url": self.receiver.url, "events": ["DEPLOYMENT_STARTED"]}
        self.webhooks(hook, *webhooks, monitoring=section)

    def play(self, *runs: Run) -> None:
        """Record runs one after the other, starting an hour ago."""
        done = subprocess.run(
            [sys.executable, "-c", PLAY],
            cwd=self.root,
            env=self.environ,
            input=json.dumps(runs),
            capture_output=True,
            text=True,
            timeout=2 * WAIT,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")

    def told(self, count: int = 0) -> list[Json]:
        """Wait for `count` messages, and return all messages so far, in order."""
        return list(self.receiver.wait(count))

    def said(self) -> list[tuple[str, str, str]]:
        """Return the alert, state and subject of each message so far."""
        return [(message["name"], message["state"], message["subject"]) for message in self.told()]

    def handled(self) -> None:
        """Wait until the alerts have processed all events in the journal."""
        self.wait_for_settled()

    def rest(self) -> None:
        """Wait until the relay has stored that all events are processed, then kill the relay."""
        self.handled()
        self.kill()

    @contextlib.contextmanager
    def memory(self) -> Iterator[RelayMemory]:
        """Open the memory of the relays."""
        with contextlib.closing(RelayMemory(self.project.database)) as memory:
            yield memory

    def remembered(self, scope: str, change: Callable[[Json], Json]) -> None:
        """Change every remembered value in a scope, such as its times."""
        with self.memory() as memory:
            for key, value in memory.items(scope):
                assert memory.swap(scope, key, value, change(value))

    def set_back(self, scope: str, name: str, seconds: float) -> None:
        """Move a remembered time back, as if that time had passed."""
        self.remembered(scope, lambda value: {**value, name: value[name] - seconds})

    def fail(self, task_id: str = "build", **environ: str) -> Json:
        """Record the failure of a task."""
        return self.emit("TASK_FAILED", task_id, '{"error": "out of luck"}', **environ)

    def failures(self, count: int) -> None:
        """Record `count` failures without starting a relay, so that the next relay finds all of them at once."""
        self.record_unsent("TASK_FAILED", (f"task {number}" for number in range(count)))

    def wait_for_log(self, text: str) -> None:
        """Wait until the relays' log contains a text."""
        wait_until(lambda: text in self.log(), lambda: f"{text!r} in\n{self.log()}")


BROKEN: Json = {"name": "broken", "kind": "failure"}
