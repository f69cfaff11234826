"""JSON by the C functions of the package `json`, without loading that package.

Its decoder imports `re`, which costs more than everything else that an emitter loads.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["compact", "dumps", "encode_basestring", "loads"]
_BLANKS = " \t\n\r"


def loads(text: str) -> Any:
    """Return the value of a JSON text, as `json.loads` does.

    Raises:
        ValueError: the text is not JSON; the message says where.
        RecursionError: it is nested too deeply.
    """
    stripped = text.strip(_BLANKS)
    try:
        value, end = _scan(stripped, 0)
    except (StopIteration, ValueError, SystemError):  # SystemError: the C function cannot find `json.JSONDecodeError`
        end = -1
    if end == len(stripped):
        return value
    import json

    return json.loads(text)  # for the message of its error


class _ScannerContext:
    """The options of the C scanner, at the defaults of `json.JSONDecoder`."""

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

    _scan: Callable[[str, int], tuple[Any, int]] = make_scanner(_ScannerContext)  # type: ignore[arg-type] # it has the attributes that the scanner reads
    compact = _encoder(encode_basestring, ":", ",", sort_keys=False)
    dumps = _encoder(encode_basestring_ascii, ": ", ", ", sort_keys=True)
except (ImportError, TypeError, AttributeError):  # PyPy, or a future CPython with other C functions
    import json
    from json.encoder import encode_basestring

    _scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
    compact = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")).encode
    dumps = json.JSONEncoder(check_circular=False, allow_nan=False, sort_keys=True).encode
