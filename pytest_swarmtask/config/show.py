"""Show the effective configuration: every value with its origin, without secrets."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from pytest_swarmtask.config.tree import join
from pytest_swarmtask.config.variables import UnsetVariableError, expand, literal_part, mentioned, references
from pytest_swarmtask.core.event import MASK
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.redaction.redactor import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_swarmtask.config.load import Loaded

# The value of a parameter in a URL, unless it is a reference.
_QUERY_VALUE = re.compile(r"([?&][^=&#\s]+=)(?!\$\{)[^&#\s]+")
# Texts that YAML reads as the same text without quotes, except for the words below.
_PLAIN = re.compile(r"[A-Za-z_/$](?:[\w./${}@+=*-]|:(?=\S))*")
_NO_PLAIN = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
# Keys below which the value of any variable may be a secret, whatever its name.
_SECRET_PLACES = frozenset(("headers", "body", "options"))
# Keys of texts in which no variable is filled in.
_LITERAL_PLACES = frozenset(("when", "redact"))
_LITERAL_KEYS = (("task_manager", "file"), ("task_manager", "tag"))
_WIDEST = 56
"""Columns of the YAML text before the comments, at most."""


@dataclass(frozen=True)
class Entry:
    """One value of the effective configuration.

    Attributes:
        value: the value as it is written, with `${NAME}` and without secrets.
        origin: where it comes from, such as ``workflow.yaml:12`` or ``default``.
        note: what it is at present, with its variables, or empty.
    """

    value: Any
    origin: str
    note: str


def entries(loaded: Loaded, environ: Mapping[str, str]) -> dict[str, Entry]:
    """Return all single values of the effective configuration by their key paths."""
    view = _View(loaded, environ)
    return dict(view.walk(_values(loaded), "", ()))


def yaml_lines(loaded: Loaded, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the effective configuration as lines of YAML, with the origin of each value in a comment."""
    lines = list(_lines(_values(loaded), "", 0, entries(loaded, environ), in_list=False))
    width = min(max(len(text) for text, _ in lines), _WIDEST)
    for text, entry in lines:
        if entry is None:
            yield neutral(text)
        else:
            comment = f"{entry.origin}; {entry.note}" if entry.note else entry.origin
            yield neutral(f"{text:<{width}}  # {comment}")


class _View:
    """Shows values without revealing secrets."""

    def __init__(self, loaded: Loaded, environ: Mapping[str, str]) -> None:
        redact = loaded.workflow.task_integration.redact
        self.origins = loaded.origins
        self.environ = environ
        self.redactor = Redactor(environ, redact.keys, redact.allow)

    def walk(self, value: Any, path: str, keys: tuple[str, ...]) -> Iterator[tuple[str, Entry]]:
        """Yield key path and entry of each single value. `keys` is the path without positions in lists."""
        if isinstance(value, dict) and value:
            for key, child in value.items():
                yield from self.walk(child, join(path, key), (*keys, key))
        elif isinstance(value, list) and value:
            for i, child in enumerate(value):
                yield from self.walk(child, f"{path}[{i}]", keys)
        else:
            yield path, Entry(self.shown(value, keys), self.origins.get(path, "default"), self.note(value, keys))

    def shown(self, value: Any, keys: tuple[str, ...]) -> Any:
        """Return the value as it is written, without secrets."""
        if "headers" in keys and isinstance(value, str):  # a header of any name may be a secret
            return _references_only(value)
        if value not in (None, {}, []) and not isinstance(value, bool) and self.redactor.is_secret_key(keys[-1]):
            return _references_only(str(value))
        if not isinstance(value, str):
            return value
        if _is_literal(keys):
            value = value.replace("$", "$$")  # the model has the text without references
        text = _QUERY_VALUE.sub(rf"\1{MASK}", value) if "://" in value else value
        return self.redactor.text(text)

    def note(self, value: Any, keys: tuple[str, ...]) -> str:
        """Return what the value is at present, or an empty text if it uses no variables."""
        if not isinstance(value, str) or _is_literal(keys):
            return ""
        if keys[-1].endswith("_env"):  # the name of a variable, whose value is a secret
            return "set" if self.environ.get(value) else "not set"
        names = mentioned(value)
        if not names:
            return ""
        missing = [name for name in references(value) if not self.environ.get(name)]
        if missing:
            inactive = "inactive: " if keys[-2:] == ("webhooks", "url") else ""
            return f"{inactive}{', '.join(missing)} not set"
        if not _SECRET_PLACES.isdisjoint(keys) or any(map(self.redactor.is_secret_key, (*names, keys[-1]))):
            return "set"
        return f"now {self._expanded(value)}"

    def _expanded(self, value: str) -> str:
        """Return a text with its variables replaced. Of a URL that is only the host, as its path may be a secret.

        Many services of Apprise have their token where other URLs have the host. Of such a URL that is only the scheme.
        """
        try:
            text = expand(value, self.environ)
            if "://" not in text:
                return json.dumps(self.redactor.text(text, 200))
            parts = urlsplit(text)
            if parts.scheme not in ("http", "https"):
                return f"{parts.scheme}://…"
            port = f":{parts.port}" if parts.port else ""
            return f"{parts.scheme}://{parts.hostname}{port}/…"
        except (UnsetVariableError, ValueError):
            return "no valid address"


def _values(loaded: Loaded) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(loaded.workflow)
    del values["environments"]
    return values


def _is_literal(keys: tuple[str, ...]) -> bool:
    return not _LITERAL_PLACES.isdisjoint(keys) or keys[-2:] in _LITERAL_KEYS


def _references_only(value: str) -> str:
    """Return the references in a text, and a mask for everything else."""
    named = [f"${{{name}}}" for name in mentioned(value)]
    literal = literal_part(value).strip()
    return " ".join([MASK, *named] if literal else named)


_Line = tuple[str, "Entry | None"]


def _lines(value: Any, path: str, indent: int, shown: Mapping[str, Entry], *, in_list: bool) -> Iterator[_Line]:
    for key, child in value.items():
        child_path = join(path, key)
        head = " " * indent + (key if _PLAIN.fullmatch(key) else json.dumps(key, ensure_ascii=False)) + ":"
        if isinstance(child, dict) and child:
            block = list(_lines(child, child_path, indent + 2, shown, in_list=in_list))
        elif isinstance(child, list) and child:
            block = [
                line for i, item in enumerate(child) for line in _item(item, f"{child_path}[{i}]", indent + 2, shown)
            ]
        else:
            entry = shown[child_path]
            # Sections are shown with all their keys, items of lists only with those that have a value.
            if not (in_list and entry.origin == "default" and child in (None, {}, [], "")):
                yield f"{head} {_scalar(entry.value)}", entry
            continue
        if block:
            yield head, None
            yield from block


def _item(value: Any, path: str, indent: int, shown: Mapping[str, Entry]) -> list[_Line]:
    """Return the lines of a list item, without keys that are unset."""
    if not isinstance(value, dict) or not value:
        return [(" " * indent + f"- {_scalar(shown[path].value)}", shown[path])]
    lines = list(_lines(value, path, indent + 2, shown, in_list=True))
    first, entry = lines[0]
    return [(" " * indent + "- " + first[indent + 2 :], entry), *lines[1:]]


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NO_PLAIN:
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)
