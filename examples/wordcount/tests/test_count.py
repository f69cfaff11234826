"""Tests of which texts count as words."""

from __future__ import annotations

import sys

import pytest
from count import count


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", {}),
        ("one", {"one": 1}),
        ("One, two; ONE!", {"one": 2, "two": 1}),
        ("it's John's", {"it's": 1, "john's": 1}),
        ("Straße STRASSE", {"strasse": 2}),
        ("snake_case", {"snake": 1, "case": 1}),
    ],
)
def test_words(text: str, words: dict[str, int]) -> None:
    assert count(text) == words


def test_numbers_are_words() -> None:
    assert count("42 and 42")["42"] == 2


@pytest.mark.skipif(sys.platform != "win32", reason="line ends of Windows")
def test_windows() -> None:
    assert count("a\r\nb") == {"a": 1, "b": 1}


@pytest.mark.xfail(reason="hyphenated words are counted as two")
def test_hyphens() -> None:
    assert count("well-known") == {"well-known": 1}
