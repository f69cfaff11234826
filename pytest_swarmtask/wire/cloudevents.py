"""Events as CloudEvents 1.0 in structured mode, and the values that CloudEvents allows in its attributes.

See https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md (the attributes and their types)
and https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md (their form in JSON).
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from pytest_swarmtask.core.event import EVENT_TYPES

if TYPE_CHECKING:
    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.journal.decode import Fields
    from pytest_swarmtask.plugins.sink import PendingEvent

encode = msgspec.json.Encoder().encode

PING = "dev.swarmtask.ping"
"""The CloudEvents type of the event that `swarmtask doctor --ping` sends, which a receiver can ignore."""
CLOUDEVENT_TYPES = {name: "dev.swarmtask." + name.lower().replace("_", ".") for name in EVENT_TYPES}
"""The CloudEvents type of each event type, like ``dev.swarmtask.test.failed``."""

# CloudEvents forbids these in a string: control characters, lone surrogates and noncharacters.
_FORBIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
    + "]"
)
# RFC 3986: scheme and host (or a relative path), path, query, fragment. Without user names and IPv6 addresses, which
# no source has: a source that does not match is percent-encoded.
_URI_REFERENCE = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*:(//[A-Za-z0-9.-]+(:[0-9]+)?(?=[/?#]|$)|(?!//))|(?!//)(?![^/?#]*:))"
    r"([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*"
    r"(\?([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?"
    r"(#([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?"
)
# https://www.w3.org/TR/trace-context/#traceparent-header-field-values: ids of all zeros are invalid.
_TRACEPARENT = re.compile("00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01")
_USUAL_TIME = re.compile(
    r"(?!0000)[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"
)
"""Our own timestamps, except on a 29 February. Matching it takes a third of the time that msgspec takes."""


class CloudEvent(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="specversion", tag="1.0"):
    """A CloudEvent in structured mode. Empty attributes are left out; `data` is JSON already.

    `taskid` and `traceparent` are extension attributes, the latter of
    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/distributed-tracing.md.
    """

    id: str
    source: str
    type: str
    subject: str = ""
    taskid: str = ""
    time: str = ""
    traceparent: str = ""
    dataschema: str = ""
    datacontenttype: str = ""
    data: msgspec.Raw = msgspec.Raw()


def cloudevent(pending: PendingEvent) -> CloudEvent:
    """Return an event as a CloudEvent, whose data is the whole plain event."""
    event = pending.fields
    task_id = text(event.task_id or "")
    return CloudEvent(
        text(event.id) or "-",
        uri_reference(event.source),
        CLOUDEVENT_TYPES[event.event_type],
        task_id,
        task_id,
        event.timestamp if is_time(event.timestamp) else "",
        traceparent(event),
        "",
        "application/json",
        msgspec.Raw(pending.line),
    )


def ping(message_id: str, source: str, now: float, *, batch: bool) -> bytes:
    """Return the body of a test request, which a receiver only has to answer.

    Args:
        message_id: the id of the event.
        source: who sends it.
        now: seconds since the epoch.
        batch: whether the body is a JSON array with the one event.
    """
    time = dt.datetime.fromtimestamp(now, dt.timezone.utc).isoformat(timespec="milliseconds")
    event = CloudEvent(
        id=message_id,
        source=uri_reference(source),
        type=PING,
        time=time.replace("+00:00", "Z"),
        datacontenttype="application/json",
        data=msgspec.Raw(b"{}"),
    )
    return encode([event] if batch else event)


def text(value: str) -> str:
    """Return the value with U+FFFD in place of each character that CloudEvents forbids in an attribute."""
    if value.isprintable():  # as nearly all texts are. It means none of these, and is fifteen times as fast to find out
        return value
    return _FORBIDDEN.sub("\ufffd", value)


@functools.lru_cache(maxsize=64)
def uri_reference(source: str) -> str:
    """Return a source as a URI-reference, as CloudEvents demands: unchanged if it is one, else percent-encoded.

    An empty source, which CloudEvents forbids, becomes ``swarmtask``.
    """
    if not source:
        return "swarmtask"
    if _URI_REFERENCE.fullmatch(source):
        return source
    return quote(source, safe="" if source.startswith("//") else "/", errors="replace")  # "//" would begin a host


def is_time(timestamp: str) -> bool:
    """Whether a timestamp is valid after RFC 3339, see https://www.rfc-editor.org/rfc/rfc3339#section-5.6."""
    if _USUAL_TIME.fullmatch(timestamp):
        return True
    # msgspec would also accept a space instead of the T, and an offset without a colon.
    if timestamp[10:11] != "T" or (timestamp[-1:] != "Z" and timestamp[-3:-2] != ":"):
        return False
    try:
        return msgspec.convert(timestamp, dt.datetime).tzinfo is not None
    except (msgspec.ValidationError, UnicodeError):
        return False


def traceparent(event: Event | Fields) -> str:
    """Return the W3C trace context of an event, or an empty string if its ids are not valid in it."""
    context = f"00-{event.trace_id}-{event.span_id}-01"
    return context if _TRACEPARENT.fullmatch(context) else ""
