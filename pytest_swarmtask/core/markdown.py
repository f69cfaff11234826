"""Markdown that shows foreign text exactly as it is: the text can make no markup, mention or table cell."""

from __future__ import annotations

import re

from pytest_swarmtask.core.text import neutral_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


_MOST_CHARACTERS = 300
"""Characters of one text, at most: enough for the message of a failure, little enough for a table."""


_TERMINAL_CODES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


_MARKUP = re.compile(r"[&<>|\\`*~\[\]$@#]|(?<![^\W_])_|_(?![^\W_])")
"""Characters that may be markup. Underscores within a word are not, and names are full of them."""


_IN_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table. The caller has passed the cells through `text` or `code`."""
    names = list(header)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(value: Any) -> str:
    """Return Markdown that shows exactly this text, as code."""
    shown = text(value)
    return f"<code>{shown}</code>" if shown else ""


def block(value: Any) -> str:
    """Return Markdown that shows exactly this text, in lines of code. Terminal codes are left out, the rest is kept."""
    plain = neutral_lines(_TERMINAL_CODES.sub("", str(value)).expandtabs())
    return f"<pre>{plain.translate(_IN_HTML)}</pre>"


def text(value: Any) -> str:
    """Return Markdown that shows exactly this text, on one line, cut to a few hundred characters."""
    plain = _TERMINAL_CODES.sub("", str(value)[: 2 * _MOST_CHARACTERS])
    plain = "".join(character if character.isprintable() else " " for character in plain).strip()
    if len(plain) > _MOST_CHARACTERS:
        plain = f"{plain[:_MOST_CHARACTERS]}…"
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", plain)
