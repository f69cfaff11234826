"""What a sink is: the interface that the relay calls, the events that it passes, and the results that it gets back.

::

    relay ── send([PendingEvent, …]) ──▶ Sink
          ◀── Delivered | Retry | Split | Rejected | Stopped | Disabled ──
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from msgspec.structs import force_setattr

from pytest_swarmtask.core.event import Event
from pytest_swarmtask.journal.decode import decode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_swarmtask.journal.decode import Fields

__all__ = ["Delivered", "Disabled", "PendingEvent", "Rejected", "Retry", "SendResult", "Sink", "Split", "Stopped"]


class PendingEvent(Struct, frozen=True, gc=False):
    """An event on its way from the journal to a sink.

    Attributes:
        line: the line of the journal, byte for byte, without its newline.
        fields: the event that was decoded from the line, or its fields without metadata, as most sinks need no more.
        segment: the name of the journal's segment that contains the line.
        end: the offset in the segment just after the line. The relay's cursor moves there once the event is dealt with.
    """

    line: bytes
    fields: Fields | Event
    segment: str
    end: int

    @property
    def event(self) -> Event:
        """The whole event. Its metadata is decoded when somebody first asks for it."""
        if isinstance(self.fields, Event):
            return self.fields
        event = decode(self.line)
        force_setattr(self, "fields", event)
        return event


class Delivered(Struct, frozen=True):
    """The events were delivered. The sink does not get them again.

    Attributes:
        rejected: how many of them the receiver has refused for good, without telling which. They are counted apart.
        reason: why, for people.
    """

    rejected: int = 0
    reason: str = ""


class Retry(Struct, frozen=True):
    """The events could not be delivered now, but may be later. The relay sends them again, after growing pauses.

    Attributes:
        reason: what happened, for people.
        after: seconds for which the receiver asked us to wait, at most an hour, or None.
    """

    reason: str
    after: float | None = None


class Split(Struct, frozen=True):
    """The batch was refused because of some event in it. The relay sends its halves until that event is alone.

    A single event that gets this result counts as `Rejected`.

    Attributes:
        reason: why, for people.
    """

    reason: str


class Rejected(Struct, frozen=True):
    """The event was refused for good. It becomes a dead letter, which `swarmtask replay` can send again.

    Of a batch, that is the first event. Return `Split` if it may be another one.

    Attributes:
        reason: why, for people.
    """

    reason: str


class Stopped(Struct, frozen=True):
    """Nothing can be delivered before a person changes something. The events wait, and each new relay tries once.

    Attributes:
        reason: what to change, for people; `swarmtask status` shows it.
    """

    reason: str


class Disabled(Struct, frozen=True):
    """The receiver wants no more events. The relay sends nothing more to the endpoint by itself.

    Attributes:
        reason: why, for people.
    """

    reason: str


SendResult = Delivered | Retry | Split | Rejected | Stopped | Disabled


class Sink(Protocol):
    """Delivers the events of one endpoint.

    The relay has one thread for each sink and calls its methods from that, so they may take their time. After a crash
    a sink may get events again that it has delivered before; their `event.id` stays the same.

    Attributes:
        name: the name under which cursors and dead letters are stored, usually `SinkRequest.identity`.
        max_events: the most events in one call of `send`; 1 for a sink without batches.
        max_bytes: the most bytes of journal lines in one call of `send`.
        max_age: seconds for which an event may wait for a batch to fill.

    A sink of a plug-in gets events without the evidence of failed tests (`wire.evidence`), unless it has the attribute
    ``evidence = True``: it may send them to another machine.
    """

    name: str
    max_events: int
    max_bytes: int
    max_age: float

    def accepts(self, event_type: str) -> bool:
        """Whether the sink wants events of this type."""

    def send(self, events: Sequence[PendingEvent], /) -> SendResult:
        """Deliver events and return the result, which counts for all of them. Never raises.

        Args:
            events: between one and `max_events` events, those of one process in the order in which it wrote them.
        """

    def run_pending(self) -> float:
        """Run periodic work. Return the seconds until it must be called again, or infinity if there is none.

        Called whenever there is nothing to send. A relay does not end by itself before the answer is infinity.
        """

    def close(self) -> None:
        """Close connections and files."""
