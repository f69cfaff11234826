"""A configuration file as a tree whose nodes know their line, and the list of its problems."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.fastjson import dumps
from pytest_swarmtask.core.text import neutral

BROKEN: Any = object()
"""The value of a node whose problem has been reported already, so that it is not reported twice."""

_LONGEST = 60
"""Characters of a value or key in a message."""
_PLAIN_KEY = re.compile(r"[\w-]+")


@dataclass(frozen=True)
class Node:
    """A value of the file, and its place.

    Attributes:
        value: a text, number, boolean, None, `BROKEN`, a list of nodes, or a mapping from text to nodes.
        line: the line, counted from 1. For a value under a key, the key's line.
        path: the key path in the file, such as ``task_integration.webhooks[0].url``.
        origin: where the value comes from, for people, such as ``workflow.yaml:12``.
        text: a single value as it was written, such as ``5.10``.
    """

    value: Any
    line: int = 1
    path: str = ""
    origin: str = ""
    text: str = ""

    def at(self, *keys: str) -> Node:
        """Return the node under these keys, or `NOTHING`."""
        node = self
        for key in keys:
            node = node.value.get(key, NOTHING) if isinstance(node.value, dict) else NOTHING
        return node

    def items(self, *keys: str) -> list[Node]:
        """Return the items of the list under these keys, or no items if there is no list."""
        value = self.at(*keys).value
        return value if isinstance(value, list) else []

    def plain(self) -> Any:
        """Return the plain value. Keys without a value are left out."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items() if node.value is not None}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


NOTHING = Node(None)


class Problems:
    """The problems of one file. Each is listed once, in the order of the lines."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.environment: str | None = None
        """The environment as which the file is being checked, or None for the file as it stands."""
        self._found: set[tuple[int, str]] = set()

    def add(self, line: int, path: str, message: str) -> None:
        """Add a problem, with a message such as ``found …, expected …``."""
        problem = (line, f"{path}: {message}" if path else message)
        # A problem that the file has anyway is not reported again for each environment.
        if problem not in self._found and self.environment and not path.startswith("environments."):
            problem = (line, f"{problem[1]} (in the environment {shorten(self.environment)})")
        self._found.add(problem)

    def is_clean(self, path: str) -> bool:
        """Whether there is no problem at a key path or below it."""
        begins = (f"{path}:", f"{path}.", f"{path}[")
        return not any(message.startswith(begins) for _, message in self._found)

    def fatal(self, line: int, path: str, message: str) -> ConfigError:
        """Add a problem after which reading cannot go on. Return an error with all problems, to be raised."""
        self.add(line, path, message)
        return ConfigError(self.lines())

    def lines(self) -> list[str]:
        """Return the problems as lines for people."""
        return [f"{self.file}:{line}: {neutral(message)}" for line, message in sorted(self._found)]

    def raise_if_any(self) -> None:
        """Raise an error if there are problems.

        Raises:
            ConfigError: with every problem so far.
        """
        if self._found:
            raise ConfigError(self.lines())


def join(path: str, key: str) -> str:
    """Return a key path with one more key, which is quoted unless it is a plain word."""
    name = key if _PLAIN_KEY.fullmatch(key) else dumps(key)
    return f"{path}.{name}" if path else name


def shorten(text: str) -> str:
    """Return the text, cut so that it fits into a message of one line."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
