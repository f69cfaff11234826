"""The result of evaluating an alert's condition for one subject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.history.query import Run


class Evaluation(NamedTuple):
    """Whether an alert is active for one subject, and why.

    Attributes:
        subject: what the evaluation is about, such as a task on its branch. Each subject has its own messages.
        is_active: whether there is something to warn of; False if all is well again.
        text: what happened, in one line.
        compared: how that compares with before, or empty.
        since: since when the alert is active, as UTC in RFC 3339, or empty for now.
        note: what the condition gets back at its next evaluation while the alert is active.
        next: a command that tells more, or empty for the usual one.
        event: the event that was evaluated, or None if it was time that passed.
        run: the run of that event, or None.
        owners: the owners of the test that the event is about.
    """

    subject: str
    is_active: bool
    text: str = ""
    compared: str = ""
    since: str = ""
    note: dict[str, Any] = {}  # noqa: RUF012 - never changed
    next: str = ""
    event: Event | None = None
    run: Run | None = None
    owners: tuple[str, ...] = ()
