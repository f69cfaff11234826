"""Secrets in the values of headers: `Authorization: Bearer x`, `Set-Cookie: session=x`."""

from __future__ import annotations

import re

from pytest_swarmtask.redaction.extents import LINE, extent
from pytest_swarmtask.redaction.values import is_made, is_mixed, is_place, is_placeholder, is_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    _Span = tuple[int, int]

_CALL = re.compile(r"[A-Za-z_][\w.]{0,80}[(\[]")
"""A call, as in `authorization = headers.get("x")`."""
_SCHEMES = (
    "basic", "bearer", "token", "digest", "negotiate", "ntlm", "apikey", "api-key", "key", "ssws", "hmac", "mac",
    "hawk", "oauth", "jwt", "splunk", "sso-key", "geniekey", "bot", "aws4-hmac-sha256", "sharedkey",
    "sharedaccesssignature", "dpop", "gitlab", "x",
)  # fmt: skip
"""What an `Authorization` header begins with before the credentials, in lower case."""
_ATTRIBUTES = ("path", "domain", "expires", "max-age", "samesite", "priority")
"""What a `Set-Cookie` header says of a cookie: where and how long it is valid."""
_FIELDS_LENGTH = 1000
"""How far the fields of a digest go on behind a quote: some 10 fields, one of them a digest of 64 digits."""
_SCHEME_LENGTH = 5
"""A header's only word is the credentials if it is longer than this: `h2c` and `utf8` are not."""
_CREDENTIALS_LENGTH = 20
"""A word of letters alone is credentials, or a cookie, from this length on: shorter ones may be words of prose."""
_COOKIE_LENGTH = 8
"""A cookie's value from this length on may let somebody in: not `theme=dark`, nor `fig=newton` in Python's library."""


def header(name: str) -> str:
    """Return the kind of header that a name is of, ``authorization`` or ``cookie``, or an empty text."""
    head = name.lower().rpartition("-")[2].rpartition("_")[2]
    return head if head in ("authorization", "cookie") else ""


def header_value(text: str, m: re.Match[str]) -> _Span:
    """Return where the value of a header stands whose name and sign this match has found."""
    start, end, _ = extent(text, m.end(), LINE)
    if text.endswith("=", start, end):  # Digest username="ann", response="…": the quotes belong to the value
        end += len(text[end : end + _FIELDS_LENGTH].partition("\n")[0])
    return start, end


def secret_after(text: str, m: re.Match[str], value: _Span, *, is_cookie: bool) -> _Span | None:
    """Return where the credentials stand in a header's value.

    Args:
        text: any text.
        m: the match that found the header's name and sign.
        value: where the header's value stands.
        is_cookie: the header is `Cookie` or `Set-Cookie`.
    """
    start, end = value
    if m["sign"] == "=" and text[start - 1] == " " and _CALL.match(text, start):
        return None
    found = _credentials(text[start:end], is_cookie=is_cookie)
    return (start + found[0], start + found[1]) if found else None


def _credentials(value: str, *, is_cookie: bool) -> _Span | None:
    """Return where in a header's value, which may be empty, the credentials stand. Cookies are hidden together."""
    if is_placeholder(value) or is_place(value):
        return None
    if is_cookie:
        return (0, len(value)) if any(map(_is_key_to_something, value.split(";"))) else None
    scheme, _, rest = value.strip().partition(" ")
    credentials = rest.strip()
    if not credentials:
        return (0, len(value)) if is_mixed(scheme) and len(scheme) > _SCHEME_LENGTH else None
    word = credentials.split(None, 1)[0]
    is_known = scheme.lower() in _SCHEMES
    if is_placeholder(credentials) or not _is_credentials(word, is_known=is_known):
        return None
    has_fields = is_known and ("," in credentials or "=" in word[:-2])  # Base64 ends with up to two `=`
    return 0, len(value) if has_fields else value.index(word) + len(word)


def _is_credentials(word: str, *, is_known: bool) -> bool:
    return not is_plain(word) and (is_mixed(word) or (is_known and len(word) >= _CREDENTIALS_LENGTH))


def _is_key_to_something(cookie: str) -> bool:
    """Whether a cookie may let somebody in: not `theme=dark`, nor where and how long a cookie is valid."""
    name, sign, value = cookie.strip().rpartition("=")
    if not sign:
        return is_made(value, _CREDENTIALS_LENGTH)
    return name.lower() not in _ATTRIBUTES and (len(value) >= _COOKIE_LENGTH or is_mixed(value) or value.isdigit())
