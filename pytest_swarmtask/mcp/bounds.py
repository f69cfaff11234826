"""Keeps answers short: an agent reads each character of them, and pays for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from pytest_swarmtask.core.text import neutral_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Item = TypeVar("Item")

MOST = 16_000
"""Bytes of the list in an answer, as JSON: about 4,000 tokens."""
LONGEST = 500
"""Characters of a text that is one of many, such as a message in a list of results."""


def fitting(items: Iterable[Item]) -> list[Item]:
    """Return the first items that fit into one answer; at least one, if there is one."""
    kept: list[Item] = []
    size = 0
    for item in items:
        size += len(msgspec.json.encode(item))
        if kept and size > MOST:
            break
        kept.append(item)
    return kept


def shortened(text: str, length: int) -> str:
    """Return a text without its middle if it is longer. The end of a traceback says most, so most of the end stays."""
    if len(text) <= length:
        return text
    start, end = text[: length // 4], text[-(length - length // 4) :]
    return f"{start}\n[{len(text) - length} characters left out]\n{end}"


def shared(texts: Mapping[str, str | None], room: int) -> dict[str, str]:
    """Return those texts that there are, each shortened to its share of some characters.

    Control characters are written out, and so are invisible ones, in which instructions for agents can be hidden.
    """
    present = {name: text for name, text in texts.items() if text}
    return {name: neutral_lines(shortened(text, room // len(present))) for name, text in present.items()}
