"""Makes of any Python value one that may be written: JSON can carry it, it is bounded, and it holds no secret.

A text passes an ordered chain. It loses the literal values of environment variables that hold secrets, the secrets of a
known form (`formats`), and the secrets that it names (`names`, `texts`). A mapping loses the values of keys that name a
secret (`names`, `values`). All of this happens before the first write, so no later stage has to be trusted with it.
"""

from __future__ import annotations

from _collections_abc import Mapping  # `collections.abc` loads `collections`, a fifth of what an emitter would need
from itertools import islice

from pytest_swarmtask.core.event import MASK
from pytest_swarmtask.core.fastjson import loads
from pytest_swarmtask.redaction.hints import (
    NO,
    PASSWORD,
    YES,
    may_be_cut,
    may_be_secret_name,
    may_hold_command,
    may_hold_credentials,
    may_hold_named_credentials,
    may_hold_token,
    may_name_secret,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import ModuleType
    from typing import Any

# Bounds of an event, whose line has at most 16 KiB beside the evidence of a test: some long texts fit, and the whole of
# an ordinary mapping.
_MAX_TEXT = 2048
_MAX_ITEMS = 100
# Deeper and larger values are cyclic or endless more often than meant; the walk through them has to end.
_MAX_DEPTH = 6
_MAX_NODES = 1000

_MAX_CHARACTERS = 16_384
"""So many characters of an event are searched for secrets, give or take one text: its facts have at most 16 KiB."""
_AT_ONCE = 64
"""So many node ids are searched at once. A larger number saves little, and one secret makes all of them be divided."""
_NAMED_COUNTS = 2
"""A long text that names a secret counts so many times: the worst takes two microseconds for each character, others a
small part of that."""

_BEYOND = 512
"""So much of a text is searched beyond its limit, so that a secret across the cut is found, ..."""
_LONGEST_SECRET = 4096
"""... or so much where the word across the cut is long, or the text has one of these secrets of many lines."""
_OF_MANY_LINES = ("-----BEGIN ", "_VAULT;", "ata:", 'ata":')
"""A private key, a text of Ansible's vault, and the `data` of a Secret, whose `kind` stands behind it."""
_LONGEST_KEY = 200
"""A longer key is cut, and the last so many characters of its name are judged. Texts up to this length come again and
again, such as keys and outcomes, so what becomes of them is kept."""

_MIN_LITERAL = 8
"""A shorter value of a variable, such as `test` or `admin`, would be hidden in many a word that is no secret."""
_MIN_RANDOM_LITERAL = 6
"""A URL's password may be this short if it looks random: then it is a part of no word."""
_MIN_LINE = 20
"""One line of a secret of several is hidden alone from this length on: shorter ones, such as `}`, are in any text."""
_MIN_PART = 12
"""A part of a webhook's path may be a secret from this length on: shorter ones are words, versions and ids."""

_NO_SECRETS = ("PWD", "OLDPWD")
"""Variables that the shell keeps folders in. `PWD` also means password: without this all paths would be hidden."""
_COMMON = ("password", "postgres", "changeme", "required", "disabled", "undefined", "anonymous", "localhost")
"""Passwords that nobody keeps secret: hiding them would hide these words in all texts."""
_DATA = ("data", "stringData")
"""Where a Secret of Kubernetes keeps what is secret, whatever it is called there."""
_SIZED = (str, bytes, list, tuple, dict, set)


class _RuleModules:
    """The modules with the rules, each imported by the first text that needs it.

    Most events need none of them. An emitter lives for a few milliseconds, and `re` alone would take one of these.
    """

    def __getattr__(self, name: str) -> Any:
        """Import a module and keep it. Python calls this only for an attribute that is not there yet."""
        module: ModuleType
        if name == "commands":
            from pytest_swarmtask.redaction import commands

            module = commands
        elif name == "cuts":
            from pytest_swarmtask.redaction import cuts

            module = cuts
        elif name == "formats":
            from pytest_swarmtask.redaction import formats

            module = formats
        elif name == "hidden":
            from pytest_swarmtask.redaction import hidden

            module = hidden
        elif name == "lists":
            from pytest_swarmtask.redaction import lists

            module = lists
        elif name == "names":
            from pytest_swarmtask.redaction import names

            module = names
        elif name == "prefixes":
            from pytest_swarmtask.redaction import prefixes

            module = prefixes
        elif name == "texts":
            from pytest_swarmtask.redaction import texts

            module = texts
        elif name == "values":
            from pytest_swarmtask.redaction import values

            module = values
        else:
            raise AttributeError(name)
        setattr(self, name, module)
        return module


_rules = _RuleModules()


def load_rules() -> None:
    """Load all rules now, for a process that may redact while the interpreter ends, too late for an import."""
    for name in ("commands", "cuts", "formats", "hidden", "lists", "names", "prefixes", "texts", "values"):
        getattr(_rules, name)


class Redactor:
    """Hides what counts as a secret in this process.

    Args:
        environ: the environment variables: the values of those that are named like secrets are hidden in all texts.
        keys: further endings of keys that name a secret, in any style.
        allow: keys that are harmless although they are named like secrets, in any style.
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
        self._seen: dict[str, tuple[str, Sequence[str]]] = {}
        self._literals: list[str] = []
        self.hide(environ, variables)

    def hide(self, environ: Mapping[str, str], variables: Iterable[str]) -> None:
        """Hide from now on the secret values in this environment, too.

        Args:
            environ: the environment variables.
            variables: names of those that hold secrets although they are not named like it.
        """
        self._hide_literals(self._secrets(environ, frozenset(variables)))

    def hide_values(self, secrets: Iterable[str]) -> None:
        """Hide from now on those of these secrets in all texts that are long or random enough."""
        self._hide_literals(secret for secret in _long_enough(secrets) if not _rules.hidden.is_stand_in(secret))

    def _hide_literals(self, secrets: Iterable[str]) -> None:
        found = {form for secret in secrets for form in _forms(secret)}
        self._literals = sorted(found.union(self._literals), key=len, reverse=True)
        self._seen.clear()

    def is_secret_key(self, key: str) -> bool:
        """Whether the name of this key alone says that its value is a secret."""
        return self.meaning(key) >= YES

    def meaning(self, key: str) -> int:
        """Return what a key says of its value: one of the levels of `hints`. What is configured goes before `names`."""
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
        """Return the text without secrets, encodable as UTF-8.

        Args:
            text: any text, also with lone surrogates.
            limit: how many characters are kept; where more were, their number is added.
        """
        return self.searched(text, limit)[0]

    def node_ids(self, nodeids: Sequence[str]) -> dict[str, str]:
        """Return what `text` returns of each node id.

        One search in many of them takes a fifth of the time of a search in each. If one of them may hold a secret, each
        half is searched.
        """
        found: dict[str, str] = {}
        parts = [nodeids[start : start + _AT_ONCE] for start in range(0, len(nodeids), _AT_ONCE)]
        for part in parts:
            middle = len(part) // 2
            if middle == 0:
                found[part[0]] = self.text(part[0])
            elif self._needs_no_change(part):
                found.update(zip(part, part, strict=True))
            else:
                parts += (part[:middle], part[middle:])
        return found

    def _needs_no_change(self, nodeids: Sequence[str]) -> bool:
        """Whether `text` returns each of them as it is. To say no is never wrong."""
        joined = "\n".join(nodeids)
        return (
            joined.isascii()
            and "\x1b" not in joined
            and not any(literal in joined for literal in self._literals)
            and self._is_harmless(joined)
            and not [nodeid for nodeid in nodeids if "::" not in nodeid]  # `may_hold_command` asks less of a node id
            and (len(joined) <= _MAX_TEXT or max(map(len, nodeids)) <= _MAX_TEXT)
        )

    def searched(self, text: str, limit: int = _MAX_TEXT) -> tuple[str, Sequence[str]]:
        """Return the text without secrets, and those of them that are hidden wherever else they stand.

        Args:
            text: any text, also with lone surrogates.
            limit: how many characters are kept; where more were, their number is added.
        """
        found: Sequence[str] = ()
        unseen = 0
        if len(text) > limit:
            end = _end_of_search(text, limit)
            unseen = len(text) - end
            text = text[:end]
        for literal in self._literals:
            if literal in text:
                text = text.replace(literal, MASK)
        try:
            if "\x1b" in text:
                text = self._coloured(text)
            cleaned = self._chain(text)
            if cleaned is not text and cleaned != text:
                found = sorted(_long_enough(_difference(text, cleaned)), key=len, reverse=True)
                text = _rules.cuts.without_known(cleaned, found, MASK) if found else cleaned
        except (ImportError, OSError):  # the rules cannot be loaded, as where no file can be opened any more
            text = MASK
        if len(text) > limit or unseen > 0:
            text = f"{text[:limit]}… ({max(0, len(text) - limit) + unseen} more characters)"
        if not text.isascii():
            text = text.encode("utf-8", "backslashreplace").decode()
        return text, found

    def _is_harmless(self, text: str) -> bool:
        """Whether no rule needs to look at a text, nor at any line of it."""
        lowered = text.lower()
        return not (
            self._endings
            or may_hold_token(text)
            or may_name_secret(lowered)
            or may_hold_credentials(lowered)
            or may_hold_command(lowered)
            or may_be_cut(text)
        )

    def _chain(self, text: str) -> str:
        if self._is_harmless(text):
            return text
        if may_hold_token(text):
            text = _rules.prefixes.without_prefixed(_rules.formats.without_tokens(text, MASK), MASK)
        lowered = text.lower()
        is_named = may_name_secret(lowered)
        if may_hold_named_credentials(lowered) if is_named else may_hold_credentials(lowered):
            text = _rules.formats.without_credentials(text, lowered, MASK)
        if is_named or may_hold_command(lowered):
            text = _rules.commands.without_arguments(text, lowered, MASK)
        if is_named or self._endings:
            text = self._without_named(text)
        if may_be_cut(text):
            text = _rules.cuts.without_tails(text, MASK)
        return text

    def _coloured(self, text: str) -> str:
        """Return a terminal's text as it is, or without its colours if there are secrets in it: colours split them."""
        plain = _rules.texts.without_colours(text)
        cleaned = self._chain(plain)
        return text if cleaned == plain else cleaned

    def metadata(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """Return a copy of event metadata that JSON can carry and that holds no secret.

        Args:
            values: a mapping with keys and values of any type.

        Returns:
            The copy. The paths of what was hidden are listed under ``redacted``. If texts were left out because there
            are too many, ``truncated`` is true.
        """
        walk = _Walk(self)
        cleaned = walk.mapping(values, "", 0)
        if walk.found:
            cleaned = walk.without_found(cleaned)
        if walk.left_out:
            cleaned.setdefault("truncated", True)
        if walk.redacted:
            cleaned[_free("redacted", cleaned)] = walk.redacted
        return cleaned

    def without_found(self, values: Any, found: Iterable[str]) -> Any:
        """Return cleaned metadata without the secrets that `searched` has found in other texts of the same event."""
        walk = _Walk(self)
        walk.found.update(found)
        return walk.without_found(values) if walk.found else values

    def plain(self, value: Any, limit: int = _MAX_TEXT) -> str:
        """Return any value as text, without secrets, at most about `limit` characters long. Never raises."""
        return self.text(value if type(value) is str else str(_Walk(self).value(value, "", 0)), limit)

    def short(self, text: str) -> str:
        """Return at most about 200 characters of a text, without secrets."""
        return self.remembered(text)[0]

    def remembered(self, text: str) -> tuple[str, Sequence[str]]:
        """Return what `searched` does of at most about 200 characters. What was seen before costs a lookup."""
        known = self._seen.get(text)
        if known is None:
            known = self.searched(text, _LONGEST_KEY)
            if len(self._seen) < _MAX_NODES:
                self._seen[text] = known
        return known

    def _without_named(self, text: str) -> str:
        if text[:1] in ("{", "["):
            text = self._json(text)
        named: str = _rules.texts.without_named(text, MASK, self.meaning)
        return named

    def _json(self, text: str) -> str:
        """Return a text that is JSON as a whole without the secrets in it, and any other text as it is."""
        walk = _Walk(self)
        try:
            cleaned = walk.value(loads(text), "", 0)
        except (ValueError, RecursionError):
            return text
        if not walk.redacted:
            return text
        import json  # only where there is a secret: start-up does without

        return json.dumps(cleaned, ensure_ascii=False)

    def _secrets(self, environ: Mapping[str, str], variables: frozenset[str]) -> Iterator[str]:
        """Give the values of an environment that are secrets, and of URLs the secret parts."""
        for name, value in environ.items():
            if len(value) < _MIN_LITERAL or name in _NO_SECRETS:
                continue
            if "://" in value:
                yield from _in_url(value, whole_path=name in variables or "WEBHOOK" in name.upper())
            elif name in variables or (
                _is_hidden(self.meaning(name), value)
                and value.lower() not in _COMMON
                and not _rules.values.is_place(value)
            ):
                yield value


def _end_of_search(text: str, limit: int) -> int:
    """Return how much of a text is searched of which so many characters are kept."""
    longest = min(len(text), limit + _LONGEST_SECRET)
    end = limit + _BEYOND
    if longest <= end or any(mark in text[:limit] for mark in _OF_MANY_LINES):
        return longest
    space, line = text.find(" ", end, longest), text.find("\n", end, longest)
    return min(found for found in (space, line, longest) if found >= 0)


def _long_enough(secrets: Iterable[str]) -> Iterator[str]:
    """Give those secrets that are hidden wherever they stand: shorter ones are a part of other words."""
    for secret in secrets:
        if secret.lower() not in _COMMON and (
            len(secret) >= _MIN_LITERAL or _rules.values.is_made(secret, _MIN_RANDOM_LITERAL)
        ):
            yield secret


def _difference(text: str, cleaned: str) -> Iterator[str]:
    """Give what a mask stands for in a text."""
    start, *pieces = cleaned.split(MASK)
    at = len(start)
    for piece in pieces:
        end = text.find(piece, at) if piece else len(text)
        if end < 0:
            return  # the text was written anew, as JSON
        yield text[at:end]
        at = end + len(piece)


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
        level: int = _rules.names.meaning(key)
    except (ImportError, OSError):  # the rules cannot be loaded: rather too much is hidden
        return PASSWORD
    return level


def _is_hidden(level: int, value: Any) -> bool:
    if level == NO or not _may_be_secret(value):
        return False  # before the rules are loaded: the end of each session has such keys
    try:
        hidden: bool = _rules.hidden.is_hidden(level, value)
    except (ImportError, OSError):  # the rules cannot be loaded: rather too much is hidden
        return True
    return hidden


def _in_url(url: str, *, whole_path: bool) -> Iterator[str]:
    """Give the secrets in a URL.

    Args:
        url: the URL.
        whole_path: it is a webhook's, so that the parts of its path and its query can be secrets, too.
    """
    address, _, query = url.partition("://")[2].partition("#")[0].partition("?")
    location, _, path = address.partition("/")
    login, at, _ = location.rpartition("@")
    if at:
        secret = login.partition(":")[2] or login
        if len(secret) >= _MIN_LITERAL or _rules.values.is_made(secret, _MIN_RANDOM_LITERAL):
            yield secret
    if whole_path:
        yield from (part for part in path.split("/") if len(part) >= _MIN_PART and _rules.values.is_mixed(part))
        yield from (text for pair in query.split("&") if len(text := pair.partition("=")[2]) >= _MIN_LITERAL)


def _forms(secret: str) -> Iterator[str]:
    """Give the forms that a secret has in texts: as it is, in a URL, as `repr` and JSON escape it, and line by line."""
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
    """One walk through the metadata of one event.

    Attributes:
        redactor: what counts as a secret.
        redacted: the paths of what was hidden.
        found: the secrets that were found in texts and under names, to be hidden wherever else they stand.
        budget: how many more texts, lists and mappings are copied: it bounds the time for any input.
        characters: how many more characters are searched for secrets.
        left_out: whether something was left out because there are too many characters.
    """

    __slots__ = ("budget", "characters", "found", "left_out", "redacted", "redactor")

    def __init__(self, redactor: Redactor) -> None:
        self.redactor = redactor
        self.redacted: list[str] = []
        self.found: set[str] = set()
        self.budget = _MAX_NODES
        self.characters = _MAX_CHARACTERS
        self.left_out = False

    def mapping(self, values: Mapping[Any, Any], path: str, depth: int) -> dict[str, Any]:
        """Return a copy of the mapping at this path and depth. What its own code raises is passed on."""
        result: dict[str, Any] = {}
        redactor = self.redactor
        named = _named_value(values)
        kept = _DATA if _is_secret_of_kubernetes(values) else ()
        for key, value in islice(values.items(), _MAX_ITEMS):
            if self.characters <= 0:
                self.left_out = True
                break
            name = key if type(key) is str else str(self.value(key, path, _MAX_DEPTH))
            self.characters -= min(len(name), _LONGEST_KEY)
            shown = redactor.short(name)
            if shown in result:
                shown = _free(shown, result)
            where = f"{path}.{name}" if path else name
            level = PASSWORD if name in kept else redactor.meaning(named if named and name == "value" else name)
            if level != NO and _is_hidden(level, value):
                self._note(where)
                if type(value) is str:
                    self.found.update(_long_enough([value[:_LONGEST_SECRET]]))
                result[shown] = MASK
            else:
                result[shown] = self.value(value, where, depth + 1)
        left_out = len(values) - len(result)
        if left_out > 0:
            result[_free("…", result)] = f"{left_out} more"
        return result

    def value(self, value: Any, path: str, depth: int) -> Any:
        """Return what is written of any value at this path and depth. Never raises."""
        kind = type(value)  # straight, not a table of types: this is asked of every value
        if kind is str:
            self.budget -= 1
            return "…" if self.budget < 0 or depth > _MAX_DEPTH else self._string(value, path)
        if value is None or kind is bool or (kind is int and -(2**63) <= value < 2**64):
            return value
        if kind is float:
            return value if value - value == 0 else str(value)  # JSON has no NaN and no infinities
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
            if isinstance(value, str):  # a subclass, such as an enum's member, whose own `str` may say anything
                return self._string(str.__str__(value), path)
            if isinstance(value, (int, float)) and type(value) not in (int, float):  # a subclass, such as NumPy's
                plain = int(value) if isinstance(value, int) else float(value)
                return self.value(plain, path, depth)
            return self._string(_rules.hidden.text_of(value), path)
        except Exception as error:  # noqa: BLE001 - the value's own code may raise anything
            return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"

    def _items(self, items: Sequence[Any], path: str, depth: int) -> list[Any]:
        cleaned: list[Any] = []
        before: Any = None
        for i, item in enumerate(items):
            where = f"{path}[{i}]"
            if (
                type(before) is str
                and type(item) is str
                and _rules.lists.is_announced(self.redactor.is_secret_key, before, item, items)
            ):
                self._note(where)
                self.found.update(_long_enough([item[:_LONGEST_SECRET]]))
                cleaned.append(MASK)
            else:
                cleaned.append(self.value(item, where, depth))
            before = item
        if len(items) > 1:
            self.found.update(_long_enough(_rules.lists.taken(items)))
        return cleaned

    def _string(self, value: str, path: str) -> str:
        if self.characters <= 0:
            self.left_out = True
            return f"… ({len(value)} more characters)"
        if len(value) <= _LONGEST_KEY:
            self.characters -= len(value)
            cleaned, found = self.redactor.remembered(value)
        else:
            end = _end_of_search(value, _MAX_TEXT)
            self.characters -= end * (_NAMED_COUNTS if may_name_secret(value[:end].lower()) else 1)
            cleaned, found = self.redactor.searched(value)
        if cleaned is not value and cleaned.count(MASK) > value.count(MASK):
            self._note(path)
            self.found.update(found)
        return cleaned

    def without_found(self, value: Any, path: str = "") -> Any:
        """Return a cleaned value without the secrets that were found elsewhere in the event."""
        if type(value) is str:
            secrets = sorted(self.found, key=len, reverse=True)
            cleaned = _rules.cuts.without_known(value, secrets, MASK)
            if cleaned != value and path not in self.redacted:
                self._note(path)
            return cleaned
        if type(value) is dict:
            return {k: self.without_found(item, f"{path}.{k}" if path else k) for k, item in value.items()}
        if type(value) is list:
            return [self.without_found(item, f"{path}[{i}]") for i, item in enumerate(value)]
        return value

    def _note(self, path: str) -> None:
        self.redacted.append(self.redactor.text(path, _LONGEST_KEY))


def _may_be_secret(value: Any) -> bool:
    """Whether there is something to hide: None, truth values and empty values are shown."""
    kind = type(value)  # not `isinstance`, which asks the value, and it may answer anything
    return value is not None and kind is not bool and not (kind in _SIZED and not value)


def _named_value(values: Mapping[Any, Any]) -> str | None:
    """Return the name whose value `value` is in a mapping such as ``{"name": "DB_PASSWORD", "value": …}``."""
    if type(values) is not dict or "value" not in values:
        return None
    names = (values.get(key) for key in ("name", "key", "header", "variable"))
    return next((name for name in names if type(name) is str), None)


def _is_secret_of_kubernetes(values: Mapping[Any, Any]) -> bool:
    kind = values.get("kind") if type(values) is dict else None
    return type(kind) is str and kind == "Secret"


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """Return the name, or one like it that is not taken, so that nothing is overwritten that a caller gave."""
    while name in taken:
        name += "_"
    return name


def _letters(key: str) -> str:
    """Return a key without its style: `pin-code`, `PIN_CODE` and `pinCode` are one key."""
    return "".join(c for c in key.lower() if c.isalnum())
