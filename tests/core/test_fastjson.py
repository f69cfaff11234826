"""Our JSON functions give the same results as the package `json`, for all values and all texts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_swarmtask.core.fastjson import compact, dumps, loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.text(), VALUES))
def test_values(value: dict[str, Any]) -> None:
    """An object is written as `json` writes it, and read back equal."""
    text = compact(value)
    assert text == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert dumps(value) == json.dumps(value, sort_keys=True)
    assert loads(text) == loads(f"\n {text}\t\r") == value


def read(reader: Any, text: str) -> object:
    try:
        return repr(reader(text))
    except (ValueError, RecursionError) as error:
        return type(error), str(error)


@given(st.text(alphabet='{}[]:,"\\ \n0123456789.eE+-nulltrefasNI\ufeffä\x00') | VALUES.map(json.dumps))
def test_texts(text: str) -> None:
    """A text is read as `json` reads it, or refused with the same message."""
    assert read(loads, text) == read(json.loads, text)


@pytest.mark.parametrize(
    "text", ["", " ", "{", "[1,]", "{} {}", "nul", "NaN", "-Infinity", "[" * 100_000, "\ufeff{}", '"\\ud800"']
)
def test_odd_texts(text: str) -> None:
    """An unusual text is read or refused as `json` does it."""
    assert read(loads, text) == read(json.loads, text)


@pytest.mark.parametrize("value", [{"a": float("nan")}, {"a": b"x"}, {"a": {1, 2}}, {(1, 2): 3}])
def test_what_json_cannot_carry(value: dict[Any, Any]) -> None:
    """A value that JSON cannot represent raises an error."""
    for write in (compact, dumps):
        with pytest.raises((ValueError, TypeError)):
            write(value)
