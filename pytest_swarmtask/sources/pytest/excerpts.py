"""Cuts long texts of a test to a number of bytes, without the secrets in them.

A text is sliced before anything else happens to it, as tests may log megabytes. The slice goes beyond what is kept by
the length of the longest secret. It is redacted and only then cut to size, so that no part of a secret survives at the
edge, where nothing would recognize it.
"""

from __future__ import annotations

import re

from pytest_swarmtask.core.fastjson import encode_basestring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Redact = Callable[[str], str]

MARGIN = 4096
"""Characters of the longest secret, which are searched beyond a cut and not kept."""
_LONGER = 4
"""The mask of a secret is about a quarter of the shortest tokens: so much more of a text of nothing else is needed."""

# Escape sequences as in ECMA-48: CSI, OSC up to its end, and the short ones.
_ESCAPES = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])?"
_CONTROLS = r"[\x00-\x08\x0b-\x1f\x7f]"


def written_size(text: str) -> int:
    """Return the bytes that a text takes in an event's line."""
    return len(encode_basestring(text).encode("utf-8", "replace"))


def middle_cut(text: str, size: int, redact: Redact) -> str:
    """Return the first and last lines of a text, redacted, with a line that says how many are left out between them.

    Args:
        text: any text.
        size: the bytes that the result may take in an event's line.
        redact: returns a text without secrets.
    """
    reach = size + MARGIN
    if len(text) <= 2 * reach:
        first = last = redact(_plain(text))
        if written_size(first) <= size:
            return first
    else:
        first = _redacted(lambda length: text[:length], reach, redact)[:-MARGIN]
        last = _redacted(lambda length: text[-length:], reach, redact)[MARGIN:]
    lines, length = text.count("\n") + 1, len(text)
    return _fitted(
        size, lambda limit: _joined(_first_lines(first, limit // 2), _last_lines(last, limit // 2), lines, length)
    )


def tail(texts: Sequence[str], size: int, redact: Redact) -> str:
    """Return the last lines of several texts, redacted.

    Args:
        texts: the texts, the last one first.
        size: the bytes that the result may take in an event's line.
        redact: returns a text without secrets.
    """
    reach = size + MARGIN
    text = _redacted(lambda length: _gathered(texts, length), reach, redact)
    if sum(map(len, texts)) > reach:
        text = text[MARGIN:]
    elif written_size(text) <= size:
        return text
    return _fitted(size, lambda limit: _last_lines(text, limit))


def _redacted(part: Callable[[int], str], length: int, redact: Redact) -> str:
    """Return a part of a text, redacted. Of a text that is full of secrets or colours, it is taken from a longer part.

    Args:
        part: returns a part of the text with so many characters.
        length: how many characters are needed.
        redact: returns a text without secrets.
    """
    text = redact(_plain(part(length)))
    return text if len(text) > length // 2 else redact(_plain(part(_LONGER * length)))


def _gathered(texts: Sequence[str], length: int) -> str:
    """Return the last characters of texts of which the last comes first."""
    pieces: list[str] = []
    left = length
    for text in texts:
        if left <= 0:
            break
        separator = "\n" if pieces and not text.endswith("\n") else ""
        pieces.append(text[-left:] + separator)
        left -= len(text) + len(separator)
    return "".join(reversed(pieces))


def _plain(text: str) -> str:
    """Return a text without what controls a terminal. Colours would also split secrets."""
    if text.isascii() and text.isprintable():
        return text
    if "\r\n" in text:
        text = text.replace("\r\n", "\n")
    if "\x1b" in text:
        text = re.sub(_ESCAPES, "", text)
    return re.sub(_CONTROLS, "", text)


def _fitted(size: int, cut: Callable[[int], str]) -> str:
    """Return the longest cut of which JSON makes at most so many bytes, give or take a little.

    Args:
        size: the bytes that the text may take in an event's line.
        cut: returns a text of about so many characters.
    """
    limit = size
    while limit > 0:
        text = cut(limit)
        found = written_size(text)
        if found <= size:
            return text
        limit = min(limit * size // found, limit - 1)
    return ""


def _first_lines(text: str, limit: int) -> str:
    """Return the whole lines within so many characters, or a part of the first line if it is longer."""
    text = text[:limit]
    end = text.rfind("\n")
    return text if end < 0 else text[:end]


def _last_lines(text: str, limit: int) -> str:
    """Return the whole lines within the last so many characters, or the end of the last line if it is longer."""
    if len(text) <= limit:
        return text
    text = text[len(text) - limit :]
    start = text.find("\n", 0, len(text) - 1)
    return f"…{text}" if start < 0 else text[start + 1 :]


def _joined(first: str, last: str, lines: int, length: int) -> str:
    """Return the beginning and the end of a text of so many lines and characters, with a line for the rest."""
    left_out = lines - first.count("\n") - last.count("\n") - 2
    if left_out > 0:
        gap = f"… {left_out:,} {'line' if left_out == 1 else 'lines'} left out …"
    else:
        gap = f"… {max(1, length - len(first) - len(last)):,} characters left out …"
    return f"{first}\n{gap}\n{last}"
