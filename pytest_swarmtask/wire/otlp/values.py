"""Values of OTLP: attributes, ids and times. See `common.proto` and `trace.proto` of opentelemetry-proto."""

from __future__ import annotations

import functools
import json
import math
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue

from pytest_swarmtask.core.timestamps import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_LONGEST = 1 << 62
"""Nanoseconds, 146 years: nothing takes so long, so a longer duration is not valid."""
_SCALARS = (str, bool, int, float)
_INT64 = range(-(1 << 63), 1 << 63)


def key_values(attributes: Mapping[str, Any]) -> list[KeyValue]:
    """Return attributes in the form of OTLP. A value of None is left out, because OTLP has no null."""
    return [
        _scalar(key, value) if isinstance(value, _SCALARS) else KeyValue(key=text(key), value=any_value(value))
        for key, value in attributes.items()
        if value is not None
    ]


# Most attributes of a test have the value that those of other tests have. `typed`, because True equals 1.
@functools.lru_cache(maxsize=1024, typed=True)
def _scalar(key: str, value: str | float) -> KeyValue:
    return KeyValue(key=text(key), value=any_value(value))


def any_value(value: Any) -> AnyValue:
    """Return a JSON value: scalars and lists of texts as they are, and everything else as JSON text."""
    if isinstance(value, str):
        return AnyValue(string_value=text(value))
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int) and value in _INT64:
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    # Backends understand arrays of one type, and many of them nothing else that is nested.
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))
    return AnyValue(string_value=text(json.dumps(value, ensure_ascii=False, separators=(",", ":"))))


def text(value: str) -> str:
    """Return a text that protobuf can carry: with U+FFFD in place of lone surrogates."""
    return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def identifier(name: str, value: str | None, digits: int) -> bytes:
    """Return the bytes of a trace id or span id.

    Raises:
        ValueError: it is not of so many hex digits, or it consists of zeros, which W3C Trace Context forbids.
    """
    try:
        found = bytes.fromhex(value or "")
    except ValueError:
        found = b""
    if len(found) * 2 != digits or not any(found):
        raise ValueError(f"{name} is {value!r}, expected {digits} hex digits that are not all 0")
    return found


def nanoseconds(timestamp: str) -> int:
    """Return a timestamp as nanoseconds since the epoch, exactly; without an offset it is UTC.

    Raises:
        ValueError: the text is not ISO 8601, or before the epoch.
    """
    moment = parse_timestamp(timestamp)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    found = (moment - _EPOCH) // _MICROSECOND * 1000
    if found < 0:
        raise ValueError(f"timestamp is {timestamp!r}, expected one since 1970")
    return found


def nanoseconds_of(seconds: Any) -> int:
    """Return a duration in seconds as nanoseconds, exactly as its digits say; 0 for what is no duration."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not math.isfinite(seconds):
        return 0
    # By its decimal digits: the product of two floats is off by some nanoseconds for long durations.
    found = int(Decimal(repr(seconds)).scaleb(9).to_integral_value())
    return found if 0 < found < _LONGEST else 0
