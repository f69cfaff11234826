"""Timestamps of events and of users, read in one place: ISO 8601, which includes RFC 3339."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import tzinfo

_AGO = re.compile(r"([0-9]{1,4})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_timestamp(text: str) -> datetime:
    """Return the moment of a timestamp; without an offset in the text it has no time zone.

    Raises:
        ValueError: the text is not ISO 8601.
    """
    # Python 3.10 cannot read the Z of UTC.
    return datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith(("Z", "z")) else text)


def seconds_of(timestamp: str) -> float:
    """Return a timestamp as seconds since the epoch; without an offset it is UTC.

    Raises:
        ValueError: the text is not ISO 8601.
    """
    moment = parse_timestamp(timestamp)
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def local_time(timestamp: str) -> datetime:
    """Return a timestamp in the time zone of this machine; without an offset it is local already.

    Raises:
        ValueError: the text is not ISO 8601.
    """
    return parse_timestamp(timestamp).astimezone()


def named_time(text: str, zone: tzinfo | None = None) -> str:
    """Return the timestamp, as events have it, that a user names: a date, a time, or how long ago, such as ``7d``.

    Args:
        text: what the user has written.
        zone: the time zone of a text without an offset; None for that of this machine.

    Raises:
        ValueError: it is none of them.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago:
            moment = datetime.now(timezone.utc) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            moment = parse_timestamp(text)
            moment = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no time: expected a date such as 2026-01-31, or how long ago, as 12h or 7d"
        ) from None
    return f"{moment.replace(microsecond=0, tzinfo=None).isoformat()}.000Z"
