"""Takes signed requests into the store. A request is answered with 2xx only after its events are committed."""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_swarmtask.core.service_errors import BodyError, SizeError
from pytest_swarmtask.history.database import project_name
from pytest_swarmtask.history.rows import recorded, without_nul
from pytest_swarmtask.journal.segments import MAX_LINE
from pytest_swarmtask.receiver import MOST_EVENTS
from pytest_swarmtask.wire.cloudevents import PING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_swarmtask.history.rows import Recorded
    from pytest_swarmtask.server.access import Senders
    from pytest_swarmtask.server.writer import Writer


class _Object(msgspec.Struct):
    """What an object of a request says of itself, in whichever format."""

    type: Any = None
    event_type: Any = None
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Data(msgspec.Struct):
    """The data of a CDEvent, which has the plain event inside."""

    customData: msgspec.Raw = msgspec.Raw(b"null")  # noqa: N815 - the name in the standard


_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_object = msgspec.json.Decoder(_Object).decode
_data = msgspec.json.Decoder(_Data).decode


class Intake:
    """Verifies requests, and writes their events. Several threads may use it.

    Args:
        writer: writes the events.
        senders: who may write.
    """

    def __init__(self, writer: Writer, senders: Senders) -> None:
        self._writer = writer
        self._senders = senders

    def take(self, headers: Mapping[str, str], body: bytes) -> Counter[str]:
        """Write the events of a request, and return how many there are of each project.

        An event that the store has already is not written again, so a sender may repeat a request.

        Raises:
            WebhookError: the request is refused, whole; the error has the status to answer with.
            StoreAwayError: nothing was written, and the sender should try again later.
        """
        _, signers = self._senders.verifier.signers(headers, body)
        own = self._senders.project_of(signers)
        found: defaultdict[str, list[Recorded]] = defaultdict(list)
        for event in self._events(signers, without_nul(body)):
            found[own or project_name(event.fields.source)].append(event)
        for project, events in found.items():
            self._writer.write(project, events)
        return Counter({project: len(events) for project, events in found.items()})

    def _events(self, signers: tuple[str, ...], body: bytes) -> Iterator[Recorded]:
        raws = _split(body)
        if len(raws) > MOST_EVENTS:
            raise SizeError(f"the body has {len(raws)} events, at most {MOST_EVENTS} are accepted")
        is_limited = not self._senders.verifier.may_send_anything(signers)
        for number, raw in enumerate(raws):
            try:
                outer = _object(raw)
            except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
                raise BodyError(f"element {number} of the body is not an object: {error}") from None
            event = _event_in(raw, outer)
            if is_limited:
                inner = None if event is None else event.fields.event_type
                claimed = {"type": outer.type, "event_type": outer.event_type, "data": {"event_type": inner}}
                self._senders.verifier.check(signers, claimed)
            if event is not None:
                yield event
            elif outer.type != PING:
                # Its sender keeps it as a dead letter, and can send it again when this server has been updated.
                raise BodyError(f"element {number} of the body is not an event that this version knows")


def _split(body: bytes) -> list[msgspec.Raw]:
    """Return the objects of a body, which is one or an array of them."""
    if not body.lstrip().startswith(b"["):
        return [msgspec.Raw(body)]
    try:
        return _raws(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BodyError(f"the body is not a JSON object or array: {error}") from None


def _event_in(raw: msgspec.Raw, outer: _Object) -> Recorded | None:
    """Return the event inside of a CloudEvent or CDEvent, or else the object itself; None if it is no event."""
    data = bytes(outer.data)
    line = bytes(raw) if data == b"null" else data
    if len(line) > MAX_LINE:
        raise BodyError(f"an event has {len(line)} bytes, at most {MAX_LINE} are accepted")
    event = recorded(line)
    if event is None:
        with contextlib.suppress(msgspec.MsgspecError, UnicodeError, RecursionError):
            event = recorded(bytes(_data(data).customData))
    return event
