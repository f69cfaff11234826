"""The interface of task managers, which keep the status of tasks. `taskmaster` and `rest` implement it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = ["DesiredStatus", "Outcome", "StatusChange", "Task", "TaskManager"]


class Task(NamedTuple):
    """A task or subtask. The id of a subtask is its task's id, a dot, and its own: ``5.2``."""

    id: str
    title: str
    status: str


class DesiredStatus(NamedTuple):
    """The status that a task should have.

    Attributes:
        status: one of Task Master's words, such as ``in-progress``.
        timestamp: since when, as UTC in RFC 3339 with milliseconds: the time of the event that asks for the status.
        variables: what the templates of a REST request may name.
    """

    status: str
    timestamp: str
    variables: Mapping[str, object]


class StatusChange(NamedTuple):
    """A status that was changed or, in a dry run, would be. `before` is empty if the old status is not known."""

    task_id: str
    before: str
    after: str


class Outcome(NamedTuple):
    """The result of setting the status of tasks.

    Attributes:
        changes: statuses that were changed, including those of parent tasks.
        kept: statuses that were not changed, as the task was changed more recently; `after` is the desired status.
        unknown: ids of tasks that do not exist.
        diff: in a dry run, the changes of the file as a unified diff; empty if there is no file.
    """

    changes: list[StatusChange]
    kept: list[StatusChange]
    unknown: list[str]
    diff: str = ""


class TaskManager(Protocol):
    """Keeps the status of tasks. Every method but `close` may raise `TaskManagerError`."""

    def read(self) -> dict[str, Task] | None:
        """Return tasks and subtasks by id, or None if the task manager can only be written to."""

    def set_status(self, desired: Mapping[str, DesiredStatus], *, dry_run: bool = False) -> Outcome:
        """Set the status of tasks, by their ids. With `dry_run`, change nothing and return what would change."""

    def restore(self, desired: Mapping[str, DesiredStatus]) -> Outcome | None:
        """Set statuses again that another program has overwritten with older ones.

        Returns:
            What was set again, or None if there was nothing to look at.
        """

    def close(self) -> None:
        """Close connections."""
