"""Change single values of a JSON text. All other bytes stay as they were written.

The text must be valid JSON. Values that are not changed are skipped with the standard library's scanner.
"""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined] # missing in typeshed
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SPACE = re.compile(r"[ \t\n\r]*")
_skip_value = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


class TextRange(NamedTuple):
    """Where a value begins and ends in the text."""

    start: int
    end: int


class Edit(NamedTuple):
    """A text that replaces a part of another one."""

    start: int
    end: int
    text: str


def first_value(text: str) -> int:
    """Return where the value of a whole text begins."""
    return _after_space(text, 0)


def members(text: str, start: int) -> dict[str, TextRange]:
    """Return the ranges of the values of the object that begins at `start`, by their keys."""
    return {key: span for key, _, span in _members(text, start)}


def items(text: str, start: int) -> list[TextRange]:
    """Return the ranges of the items of the array that begins at `start`."""
    found = []
    at = _after_space(text, start + 1)
    while text[at] != "]":
        found.append(_span(text, at))
        at = _next(text, found[-1].end)
    return found


def set_members(text: str, start: int, values: Mapping[str, str]) -> list[Edit]:
    """Return the edits that set members of the object at `start`, which has at least one. New members come last."""
    edits = []
    known = list(_members(text, start))
    spans = {key: span for key, _, span in known}
    for key, value in values.items():
        quoted = json.dumps(value, ensure_ascii=False)
        if key in spans:
            edits.append(Edit(*spans[key], quoted))
        else:
            _, first, _ = known[0]
            # The white space before the first member, so that a new line has the indentation of the others.
            space = text[start + 1 : first] or " "
            end = known[-1][2].end
            edits.append(Edit(end, end, f",{space}{json.dumps(key)}: {quoted}"))
    return edits


def apply(text: str, edits: list[Edit]) -> str:
    """Return the text with all edits made. Edits must not overlap."""
    parts, at = [], 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        parts += [text[at : edit.start], edit.text]
        at = edit.end
    return "".join([*parts, text[at:]])


def _members(text: str, start: int) -> Iterator[tuple[str, int, TextRange]]:
    """Yield each key of an object, where the key begins, and the range of its value."""
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
    """Return where the next member or item begins, or the closing bracket if there is none."""
    at = _after_space(text, at)
    return _after_space(text, at + 1) if text[at] == "," else at


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
