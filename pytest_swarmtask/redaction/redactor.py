"""From any Python value to one that may be written: JSON can carry it, it is bounded, and it tells no secret.

A text passes an ordered chain: it loses the literal values of secret-looking environment variables, what has the form
of a known kind of secret (`formats`), and what it names as one (`names`, `texts`). A mapping
loses the values of keys that name a secret. All of this happens before the first write, so no later stage has to be
trusted with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from itertools import islice

from pytest_swarmtask.core.event import MASK
from pytest_swarmtask.core.fastjson import loads
from pytest_swarmtask.redaction.hints import (
    MAYBE,
    NO,
    PASSWORD,
    YES,
    may_be_secret_name,
    may_hold_credentials,
    may_hold_token,
    may_name_secret,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any


_MAX_TEXT = 2048
_MAX_ITEMS = 100
_MAX_DEPTH = 6
_MAX_NODES = 1000
_MIN_LITERAL = 8
_MIN_LINE = 20
_MIN_PART = 12
_LONGEST_SECRET = 4096
_LONGEST_KEY = 200

_NO_SECRETS = ("PWD", "OLDPWD")
"""Variables that the shell keeps folders in; without this all paths would be hidden."""

_COMMON = ("password", "postgres", "changeme", "required", "disabled", "undefined", "anonymous", "localhost")
"""Values that are words which stand in many texts, and that nobody keeps secret."""


_modules: dict[str, Any] = {}


def load_rules() -> None:
    """Load what else is loaded with the first text that needs it: when the interpreter ends it is too late for that."""
    for name in ("formats", "names", "texts", "values"):
        _rules(name)


def _rules(name: str) -> Any:
    module = _modules.get(name)
    if module is None:
        module = _modules[name] = import_module(f"pytest_swarmtask.redaction.{name}")
    return module


class Redactor:
    """What counts as a secret in this process.

    Args:
        environ: whose secret-looking variables give the literal values to hide.
        keys: further key endings that name a secret.
        allow: keys that are harmless although they look like one.
        variables: names of further variables that hold secrets, or URLs with secrets in them.
    """

    __slots__ = ("_allow", "_endings", "_literals", "_meanings", "_seen")

    def __init__(
        self,
        environ: Mapping[str, str],
        keys: Iterable[str] = (),
        allow: Iterable[str] = (),
        variables: Iterable[str] = (),
    ) -> None:
        self._endings = tuple(filter(None, map(_letters, keys)))
        self._allow = frozenset(map(_letters, allow))
        self._meanings: dict[str, int] = {}
        self._seen: dict[str, str] = {}
        self._literals: list[str] = []
        self.hide(environ, variables)

    def hide(self, environ: Mapping[str, str], variables: Iterable[str]) -> None:
        """Hide from now on the values of these variables too, and what is secret in those that are URLs."""
        secrets = self._secrets(environ, frozenset(variables))
        found = {form for value in secrets for form in _forms(value)}
        self._literals = sorted(found.union(self._literals), key=len, reverse=True)
        self._seen.clear()

    def is_secret_key(self, key: str) -> bool:
        """Tell whether the value under this key is a secret by its name."""
        return self.meaning(key) >= YES

    def meaning(self, key: str) -> int:
        """Return what a key says of its value, after `names`, with what is configured."""
        known = self._meanings.get(key)
        if known is None:
            letters = _letters(key) if self._allow or self._endings else ""
            if letters in self._allow:
                known = NO
            elif self._endings and letters.endswith(self._endings):
                known = PASSWORD
            else:
                known = _meaning(key[-_LONGEST_KEY:])
            if len(self._meanings) < _MAX_NODES:
                self._meanings[key] = known
        return known

    def text(self, text: str, limit: int = _MAX_TEXT) -> str:
        """Return the text without secrets, at most about `limit` characters long, encodable as UTF-8."""
        unseen = len(text) - limit - _LONGEST_SECRET
        if unseen > 0:
            text = text[: limit + _LONGEST_SECRET]  # what lies across the cut is still recognised
        for literal in self._literals:
            if literal in text:
                text = text.replace(literal, MASK)
        try:
            if "\x1b" in text:
                text = self._coloured(text)
            text = self._chain(text)
        except (ImportError, OSError):  # what finds secrets cannot be loaded, as where no file can be opened any more
            text = MASK
        if len(text) > limit or unseen > 0:
            text = f"{text[:limit]}… ({max(0, len(text) - limit) + max(0, unseen)} more characters)"
        if not text.isascii():
            text = text.encode("utf-8", "backslashreplace").decode()
        return text

    def _chain(self, text: str) -> str:
        # What does the work is loaded with the first text that needs it: an emitter's whole life is few milliseconds.
        if may_hold_token(text):
            text = _rules("formats").without_tokens(text, MASK)
        lowered = text.lower()
        if may_hold_credentials(lowered):
            text = _rules("formats").without_credentials(text, lowered, MASK)
        if self._endings or may_name_secret(lowered):
            text = self._without_named(text)
        return text

    def _coloured(self, text: str) -> str:
        """Return a terminal's text without its colours if they stand around or inside of secrets, else as it is."""
        plain: str = _rules("texts").without_colours(text)
        cleaned = self._chain(plain)
        return text if cleaned == plain else cleaned

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

    def short(self, text: str) -> str:
        """Return a text of at most 200 characters; keys, and words that come again and again, cost next to nothing."""
        known = self._seen.get(text)
        if known is None:
            known = self.text(text, _LONGEST_KEY)
            if len(self._seen) < _MAX_NODES:
                self._seen[text] = known
        return known

    def _without_named(self, text: str) -> str:
        if text[:1] in ("{", "["):
            text = self._json(text)
        named: str = _rules("texts").without_named(text, MASK, self.meaning)
        return named

    def _json(self, text: str) -> str:
        """Return a text that is JSON as a whole without what is secret in its values; any other as it is."""
        walk = _Walk(self)
        try:
            cleaned = walk.value(loads(text), "", 0)
        except (ValueError, RecursionError):
            return text
        if not walk.redacted:
            return text
        import json  # only where there is a secret

        return json.dumps(cleaned, ensure_ascii=False)

    def _secrets(self, environ: Mapping[str, str], variables: frozenset[str]) -> Iterator[str]:
        for name, value in environ.items():
            if len(value) < _MIN_LITERAL or name in _NO_SECRETS:
                continue
            if "://" in value:
                yield from _in_url(value, whole_path=name in variables or "WEBHOOK" in name.upper())
            elif name in variables or (
                _is_hidden(self.meaning(name), value) and value.lower() not in _COMMON and not _is_place(value)
            ):
                yield value


def masked_paths(values: Any, path: str = "") -> Iterator[str]:
    """Give the path of each text in metadata in which something is masked."""
    if isinstance(values, str):
        if MASK in values:
            yield path
    elif isinstance(values, dict):
        for key, value in values.items():
            if key != "redacted" or path:
                yield from masked_paths(value, f"{path}.{key}" if path else key)
    elif isinstance(values, list):
        for i, value in enumerate(values):
            yield from masked_paths(value, f"{path}[{i}]")


def _meaning(key: str) -> int:
    if not may_be_secret_name(key):
        return NO
    try:
        level: int = _rules("names").meaning(key)
    except (ImportError, OSError):  # as above: rather too much is hidden
        return PASSWORD
    return level


def _is_place(value: str) -> bool:
    found: bool = _rules("values").is_place(value)
    return found


def _in_url(value: str, *, whole_path: bool) -> Iterator[str]:
    """Give what is secret in a URL: its password, its token, and in a webhook's each part that no person would type."""
    values = _rules("values")
    address, _, query = value.partition("://")[2].partition("#")[0].partition("?")
    location, _, path = address.partition("/")
    login, at, _ = location.rpartition("@")
    if at:
        secret = login.partition(":")[2] or login
        if len(secret) >= _MIN_LITERAL or values.is_made(secret, _MIN_LITERAL - 2):
            yield secret
    if whole_path:
        yield from (part for part in path.split("/") if len(part) >= _MIN_PART and values.is_mixed(part))
        yield from (text for pair in query.split("&") if len(text := pair.partition("=")[2]) >= _MIN_LITERAL)


def _forms(secret: str) -> Iterator[str]:
    """Give the forms that a secret takes in texts: as it is, escaped, in a URL, and a line at a time."""
    yield secret
    if not secret.isalnum():
        yield "".join(c if c.isalnum() or c in "-._~" else _percent(c) for c in secret)
        yield repr(secret)[1:-1]
        yield secret.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        if "\n" in secret:
            yield from (line for line in secret.splitlines() if len(line) >= _MIN_LINE and " " not in line)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))


class _Walk:
    """One pass over one event's metadata: keeps the path, and a budget that bounds any input."""

    __slots__ = ("budget", "redacted", "redactor")

    def __init__(self, redactor: Redactor) -> None:
        self.redactor = redactor
        self.redacted: list[str] = []
        self.budget = _MAX_NODES

    def mapping(self, values: Mapping[Any, Any], path: str, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        redactor = self.redactor
        named = _named_value(values)
        for key, value in islice(values.items(), _MAX_ITEMS):
            name = key if type(key) is str else str(self.value(key, path, _MAX_DEPTH))
            shown = redactor.short(name)
            if shown in result:
                shown = _free(shown, result)
            where = f"{path}.{name}" if path else name
            level = redactor.meaning(named if named and name == "value" else name)
            if level != NO and _may_be_secret(value) and _is_hidden(level, value):
                self._note(where)
                result[shown] = MASK
            else:
                result[shown] = self.value(value, where, depth + 1)
        if len(values) > _MAX_ITEMS:
            result[_free("…", result)] = f"{len(values) - _MAX_ITEMS} more"
        return result

    def value(self, value: Any, path: str, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            self.budget -= 1
            return "…" if self.budget < 0 or depth > _MAX_DEPTH else self._string(value, path)
        if value is None or kind is bool or (kind is int and -(2**63) <= value < 2**64):
            return value
        if kind is float:
            return value if value - value == 0 else str(value)  # NaN and the infinities have no JSON
        self.budget -= 1
        if self.budget < 0 or depth > _MAX_DEPTH:
            return "…"
        return self._other(value, path, depth)

    def _other(self, value: Any, path: str, depth: int) -> Any:
        try:
            if isinstance(value, Mapping):
                return self.mapping(value, path, depth)
            if isinstance(value, (list, tuple, set, frozenset)):
                items = self._items(list(islice(value, _MAX_ITEMS)), path, depth + 1)
                return [*items, f"… ({len(value) - _MAX_ITEMS} more)"] if len(value) > _MAX_ITEMS else items
            if isinstance(value, str):  # a subclass, such as an enum's member
                return self._string(str.__str__(value), path)
            if isinstance(value, (int, float)) and type(value) not in (int, float):  # as NumPy's numbers are
                plain = int(value) if isinstance(value, int) else float(value)
                return self.value(plain, path, depth)
            return self._string(_describe(value), path)
        except Exception as error:  # noqa: BLE001 - the value's own code may raise anything
            return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"

    def _items(self, items: Sequence[Any], path: str, depth: int) -> list[Any]:
        cleaned: list[Any] = []
        before: Any = None
        for i, item in enumerate(items):
            where = f"{path}[{i}]"
            if type(before) is str and type(item) is str and self._follows(before, item, items):
                self._note(where)
                cleaned.append(MASK)
            else:
                cleaned.append(self.value(item, where, depth))
            before = item
        return cleaned

    def _follows(self, before: str, item: str, items: Sequence[Any]) -> bool:
        """Tell whether this item of a list is the secret that the one before it announces, as in a command line."""
        if item.startswith("-p") and len(item) > 4 and "mysql" in str(items[0]):
            return True
        if item.startswith("-") or not item:
            return False
        if before.startswith("-"):
            if self.redactor.is_secret_key(before) and "=" not in before:
                return not _only_stands_for_one(item)
            if before in ("-u", "--user", "--proxy-user") or (before in ("-a", "--auth") and "http" in str(items[0])):
                secret = item.partition(":")[2]
                return bool(secret) and not secret.isdigit() and not _only_stands_for_one(secret)
            return (before == "-p" and ("login" in items or "sshpass" in items)) or (
                before == "-a" and "redis-cli" in items
            )
        return len(items) == 2 and self.redactor.is_secret_key(before) and _is_hidden(MAYBE, item)

    def _string(self, value: str, path: str) -> str:
        cleaned = self.redactor.short(value) if len(value) <= _LONGEST_KEY else self.redactor.text(value)
        if cleaned is not value and cleaned.count(MASK) > value.count(MASK):
            self._note(path)
        return cleaned

    def _note(self, path: str) -> None:
        self.redacted.append(self.redactor.text(path, _LONGEST_KEY))


def _describe(value: Any) -> str:
    """Return the text form of a value that is no JSON type: the plain one where there is one, else its repr."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value[: _MAX_TEXT * 2]).decode("utf-8", "backslashreplace")
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    if isinstance(value, int):
        return hex(value)  # too large for JSON numbers to be safe, and for Python to make decimal digits of
    return str(value)


def _may_be_secret(value: Any) -> bool:
    """Tell whether there is something to hide: not in nothing, truth values and what is empty."""
    kind = type(value)  # not `isinstance`, which asks the value, and it may answer anything
    return value is not None and kind is not bool and not (kind in _SIZED and not value)


def _is_hidden(level: int, value: Any) -> bool:
    """Tell whether this value is hidden under a key whose name says so much of it."""
    if level >= YES and type(value) is dict:
        return not _only_describes(value)
    small = type(value) in (int, float) and -_SMALL < value < _SMALL  # `token: 5`, `failed_passwords: 2` count
    if level in (NO, PASSWORD):
        return level == PASSWORD and not (
            (small and type(value) is int) or (type(value) is str and _only_stands_for_one(value))
        )
    if type(value) in (int, float):
        return level == YES and not small
    looks_secret = _rules("values").looks_secret
    items = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
    if level == YES and type(value) is not str:
        return True
    if level == YES and _only_stands_for_one(value):
        return False
    texts = (_describe(item) for item in islice(items, _MAX_ITEMS) if isinstance(item, (str, bytes, bytearray)))
    return any(text and looks_secret(text, level) for text in texts)


def _only_describes(value: dict[Any, Any]) -> bool:
    """Tell whether a mapping under a secret's name tells only about it: where it is from, of what kind."""
    is_mixed = _rules("values").is_mixed
    return all(
        item is None
        or type(item) in (bool, float)
        or (type(item) is int and (-_SMALL < item < _SMALL or _is_about(key)))
        or (type(item) is str and not is_mixed(item) and _is_about(key))
        for key, item in islice(value.items(), _MAX_ITEMS)
    )


def _is_about(key: Any) -> bool:
    return type(key) is str and _meaning(f"token_{key}"[-_LONGEST_KEY:]) == NO


def _only_stands_for_one(value: str) -> bool:
    values = _rules("values")
    return values.is_placeholder(value) or values.is_state(value) or ("://" not in value and values.is_place(value))


def _named_value(values: Mapping[Any, Any]) -> str | None:
    """Return what `value` is the value of in a mapping such as ``{"name": "DB_PASSWORD", "value": …}``."""
    if type(values) is not dict or "value" not in values:
        return None
    names = (values.get(key) for key in ("name", "key", "header", "variable"))
    return next((name for name in names if type(name) is str), None)


_SMALL = 1000
_SIZED = (str, bytes, list, tuple, dict, set)


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """Return the name, or one like it that is not taken: nothing that a caller gave is overwritten."""
    while name in taken:
        name += "_"
    return name


def _letters(key: str) -> str:
    return "".join(c for c in key.lower() if c.isalnum())
