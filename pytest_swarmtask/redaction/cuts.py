"""What is left of a secret where a program has cut the middle out of a text, as in `'host=db port...rd=Xk9_f3Lq7w'`.

pytest, `reprlib`, `unittest` and many loggers shorten texts before anybody sees them. The cut can take the name of a
secret away, or its beginning, and leave the rest, which no rule about names and forms finds.
"""

from __future__ import annotations

import re

from pytest_swarmtask.redaction.hints import may_be_cut
from pytest_swarmtask.redaction.values import is_made, is_wordy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_CUT = re.compile(r"\.\.\.|…|\[\d{1,9} chars\]")
_RUN = r"""[^\s"'`&,;=()\[\]{}<>]{2,200}"""
_TAIL = re.compile(_RUN)
_NAMED_TAIL = re.compile(rf"""(?P<name>[A-Za-z]{{0,12}})(?:["']?\s?[=:]\s?["']?|\s)(?P<value>{_RUN})""")
"""The end of a name after a cut, a sign or a space, and a value. The cut may have taken the whole name."""
_HEAD = re.compile(rf"""{_RUN.replace("2,", "3,")}\Z""")
_LONGEST = 200
_NAMES = ("password", "passwd", "passphrase", "pwd", "secret", "token", "key", "apikey", "credential", "credentials")
_SHORTEST = 5
"""Fewer random characters are of no use to anybody, and in names and versions they are frequent."""
_SHORTEST_BARE = 8
"""From how many letters on a tail without a name is random: shorter ones are often the end of a class's name."""
_SHORTEST_PART = 3
"""So many characters of a known secret are no coincidence next to a cut."""
_HEXADECIMAL = frozenset("0123456789abcdef")


def without_tails(text: str, mask: str) -> str:
    """Return the text without what cuts have left of secrets that stand nowhere else.

    After a cut, something that looks random is the end of a secret; so is what follows the end of a secret's name.
    """
    pieces: list[str] = []
    done = 0
    for cut in _CUT.finditer(text):
        span = _tail(text, cut.start(), cut.end())
        if span is not None and span[0] >= done:
            pieces += (text[done : span[0]], mask)
            done = span[1]
    return "".join([*pieces, text[done:]]) if pieces else text


def _tail(text: str, before: int, at: int) -> tuple[int, int] | None:
    """Return where the rest of a secret is after a cut, if there is one."""
    named = _NAMED_TAIL.match(text, at)
    if named and any(word.endswith(named["name"].lower()) for word in _NAMES) and _is_random(named["value"], _SHORTEST):
        return named.span("value")
    m = _TAIL.match(text, at)
    is_left = m and _is_random(m[0], _SHORTEST_BARE) and not _is_range_of_commits(text[:before], m[0])
    return m.span() if m and is_left else None


def _is_random(value: str, shortest: int) -> bool:
    """Whether the end of a value is no word and no number; letters alone only if they are of both cases and many."""
    if is_wordy(value) or len(value) < _SHORTEST:
        return False
    is_of_letters = len(value) >= shortest and value.replace("_", "").isalpha()
    return is_made(value, _SHORTEST) or (is_of_letters and not value.islower() and not value.isupper())


def _is_range_of_commits(before: str, after: str) -> bool:
    """Whether the cut is the sign between two commits, as in `git diff 1f2e3d4...a9b8c7d`."""
    return bool(before) and before[-1] in _HEXADECIMAL and _HEXADECIMAL.issuperset(after)


def without_known(text: str, secrets: Iterable[str], mask: str) -> str:
    """Return the text without these secrets, and without their ends and beginnings next to cuts.

    Args:
        text: any text.
        secrets: secrets that were found somewhere else in the same event, longest first.
        mask: the text to put in the place of each secret.
    """
    for secret in secrets:
        if secret in text:
            # A word is hidden as a word only: as a part of other words it tells nobody anything.
            pattern = rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])" if secret.isalpha() else re.escape(secret)
            text = re.sub(pattern, lambda _: mask, text)
    if not may_be_cut(text):
        return text
    position = 0
    while cut := _CUT.search(text, position):
        start, end = cut.span()
        after = _length_of_end(text, end, secrets)
        ahead = _length_of_beginning(text, start, secrets)
        text = f"{text[: start - ahead]}{mask if ahead else ''}{cut[0]}{mask if after else ''}{text[end + after :]}"
        position = end - ahead + (len(mask) if ahead else 0)
    return text


def _length_of_end(text: str, at: int, secrets: Iterable[str]) -> int:
    """Return how many characters at a position are the end of a secret."""
    m = _TAIL.match(text, at)
    found = m[0] if m else ""
    is_end = len(found) >= _SHORTEST_PART and any(secret.endswith(found) for secret in secrets)
    return len(found) if is_end else 0


def _length_of_beginning(text: str, end: int, secrets: Iterable[str]) -> int:
    """Return how many characters before a position are the beginning of a secret."""
    m = _HEAD.search(text, max(0, end - _LONGEST), end)
    found = m[0] if m else ""
    return len(found) if found and any(secret.startswith(found) for secret in secrets) else 0
