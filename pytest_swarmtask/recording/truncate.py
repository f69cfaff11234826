"""Lines of events that do not fit or hide a secret: cut to the size limit, or marked as redacted.

Both are rare. Yet this module is loaded at the start of each process, because nothing can be imported while the
interpreter ends, and an event of that moment may be too long.
"""

from __future__ import annotations

from pytest_swarmtask.core.event import EVIDENCE, EVIDENCE_TEXTS, MAX_EVENT, MAX_FACTS, has_evidence
from pytest_swarmtask.redaction.redactor import masked_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pytest_swarmtask.core.event import Event

_LIMITS = (512, 128, 32)
"""Characters that each text of an event may keep, tried one after the other until the line fits."""
_ITEMS_SHARE = 8
"""A list or an object keeps one item for this many characters of the limit: 64 items, then 16, then 4."""
_STANDARD = ("timestamp", "workflow", "action", "success", "error", "duration", "outcome", "exit_code", "redacted")
"""Metadata that readers need most. It is kept when shorter texts are not enough."""


def note_redactions(event: Event) -> bytes:
    """Add the paths of redacted values to the event's metadata, as ``redacted``, and return the new journal line."""
    known = event.metadata.get("redacted", [])
    if isinstance(known, list):  # else a user gave metadata of this name, which stays as it is
        fields = masked_paths({"task_id": event.task_id, "status": event.status, "source": event.source})
        paths = [*known, *fields, *masked_paths(event.metadata)]
        event.metadata["redacted"] = list(dict.fromkeys(paths))
    return event.encode()


def truncate(event: Event) -> bytes:
    """Cut the event's metadata until its line is short enough, and return that line.

    That is `MAX_EVENT` bytes with the evidence of a test, which is left out first, and `MAX_FACTS` without any. If
    something was cut, the metadata says ``"truncated": true``.
    """
    if has_evidence(event):
        line = _without_excess(event)
        if len(line) <= (MAX_EVENT if has_evidence(event) else MAX_FACTS):
            return line
    for limit in _LIMITS:
        event.metadata = {key: _cut(value, limit) for key, value in event.metadata.items()}
        event.metadata.setdefault("truncated", True)
        line = event.encode()
        if len(line) <= MAX_FACTS:
            return line
    # There are too many keys, or objects are nested too deeply.
    standard = {key: value for key, value in event.metadata.items() if key in _STANDARD and not _is_nested(value)}
    event.metadata = {**standard, "truncated": True}
    return event.encode()


def _without_excess(event: Event) -> bytes:
    """Leave out as much of the evidence as is necessary, beginning with that of earlier attempts; return the line."""
    line = event.encode()
    for key in ("attempts", *reversed(EVIDENCE)):
        if len(line) <= MAX_EVENT:
            break
        left_out = event.metadata.pop(key, None)
        if left_out is not None:
            if key == "attempts":
                event.metadata[key] = [_facts(attempt) for attempt in left_out]
            event.metadata["truncated"] = True
            line = event.encode()
    return line


def _facts(attempt: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in attempt.items() if key not in EVIDENCE_TEXTS}


def _is_nested(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return any(isinstance(item, (dict, list)) for item in items)


def _cut(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= limit else f"{value[:limit]}…"
    if isinstance(value, list):
        return [_cut(item, limit) for item in value[: limit // _ITEMS_SHARE]]
    if isinstance(value, dict):
        return {key: _cut(item, limit) for key, item in list(value.items())[: limit // _ITEMS_SHARE]}
    return value
