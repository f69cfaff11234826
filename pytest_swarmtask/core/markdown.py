"""Text that Markdown shows exactly as it is: no markup, mention or table cell can be made by it."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


_MOST_CHARACTERS = 300


_TERMINAL_CODES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


_MARKUP = re.compile(r"[&<>|\\`*~\[\]$@#]|(?<![^\W_])_|_(?![^\W_])")
"""What may be more than text; underscores within a word are not."""


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table; what is in its cells has been through `text` or `code`."""
    names = list(header)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(value: Any) -> str:
    """Return what is shown as exactly this text, as code."""
    shown = text(value)
    return f"<code>{shown}</code>" if shown else ""


def text(value: Any) -> str:
    """Return what is shown as exactly this text, on one line and not too long."""
    plain = _TERMINAL_CODES.sub("", str(value)[: 2 * _MOST_CHARACTERS])
    plain = "".join(character if character.isprintable() else " " for character in plain).strip()
    if len(plain) > _MOST_CHARACTERS:
        plain = f"{plain[:_MOST_CHARACTERS]}…"
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", plain)
