"""JSON as the package `json` does it, by the C functions that it uses, without loading it.

Its decoder brings regular expressions along, which would be a quarter of what an emitter costs.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["compact", "dumps", "encode_basestring", "loads"]
_BLANKS = " \t\n\r"


def loads(text: str) -> Any:
    """Return the value that a JSON text stands for, as `json.loads` does.

    Raises:
        ValueError: it is no JSON; the message says where.
        RecursionError: it is nested too deeply.
    """
    stripped = text.strip(_BLANKS)
    try:
        value, end = _scan(stripped, 0)
    except (StopIteration, ValueError, SystemError):  # the last where `json` is not loaded, whose error it would be
        end = -1
    if end == len(stripped):
        return value
    import json

    return json.loads(text)  # it knows what is wrong


class _ScannerContext:
    """What the scanner wants to know: everything as usual."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}.__getitem__


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is nothing that JSON can carry")


def _encoder(quote: Callable[[str], str], colon: str, comma: str, *, sort_keys: bool) -> Callable[[Any], str]:
    nothing, no = None, False
    encode = make_encoder(nothing, _refuse, quote, nothing, colon, comma, sort_keys, no, no)
    return lambda value: "".join(encode(value, 0))


try:
    from _json import encode_basestring, encode_basestring_ascii, make_encoder, make_scanner

    _scan: Callable[[str, int], tuple[Any, int]] = make_scanner(_ScannerContext)  # type: ignore[arg-type] # has what it needs
    compact = _encoder(encode_basestring, ":", ",", sort_keys=False)
    dumps = _encoder(encode_basestring_ascii, ": ", ", ", sort_keys=True)
except (ImportError, TypeError, AttributeError):  # another Python than CPython, or one with other functions inside
    import json
    from json.encoder import encode_basestring

    _scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
    compact = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")).encode
    dumps = json.JSONEncoder(check_circular=False, allow_nan=False, sort_keys=True).encode
