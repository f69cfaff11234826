"""What is hidden under a key that names a secret, and what is shown although its key names one."""

from __future__ import annotations

from itertools import islice

from pytest_swarmtask.redaction.hints import NO, PASSWORD, YES
from pytest_swarmtask.redaction.names import meaning
from pytest_swarmtask.redaction.values import is_likely_secret, is_mixed, is_place, is_placeholder, is_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_MAX_ITEMS = 100
"""So many items of a list or a mapping are judged: an event shows no more."""
_LONGEST_BYTES = 4096
"""So many bytes become text: twice as many as a text in an event has characters."""
_LONGEST_KEY = 200
"""The last so many characters of a longer key are judged."""
_SMALL = 1000
"""A number below this is a count or a position, as in `failed_passwords: 2` and `{"token": {"line": 3}}`."""


def is_hidden(level: int, value: Any) -> bool:
    """Whether this value is hidden under a key whose name is of this level.

    Args:
        level: one of the levels of `hints`.
        value: any value that may be a secret: not None, no truth value, and not empty.
    """
    if level >= YES:
        return not any(is_such(value) for is_such in _SHOWN[level])
    return level != NO and any(is_likely_secret(text, level) for text in _texts_in(value))


def _texts_in(value: Any) -> Iterator[str]:
    items = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
    texts = (text_of(item) for item in islice(items, _MAX_ITEMS) if isinstance(item, (str, bytes, bytearray)))
    return filter(None, texts)


def _is_description(value: Any) -> bool:
    """Whether a value is a mapping that only describes a secret: where it is kept, of what kind it is."""
    return type(value) is dict and all(_is_detail(key, item) for key, item in islice(value.items(), _MAX_ITEMS))


def _is_detail(key: Any, item: Any) -> bool:
    kind = type(item)
    return (
        item is None
        or kind in (bool, float)
        or (kind is int and (-_SMALL < item < _SMALL or _is_about(key)))
        or (kind is str and not is_mixed(item) and _is_about(key))
    )


def _is_about(key: Any) -> bool:
    # A key such as `source` makes `token_source`, which is no secret's name; `value` makes `token_value`, which is.
    return type(key) is str and meaning(f"token_{key}"[-_LONGEST_KEY:]) == NO


def _is_small_integer(value: Any) -> bool:
    return type(value) is int and -_SMALL < value < _SMALL


def _is_small_number(value: Any) -> bool:
    return type(value) in (int, float) and -_SMALL < value < _SMALL


def is_stand_in(value: Any) -> bool:
    """Whether a value is a text that stands for a secret: a placeholder, a state, or the path of a file with it."""
    if type(value) is not str:
        return False
    return is_placeholder(value) or is_state(value) or ("://" not in value and is_place(value))


def _is_harmless_token(value: Any) -> bool:
    return type(value) is str and not is_likely_secret(value, YES)  # `ed25519`, a URL, a version


_SHOWN: dict[int, tuple[Callable[[Any], bool], ...]] = {
    PASSWORD: (_is_description, _is_small_integer, is_stand_in),
    YES: (_is_description, _is_small_number, is_stand_in, _is_harmless_token),
}
"""What is shown although its key names a secret, by the level of the name. A person may choose a password that looks
like an algorithm or a number such as 3.14; a machine that makes tokens does not."""


def text_of(value: Any) -> str:
    """Return the text form of a value that is of no type of JSON."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value[:_LONGEST_BYTES]).decode("utf-8", "backslashreplace")
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    if isinstance(value, int):
        return hex(value)  # beyond 64 bits few readers of JSON keep all digits, and Python limits decimal ones
    return str(value)
