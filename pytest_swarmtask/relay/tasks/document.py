"""The content of a `tasks.json`: which tasks there are, and what setting the status of one changes in the text."""

from __future__ import annotations

import difflib
import json
import time
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.core.timestamps import seconds_of
from pytest_swarmtask.relay.tasks import edit
from pytest_swarmtask.relay.tasks.manager import StatusChange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_swarmtask.relay.tasks.manager import Wish

DEFAULT_TAG = "master"
_NO_TAGS = {"tasks", "metadata"}
"""The only keys of a file without tags."""
_DONE = ("done", "completed")
_CLOCKS_DIFFER = 60.0
"""Seconds that an `updatedAt` may lie in the future and still be believed."""


class UnknownShapeError(Exception):
    """The file is JSON, but not what we know."""


class Document:
    """The text of a file with the tasks in it.

    Attributes:
        tasks: tasks and subtasks by id.

    Raises:
        ValueError: it is not JSON.
        UnknownShapeError: it has no list of tasks where it should be.
    """

    def __init__(self, text: str, tag: str) -> None:
        self._text = text
        self._tag = tag
        self.tasks: dict[str, _DocumentTask] = {}
        value, at, where = _list_of_tasks(text, tag)
        for task in _entries(text, value, at, where, None):
            self.tasks.setdefault(task.id, task)
            for subtask in task.subtasks:
                self.tasks.setdefault(subtask.id, subtask)

    def is_of(self, text: str, tag: str) -> bool:
        """Tell whether it was made of this text and tag."""
        return (self._text, self._tag) == (text, tag)

    def changes(self) -> Iterator[StatusChange]:
        """Yield the statuses that were changed, in the order of the file."""
        for task in self.tasks.values():
            if task.status != task.before:
                yield StatusChange(task.id, task.before, task.status)

    def edited(self) -> str:
        """Return the text with what was set; everything else as it was."""
        changed = [task for task in self.tasks.values() if task.edits]
        edits = [one for task in changed for one in edit.set_members(self._text, task.start, task.edits)]
        return edit.apply(self._text, edits)

    def diff(self, name: str) -> str:
        """Return what was set as a unified diff."""
        before, after = (text.splitlines(keepends=True) for text in (self._text, self.edited()))
        lines = difflib.unified_diff(before, after, name, name, n=2)
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


class _DocumentTask:
    """A task or subtask.

    Attributes:
        id: of a subtask with that of its task in front.
        start: where its object begins in the text.
        before: its status in the text.
        edits: texts of members that were set.
    """

    __slots__ = ("before", "edits", "id", "parent", "start", "status", "subtasks", "title", "updated")

    def __init__(self, value: dict[str, Any], start: int, parent: _DocumentTask | None) -> None:
        own = str(value["id"])
        self.id: str = f"{parent.id}.{own}" if parent else own
        self.parent = parent
        self.start = start
        self.title = str(value.get("title") or "")
        self.status = self.before = str(value.get("status") or "pending")
        self.updated = _seconds(value.get("updatedAt"))
        self.subtasks: list[_DocumentTask] = []
        self.edits: dict[str, str] = {}

    def is_newer_than(self, timestamp: str, *, or_equal: bool) -> bool:
        """Tell whether it was changed after a moment; a change in the future proves nothing."""
        if self.updated is None or self.updated > time.time() + _CLOCKS_DIFFER:
            return False
        moment = _seconds(timestamp) or 0.0
        return self.updated > moment or (or_equal and self.updated == moment)

    def set(self, wish: Wish) -> None:
        """Give it a status, and its task the one that follows, as Task Master does."""
        self.touch(wish.status, wish.timestamp)
        if self.parent is not None:
            parent = self.parent
            later = parent.is_newer_than(wish.timestamp, or_equal=True)
            parent.touch(_status_of([task.status for task in parent.subtasks]), None if later else wish.timestamp)

    def touch(self, status: str | None, timestamp: str | None) -> None:
        """Set what is not None."""
        if status is not None and status != self.status:
            self.status = self.edits["status"] = status
        if timestamp is not None:
            self.updated = _seconds(timestamp)
            self.edits["updatedAt"] = timestamp


def _status_of(statuses: list[str]) -> str | None:
    """Return what follows from the statuses of the subtasks; None: the task keeps its own."""
    if all(status in _DONE for status in statuses):
        return "done"
    if any(status in (*_DONE, "in-progress") for status in statuses):
        return "in-progress"
    return "pending" if all(status == "pending" for status in statuses) else None


def _list_of_tasks(text: str, tag: str) -> tuple[list[Any], int, str]:
    """Return the list of tasks, where it begins in the text, and its key path."""
    value, at = json.loads(text), edit.first_value(text)
    if not isinstance(value, dict):
        raise UnknownShapeError(f"expected an object, found {_kind(value)}")
    path = ["tasks"] if value and value.keys() <= _NO_TAGS and tag == DEFAULT_TAG else [tag, "tasks"]
    for depth, key in enumerate(path):
        where = ".".join(path[: depth + 1])
        if not isinstance(value, dict) or key not in value:
            tags = [name for name in value if name not in _NO_TAGS] if not depth else []
            raise UnknownShapeError(f"found no {where}{f', only {_some(tags)}' if tags else ''}")
        value, at = value[key], edit.members(text, at)[key].start
    if not isinstance(value, list):
        raise UnknownShapeError(f"expected a list at {'.'.join(path)}, found {_kind(value)}")
    return value, at, ".".join(path)


def _entries(
    text: str, values: list[Any], start: int, where: str, parent: _DocumentTask | None
) -> Iterator[_DocumentTask]:
    for number, (value, span) in enumerate(zip(values, edit.items(text, start), strict=True)):
        path = f"{where}[{number}]"
        if not isinstance(value, dict) or type(value.get("id")) not in (int, str):
            raise UnknownShapeError(f"expected a task with an id at {path}, found {_kind(value)}")
        if not isinstance(value.get("status"), (str, type(None))):
            raise UnknownShapeError(f"expected a text at {path}.status, found {_kind(value['status'])}")
        entry = _DocumentTask(value, span.start, parent)
        subtasks = value.get("subtasks")
        if subtasks and parent is None:
            if not isinstance(subtasks, list):
                raise UnknownShapeError(f"expected a list at {path}.subtasks, found {_kind(subtasks)}")
            at = edit.members(text, span.start)["subtasks"].start
            entry.subtasks = list(_entries(text, subtasks, at, f"{path}.subtasks", entry))
        yield entry


def _kind(value: Any) -> str:
    words = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return words.get(type(value), "a number")


def _some(names: list[str]) -> str:
    return ", ".join(names[:10]) + (", …" if len(names) > 10 else "")


def _seconds(timestamp: Any) -> float | None:
    """Return a time in seconds since the epoch; None where it is none."""
    try:
        return seconds_of(str(timestamp))
    except ValueError:
        return None
