"""From any Python value to one that may be written: JSON can carry it, it is bounded, and it tells no secret.

A value passes an ordered chain. Keys that name a secret lose their value; strings lose the literal
values of secret-looking environment variables and everything of a known secret format. All of this
happens before the first write, so no later stage has to be trusted with it.
"""

from __future__ import annotations

from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterable
    from typing import Any

MASK = "[REDACTED]"
MAX_EVENT = 16 * 1024
"""An event line stays below this many bytes."""

_MAX_TEXT = 2048
_MAX_ITEMS = 100
_MAX_DEPTH = 6
_MAX_NODES = 1000
_MIN_LITERAL = 8
_LONGEST_SECRET = 4096

SECRET_ENDINGS = (
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "signingkey",
    "authkey",
    "credential",
    "credentials",
    "authorization",
    "cookie",
)
"""A key names a secret when its letters and digits end like this, in any case and style."""

_NO_SECRETS = ("PWD", "OLDPWD")
"""Variables that the shell keeps folders in; without this all paths would be hidden."""

_FORMATS = (
    # (what must occur in the lower-cased text for the pattern to be tried, pattern)
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"), r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{22,})"),
    (("glpat-",), r"\bglpat-[\w-]{20,}"),
    (("akia", "asia"), r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    (("xox",), r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    (("hooks.slack.com",), r"(?<=hooks\.slack\.com/services/)[\w/]+"),
    (("sk_live_", "rk_live_", "sk_test_"), r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    (("aiza",), r"\bAIza[\w-]{35}"),
    (("npm_",), r"\bnpm_[A-Za-z0-9]{36}\b"),
    (("pypi-",), r"\bpypi-[\w-]{50,}"),
    (("whsec_",), r"\bwhsec_[A-Za-z0-9+/=]{24,}"),
    (("eyj",), r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+"),
    (("-----begin",), r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"),
    (("bearer ", "basic "), r"\b(?i:bearer|basic) +(?=[\w.~+/=-]*\d)[\w.~+/=-]{12,}"),
    (("://",), r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"),
)


class Redactor:
    """What counts as a secret in this process.

    Args:
        environ: whose secret-looking variables give the literal values to hide.
        keys: further key endings that name a secret.
        allow: keys that are harmless although they look like one.
    """

    __slots__ = ("_allow", "_endings", "_keys", "_literals", "_patterns")

    def __init__(self, environ: Mapping[str, str], keys: Iterable[str] = (), allow: Iterable[str] = ()) -> None:
        self._endings = SECRET_ENDINGS + tuple(_letters(key) for key in keys)
        self._allow = frozenset(_letters(key) for key in allow)
        self._keys: dict[str, bool] = {}
        self._patterns: dict[str, re.Pattern[str]] = {}
        secrets = (value for name, value in environ.items() if name not in _NO_SECRETS and self.is_secret_key(name))
        self._literals = sorted({value for value in secrets if len(value) >= _MIN_LITERAL}, key=len, reverse=True)

    def is_secret_key(self, key: str) -> bool:
        """Tell whether the value under this key is a secret by its name."""
        known = self._keys.get(key)
        if known is None:
            letters = _letters(key)
            known = letters.endswith(self._endings) and letters not in self._allow
            if len(self._keys) < _MAX_NODES:
                self._keys[key] = known
        return known

    def text(self, text: str, limit: int = _MAX_TEXT) -> str:
        """Return the text without secrets, at most about `limit` characters long, encodable as UTF-8."""
        unseen = len(text) - limit - _LONGEST_SECRET
        if unseen > 0:
            text = text[: limit + _LONGEST_SECRET]  # what lies across the cut is still recognised
        for literal in self._literals:
            if literal in text:
                text = text.replace(literal, MASK)
        lowered = text.lower()
        for triggers, pattern in _FORMATS:
            for trigger in triggers:
                if trigger in lowered:
                    text = self._pattern(pattern).sub(MASK, text)
                    break
        if len(text) > limit or unseen > 0:
            text = f"{text[:limit]}… ({max(0, len(text) - limit) + max(0, unseen)} more characters)"
        if not text.isascii():
            text = text.encode("utf-8", "backslashreplace").decode()
        return text

    def metadata(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """Return a copy of event metadata that JSON can carry and that tells no secret.

        The paths that were hidden are listed under ``redacted``.
        """
        walk = _Walk(self)
        cleaned = walk.mapping(values, "", 0)
        if walk.redacted:
            cleaned[_free("redacted", cleaned)] = walk.redacted
        return cleaned

    def plain(self, value: Any, limit: int = _MAX_TEXT) -> str:
        """Return any value as text, without secrets. Never raises."""
        return self.text(value if type(value) is str else str(_Walk(self).value(value, "", 0)), limit)

    def _pattern(self, pattern: str) -> re.Pattern[str]:
        compiled = self._patterns.get(pattern)
        if compiled is None:
            import re  # most events never need it

            compiled = self._patterns[pattern] = re.compile(pattern, re.DOTALL)
        return compiled


class _Walk:
    """One pass over one event's metadata: keeps the path, and a budget that bounds any input."""

    __slots__ = ("budget", "redacted", "redactor")

    def __init__(self, redactor: Redactor) -> None:
        self.redactor = redactor
        self.redacted: list[str] = []
        self.budget = _MAX_NODES

    def mapping(self, values: Mapping[Any, Any], path: str, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in _bounded(values.items()):
            name = key if type(key) is str else str(self.value(key, path, _MAX_DEPTH))
            where = f"{path}.{name}" if path else name
            shown = _free(self.redactor.text(name, 200), result)
            if self.redactor.is_secret_key(name) and _may_be_secret(value):
                self.redacted.append(self.redactor.text(where, 200))
                result[shown] = MASK
            else:
                result[shown] = self.value(value, where, depth + 1)
        if len(values) > _MAX_ITEMS:
            result[_free("…", result)] = f"{len(values) - _MAX_ITEMS} more"
        return result

    def value(self, value: Any, path: str, depth: int) -> Any:
        kind = type(value)
        if value is None or kind is bool or (kind is int and -(2**63) <= value < 2**64):
            return value
        if kind is float:
            return value if value - value == 0 else str(value)  # NaN and the infinities have no JSON
        self.budget -= 1
        if self.budget < 0 or depth > _MAX_DEPTH:
            return "…"
        return self._string(value, path) if kind is str else self._other(value, path, depth)

    def _other(self, value: Any, path: str, depth: int) -> Any:
        try:
            if isinstance(value, Mapping):
                return self.mapping(value, path, depth)
            if isinstance(value, (list, tuple, set, frozenset)):
                items = [self.value(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(_bounded(value))]
                return [*items, f"… ({len(value) - _MAX_ITEMS} more)"] if len(value) > _MAX_ITEMS else items
            if isinstance(value, str):  # a subclass, such as an enum's member
                return self._string(str.__str__(value), path)
            if isinstance(value, (int, float)) and type(value) not in (int, float):  # as NumPy's numbers are
                plain = int(value) if isinstance(value, int) else float(value)
                return self.value(plain, path, depth)
            return self._string(_describe(value), path)
        except Exception as error:  # noqa: BLE001 - the value's own code may raise anything
            return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"

    def _string(self, value: str, path: str) -> str:
        cleaned = self.redactor.text(value)
        if MASK in cleaned and MASK not in value:
            self.redacted.append(self.redactor.text(path, 200))
        return cleaned


def _describe(value: Any) -> str:
    """Return the text form of a value that is no JSON type: the plain one where there is one, else its repr."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value[: _MAX_TEXT * 2]).decode("utf-8", "backslashreplace")
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    if isinstance(value, int):
        return hex(value)  # too large for JSON numbers to be safe, and for Python to make decimal digits of
    return str(value)


def _bounded(items: Iterable[Any]) -> Iterable[Any]:
    for count, item in enumerate(items):
        if count == _MAX_ITEMS:
            return
        yield item


def _may_be_secret(value: Any) -> bool:
    """Tell whether there is something to hide: not in nothing, truth values and what is empty."""
    kind = type(value)  # not `isinstance`, which asks the value, and it may answer anything
    return value is not None and kind is not bool and not (kind in _SIZED and not value)


_SIZED = (str, bytes, list, tuple, dict, set)


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """Return the name, or one like it that is not taken: nothing that a caller gave is overwritten."""
    while name in taken:
        name += "_"
    return name


def _letters(key: str) -> str:
    return "".join(c for c in key.lower() if c.isalnum())
