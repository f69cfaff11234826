"""Timestamps of events and of users, read in one place: ISO 8601, which includes RFC 3339."""

from __future__ import annotations

from datetime import datetime, timezone


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
