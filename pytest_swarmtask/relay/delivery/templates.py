"""`{{…}}` in texts of the configuration: fields of an event, anything of its metadata, and what a rule adds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_swarmtask.core.event import Event

_PLACEHOLDER = re.compile(r"\{\{\s*(.*?)\s*\}\}")


def variables(event: Event, **more: object) -> dict[str, object]:
    """Return what templates may name about an event: its fields, its metadata, and `more`."""
    fields = {name: getattr(event, name) for name in event.__slots__}
    metadata = event.metadata
    known = {"environment": metadata.get("environment"), "task_title": metadata.get("task_title")}
    return {**fields, **known, **more}


def fill(template: str, values: Mapping[str, object], quote: Callable[[str], str] = str) -> str:
    """Return the text with each placeholder replaced by its value; what is not known becomes nothing.

    Args:
        template: the text.
        values: by name; `metadata` is a mapping that dotted names lead into.
        quote: what each value goes through.
    """
    return _PLACEHOLDER.sub(lambda match: quote(_text(_value(match[1], values))), template)


def fill_all(value: Any, values: Mapping[str, object]) -> Any:
    """Return a value of JSON with all texts in it filled."""
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
