"""The OpenAPI 3.1 document of the API, made of its endpoints and of the types of their parameters and objects.

The standard is https://spec.openapis.org/oas/v3.1.1.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pytest_swarmtask.server.parameters import described

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from msgspec import Struct
    from starlette.responses import Response

    from pytest_swarmtask.history.store import HistoryStore

_REF = "#/components/schemas/{name}"
_HIDDEN = "key"
"""The field that every answer leaves out: the primary key of a row means something only inside of one database."""
_ATTRIBUTE = re.compile(r"^    (\w+(?:, \w+)*): (.+(?:\n     .+)*)", re.MULTILINE)
"""An attribute in the docstring of a class."""

_PROBLEM = {
    "description": "An error, as RFC 9457 has it.",
    "type": "object",
    "required": ["title", "status", "detail"],
    "properties": {
        "title": {"type": "string", "description": "The name of the status."},
        "status": {"type": "integer", "description": "The status of the answer."},
        "detail": {"type": "string", "description": "What is wrong, in one sentence for people."},
    },
}
_ERRORS = {
    "400": "A parameter is wrong, or there is no such run or test.",
    "401": "A read token is needed.",
    "404": "There is no such project, or no such path.",
    "503": "The database is away; `Retry-After` says when to try again.",
}


class ApiEndpoint(NamedTuple):
    """A question that the API answers. Routes and the OpenAPI document are made of it.

    Attributes:
        path: its path below that of the API.
        summary: what it returns.
        parameters: the types of its parameters.
        objects: the types of the objects that it returns as JSON.
        answer: answers it; gets the store, the project and the parameters.
    """

    path: str
    summary: str
    parameters: type[Struct]
    objects: tuple[type, ...]
    answer: Callable[[HistoryStore, str, Any], Response]


def document(endpoints: Iterable[ApiEndpoint], base: str, version: str, types: Mapping[str, str]) -> dict[str, Any]:
    """Return the document.

    Args:
        endpoints: of the API.
        base: the path below which they are.
        version: of the package.
        types: the media types of forms.
    """
    endpoints = tuple(endpoints)
    objects = [kind for endpoint in endpoints for kind in endpoint.objects]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "swarmtask serve",
            "version": version,
            "description": "Reads the history of a team. Later versions may add fields and parameters.",
        },
        "servers": [{"url": base}],
        "security": [{"bearer": []}, {"basic": []}],
        "paths": {endpoint.path: {"get": _operation(endpoint, types)} for endpoint in endpoints},
        "components": {
            "schemas": {**_schemas(objects), "Problem": _PROBLEM},
            "responses": {status: _error(text) for status, text in _ERRORS.items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "The read token."},
                "basic": {"type": "http", "scheme": "basic", "description": "Any name, and the read token."},
            },
        },
    }


def _operation(endpoint: ApiEndpoint, types: Mapping[str, str]) -> dict[str, Any]:
    known = described(endpoint.parameters)
    answer = [{"$ref": _REF.format(name=kind.__name__)} for kind in endpoint.objects]
    content: dict[str, Any] = {"application/json": {"schema": answer[0] if len(answer) == 1 else {"anyOf": answer}}}
    for form in known["form"]["enum"] if "form" in known else ():
        content.setdefault(types[form], {"schema": {"type": "string"}})
    return {
        "operationId": endpoint.path.rpartition("/")[2],
        "summary": endpoint.summary,
        "parameters": [*_of_path(endpoint.path), *_of_query(endpoint.parameters, known)],
        "responses": {
            "200": {"description": endpoint.summary, "content": content},
            **{status: {"$ref": f"#/components/responses/{status}"} for status in _ERRORS},
        },
    }


def _of_path(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _of_query(kind: type[Struct], known: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    required = {field.name for field in msgspec.structs.fields(kind) if field.required}
    return [
        {"name": name, "in": "query", "required": name in required, **_described(schema)}
        for name, schema in known.items()
    ]


def _described(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter, with its description beside it. A parameter may be missing, but not null."""
    (kind,) = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    shown = {name: value for name, value in kind.items() if name != "description"}
    if schema.get("default") is not None:
        shown["default"] = schema["default"]
    return {"description": kind["description"], "schema": shown}


def _error(text: str) -> dict[str, Any]:
    schema = {"$ref": _REF.format(name="Problem")}
    return {"description": text, "content": {"application/problem+json": {"schema": schema}}}


def _schemas(objects: Iterable[type]) -> dict[str, Any]:
    """Return the schemas of objects, and of those inside of them."""
    _, found = msgspec.json.schema_components(tuple(objects), ref_template=_REF)
    kinds = {kind.__name__: kind for kind in _all_kinds(objects)}
    tidied = {name: _object(schema, kinds[name]) for name, schema in found.items()}
    # In JSON, the fields of the evidence of a failure stand beside its own.
    failure, evidence = tidied["ReportedFailure"], tidied.pop("Evidence")
    del failure["properties"]["evidence"]
    failure["properties"] |= evidence["properties"]
    failure["required"] = list(failure["properties"])
    return tidied


def _all_kinds(objects: Iterable[type]) -> Iterable[type]:
    """Yield types, and those that their fields have."""
    for info in msgspec.inspect.multi_type_info(objects):
        yield from _kinds_in(info, set())


def _kinds_in(info: Any, seen: set[type]) -> Iterable[type]:
    if isinstance(info, msgspec.inspect.DataclassType):
        if info.cls in seen:
            return
        seen.add(info.cls)
        yield info.cls
        for field in info.fields:
            yield from _kinds_in(field.type, seen)
    for inner in (*getattr(info, "types", ()), getattr(info, "item_type", None)):
        if isinstance(inner, msgspec.inspect.Type):
            yield from _kinds_in(inner, seen)


def _object(schema: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """Return the schema of an object with descriptions from its docstring. All its fields are always there."""
    text = (inspect.getdoc(kind) or "").replace("None", "null")
    about = {name: " ".join(words.split()) for names, words in _ATTRIBUTE.findall(text) for name in names.split(", ")}
    properties = {
        name: {**{key: item for key, item in field.items() if key != "default"}, **_about(about.get(name))}
        for name, field in schema["properties"].items()
        if name != _HIDDEN
    }
    summary = " ".join(text.partition("\n\n")[0].split()).partition(". ")[0].rstrip(".")
    return {"type": "object", "description": f"{summary}.", "properties": properties, "required": list(properties)}


def _about(text: str | None) -> dict[str, str]:
    return {"description": text} if text else {}
