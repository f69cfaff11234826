"""`${NAME}` in a string of the configuration: how secrets and addresses are named there without being written.

A reference is `${NAME}` or `${NAME:-default}`; the default holds where the variable is unset or empty.
Values stay unexpanded in the model and are expanded where they are used, so that no secret travels.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
"""Group 1 is the variable's name, group 2 its default or None."""


class UnsetVariableError(ConfigError):
    """A text needs an environment variable that is not set; `name` tells which."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__([f"the environment variable {name} is not set"])


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Return the text with every reference replaced by its value.

    Raises:
        UnsetVariableError: a variable without default is not set.
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
    """Return the variables that must be set for the text to be usable: those named without a default."""
    return [match[1] for match in REFERENCE.finditer(text) if match[2] is None]


def mentioned(text: str) -> list[str]:
    """Return the variables that the text refers to, with or without a default."""
    return [match[1] for match in REFERENCE.finditer(text)]


def mentions(text: str, name: str) -> bool:
    """Tell whether the text refers to this variable, with or without a default."""
    return name in mentioned(text)


def literal_part(text: str) -> str:
    """Return what the file itself says: the text with references cut out, defaults left in."""
    return REFERENCE.sub(lambda match: match[2] or "", text)
