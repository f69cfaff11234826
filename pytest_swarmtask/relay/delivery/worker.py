"""Delivery: one thread for each endpoint sends its events to its sink, and tries again after failures."""

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
    from collections.abc import Mapping, Sequence

    from pytest_swarmtask.core.timing import Timing
    from pytest_swarmtask.plugins.sink import PendingEvent, SendResult, Sink

_log = logging.getLogger("pytest_swarmtask.relay")

_MAX_SCHEDULE = 3600.0
"""The longest wait in seconds that a stored schedule is believed: the longest that a receiver may ask for."""

_MAX_SLEEP = 1.0
"""Seconds after which a delivery with pending work looks again, even if nothing has woken it."""

_UNTIL_WOKEN = 3600.0

_TRYING = ("ok", "retrying")


class Delivery:
    """Sends the events of one endpoint to its sink, in order. An endpoint that hangs delays no other.

    Args:
        name: the endpoint's name, under which the cursors and the state are stored.
        sink: accepts the events.
        database: path of the store.
        eager: try at once, whatever the schedule and the state of the endpoint say, because a person asked for it.
        timing: waiting times.

    Attributes:
        endpoint: its name.
        state: of the endpoint.
        busy: whether there is work that the relay should not end without: events that can be sent, or periodic work
            of the sink.
    """

    def __init__(self, name: str, sink: Sink, database: str, *, eager: bool, timing: Timing = DEFAULTS) -> None:
        # Not a subclass: a private name of `Thread` in some version of Python could be one of ours.
        self._thread = threading.Thread(target=self._run, name=f"swarmtask-delivery-{name}", daemon=True)
        self._sink = sink
        self._database = database
        self._eager = eager
        self._timing = timing
        self._wake = threading.Condition()
        self._new: list[str] = []
        self._stopping = False
        self._poked = False
        self._positions: Mapping[str, Position] = {}
        self._hurry = False
        self._limit = sink.max_events
        self._careful = 0  # events left of a batch that was refused as a whole
        self._due = 0.0  # when to try again, by the monotonic clock, which never jumps
        self._ended = False
        self.endpoint = name
        self.state = self._stored = EndpointState()
        self.busy = True

    # -- called by the relay's loop ----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to deliver, in a thread of its own."""
        self._thread.start()

    def join(self, timeout: float) -> bool:
        """Wait until the thread has ended, for at most `timeout` seconds. Return whether it has."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def add(self, path: str) -> None:
        """Deliver one more segment."""
        with self._wake:
            self._new.append(path)
            self._wake_up()

    def poke(self, *, hurry: bool) -> None:
        """Look at the journal again; with `hurry`, send the last events without waiting for a full batch."""
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
        """Whether it goes on without a person's help."""
        return self.state.state in _TRYING

    # -- the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
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
        self._positions = outbox.positions()
        while not self._stopping:
            self._add_new_segments(outbox)
            waiting = outbox.read_ahead(self._limit)
            batch = outbox.next_batch(self._limit, self._sink.max_bytes)
            pause = self._pause(outbox, batch, waiting)
            if pause > 0:
                outbox.save()
                until_pending = self._sink.run_pending()
                self._sleep(min(pause, until_pending), busy=waiting > 0 or until_pending < float("inf"))
                continue
            self._handle(self._sink.send(batch), batch, outbox, store)
        outbox.save()

    def _first_state(self, store: Store) -> EndpointState:
        state = self._stored = store.state(self.endpoint)
        if self._eager:
            return EndpointState()
        if state.state == "stopped":
            return EndpointState()  # a person may have fixed the cause, so each run tries once
        # The schedule may have been made before the clock was set back, so it is limited.
        self._due = time.monotonic() + min(state.next_attempt - time.time(), _MAX_SCHEDULE)
        return state

    def _add_new_segments(self, outbox: Outbox) -> None:
        with self._wake:
            new, self._new = self._new, []
            self._poked = False
        for path in new:
            outbox.add(path)

    def _pause(self, outbox: Outbox, batch: Sequence[PendingEvent], waiting: int) -> float:
        """Return the seconds until the batch must be sent; 0 or less if that is now.

        A batch that is not full waits for more events, until its first one has waited for the sink's `max_age`.
        """
        if not batch or not self.trying:
            return _UNTIL_WOKEN
        left = self._due - time.monotonic()
        if left > 0:
            return left
        is_full = len(batch) == self._limit or len(batch) < waiting  # by number, or by bytes
        if self._hurry or is_full:
            return 0.0
        return outbox.since + self._sink.max_age - time.monotonic()

    def _sleep(self, seconds: float, *, busy: bool) -> None:
        with self._wake:
            if not self._poked and not self._stopping:
                self.busy = busy and self.trying
                self._wake.wait(min(seconds, _MAX_SLEEP) if busy else seconds)

    # -- results -----------------------------------------------------------------------------------------------

    def _handle(self, result: SendResult, batch: Sequence[PendingEvent], outbox: Outbox, store: Store) -> None:
        if isinstance(result, Delivered):
            if result.rejected:
                _log.warning("%s: not sent again: %s", neutral(self.endpoint), neutral(result.reason))
            outbox.settle(batch, rejected=result.rejected)
            self._count_settled(len(batch))
            self._set_state(store, EndpointState())
        elif isinstance(result, Retry):
            self._postpone(store, result)
        elif isinstance(result, Split) and len(batch) > 1:
            # Half of it may be accepted. If not, the halves become smaller until the event at fault is alone.
            self._limit = max(1, len(batch) // 2)
            self._careful = self._careful or len(batch)
        elif isinstance(result, (Split, Rejected)):
            _log.warning(
                "%s: %s becomes a dead letter: %s", neutral(self.endpoint), neutral(batch[0].fields.id), result.reason
            )
            outbox.settle(batch[:1], refused=result.reason)
            self._count_settled(1)
            self._set_state(store, EndpointState())
        else:
            state = "disabled" if isinstance(result, Disabled) else "stopped"
            _log.warning("%s: %s: %s", neutral(self.endpoint), state, result.reason)
            self._set_state(store, EndpointState(state, result.reason))

    def _count_settled(self, count: int) -> None:
        """Return to full batches once all events of the refused batch are settled."""
        self._careful = max(0, self._careful - count)
        if not self._careful:
            self._limit = self._sink.max_events

    def _postpone(self, store: Store, result: Retry) -> None:
        failures = self.state.failures + 1
        wait = delivery_wait(failures, result.after, self._timing)
        _log.warning("%s: %s; next attempt in %.1f s", neutral(self.endpoint), result.reason, wait)
        self._due = time.monotonic() + wait
        self._set_state(store, EndpointState("retrying", result.reason, failures, time.time() + wait))

    def _set_state(self, store: Store, state: EndpointState) -> None:
        self.state = state
        if state != self._stored:
            self._stored = state
            store.set_state(self.endpoint, state)
