"""What is secret in an `Authorization` or `Cookie` header."""

from __future__ import annotations

from pytest_swarmtask.redaction.values import is_made, is_mixed, is_place, is_placeholder, is_plain

_SCHEMES = (
    "basic", "bearer", "token", "digest", "negotiate", "ntlm", "apikey", "api-key", "key", "ssws", "hmac", "mac",
    "hawk", "oauth", "jwt", "splunk", "sso-key", "geniekey", "bot", "aws4-hmac-sha256", "sharedkey",
    "sharedaccesssignature", "dpop", "gitlab", "x",
)  # fmt: skip
_ATTRIBUTES = ("path", "domain", "expires", "max-age", "samesite", "priority")
_SHORT, _LONG = 5, 20
_VALUE_LENGTH = 8


def header_secret(value: str, *, cookie: bool) -> tuple[int, int] | None:
    """Return where in a header's value the credentials stand: a whole line of cookies, or what follows a scheme."""
    if is_placeholder(value or "*") or is_place(value):
        return None
    if cookie:
        return (0, len(value)) if any(map(_tells, value.split(";"))) else None
    scheme, _, rest = value.strip().partition(" ")
    credentials = rest.strip()
    if not credentials:
        return (0, len(value)) if is_mixed(scheme) and len(scheme) > _SHORT else None
    word = credentials.split(None, 1)[0]
    known = scheme.lower() in _SCHEMES
    if is_placeholder(credentials) or is_plain(word) or not (is_mixed(word) or (known and len(word) >= _LONG)):
        return None
    several = known and ("," in credentials or "=" in word[:-2])  # fields, one of which is secret
    return 0, len(value) if several else value.index(word) + len(word)


def _tells(cookie: str) -> bool:
    """Tell whether a cookie may let somebody in: not `theme=dark`, nor where and how long it is valid."""
    name, sign, value = cookie.strip().rpartition("=")
    if not sign:
        return is_made(value, _LONG)
    return name.lower() not in _ATTRIBUTES and (len(value) >= _VALUE_LENGTH or is_mixed(value) or value.isdigit())
