"""The JSON Schema of `workflow.yaml`, for editors and for checks elsewhere."""

from __future__ import annotations

from typing import Any

import msgspec

from pytest_swarmtask.config.fields import ALSO_NUMBER
from pytest_swarmtask.config.model import Environment, Workflow

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) that the model makes."""
    raw = msgspec.json.schema(Workflow)
    tidied: dict[str, Any] = _tidy(raw)
    definitions = tidied.pop("$defs")
    top = definitions.pop(Workflow.__name__)
    for section in (top, definitions[Environment.__name__]):
        section["properties"] = {name: _or_empty(value) for name, value in section["properties"].items()}
    environments = top["properties"]["environments"]
    environments["additionalProperties"] = _or_empty(environments["additionalProperties"])
    return {"$schema": DIALECT, **top, "title": "workflow.yaml of pytest-swarmtask", "$defs": definitions}


def _tidy(value: Any) -> Any:
    """Drop what is not JSON Schema or says nothing, and let texts that may be a number be one."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    tidied = {
        key: _tidy(item) for key, item in value.items() if key != "discriminator" and (key, item) != ("required", [])
    }
    if tidied.get("$comment") == ALSO_NUMBER:
        tidied["type"] = ["string", "number"]
    return tidied


def _or_empty(value: dict[str, Any]) -> dict[str, Any]:
    """Let a section be there with nothing in it, as when all its keys are commented out."""
    if "$ref" not in value:
        return {**value, "type": ["object", "null"]}
    rest = {key: item for key, item in value.items() if key != "$ref"}
    return {**rest, "anyOf": [{"$ref": value["$ref"]}, {"type": "null"}]}
