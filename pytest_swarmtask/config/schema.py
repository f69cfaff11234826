"""The JSON Schema of `workflow.yaml`, for editors and other tools."""

from __future__ import annotations

from typing import Any

import msgspec

from pytest_swarmtask.config.fields import ALSO_NUMBER
from pytest_swarmtask.config.workflow import Webhook, Workflow

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12), generated from the model."""
    tidied: dict[str, Any] = _tidy(msgspec.json.schema(Workflow))
    definitions = tidied.pop("$defs")
    for definition in definitions.values():
        required = definition.get("required", ())
        for name, value in definition.get("properties", {}).items():
            if name not in required:
                definition["properties"][name] = _or_empty(value)
    has_url, is_otlp = {"required": ["url"]}, {"properties": {"format": {"const": "otlp"}}, "required": ["format"]}
    definitions[Webhook.__name__]["anyOf"] = [has_url, is_otlp]
    top = definitions.pop(Workflow.__name__)
    environments = top["properties"]["environments"]
    environments["additionalProperties"] = _or_empty(environments["additionalProperties"])
    return {"$schema": DIALECT, **top, "title": "workflow.yaml of pytest-swarmtask", "$defs": definitions}


def _tidy(value: Any) -> Any:
    """Remove keys that are not JSON Schema or mean nothing, and allow numbers where a number is taken as text."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    # `discriminator` is a key of OpenAPI, which strict validators refuse.
    tidied = {
        key: _tidy(item) for key, item in value.items() if key != "discriminator" and (key, item) != ("required", [])
    }
    if tidied.get("$comment") == ALSO_NUMBER:
        tidied["type"] = ["string", "number"]
    return tidied


def _or_empty(value: dict[str, Any]) -> dict[str, Any]:
    """Allow a list or mapping to be empty, as it is when all of its lines are commented out."""
    if "$ref" in value:
        rest = {key: item for key, item in value.items() if key != "$ref"}
        return {**rest, "anyOf": [{"$ref": value["$ref"]}, {"type": "null"}]}
    if value.get("type") in ("object", "array"):
        return {**value, "type": [value["type"], "null"]}
    return value
