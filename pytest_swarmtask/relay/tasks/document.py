"""The content of a `tasks.json`: its tasks, and how its text changes when a task gets a status."""

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

    from pytest_swarmtask.relay.tasks.manager import DesiredStatus

DEFAULT_TAG = "master"
_NO_TAGS = {"tasks", "metadata"}
"""The only keys of a file without tags."""
_DONE = ("done", "completed")
_CLOCKS_DIFFER = 60.0
"""Seconds by which the clocks of two machines may differ. An `updatedAt` further in the future is not believed."""


class UnknownShapeError(Exception):
    """The file is JSON, but has no list of tasks in a form that we know."""


class Document:
    """The text of a file and its tasks.

    Args:
        text: the text.
        tag: name of the list of tasks to use; a file may have several.

    Attributes:
        tasks: tasks and subtasks by id.

    Raises:
        ValueError: the text is not JSON.
        UnknownShapeError: there is no list of tasks under the tag.
    """

    def __init__(self, text: str, tag: str) -> None:
        self._text = text
        self._tag = tag
        self.tasks: dict[str, _DocumentTask] = {}
        value, at, where = _list_of_tasks(text, tag)
        for task in _entries(text, value, at, where, None):
            self.tasks.setdefault(task.id, task)  # the first of several with one id
            for subtask in task.subtasks:
                self.tasks.setdefault(subtask.id, subtask)

    def is_made_of(self, text: str, tag: str) -> bool:
        """Whether the document was made of this text and tag."""
        return (self._text, self._tag) == (text, tag)

    def changes(self) -> Iterator[StatusChange]:
        """Yield the changed statuses, in the order of the file."""
        for task in self.tasks.values():
            if task.status != task.before:
                yield StatusChange(task.id, task.before, task.status)

    def edited(self) -> str:
        """Return the text with all changes. Everything else stays byte for byte."""
        changed = [task for task in self.tasks.values() if task.edits]
        edits = [one for task in changed for one in edit.set_members(self._text, task.start, task.edits)]
        return edit.apply(self._text, edits)

    def diff(self, name: str) -> str:
        """Return the changes as a unified diff."""
        before, after = (text.splitlines(keepends=True) for text in (self._text, self.edited()))
        lines = difflib.unified_diff(before, after, name, name, n=2)
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


class _DocumentTask:
    """A task or subtask.

    Attributes:
        id: its id; that of a subtask begins with its parent's id and a dot.
        parent: the task that it is a subtask of, or None.
        start: where its JSON object begins in the text.
        title: its title, or empty.
        before: its status in the text.
        status: its status now.
        updated: when it was last changed, in seconds since the epoch, or None if that is not known.
        subtasks: its subtasks.
        edits: new values of members of the object, by name.
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
        """Whether the task was changed after a time. A change in the future does not count."""
        if self.updated is None or self.updated > time.time() + _CLOCKS_DIFFER:
            return False
        moment = _seconds(timestamp) or 0.0
        return self.updated > moment or (or_equal and self.updated == moment)

    def set(self, desired: DesiredStatus) -> None:
        """Set the status. As in Task Master, the parent's status follows from its subtasks."""
        self.update(desired.status, desired.timestamp)
        if self.parent is not None:
            parent = self.parent
            is_newer = parent.is_newer_than(desired.timestamp, or_equal=True)
            status = _status_of_parent([task.status for task in parent.subtasks])
            parent.update(status, None if is_newer else desired.timestamp)

    def update(self, status: str | None, timestamp: str | None) -> None:
        """Set the status and the time of the change; None leaves the value as it is."""
        if status is not None and status != self.status:
            self.status = self.edits["status"] = status
        if timestamp is not None:
            self.updated = _seconds(timestamp)
            self.edits["updatedAt"] = timestamp


def _status_of_parent(statuses: list[str]) -> str | None:
    """Return the status that follows from the subtasks, or None if the parent keeps its own."""
    if all(status in _DONE for status in statuses):
        return "done"
    if any(status in (*_DONE, "in-progress") for status in statuses):
        return "in-progress"
    return "pending" if all(status == "pending" for status in statuses) else None


def _list_of_tasks(text: str, tag: str) -> tuple[list[Any], int, str]:
    """Return the list of tasks, where it begins in the text, and its key path.

    Raises:
        ValueError: the text is not JSON.
        UnknownShapeError: there is no such list.
    """
    value, at = json.loads(text), edit.first_value(text)
    if not isinstance(value, dict):
        raise UnknownShapeError(f"expected an object, found {_kind(value)}")
    # A file without tags has one list, which Task Master treats as the list of the default tag.
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
    """Yield the tasks of a list that begins at `start`, each with its subtasks.

    Raises:
        UnknownShapeError: an item is not a task.
    """
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
    """Return what a JSON value is, in words."""
    words = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return words.get(type(value), "a number")


def _some(names: list[str]) -> str:
    """Return the first of many names, for a message."""
    return ", ".join(names[:10]) + (", …" if len(names) > 10 else "")


def _seconds(timestamp: Any) -> float | None:
    """Return a timestamp in seconds since the epoch, or None if it is not one."""
    try:
        return seconds_of(str(timestamp))
    except ValueError:
        return None
