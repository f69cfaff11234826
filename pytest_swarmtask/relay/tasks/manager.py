"""Task managers: where tasks have a status, and how events change it. One small interface, two implementations."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = ["Outcome", "StatusChange", "Task", "TaskManager", "Wish"]


class Task(NamedTuple):
    """One task or subtask, whose id is that of its task, a dot and its own: ``5.2``."""

    id: str
    title: str
    status: str


class Wish(NamedTuple):
    """The status that a task should have.

    Attributes:
        status: one of Task Master's words.
        timestamp: since when, UTC, RFC 3339 with milliseconds: the event's own.
        variables: what templates may name.
    """

    status: str
    timestamp: str
    variables: Mapping[str, object]


class StatusChange(NamedTuple):
    """A status that was changed, or would be; `before` is empty where it cannot be known."""

    task_id: str
    before: str
    after: str


class Outcome(NamedTuple):
    """What became of some wishes.

    Attributes:
        changes: the statuses that were changed, those of parents included.
        kept: those that were not, because the task was changed since; `after` is what the wish was.
        unknown: ids that are no tasks there.
        diff: with a dry run, the changes as a unified diff, where it is a file that would be changed.
    """

    changes: list[StatusChange]
    kept: list[StatusChange]
    unknown: list[str]
    diff: str = ""


class TaskManager(Protocol):
    """What synchronization needs of a task manager. All of it may raise `TaskManagerError`."""

    def read(self) -> dict[str, Task] | None:
        """Return its tasks and subtasks by id; None where it can only be told, not asked."""

    def set_status(self, wishes: Mapping[str, Wish], *, dry_run: bool = False) -> Outcome:
        """Give tasks the status that is wished, by their ids; with `dry_run` only say what would change."""

    def restore(self, wishes: Mapping[str, Wish]) -> Outcome | None:
        """Fulfil wishes again that another program has undone without knowing of them; None: nothing was touched."""

    def close(self) -> None:
        """Let go of connections."""
