"""Changing single values in a JSON text while everything else stays as it was written, byte for byte.

The text is known to be valid JSON. Values that are not of interest are skipped by the standard library's scanner.
"""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined] # typeshed does not know it
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SPACE = re.compile(r"[ \t\n\r]*")
_skip_value = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


class TextRange(NamedTuple):
    """Where a value stands."""

    start: int
    end: int


class Edit(NamedTuple):
    """What to put in place of a part of a text."""

    start: int
    end: int
    text: str


def first_value(text: str) -> int:
    """Return where the value of a text begins."""
    return _after_space(text, 0)


def members(text: str, start: int) -> dict[str, TextRange]:
    """Return where the values of the object that begins at `start` stand, by their keys."""
    return {key: span for key, _, span in _members(text, start)}


def items(text: str, start: int) -> list[TextRange]:
    """Return where the items of the array that begins at `start` stand."""
    found = []
    at = _after_space(text, start + 1)
    while text[at] != "]":
        found.append(_span(text, at))
        at = _next(text, found[-1].end)
    return found


def set_members(text: str, start: int, values: Mapping[str, str]) -> list[Edit]:
    """Return the edits that give members of an object other texts as their values; new ones come last."""
    edits = []
    known = list(_members(text, start))
    spans = {key: span for key, _, span in known}
    for key, value in values.items():
        quoted = json.dumps(value, ensure_ascii=False)
        if key in spans:
            edits.append(Edit(*spans[key], quoted))
        else:
            _, first, _ = known[0]
            space = text[start + 1 : first] or " "
            end = known[-1][2].end
            edits.append(Edit(end, end, f",{space}{json.dumps(key)}: {quoted}"))
    return edits


def apply(text: str, edits: list[Edit]) -> str:
    """Return the text with all edits made; they do not overlap."""
    parts, at = [], 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        parts += [text[at : edit.start], edit.text]
        at = edit.end
    return "".join([*parts, text[at:]])


def _members(text: str, start: int) -> Iterator[tuple[str, int, TextRange]]:
    """Yield each key of an object, where it begins, and where its value stands."""
    at = _after_space(text, start + 1)
    while text[at] != "}":
        key, end = scanstring(text, at + 1)
        colon = _after_space(text, end)
        span = _span(text, _after_space(text, colon + 1))
        yield key, at, span
        at = _next(text, span.end)


def _span(text: str, start: int) -> TextRange:
    _, end = _skip_value(text, start)
    return TextRange(start, end)


def _next(text: str, at: int) -> int:
    """Return where the next member or item begins, or the closing bracket stands."""
    at = _after_space(text, at)
    return _after_space(text, at + 1) if text[at] == "," else at


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
