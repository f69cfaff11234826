"""References to environment variables in texts of the configuration, so that it contains no secrets.

A reference is `${NAME}` or `${NAME:-default}`. The default is used if the variable is unset or empty. The model keeps
references as they are written. They are replaced where a text is used, so that no secret is stored or passed around.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
"""Group 1 is the variable's name, group 2 its default, or None if there is none."""


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
        name, default = match.groups()
        if default is not None:
            return environ.get(name) or str(default)
        if name not in environ:
            raise UnsetVariableError(name)
        return environ[name]

    return REFERENCE.sub(value, text)


def references(text: str) -> list[str]:
    """Return the names of the variables without a default: they must be set before the text can be used."""
    return [match[1] for match in REFERENCE.finditer(text) if match[2] is None]


def mentioned(text: str) -> list[str]:
    """Return the names of all variables in the text, with or without a default."""
    return [match[1] for match in REFERENCE.finditer(text)]


def mentions(text: str, name: str) -> bool:
    """Whether the text contains this variable, with or without a default."""
    return name in mentioned(text)


def literal_part(text: str) -> str:
    """Return what the file itself contains: the text without references, but with their defaults."""
    return REFERENCE.sub(lambda match: match[2] or "", text)
