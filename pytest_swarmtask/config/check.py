"""Compare the tree of `workflow.yaml` with the typed model, and report everything that does not fit.

msgspec decides whether a single value fits its type. But it stops at the first problem and does not know lines, so this
module walks the tree, finds the nearest valid names, and writes the messages.
"""

from __future__ import annotations

import enum
import functools
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from pytest_swarmtask.config import rules
from pytest_swarmtask.config.tree import BROKEN, Node, Problems, join, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_WORDS = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a mapping",
}


@dataclass(frozen=True)
class _Member:
    """One of the types that a field may have.

    Attributes:
        type: the type without annotations, such as ``list[str]``.
        hint: the type with its annotations, as msgspec takes it.
        extra: the keys of `Meta.extra`, see `pytest_swarmtask.config.fields`.
    """

    type: Any
    hint: Any
    extra: dict[str, Any]

    @property
    def kind(self) -> Any:
        """The type without parameters: a Struct class, `list`, `dict`, `str`, `Literal` and so on."""
        return get_origin(self.type) or self.type

    @property
    def is_struct(self) -> bool:
        """Whether the type is a section of the model, with keys of its own."""
        return isinstance(self.kind, type) and issubclass(self.kind, Struct)


def check(node: Node, model: type[Struct], problems: Problems) -> dict[str, Any]:
    """Check a tree against a model, and return its plain data.

    Args:
        node: the tree.
        model: the class of the model.
        problems: gets everything that does not fit. Only if it stays empty, `msgspec.convert` can use the data.
    """
    if not isinstance(node.value, dict):
        problems.add(node.line, node.path, f"found {_shown(node)}, expected a mapping with {_names(_fields(model))}")
        return {}
    return _struct(node, model, problems)


def _struct(node: Node, model: type[Struct], problems: Problems) -> dict[str, Any]:
    fields, tag = _fields(model), model.__struct_config__.tag_field
    data: dict[str, Any] = {}
    for key, child in node.value.items():
        if key == tag:
            data[key] = child.value
        elif key not in fields:
            known = [tag, *fields] if tag else list(fields)
            message = f"found the unknown key {shorten(key)}, expected {_names(known)}{rules.did_you_mean(key, known)}"
            problems.add(child.line, child.path, message)
        elif child.value is not None:  # a key without a value counts as absent, so that it gets its default
            data[key] = _value(child, fields[key].type, problems)
    for name, field in fields.items():
        if field.required and name not in data:
            problems.add(node.line, join(node.path, name), f"found nothing, expected {_expected(_members(field.type))}")
    return data


def _value(node: Node, hint: Any, problems: Problems) -> Any:
    members = _members(hint)
    if node.value is BROKEN:  # reported by the parser
        return None
    for member in members:
        if member.kind is Any:
            _free(node, member, problems)
            return node.plain()
    if isinstance(node.value, dict):
        return _mapping(node, members, problems)
    if isinstance(node.value, list):
        for member in members:
            if member.kind is list:
                return _list(node, member, problems)
        return _mismatch(node, members, problems)
    return _scalar(node, members, problems)


def _mapping(node: Node, members: list[_Member], problems: Problems) -> Any:
    structs = [member.type for member in members if member.is_struct]
    if structs:
        model = _tagged(node, structs, problems)
        return _struct(node, model, problems) if model else None
    for member in members:
        if member.kind is dict:
            return _dict(node, member, problems)
    return _mismatch(node, members, problems)


def _tagged(node: Node, structs: list[type[Struct]], problems: Problems) -> type[Struct] | None:
    """Return the struct that a mapping belongs to, according to its key `kind` or `action`; None with a problem."""
    field = structs[0].__struct_config__.tag_field
    if field is None:
        return structs[0]
    by_tag = {str(struct.__struct_config__.tag): struct for struct in structs}
    child = node.value.get(field)
    if child is None or child.value is None:
        problems.add(node.line, join(node.path, field), f"found nothing, expected one of {_names(by_tag)}")
    elif child.value is not BROKEN:
        if isinstance(child.value, str) and child.value in by_tag:
            return by_tag[child.value]
        near = rules.did_you_mean(child.text, by_tag)
        problems.add(child.line, child.path, f"found {_shown(child)}, expected one of {_names(by_tag)}{near}")
    return None


def _dict(node: Node, member: _Member, problems: Problems) -> dict[str, Any]:
    key_hint, value_hint = get_args(member.type)
    data = {}
    for key, child in node.value.items():
        _value(Node(key, child.line, child.path, text=key), key_hint, problems)  # a key has a type and rules, too
        if child.value is None:
            continue
        data[key] = _value(child, _also_sensitive(value_hint, member.extra), problems)
        _item(key, child, member, problems)
    return data


def _free(node: Node, member: _Member, problems: Problems) -> None:
    """Check the texts in a value that may have any shape."""
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            _key(key, child, problems)
            _item(key, child, member, problems)
            _free(child, member, problems)
    elif isinstance(node.value, list):
        for child in node.value:
            _free(child, member, problems)
    else:
        _apply_rules(node, node.value, member, problems)


def _key(key: str, node: Node, problems: Problems) -> None:
    """Apply the rule for keys to a key in a value that may have any shape."""
    expected = rules.unfilled_key(key)
    if expected:
        problems.add(node.line, node.path, f"found the key {shorten(key)}, expected {expected}")


def _item(key: str, node: Node, member: _Member, problems: Problems) -> None:
    """Apply the mapping's rule for an item, which depends on key and value."""
    rule: Callable[[str, str], str | None] | None = member.extra.get("item_rule")
    expected = rule(key, node.value) if rule and isinstance(node.value, str) else None
    if expected:
        problems.add(node.line, node.path, f"found {_shown(node, hidden=True)}, expected {expected}")


def _list(node: Node, member: _Member, problems: Problems) -> list[Any]:
    (item_hint,) = get_args(member.type)
    least = max((meta.min_length or 0 for meta in _metas(member.hint)), default=0)
    if len(node.value) < least:
        problems.add(node.line, node.path, "found an empty list, expected at least one item")
    return [_value(item, item_hint, problems) for item in node.value]


def _scalar(node: Node, members: list[_Member], problems: Problems) -> Any:
    for member in members:
        if member.is_struct or member.kind in (list, dict, types.NoneType):
            continue
        # The text as written: the number 5.10 would become the task id 5.1.
        value = node.text if member.extra.get("number") and type(node.value) in (int, float) else node.value
        try:
            msgspec.convert(value, member.hint)
        except msgspec.ValidationError:
            continue
        _apply_rules(node, value, member, problems)
        return value.replace("$$", "$") if member.extra.get("literal") and isinstance(value, str) else value
    return _mismatch(node, members, problems)


def _apply_rules(node: Node, value: Any, member: _Member, problems: Problems) -> None:
    """Apply the field's own rule to a text, and the rule that no text may contain a secret."""
    if not isinstance(value, str):
        return
    for rule in (member.extra.get("rule"), rules.no_secret):
        expected = rule(value) if rule else None
        if expected:
            hidden = rule is rules.no_secret or bool(member.extra.get("sensitive"))
            problems.add(node.line, node.path, f"found {_shown(node, hidden=hidden)}, expected {expected}")
            return


def _mismatch(node: Node, members: list[_Member], problems: Problems) -> None:
    """Report a value that fits none of the types."""
    hidden = any(member.extra.get("sensitive") for member in members)
    choices = [str(choice) for member in members for choice in _choices(member)]
    hint = rules.did_you_mean(node.text, choices)
    if type(node.value) in (int, float, bool) and any(member.kind is str for member in members):
        hint = "; put it in quotes"
    problems.add(node.line, node.path, f"found {_shown(node, hidden=hidden)}, expected {_expected(members)}{hint}")


def _members(hint: Any, extra: dict[str, Any] | None = None, annotated: Any = None) -> list[_Member]:
    """Return the types that a type hint allows, without unions and annotations."""
    extra = extra or {}
    origin = get_origin(hint)
    if origin is Annotated:
        more = {key: value for meta in _metas(hint) for key, value in (meta.extra or {}).items()}
        return _members(get_args(hint)[0], {**extra, **more}, hint)
    if origin in (Union, types.UnionType):
        return [member for arg in get_args(hint) for member in _members(arg, extra)]
    return [_Member(hint, annotated or hint, extra)]


def _metas(hint: Any) -> list[Meta]:
    return [meta for meta in get_args(hint)[1:] if isinstance(meta, Meta)] if get_origin(hint) is Annotated else []


def _also_sensitive(hint: Any, extra: dict[str, Any]) -> Any:
    """Return the type hint of a mapping's values, marked as sensitive if the mapping is."""
    return Annotated[hint, Meta(extra={"sensitive": True})] if extra.get("sensitive") else hint


def _choices(member: _Member) -> tuple[Any, ...]:
    """Return the values that the type allows, or nothing if it has no fixed list."""
    if member.kind is Literal:
        return get_args(member.type)
    if isinstance(member.kind, type) and issubclass(member.kind, enum.Enum):
        return tuple(choice.value for choice in member.kind)
    return ()


def _expected(members: list[_Member]) -> str:
    """Return what is expected, in words."""
    words = [_words(member) for member in members if member.kind is not types.NoneType]
    return " or ".join(dict.fromkeys(words))


def _words(member: _Member) -> str:
    if "expected" in member.extra:
        return str(member.extra["expected"])
    choices = _choices(member)
    if choices:
        return f"one of {_names(choices)}"
    return ("a mapping" if member.is_struct else _WORDS[member.kind]) + _bounds(_metas(member.hint))


def _bounds(metas: list[Meta]) -> str:
    bounds = [
        f" {word} {value:g}"
        for meta in metas
        for word, value in (("above", meta.gt), ("of at least", meta.ge), ("and at most", meta.le))
        if value is not None
    ]
    return "".join(bounds)


def _shown(node: Node, *, hidden: bool = False) -> str:
    """Return the value found in words, without revealing a secret."""
    value = node.value
    if value is None:
        return "nothing"
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    # Messages end up in logs of CI: a secret in the wrong place must not.
    if hidden or rules.is_secret_name(node.path) or rules.no_secret(node.text):
        return "a value that is not repeated here"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"the text '{shorten(node.text)}'" if isinstance(value, str) else f"the number {node.text}"


@functools.cache
def _fields(model: type[Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(model)}


def _names(names: Iterable[Any]) -> str:
    return ", ".join(map(str, names))
