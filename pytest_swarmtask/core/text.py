"""Foreign text, from events and from other machines, made harmless for a terminal; and common words."""

from __future__ import annotations

NOTHING_RECORDED = "nothing has been recorded here yet"
"""What commands say about an empty journal or history."""

_HARMFUL = (
    (0x00, 0x20), (0x7F, 0xA0), (0x61C, 0x61D), (0x200B, 0x200C), (0x200E, 0x2010), (0x2028, 0x202F), (0x2060, 0x2070),
    (0xFEFF, 0xFF00), (0xFFF9, 0xFFFC), (0xE0000, 0xE0080),
)  # fmt: skip
"""Ranges of characters that move the cursor, change colours, end the line, turn the direction of the text, or are
invisible.
"""

_WRITTEN_OUT: dict[int, str] = {}


def neutral(text: str) -> str:
    """Return the text with each harmful character written as its number in hexadecimal, as Python does."""
    if text.isprintable():
        return text
    if not _WRITTEN_OUT:
        _WRITTEN_OUT.update((code, _written_out(code)) for first, end in _HARMFUL for code in range(first, end))
    return text.translate(_WRITTEN_OUT)


def neutral_lines(text: str) -> str:
    """Return a text of several lines with each line made harmless, see `neutral`."""
    return text if text.isprintable() else "\n".join(map(neutral, text.split("\n")))


def plural(number: int, noun: str) -> str:
    """Return a number with its noun, such as ``1 event`` or ``2 events``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _written_out(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
