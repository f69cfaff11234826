"""Alerts: conditions that look at events and at the past, what of them holds, and the words in which it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.history.query import Run

__all__ = ["Evaluation"]


class Evaluation(NamedTuple):
    """What an alert's condition says of one subject.

    Attributes:
        subject: what it is about; each is told of, repeated and resolved by itself.
        holds: whether there is something to warn of, or all is well again.
        text: what happened, in one line.
        compared: how it compares with before, or empty.
        since: since when it holds, UTC, RFC 3339, or empty for now.
        note: what the condition wants to find again while it holds.
        next: a command that tells more, where the usual one is not it.
        event: what it was found by, or None.
        run: the run of that event, or None.
    """

    subject: str
    holds: bool
    text: str = ""
    compared: str = ""
    since: str = ""
    note: dict[str, Any] = {}  # noqa: RUF012 - never changed
    next: str = ""
    event: Event | None = None
    run: Run | None = None
