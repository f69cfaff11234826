"""A sink in front of another one, which changes events on their way."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_swarmtask.plugins.sink import PendingEvent, SendResult, Sink


class EditingSink:
    """A sink that passes events on to another one, each as a function returns it.

    Args:
        sink: the other sink.
        edit: returns the event to send in place of an event.
    """

    def __init__(self, sink: Sink, edit: Callable[[PendingEvent], PendingEvent]) -> None:
        self._sink = sink
        self._edit = edit
        self.name = sink.name
        self.max_events = sink.max_events
        self.max_bytes = sink.max_bytes
        self.max_age = sink.max_age
        self.accepts = sink.accepts
        self.run_pending = sink.run_pending
        self.close = sink.close

    def send(self, events: Sequence[PendingEvent]) -> SendResult:
        """Pass the events on."""
        return self._sink.send([self._edit(pending) for pending in events])
