"""The message that alerts and triggers send to people."""

from __future__ import annotations

import uuid
from typing import Any, Literal

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message to people. Waiting messages are stored in databases, so field names must not change.

    Attributes:
        name: the alert or trigger that sends it.
        title: what happened, in one line.
        text: lines of plain text: what, where, since when, how it compares, a link, the next step.
        severity: how bad it is.
        resolved: whether the message says that all is well again.
        subject: what it is about, such as a task id.
        since: since when, as UTC in RFC 3339, or empty.
        link: where to read more, or empty.
        place: file and line in the project, such as ``tests/test_api.py:12``, or empty.
        id: stays the same when the message is sent again.
        values: what templates may name, see `pytest_swarmtask.relay.delivery.templates.variables`.
    """

    name: str
    title: str
    text: str
    severity: Literal["info", "warning", "critical"] = "warning"
    resolved: bool = False
    subject: str = ""
    since: str = ""
    link: str = ""
    place: str = ""
    id: str = msgspec.field(default_factory=lambda: uuid.uuid4().hex)
    values: dict[str, Any] = {}
