"""Text from others cannot control a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_swarmtask.core.text import neutral, neutral_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("back\x08\x08", "back\\x08\\x08"),
        ("over\rwritten", "over\\x0dwritten"),
        ("two\nlines", "two\\x0alines"),
        ("\x9b2J", "\\x9b2J"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u2066b\u2069", "a\\u2066b\\u2069"),
        ("a\u200fb\u061c", "a\\u200fb\\u061c"),
        ("a\u2028b", "a\\u2028b"),
        ("a\ufeffb\u200b", "a\\ufeffb\\u200b"),
        ("a\U000e0041", "a\\U000e0041"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    assert neutral(text) == shown


@pytest.mark.parametrize("text", ["tests/test_a.py::test_b[x]", "ü ключ 日本語 עברית 👩‍👩‍👧", "C:\\x1b"])
def test_other_text_stays(text: str) -> None:
    assert neutral(text) == text


def test_lines_stay_lines() -> None:
    assert neutral_lines("one\x1b\ntwo") == "one\\x1b\ntwo"


@given(st.text())
def test_nothing_is_left_to_obey(text: str) -> None:
    """The result of `neutral` is one line without control characters and without changes of direction, for any text."""
    shown = neutral(text)
    assert len(shown.splitlines()) <= 1
    assert not set(shown) & {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F))}
