"""How far a value goes in a text: to the end of its quotes, of its word or of its line."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    _Span = tuple[int, int]

_WRAPPED = re.compile(
    r"(?:\w{0,20}(?:Str|String|Secret(?:Box|Value)?|Bytes|Password|Token|Some)|\w{0,12}(?:String|Secret)::(?:from|new)"
    r"|\[\]byte|(?:\w{1,12}\.){1,3}GetBytes|Buffer\.from)"
    r"\((?:value=|\s{0,40})(?=['\"])|string\(\d{1,5}\) (?=\")"
)
"""What a value is wrapped in as programs show it: ``SecretStr('x')``."""
# How far a value without quotes goes: in general, in a setting, and in a header. Few secrets are longer than the
# bounds; without them the time that a text of many names takes would grow with the square of its length.
BARE = re.compile(r"""[^\s"'<>`,;&|(){}\[\]\\]{1,4096}""")
WORD = re.compile(r"""[^\s"'`\\]{1,4096}""")
LINE = re.compile(r"""[^\r\n"'\\]{1,1000}""")
_LONGEST_QUOTED = 8192
"""A quote that is not closed within this many characters is taken to be one that never is."""
_PREFIXES = ("b", "B", "r", "R", "u", "U", "f", "F", "N", "&", "@")
"""What stands before the quote of a text: in Python, SQL's `N`, after a YAML anchor's `&`, in C# and PowerShell `@`."""


def extent(text: str, at: int, bare: re.Pattern[str]) -> tuple[int, int, bool]:
    """Return where the value begins and ends that stands here, and whether it is quoted.

    Args:
        text: any text.
        at: where the value begins, with its quote if there is one.
        bare: how far a value without quotes goes, one of the patterns above.
    """
    wrapped = _WRAPPED.match(text, at)
    quoted = _quoted(text, wrapped.end() if wrapped else at)
    if quoted:
        return (*quoted, True)
    m = bare.match(text, at)
    return (m.start(), m.end(), False) if m else (at, at, False)


def _quoted(text: str, at: int) -> _Span | None:
    """Return where the text in quotes begins and ends that stands here, also in escaped or triple quotes."""
    if text[at : at + 1] in _PREFIXES and text[at + 1 : at + 2] in ("'", '"'):
        at += 1
    slashes = at
    while text[at : at + 1] == "\\":
        at += 1
    quote = text[at : at + 1]
    if not quote or quote not in "\"'`":
        return None
    closing = text[slashes:at] + (quote * 3 if text.startswith(quote * 3, at) else quote)
    start = at + len(closing) - (at - slashes)
    end = text.find(closing, start, start + _LONGEST_QUOTED)
    while end > 0 and closing == quote and _is_escaped(text, start, end):
        end = text.find(closing, end + 1, start + _LONGEST_QUOTED)
    return start, end if end >= 0 else min(len(text), start + _LONGEST_QUOTED)


def _is_escaped(text: str, start: int, quote: int) -> bool:
    slashes = quote - start - len(text[start:quote].rstrip("\\"))
    return slashes % 2 == 1
