"""Whether an event matches the `when` of a trigger or an alert, and if not, why. Nothing is evaluated as code."""

from __future__ import annotations

import json
import operator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.config.triggers import TextComparison, ValueComparison

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pytest_swarmtask.config.triggers import TextCondition, ValueCondition, When
    from pytest_swarmtask.core.event import Event

_MISSING = object()
_MAX_SHOWN = 80
"""Characters of a value that are shown in a reason."""


def is_among(event_type: str, globs: Iterable[str]) -> bool:
    """Whether an event type matches one of these globs."""
    return any(fnmatchcase(event_type, glob) for glob in globs)


def mismatch(when: When, event: Event, environment: str, branch: str | None = None) -> str | None:
    """Return the reason why an event does not match `when`, for people; None if it matches.

    Args:
        when: the conditions, all of which must be true.
        event: the event.
        environment: the `WORKFLOW_ENVIRONMENT` of its run, empty without one.
        branch: the branch of its run, for events without a branch of their own.
    """
    metadata = event.metadata
    texts: tuple[tuple[str, TextCondition | None, Any], ...] = (
        ("task_id", when.task_id, event.task_id),
        ("status", when.status, event.status),
        ("outcome", when.outcome, metadata.get("outcome")),
        ("branch", when.branch, metadata.get("branch", branch)),
        ("environment", when.environment, environment or None),
        ("source", when.source, event.source),
    )
    for name, condition, found in texts:
        expected = None if condition is None else _unmet(condition, _MISSING if found is None else found)
        if expected:
            return f"{name} is {_shown(found)}, expected {expected}"
    for path, wanted in when.metadata.items():
        value = at_path(metadata, path)
        expected = _unmet(wanted, value)
        if expected:
            return f"metadata.{path} is {_shown(value)}, expected {expected}"
    return None


def at_path(metadata: dict[str, Any], path: str) -> Any:
    """Return the value at a dotted path, or `_MISSING`. A key that contains the dots itself comes first."""
    if path in metadata:
        return metadata[path]
    found: Any = metadata
    for part in path.split("."):
        if not isinstance(found, dict) or part not in found:
            return _MISSING
        found = found[part]
    return found


def _unmet(condition: TextCondition | ValueCondition, found: Any) -> str | None:
    """Return the part of a condition that a value does not meet, for people; None if it meets all of it."""
    if isinstance(condition, (TextComparison, ValueComparison)):
        return next(_unmet_parts(condition, found), None)
    if isinstance(condition, list):
        return None if _globbed(condition, found) else f"one of {', '.join(condition)}"
    if isinstance(condition, str):
        return None if _globbed([condition], found) else condition
    return None if _equals(condition, found) else _shown(condition)


def _unmet_parts(condition: TextComparison | ValueComparison, found: Any) -> Iterator[str]:
    there = found is not _MISSING
    if condition.exists is not None and condition.exists is not there:
        yield "a value" if condition.exists else "none"
    if condition.glob is not None and not _globbed(_listed(condition.glob), found):
        yield f"one of {', '.join(_listed(condition.glob))}"
    if condition.not_glob is not None and _globbed(_listed(condition.not_glob), found):
        yield f"none of {', '.join(_listed(condition.not_glob))}"
    if condition.equals is not None and not _equals(condition.equals, found):
        yield _shown(condition.equals)
    if condition.not_equals is not None and _equals(condition.not_equals, found):
        yield f"not {_shown(condition.not_equals)}"
    if isinstance(condition, ValueComparison):
        yield from _unmet_limits(condition, found)


def _unmet_limits(condition: ValueComparison, found: Any) -> Iterator[str]:
    number = found if isinstance(found, (int, float)) and not isinstance(found, bool) else None
    limits: tuple[tuple[float | None, str, Callable[[float, float], bool]], ...] = (
        (condition.gt, "greater than", operator.gt),
        (condition.ge, "at least", operator.ge),
        (condition.lt, "less than", operator.lt),
        (condition.le, "at most", operator.le),
    )
    for limit, words, is_met in limits:
        if limit is not None and (number is None or not is_met(number, limit)):
            yield f"a number {words} {limit:g}"


def _listed(globs: str | list[str]) -> list[str]:
    return [globs] if isinstance(globs, str) else globs


def _globbed(globs: list[str], found: Any) -> bool:
    text = _text(found)
    return text is not None and any(fnmatchcase(text, glob) for glob in globs)


def _equals(expected: Any, found: Any) -> bool:
    if isinstance(expected, str):
        return _text(found) == expected
    if isinstance(expected, bool) or isinstance(found, bool):
        return found is expected
    return bool(found == expected)


def _text(found: Any) -> str | None:
    """Return a text, number or boolean as text, the way JSON writes it; None for anything else."""
    if isinstance(found, str):
        return found
    return json.dumps(found) if isinstance(found, (bool, int, float)) else None


def _shown(value: Any) -> str:
    if value is _MISSING or value is None:
        return "not there"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
