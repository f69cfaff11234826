"""The bodies that a webhook carries: CloudEvents, CDEvents, or the journal line as it is.

Journal lines are spliced in as the bytes that were written: what a receiver gets is what stands in the journal.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.wire.cdevents import cdevent
from pytest_swarmtask.wire.cloudevents import cloudevent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_swarmtask.plugins.sink import PendingEvent

    Item = Callable[[PendingEvent], bytes]

CLOUDEVENT = "application/cloudevents+json"
CLOUDEVENT_BATCH = "application/cloudevents-batch+json"
_MESSAGE_ID = re.compile("[A-Za-z0-9_-]{1,128}")


class Format(NamedTuple):
    """How records become a body.

    Attributes:
        item: the bytes of one record.
        single: content type of a body that is one item.
        batch: content type of a body that is a JSON array of items.
    """

    item: Item
    single: str
    batch: str

    def body(self, records: Sequence[PendingEvent], *, batch: bool) -> bytes:
        """Return the body for one record, or the JSON array for any number of them when `batch`."""
        if batch:
            return b"[" + b",".join([self.item(record) for record in records]) + b"]"
        (record,) = records
        return self.item(record)


def by_name(name: str) -> Format:
    """Return the format that an endpoint names: ``cloudevents``, ``cdevents`` or ``plain``."""
    if name == "plain":
        return Format(lambda record: record.line, "application/json", "application/json")
    if name == "cdevents":
        return Format(cdevent, CLOUDEVENT, CLOUDEVENT_BATCH)
    return Format(cloudevent, CLOUDEVENT, CLOUDEVENT_BATCH)


def message_id(records: Sequence[PendingEvent]) -> str:
    """Return the `webhook-id`: the event's own id, or for several events one that only their ids decide."""
    if len(records) == 1:
        event_id = records[0].event.id
        if _MESSAGE_ID.fullmatch(event_id):
            return event_id
        return "event_" + _digest(event_id)  # not written by us, and not fit for a header
    return "batch_" + _digest("\n".join([record.event.id for record in records]))


def _digest(value: str) -> str:
    return hashlib.blake2s(value.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
