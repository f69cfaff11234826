"""What the relay feeds (a sink), with what (records), and what a sink answers (a verdict)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_swarmtask.core.event import Event

__all__ = ["Delivered", "Disabled", "PendingEvent", "Rejected", "Retry", "SendResult", "Sink", "Split", "Stopped"]


class PendingEvent(Struct, frozen=True):
    """One event on its way from the journal to a sink.

    Attributes:
        line: the journal line as written, without its newline.
        event: the same, read.
        segment: name of the segment it stands in.
        end: offset in the segment just after the line: the cursor once it is dealt with.
    """

    line: bytes
    event: Event
    segment: str
    end: int


class Delivered(Struct, frozen=True):
    """The sink has taken the records over."""


class Retry(Struct, frozen=True):
    """It did not work now and may work later.

    Attributes:
        reason: what happened, for people.
        after: seconds that the receiver asked us to wait (never above an hour), or None.
    """

    reason: str
    after: float | None = None


class Split(Struct, frozen=True):
    """The batch was refused: send its halves, until the event that is to blame is alone.

    For a single record the loop takes it as `Rejected`.
    """

    reason: str


class Rejected(Struct, frozen=True):
    """The record is refused for good: it becomes a dead letter."""

    reason: str


class Stopped(Struct, frozen=True):
    """The sink cannot go on before a person changes something; its records wait and nothing is dropped."""

    reason: str


class Disabled(Struct, frozen=True):
    """The receiver is gone and wants nothing any more."""

    reason: str


SendResult = Delivered | Retry | Split | Rejected | Stopped | Disabled


class Sink(Protocol):
    """What the relay needs of a sink. `send` is called from one thread at a time.

    Attributes:
        name: stable identity; cursors and dead letters are kept under it.
        max_events: most records that one `send` may get; 1 when the sink takes no batches.
        max_bytes: most bytes of journal lines in one `send`.
        max_age: seconds that records may wait for a batch to fill.
    """

    name: str
    max_events: int
    max_bytes: int
    max_age: float

    def accepts(self, event_type: str) -> bool:
        """Tell whether events of this type are for this sink."""

    def send(self, records: Sequence[PendingEvent]) -> SendResult:
        """Hand over one to `max_events` records, in their order, and say what became of them. Never raises."""

    def run_pending(self) -> float:
        """Do what is to be done without records; return the seconds until that is so again, or infinity.

        Called whenever there is nothing to send. A relay does not end by itself before it is infinity.
        """

    def close(self) -> None:
        """Let go of connections and files."""
