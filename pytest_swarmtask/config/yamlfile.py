"""Parse the text of `workflow.yaml` or `quarantine.yaml` into a tree of plain values.

YAML is read as data only: PyYAML composes a graph of nodes, and this module turns that into plain values, so no tag can
build an object. Single values follow YAML 1.2 and JSON: only `true` and `false` are booleans (`on`, `off` and `yes` are
text, so a trigger may have the key `on`), and only decimal numbers are numbers.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import yaml

from pytest_swarmtask.config.tree import BROKEN, Node, Problems, join, shorten
from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.files import only_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES = 256 * 1024
"""Size of the largest file. A larger one is not a configuration file, and PyYAML would take seconds to read it."""
MAX_VALUES = 20_000
"""The most values that a file may have after aliases are expanded: a few lines of aliases can expand to billions."""
MAX_DEPTH = 32
"""The deepest nesting. The recursion of this module and of later steps is bounded by it."""

_TAG = "tag:yaml.org,2002:"
_MAX_DIGITS = 40
"""Digits of the longest number: Python refuses very long ones with an error of its own."""


def read_text(path: Path) -> str | None:
    """Return the file's text, or None if there is no such file.

    Raises:
        ConfigError: the file cannot be read, is not a regular file, is too large, or is not UTF-8.
    """
    try:
        if not path.exists():
            if path.is_symlink() or path.parent.is_symlink():
                raise ConfigError([f"{path}: found a link to nothing, expected a YAML file"])
            return None
        if not path.is_file():
            raise ConfigError([f"{path}: found something that is no regular file, expected a YAML file"])
        with open(path, "rb", opener=only_regular) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror or error}"]) from None
    if len(data) > MAX_BYTES:
        raise ConfigError([f"{path}: found more than {MAX_BYTES} bytes, expected a configuration file"])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            [f"{path}:{line}: found the byte 0x{data[error.start]:02x}, expected text in UTF-8"]
        ) from None


def parse(text: str, name: str, problems: Problems, *, has_dates: bool = False) -> Node:
    """Return the tree of a YAML text.

    Args:
        text: the text.
        name: the name of the file in origins.
        problems: gets problems with which reading can go on, such as duplicate keys, dates and unknown tags.
        has_dates: whether dates are no problem. They are texts in the tree.

    Raises:
        ConfigError: the text is not YAML, or its aliases expand to too many values.
    """
    try:
        root = compose(text)
        return Node({}) if root is None else _Builder(name, problems, has_dates=has_dates).build(root)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise problems.fatal(
            line, "", f"found the character U+{error.character:04X}, expected printable text"
        ) from None
    except yaml.MarkedYAMLError as error:
        raise problems.fatal(*_syntax_problem(error)) from None
    except (ValueError, OverflowError):  # PyYAML raises these for an escape such as "\\UFFFFFFFF"
        raise problems.fatal(1, "", "found an escape or number out of range, expected valid YAML") from None
    except RecursionError:
        raise problems.fatal(1, "", f"found values nested too deep, expected at most {MAX_DEPTH} levels") from None


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as in the base class


# Which plain words are no texts; the last column lists their first characters, by which PyYAML finds the pattern.
for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
    ("timestamp", r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t][0-9].*)?", list("0123456789")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})\\Z"), _first)


def compose(text: str) -> yaml.Node | None:
    """Return PyYAML's node of the whole document, or None if it is empty."""
    loader = _Loader(text)
    try:
        node: yaml.Node | None = loader.get_single_node()
        return node
    finally:
        loader.dispose()


def _syntax_problem(error: yaml.MarkedYAMLError) -> tuple[int, str, str]:
    """Return line, key path and message of a syntax error."""
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    hint = "; indent with spaces, not with tabs" if "\\t" in (error.problem or "") else ""
    column = f" in column {mark.column + 1}" if mark else ""
    context = f" {error.context}" if error.context else ""
    return line, "", f"found invalid YAML{column}{context}: {error.problem}{hint}"


class _Builder:
    """Turns PyYAML's nodes into a tree, and expands aliases up to `MAX_VALUES` values."""

    def __init__(self, name: str, problems: Problems, *, has_dates: bool) -> None:
        self.name = name
        self.problems = problems
        self.has_dates = has_dates
        self.budget = MAX_VALUES

    def build(self, root: yaml.Node) -> Node:
        return self._node(root, root.start_mark.line + 1, "", None, 0)

    def _node(self, node: yaml.Node, line: int, path: str, environment: str | None, depth: int) -> Node:
        self._spend(line, path)
        if depth > MAX_DEPTH:
            raise RecursionError
        place = f"{self.name}:{line}"
        origin = f"environments.{environment} ({place})" if environment else place
        if isinstance(node, yaml.ScalarNode):
            return Node(self._scalar(node, line, path), line, path, origin, node.value)
        if node.tag not in (_TAG + "map", _TAG + "seq"):
            return Node(self._foreign(node, line, path), line, path, origin)
        if isinstance(node, yaml.MappingNode):
            mapping = {}
            for key, key_line, child in self._entries(node, path):
                scope = key if path == "environments" else environment
                mapping[key] = self._node(child, key_line, join(path, key), scope, depth + 1)
            return Node(mapping, line, path, origin)
        items = [
            self._node(item, item.start_mark.line + 1, f"{path}[{i}]", environment, depth + 1)
            for i, item in enumerate(node.value)
        ]
        return Node(items, line, path, origin)

    def _entries(self, node: yaml.MappingNode, path: str) -> Iterator[tuple[str, int, yaml.Node]]:
        """Yield a mapping's own entries, then those of mappings merged with `<<` whose keys it does not have itself."""
        own: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for key, child in node.value:
            line = key.start_mark.line + 1
            if key.tag == _TAG + "merge":
                merged += child.value if isinstance(child, yaml.SequenceNode) else [child]
            elif not isinstance(key, yaml.ScalarNode) or not _is_unicode(key.value):
                self.problems.add(line, path, "found a key that is no text, expected text")
            elif key.value in own:
                self.problems.add(
                    line, join(path, key.value), f"found this key twice, the first in line {own[key.value]}"
                )
            else:
                own[key.value] = line
                yield key.value, line, child
        for source in merged:
            self._spend(source.start_mark.line + 1, path)
            if not isinstance(source, yaml.MappingNode):
                self.problems.add(
                    source.start_mark.line + 1, join(path, "<<"), "found no mapping, expected an alias of one"
                )
                continue
            for name, line, child in self._entries(source, path):
                if name not in own:
                    own[name] = line
                    yield name, line, child

    def _scalar(self, node: yaml.ScalarNode, line: int, path: str) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        if kind == "str":
            return text if _is_unicode(text) else self._broken(line, path, "half a character", "whole ones")
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if kind in ("int", "float"):
            number = _number(kind, text)
            return (
                self._broken(line, path, text, "a finite decimal number, or text in quotes")
                if number is None
                else number
            )
        if kind == "timestamp":
            return (
                text if self.has_dates else self._broken(line, path, f"the date {text}", "a number, or text in quotes")
            )
        return self._foreign(node, line, path)

    def _foreign(self, node: yaml.Node, line: int, path: str) -> Any:
        return self._broken(line, path, f"the YAML tag {node.tag}", "plain text, numbers, lists and mappings")

    def _broken(self, line: int, path: str, found: str, expected: str) -> Any:
        self.problems.add(line, path, f"found {shorten(found)}, expected {expected}")
        return BROKEN

    def _spend(self, line: int, path: str) -> None:
        """Count one value."""
        self.budget -= 1
        if self.budget < 0:
            raise self.problems.fatal(
                line, path, f"found aliases that expand to more than {MAX_VALUES} values, expected fewer"
            )


def _is_unicode(text: str) -> bool:
    """Whether the text has no lone surrogates, which an escape can produce and no file can contain."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(kind: str, text: str) -> int | float | None:
    """Return a number, or None if it is too long, infinite or not a number."""
    if len(text) > _MAX_DIGITS:
        return None
    try:
        number = int(text) if kind == "int" else float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
