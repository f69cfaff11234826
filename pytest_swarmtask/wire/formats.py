"""The bodies that a webhook can carry: CloudEvents, CDEvents, or plain journal lines.

A body contains each journal line byte for byte, so that a receiver gets exactly what the watched process has written.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pytest_swarmtask.wire.cdevents import cdevent
from pytest_swarmtask.wire.cloudevents import cloudevent, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_swarmtask.plugins.sink import PendingEvent
    from pytest_swarmtask.wire.cloudevents import CloudEvent

    Convert = Callable[[PendingEvent], CloudEvent | msgspec.Raw]

# The content types of https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
CLOUDEVENT = "application/cloudevents+json"
CLOUDEVENT_BATCH = "application/cloudevents-batch+json"

_MESSAGE_ID = re.compile("[A-Za-z0-9_-]{1,128}")
"""Ids that fit in a header, and without a dot, since dots separate the parts of the signed content."""


class Format(NamedTuple):
    """How events become the body of a request.

    Attributes:
        convert: returns what stands for an event in a body.
        single: content type of a body with one event.
        batch: content type of a body with a JSON array of events.
    """

    convert: Convert
    single: str
    batch: str

    def body(self, events: Sequence[PendingEvent], *, batch: bool) -> bytes:
        """Return the body for exactly one event or, as a `batch`, for any number of events."""
        if batch:
            return encode([self.convert(event) for event in events])
        (event,) = events
        return encode(self.convert(event))


def by_name(name: str) -> Format:
    """Return the format with this name: ``cloudevents``, ``cdevents`` or ``plain``."""
    if name == "plain":
        return Format(lambda event: msgspec.Raw(event.line), "application/json", "application/json")
    if name == "cdevents":
        return Format(cdevent, CLOUDEVENT, CLOUDEVENT_BATCH)
    return Format(cloudevent, CLOUDEVENT, CLOUDEVENT_BATCH)


def message_id(events: Sequence[PendingEvent]) -> str:
    """Return the `webhook-id` of a request, which is the same in every attempt.

    For one event it is the event's own id, for several a digest of all their ids.
    """
    if len(events) == 1:
        event_id = events[0].fields.id
        if _MESSAGE_ID.fullmatch(event_id):
            return event_id
        return "event_" + _digest(event_id)  # another program has written the event, and the id does not fit
    return "batch_" + _digest("\n".join([event.fields.id for event in events]))


def _digest(value: str) -> str:
    return hashlib.blake2s(value.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
