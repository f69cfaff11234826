"""The relay's fast decoder of a line returns the same as the ordinary decoder."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_swarmtask.core.errors import JournalError
from pytest_swarmtask.core.event import Event
from pytest_swarmtask.journal.decode import decode

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


@given(st.binary(max_size=40), st.integers(0, len(LINE)))
def test_alike_when_damaged(noise: bytes, place: int) -> None:
    """Both decoders also agree on a line with damage at any position."""
    line = LINE[:place] + noise + LINE[place + len(noise) :]
    assert made_of(line, decode) == made_of(line, Event.decode)
