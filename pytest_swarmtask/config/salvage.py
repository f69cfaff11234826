"""What can be read of a `workflow.yaml` that is not valid.

A file that cannot be understood must never make us do more than it says. So the few values that forbid something are
looked for in the YAML itself, without its checks: up to its first error, then in the sections that begin behind the
error, and last in single lines.
"""

from __future__ import annotations

import codecs
import re
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import yaml

from pytest_swarmtask.config.yamlfile import MAX_BYTES, MAX_DEPTH, MAX_VALUES
from pytest_swarmtask.core.files import only_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ON = ("true", "yes", "on", "1", "y", "~", "null", "")
"""Words by which people may mean that something is on, or leave it at its default. All others switch it off."""
_ENABLED = ("task_integration", "enabled")
_KEYS = ("task_integration", "redact", "keys")
_MAX_READ = 4 * 1024 * 1024
"""Bytes of a file that are read: one that is too large is not valid, but its comments may be what is large."""
_MAX_SECTIONS = 20
"""Sections behind an error that are parsed: each costs PyYAML time."""

_COMMENT = re.compile(r"^[ \t]*#[^\n]*\n?", re.MULTILINE)
_SECTION = re.compile(r"^['\"]?(?:task_integration|environments)['\"]?[ \t]*:", re.MULTILINE)
_LINE = re.compile(r"^([ \t]*)['\"]?([\w.-]+)['\"]?[ \t]*:(?:[ \t]+|$)(?:&\S+[ \t]*)?(.*)$")
_INLINE = re.compile(r"['\"]?([\w~]*)")


class ReadableValues(NamedTuple):
    """The values that forbid something.

    Attributes:
        enabled: whether events may be recorded.
        redact_keys: further endings of keys that name a secret.
    """

    enabled: bool
    redact_keys: list[str]


class _Part:
    """A value of the file, as far as it can be read.

    Attributes:
        text: the text of a single value.
        entries: keys and values of a mapping, with every duplicate.
        items: the items of a list.
    """

    __slots__ = ("entries", "items", "text")

    def __init__(self, text: str | None = None) -> None:
        self.text = text
        self.entries: list[tuple[str, _Part]] = []
        self.items: list[_Part] = []


def readable_values(path: str, environment: str | None) -> ReadableValues:
    """Return what can be read of a file. Never raises: what cannot be read is not there.

    Args:
        path: the file.
        environment: the environment whose values replace those of the file, or None.
    """
    try:
        with open(path, "rb", opener=only_regular) as file:
            text = _whole_lines(_decoded(file.read(_MAX_READ + 1)), _MAX_READ)
    except (OSError, ValueError):
        return ReadableValues(enabled=True, redact_keys=[])
    roots, lines = _readable_parts(text)
    overlay = ("environments", environment or "")
    found = [
        [
            *(part.text.lower() for part in _at(roots, (*prefix, *_ENABLED)) if part.text is not None),
            *(value for place, value in lines if place == (*prefix, *_ENABLED)),
        ]
        for prefix in (overlay, ())
    ]
    # What the environment says replaces the rest. Of several values in one place, one that switches off wins.
    decisive = found[0] or found[1]
    keys = [key for prefix in ((), overlay) for part in _at(roots, (*prefix, *_KEYS)) for key in _texts(part)]
    return ReadableValues(all(word in _ON for word in decisive), list(dict.fromkeys(keys)))


def _decoded(data: bytes) -> str:
    """Return the text, without the characters that PyYAML refuses."""
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16" if is_utf16 else "utf-8-sig", "replace")
    return str(yaml.reader.Reader.NON_PRINTABLE.sub("", text)).replace("\r\n", "\n").replace("\r", "\n")


def _whole_lines(text: str, limit: int) -> str:
    """Return the lines within the limit. A line is left out rather than cut: half of `true` would switch off."""
    return text if len(text) <= limit else text[: text.rfind("\n", 0, limit) + 1]


def _readable_parts(text: str) -> tuple[list[_Part], list[tuple[tuple[str, ...], str]]]:
    """Return the documents and sections that can be parsed, and single lines if there is an error."""
    anchors: dict[str, _Part] = {}
    roots: list[_Part] = []
    if len(text) > MAX_BYTES:
        text = _COMMENT.sub("", text)
    if _parse(_whole_lines(text, MAX_BYTES), roots, anchors) and len(text) <= MAX_BYTES:
        return roots, []
    for section in islice(_SECTION.finditer(text), _MAX_SECTIONS):
        rest = text[section.start() : section.start() + MAX_BYTES]
        _parse(_whole_lines(rest, MAX_BYTES // _MAX_SECTIONS), roots, anchors)
    return roots, list(_values_in_lines(text))


def _parse(text: str, roots: list[_Part], anchors: dict[str, _Part]) -> bool:
    """Add the documents of a text, up to its first error. Return whether there is none."""
    try:
        return _build(text, roots, anchors)
    except (ValueError, OverflowError, RecursionError, yaml.YAMLError):
        return False


def _build(text: str, roots: list[_Part], anchors: dict[str, _Part]) -> bool:
    around: list[_Part] = []
    keys: list[str | None] = []  # the key in each mapping around; None where a key is expected, "" in a list
    for number, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        if number > 2 * MAX_VALUES or len(around) > MAX_DEPTH:
            return False  # PyYAML would take minutes for a file of brackets
        if isinstance(event, yaml.CollectionEndEvent):
            around.pop()
            keys.pop()
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        if isinstance(event, yaml.AliasEvent):
            part = anchors.get(event.anchor or "") or _Part()
        else:
            part = _Part(event.value if isinstance(event, yaml.ScalarEvent) else None)
            if event.anchor:
                anchors[event.anchor] = part
        _attach(part, around, keys, roots)
        if isinstance(event, yaml.CollectionStartEvent):
            around.append(part)
            keys.append(None if isinstance(event, yaml.MappingStartEvent) else "")
    return True


def _attach(part: _Part, around: list[_Part], keys: list[str | None], roots: list[_Part]) -> None:
    """Put a value where it belongs: into the list or the mapping around, as a key or under the last key."""
    if not around:
        roots.append(part)
    elif keys[-1] is None:
        keys[-1] = part.text or "?"  # also a mapping as a key, which is none of ours
    elif keys[-1] == "":
        around[-1].items.append(part)
    else:
        around[-1].entries.append((keys[-1], part))
        keys[-1] = None


def _at(parts: Sequence[_Part], place: Sequence[str]) -> list[_Part]:
    """Return all values under a key path, duplicates and merged ones included."""
    found = list(parts)
    for key in place:
        found = [child for part in found for child in _children(part, key, set())]
    return found


def _children(part: _Part, key: str, seen: set[int]) -> list[_Part]:
    """Return the values of a key: the mapping's own, or else those of the first mapping merged with `<<`."""
    seen.add(id(part))
    own = [child for name, child in part.entries if name == key]
    if own:
        return own
    for name, child in part.entries:
        for source in [child, *child.items] if name == "<<" else ():
            if id(source) not in seen:  # an alias may lead back to itself
                own = _children(source, key, seen)
                if own:
                    return own
    return []


def _texts(part: _Part, depth: int = 0) -> Iterator[str]:
    if part.text is not None:
        yield part.text
    for item in part.items if depth < MAX_DEPTH else ():
        yield from _texts(item, depth + 1)


def _values_in_lines(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield key paths and single values that stand in a line each, by their indentation alone.

    It is for what YAML refuses, such as tabs, so a tab counts like eight spaces.
    """
    around: list[tuple[int, str]] = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        indent, key, value = len(match[1].expandtabs(8)), match[2], match[3].strip()
        while around and around[-1][0] >= indent:
            around.pop()
        if not around and indent:
            around.append((0, "?"))  # it is below something that is no key
        if not value or value[0] in "#|>&*!{[":
            around.append((indent, key))  # what is indented more, such as the lines of a text, is below this key
        elif key == _ENABLED[-1]:
            inline = _INLINE.match(value)
            yield (*(name for _, name in around), key), inline[1].lower() if inline else ""
