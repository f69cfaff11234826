"""Timestamps of events and of users, read in one place: ISO 8601, which includes RFC 3339."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone


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


_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def named_time(text: str) -> str:
    """Return the timestamp that a user names: a date, a time, or how long ago, as 7d.

    Raises:
        ValueError: the text is none of them; the message says what is expected.
    """
    ago = re.fullmatch(r"([0-9]{1,4})([mhdw])", text)
    try:
        if ago:
            moment = datetime.now(timezone.utc) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            moment = local_time(text).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no time: expected a date such as 2026-01-31, or how long ago, as 12h or 7d"
        ) from None
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
