"""Templates, `{{…}}` in texts of the configuration: fields of an event, its metadata, and more values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_swarmtask.core.event import Event

_PLACEHOLDER = re.compile(r"\{\{\s*(.*?)\s*\}\}")


def variables(event: Event, **more: object) -> dict[str, object]:
    """Return the values that templates may name: the fields of an event, its metadata, and `more`."""
    fields = {name: getattr(event, name) for name in event.__slots__}
    metadata = event.metadata
    known = {"environment": metadata.get("environment"), "task_title": metadata.get("task_title")}
    return {**fields, **known, **more}


def fill(template: str, values: Mapping[str, object], quote: Callable[[str], str] = str) -> str:
    """Return the text with each placeholder replaced by its value; an unknown one becomes an empty text.

    Args:
        template: the text.
        values: by name; dotted names such as ``metadata.branch`` lead into mappings.
        quote: applied to each value, to escape it for the place where it goes.
    """
    return _PLACEHOLDER.sub(lambda match: quote(_text(_value(match[1], values))), template)


def fill_all(value: Any, values: Mapping[str, object]) -> Any:
    """Return a JSON value with all templates in its texts filled; keys stay as they are."""
    if isinstance(value, dict):
        return {key: fill_all(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [fill_all(item, values) for item in value]
    return fill(value, values) if isinstance(value, str) else value


def _value(name: str, values: Mapping[str, object]) -> object:
    found: Any = values
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
