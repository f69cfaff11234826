"""Events without the evidence of failed tests, for receivers for which the user does not want it.

Tracebacks and output may contain anything that the tests handle. So they leave the machine only by consent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import structs

from pytest_swarmtask.core.event import EVIDENCE, Event, has_evidence
from pytest_swarmtask.core.fastjson import compact, loads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.plugins.sink import PendingEvent


def without_evidence(pending: PendingEvent) -> PendingEvent:
    """Return an event without evidence; the event itself, with its line byte for byte, if it has none."""
    if not isinstance(pending.fields, Event) or not has_evidence(pending.fields):
        return pending
    facts = facts_of(pending.fields)
    if facts == pending.fields.metadata:
        return pending  # it has earlier attempts, and these have no evidence
    fields = {**loads(pending.line.decode()), "metadata": facts}
    event = Event(**{name: getattr(pending.fields, name) for name in Event.__slots__})
    event.metadata = facts
    return structs.replace(pending, line=compact(fields).encode("utf-8", "replace"), fields=event)


def facts_of(event: Event) -> dict[str, Any]:
    """Return the metadata of an event without evidence."""
    if not has_evidence(event):
        return event.metadata
    facts = _without(event.metadata)
    attempts = facts.get("attempts")
    if isinstance(attempts, list):
        facts["attempts"] = [_without(one) if isinstance(one, dict) else one for one in attempts]
    places = facts.pop("redacted", None)
    if isinstance(places, list):
        left = [place for place in places if _key(str(place)) not in EVIDENCE]
        facts |= {"redacted": left} if left else {}
    return facts


def _key(place: str) -> str:
    """Return the last key in the place of a value, such as `stdout` in ``attempts[0].stdout``."""
    return place.rpartition(".")[2].partition("[")[0]


def _without(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in EVIDENCE}
