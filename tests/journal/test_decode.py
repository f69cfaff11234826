"""The relay's fast decoder of a line returns the same as the ordinary decoder."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_swarmtask.core.errors import JournalError
from pytest_swarmtask.core.event import EVIDENCE, Event
from pytest_swarmtask.journal.decode import decode, decode_fields
from pytest_swarmtask.plugins.sink import PendingEvent

LINE = Event(
    "w-1", "TEST_FAILED", "a::b", "failed", "2026-01-31T10:15:00.123Z", "s", "0" * 32, "1" * 16, None, {"n": 1}
).encode()


def made_of(line: bytes, way: Callable[[bytes], Event]) -> list[str]:
    """Return a decoder's result for a line: the fields of the event, or the message of the error."""
    try:
        event = way(line)
    except JournalError as error:
        return [str(error)]
    return [repr(getattr(event, name)) for name in Event.__slots__]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"", b""),
        (b'{"n":1}', b'{"n":[null,true,1.5,-3,"\\u00e4",{"a":{}}]}'),
        (b'{"n":1}', b'{"n":NaN}'),
        (b'{"n":1}', b'{"n":123456789012345678901234567890}'),
        (b'{"n":1}', b'{"n":1e999}'),
        (b'{"n":1}', b'{"n":"\\ud800"}'),
        (b'{"n":1}', b'{"n":1,"n":2}'),
        (b'{"n":1}', b'{"n":-0.0}'),
        (b'{"n":1}', b'{"n":"\xff"}'),
        (b'{"n":1}', b"[]"),
        (b'"a::b"', b"null"),
        (b'"a::b"', b"7"),
        (b'"w-1"', b"null"),
        (b"TEST_FAILED", b"TEST_BROKEN"),
        (b'"status":"failed",', b""),
        (b'"status"', b'"more":1,"status"'),
        (b"}}\n", b"}"),
        (b"}}\n", b"}}}\n"),
    ],
)
def test_alike(old: bytes, new: bytes) -> None:
    """For any line, both decoders return the same event or the same error message."""
    line = LINE.replace(old, new)
    assert made_of(line, decode) == made_of(line, Event.decode)


def fields_of(line: bytes) -> list[str]:
    """Return what `decode_fields` does of a line: the fields of a `PendingEvent` and then its metadata, or an error."""
    try:
        fields = decode_fields(line)
    except JournalError as error:
        return [str(error)]
    event = PendingEvent(line, fields, "segment", 0).event
    assert all(getattr(event, name) == getattr(fields, name) for name in Event.__slots__ if name != "metadata")
    return made_of(line, lambda _: event)


@pytest.mark.parametrize(
    "metadata",
    [
        b'{"n":1}',
        b"{}",
        b"[]",
        b"null",
        b'{"n":NaN}',
        b'{"n":1e999}',
        b'{"n":"\\ud800"}',
        b'{"n":"\xff"}',
        b'{"n":"\xc3\xa4"}',
        b'{"n":' + b"1" * 4301 + b"}",
        b'{"n":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"n":' + b"[" * 800 + b"]" * 800 + b"}",
        b'{"n":"' + b"x" * 5000 + b'"}',
        b'{"traceback":"x"}',
    ],
)
def test_metadata_that_is_decoded_later(metadata: bytes) -> None:
    """A line whose metadata cannot be decoded is refused at once, not when a sink asks for the metadata."""
    line = LINE.rstrip().replace(b'{"n":1}', metadata)
    assert fields_of(line) == made_of(line, Event.decode)


@given(st.binary(max_size=40), st.integers(0, len(LINE)))
def test_fields_when_damaged(noise: bytes, place: int) -> None:
    """This is also so for a line with damage at any position."""
    line = LINE[:place] + noise + LINE[place + len(noise) :]
    assert fields_of(line) == made_of(line, Event.decode)


@pytest.mark.parametrize("key", ["attempts", *EVIDENCE])
def test_only_metadata_without_evidence_is_decoded_later(key: str) -> None:
    """What has no metadata yet has no evidence either, however the key is written. So nothing else must look for it."""
    escaped = f"\\u{ord(key[0]):04x}{key[1:]}"
    for written in (key, escaped):
        line = LINE.replace(b'{"n":1}', f'{{"test_type":"pytest","{written}":null}}'.encode())
        assert isinstance(decode_fields(line), Event)
    assert not isinstance(decode_fields(LINE), Event)


@given(st.binary(max_size=40), st.integers(0, len(LINE)))
def test_alike_when_damaged(noise: bytes, place: int) -> None:
    """Both decoders also agree on a line with damage at any position."""
    line = LINE[:place] + noise + LINE[place + len(noise) :]
    assert made_of(line, decode) == made_of(line, Event.decode)
