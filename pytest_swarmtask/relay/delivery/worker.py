"""Delivery: one thread for each endpoint carries its outbox to its sink, and knows when to try again."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.core.timing import DEFAULTS
from pytest_swarmtask.plugins.sink import Delivered, Disabled, Rejected, Retry, Split
from pytest_swarmtask.relay.delivery.backoff import delivery_wait
from pytest_swarmtask.relay.delivery.outbox import Outbox
from pytest_swarmtask.relay.delivery.store import EndpointState, Position, Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_swarmtask.core.timing import Timing
    from pytest_swarmtask.plugins.sink import PendingEvent, SendResult, Sink

_log = logging.getLogger("pytest_swarmtask.relay")

_RETRY_AFTER_MOST = 3600.0
_TRYING = ("ok", "retrying")


class Delivery(threading.Thread):
    """Carries the outbox of one endpoint to its sink.

    Args:
        name: under which cursors and state are kept.
        sink: where to.
        database: path of the store.
        eager: try at once, whatever the schedule and the state of the endpoint say: a person asked for it.
        timing: waiting times.
    """

    def __init__(self, name: str, sink: Sink, database: str, *, eager: bool, timing: Timing = DEFAULTS) -> None:
        super().__init__(name=f"swarmtask-delivery-{name}", daemon=True)
        self._sink = sink
        self._database = database
        self._eager = eager
        self._timing = timing
        self._wake = threading.Condition()
        self._new: list[str] = []
        self._stopping = False
        self._poked = False
        self._positions: dict[str, Position] = {}
        self._hurry = False
        self._limit = sink.max_events
        self._careful = 0  # records left of a batch that was refused
        self._due = 0.0  # when to try again, by the clock that never jumps
        self._ended = False
        self.endpoint = name
        self.state = self._stored = EndpointState()
        self.busy = True

    # -- called by the relay's loop ----------------------------------------------------------------------------

    def add(self, path: str) -> None:
        """Owe one more segment."""
        with self._wake:
            self._new.append(path)
            self._wake_up()

    def poke(self, *, hurry: bool) -> None:
        """Tell that the journal has grown, or that somebody waits for the last of it."""
        with self._wake:
            self._hurry = hurry
            self._wake_up()

    def _wake_up(self) -> None:
        self._poked = True
        self.busy = not self._ended
        self._wake.notify()

    def stop(self) -> None:
        """End after the request under way."""
        with self._wake:
            self._stopping = True
            self._wake.notify()

    def position(self, segment: str) -> Position:
        """Return how far this endpoint is in a segment."""
        return self._positions.get(segment, Position())

    @property
    def trying(self) -> bool:
        """Whether it will go on by itself."""
        return self.state.state in _TRYING

    # -- the thread --------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Deliver until stopped."""
        try:
            with contextlib.closing(Store(self._database)) as store, contextlib.closing(self._sink):
                self._deliver(store, Outbox(self.endpoint, self._sink.accepts, store, self._timing))
        except (sqlite3.Error, OSError) as error:
            _log.error("%s: the relay's database cannot be used: %s", neutral(self.endpoint), error)
            self.state = EndpointState("stopped", f"the relay's database cannot be used: {error}")
        except Exception as error:  # noqa: BLE001 - what goes wrong with one endpoint must not keep the relay waiting for it
            _log.exception("%s: delivery ends", neutral(self.endpoint))
            self.state = EndpointState("stopped", f"delivery ended by {type(error).__name__}, see the relay's log")
        with self._wake:
            self._ended = True
            self.busy = False

    def _deliver(self, store: Store, outbox: Outbox) -> None:
        self.state = self._first_state(store)
        while not self._stopping:
            self._take_news(outbox)
            waiting = outbox.read_ahead(self._limit)
            self._positions = outbox.positions()
            batch = outbox.next_batch(self._limit, self._sink.max_bytes)
            pause = self._pause(outbox, batch, waiting)
            if pause > 0:
                outbox.save()
                tended = self._sink.run_pending()
                self._sleep(min(pause, tended), busy=waiting > 0 or tended < float("inf"))
                continue
            self._judge(self._sink.send(batch), batch, outbox, store)
            self._positions = outbox.positions()
        outbox.save()

    def _first_state(self, store: Store) -> EndpointState:
        state = self._stored = store.state(self.endpoint)
        if self._eager:
            return EndpointState()
        if state.state == "stopped":  # a person may have changed something: one attempt in each run finds out
            return EndpointState("ok", "", 0, 0.0)
        left = min(state.next_attempt - time.time(), _RETRY_AFTER_MOST)  # also after the clock was set back by years
        self._due = time.monotonic() + left
        return state

    def _take_news(self, outbox: Outbox) -> None:
        with self._wake:
            new, self._new = self._new, []
            self._poked = False
        for path in new:
            outbox.add(path)

    def _pause(self, outbox: Outbox, batch: Sequence[PendingEvent], waiting: int) -> float:
        """Return how many seconds there is nothing to do; 0 or less when the batch is to be sent now."""
        if not batch or not self.trying:
            return 3600.0
        left = self._due - time.monotonic()
        if left > 0:
            return left
        if self._hurry or len(batch) == self._limit or len(batch) < waiting:
            return 0.0
        return outbox.since + self._sink.max_age - time.monotonic()

    def _sleep(self, seconds: float, *, busy: bool) -> None:
        with self._wake:
            if not self._poked and not self._stopping:
                self.busy = busy and self.trying
                self._wake.wait(min(seconds, 1.0) if busy else seconds)

    # -- verdicts ----------------------------------------------------------------------------------------------

    def _judge(self, verdict: SendResult, batch: Sequence[PendingEvent], outbox: Outbox, store: Store) -> None:
        if isinstance(verdict, Delivered):
            outbox.settle(batch)
            self._passed(len(batch))
            self._change(store, EndpointState())
        elif isinstance(verdict, Retry):
            self._postpone(store, verdict)
        elif isinstance(verdict, Split) and len(batch) > 1:
            self._limit = max(1, len(batch) // 2)
            self._careful = self._careful or len(batch)
        elif isinstance(verdict, (Split, Rejected)):
            _log.warning(
                "%s: %s becomes a dead letter: %s", neutral(self.endpoint), neutral(batch[0].event.id), verdict.reason
            )
            outbox.settle(batch[:1], refused=verdict.reason)
            self._passed(1)
            self._change(store, EndpointState())
        else:
            state = "disabled" if isinstance(verdict, Disabled) else "stopped"
            _log.warning("%s: %s: %s", neutral(self.endpoint), state, verdict.reason)
            self._change(store, EndpointState(state, verdict.reason))

    def _passed(self, count: int) -> None:
        """Go back to whole batches once as many records are dealt with as there were in the one that was refused."""
        self._careful = max(0, self._careful - count)
        if not self._careful:
            self._limit = self._sink.max_events

    def _postpone(self, store: Store, verdict: Retry) -> None:
        failures = self.state.failures + 1
        wait = delivery_wait(failures, verdict.after, self._timing)
        _log.warning("%s: %s; next attempt in %.1f s", neutral(self.endpoint), verdict.reason, wait)
        self._due = time.monotonic() + wait
        self._change(store, EndpointState("retrying", verdict.reason, failures, time.time() + wait))

    def _change(self, store: Store, state: EndpointState) -> None:
        self.state = state
        if state != self._stored:
            self._stored = state
            store.set_state(self.endpoint, state)
