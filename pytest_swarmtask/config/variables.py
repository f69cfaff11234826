"""References to environment variables in texts of the configuration, so that it contains no secrets.

A reference is `${NAME}` or `${NAME:-default}`. The default is used if the variable is unset or empty. `$$` is a plain
dollar sign, and a dollar sign before anything but a name or a brace is one, too. The model keeps references as they are
written. They are replaced where a text is used, so that no secret is stored or passed around.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
# Group 1 is the variable's name, and group 2 its default. Group 3 is what cannot be understood; `$$` has no group.
# A default contains no reference: `${A:-${B}}` would end with the first brace.
_DOLLAR = re.compile(rf"\$\$|\$\{{({_NAME})(?::-([^}}$]*))?\}}|(\$\{{[^}}]*\}}?|\${_NAME})")


class UnsetVariableError(ConfigError):
    """A text needs an environment variable that is not set.

    Attributes:
        name: the name of the variable.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__([f"the environment variable {name} is not set"])


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Return the text with every reference replaced by its value.

    Raises:
        UnsetVariableError: a variable without a default is not set.
    """

    def value(match: re.Match[str]) -> str:
        name, default, unknown = match.groups()
        if name is None:
            return unknown or "$"
        if default is not None:
            return environ.get(name) or str(default)
        if name not in environ:
            raise UnsetVariableError(name)
        return environ[name]

    return _DOLLAR.sub(value, text)


def expand_all(value: Any, environ: Mapping[str, str]) -> Any:
    """Return a JSON value with every reference in its texts replaced; keys stay as they are.

    Raises:
        UnsetVariableError: a variable without a default is not set.
    """
    if isinstance(value, dict):
        return {key: expand_all(item, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [expand_all(item, environ) for item in value]
    return expand(value, environ) if isinstance(value, str) else value


def unknown_reference(text: str) -> str | None:
    """Return the first text that looks like a reference and is none, such as `$NAME`, or None."""
    return next((match[3] for match in _DOLLAR.finditer(text) if match[3]), None)


def references(text: str) -> list[str]:
    """Return the names of the variables without a default: they must be set before the text can be used."""
    return [match[1] for match in _DOLLAR.finditer(text) if match[1] and match[2] is None]


def mentioned(text: str) -> list[str]:
    """Return the names of all variables in the text, with or without a default."""
    return [match[1] for match in _DOLLAR.finditer(text) if match[1]]


def mentions(text: str, name: str) -> bool:
    """Whether the text contains this variable, with or without a default."""
    return name in mentioned(text)


def has_defaults(text: str) -> bool:
    """Whether a reference in the text has a default that is not empty."""
    return any(match[2] for match in _DOLLAR.finditer(text))


def literal_part(text: str) -> str:
    """Return what the file itself contains: the text without references, but with their defaults."""
    return _DOLLAR.sub(lambda match: match[3] or match[2] or ("" if match[1] else "$"), text)
