"""A configuration file as a tree that remembers where each value was written, and what is wrong with it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.text import neutral

BROKEN: Any = object()
"""Stands for a value that was already reported."""

_LONGEST = 60
_PLAIN_KEY = re.compile(r"[\w-]+")


@dataclass(frozen=True)
class Node:
    """A value and where it is from.

    Attributes:
        value: text, number, boolean, None, `BROKEN`, a list of nodes, or a mapping from text to nodes.
        line: counted from 1; for what is under a key, the key's line.
        path: key path in the file, such as ``task_integration.webhooks[0].url``.
        origin: the same for people who ask where a value came from, such as ``workflow.yaml:12``.
        text: a scalar as it was written.
    """

    value: Any
    line: int = 1
    path: str = ""
    origin: str = ""
    text: str = ""

    def at(self, *keys: str) -> Node:
        """Return the node under these keys, or one without a value."""
        node = self
        for key in keys:
            node = node.value.get(key, NOTHING) if isinstance(node.value, dict) else NOTHING
        return node

    def items(self, *keys: str) -> list[Node]:
        """Return the items of the list under these keys; none where there is no list."""
        value = self.at(*keys).value
        return value if isinstance(value, list) else []

    def plain(self) -> Any:
        """Return the value without positions, and without the keys that nothing stands behind."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items() if node.value is not None}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


NOTHING = Node(None)


class Problems:
    """What is wrong with one file, each told once, in the order of its lines."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.environment: str | None = None
        """Set while the file is checked as one environment changes it."""
        self._found: set[tuple[int, str]] = set()

    def add(self, line: int, path: str, message: str) -> None:
        """Note a problem: where, and a sentence "found …, expected …"."""
        problem = (line, f"{path}: {message}" if path else message)
        if problem not in self._found and self.environment and not path.startswith("environments."):
            problem = (line, f"{problem[1]} (in the environment {shorten(self.environment)})")
        self._found.add(problem)

    def fatal(self, line: int, path: str, message: str) -> ConfigError:
        """Note a problem that makes further reading pointless, and return all of them as an error."""
        self.add(line, path, message)
        return ConfigError(self.lines())

    def lines(self) -> list[str]:
        """Return the problems as whole sentences."""
        return [f"{self.file}:{line}: {neutral(message)}" for line, message in sorted(self._found)]

    def raise_if_any(self) -> None:
        """Raise what was found, if anything was.

        Raises:
            ConfigError: with every problem noted so far.
        """
        if self._found:
            raise ConfigError(self.lines())


def join(path: str, key: str) -> str:
    """Return a key path with one more key, quoted where it is no plain word."""
    name = key if _PLAIN_KEY.fullmatch(key) else json.dumps(key)
    return f"{path}.{name}" if path else name


def shorten(text: str) -> str:
    """Return the beginning of a text, short enough for a message of one line."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
