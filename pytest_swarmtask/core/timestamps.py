"""Timestamps of events and of people: ISO 8601 (RFC 3339 is a part of it), as text and as seconds since the epoch."""

from __future__ import annotations

from datetime import datetime, timezone


def parse_timestamp(text: str) -> datetime:
    """Return the moment that a text names; without an offset in the text it has no time zone.

    Raises:
        ValueError: the text is not ISO 8601.
    """
    # Python 3.10 knows no Z.
    return datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith(("Z", "z")) else text)


def seconds_of(timestamp: str) -> float:
    """Return a timestamp in seconds since the epoch; without an offset it is UTC.

    Raises:
        ValueError: it is not ISO 8601.
    """
    moment = parse_timestamp(timestamp)
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def local_time(timestamp: str) -> datetime:
    """Return a timestamp in the time zone of this machine; without an offset it is local already.

    Raises:
        ValueError: it is not ISO 8601.
    """
    return parse_timestamp(timestamp).astimezone()
