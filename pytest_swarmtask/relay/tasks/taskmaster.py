"""Task Master's `tasks.json`, read and changed beside the real tool (`task-master-ai`).

It reads the file before it takes the lock, and may so undo a change that was made in between. What we write says
since when it holds, in `updatedAt`: who reads the file again finds out whether it was undone (what is there is older)
or overruled (what is there is newer).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import difflib
import json
import os
import time
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.errors import TaskManagerError
from pytest_swarmtask.relay.tasks import Change, Outcome, Task, edit
from pytest_swarmtask.relay.tasks.lock import locked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_swarmtask.config.model import TaskManager as Definition
    from pytest_swarmtask.relay.tasks import Wish

_DEFAULT_TAG = "master"
_NO_TAGS = {"tasks", "metadata"}
"""The only keys of a file without tags."""
_DONE = ("done", "completed")
_CLOCKS_DIFFER = 60.0
"""Seconds that an `updatedAt` may lie in the future and still be believed."""
_ATTEMPTS = 3
"""How often a file that cannot be read is looked at: an editor may be about to write it."""
_PAUSE = 0.1


class TaskMasterFile:
    """A file of Task Master.

    Args:
        path: the file.
        tag: which of its lists; the current one when None.
        state: the file that knows the current tag.
        environ: where `TASKMASTER_TAG` is looked up, as Task Master does.
    """

    def __init__(self, path: str, tag: str | None, state: str, environ: Mapping[str, str]) -> None:
        self.path = path
        self._tag = tag
        self._state = state
        self._environ = environ
        self._seen: tuple[int, ...] = ()

    @classmethod
    def configured(cls, definition: Definition, root: str, environ: Mapping[str, str]) -> TaskMasterFile:
        """Return the file that the configuration of the project in `root` names."""
        path = os.path.join(root, definition.file)
        return cls(path, definition.tag, os.path.join(root, ".taskmaster", "state.json"), environ)

    def read(self) -> dict[str, Task]:
        """Return the tasks and subtasks by id."""
        return {task.id: Task(task.id, task.title, task.status) for task in self._load().tasks.values()}

    def set_status(self, wishes: Mapping[str, Wish], *, dry_run: bool = False) -> Outcome:
        """Give tasks the status that is wished, unless they were changed later than that."""
        if dry_run:
            document = self._load()
            outcome = self._fulfil(document, wishes, undone=False)
            return outcome._replace(diff=document.diff(self.path))
        return self._change(wishes, undone=False)

    def restore(self, wishes: Mapping[str, Wish]) -> Outcome | None:
        """Fulfil wishes again where the file has older news than they are."""
        return self._change(wishes, undone=True) if self.stamp() != self._seen else None

    def stamp(self) -> tuple[int, ...]:
        """Return what changes when the file does."""
        try:
            stat = os.stat(self.path)
        except OSError:
            return ()
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def close(self) -> None:
        """Do nothing: the file is opened for each change."""

    def _change(self, wishes: Mapping[str, Wish], *, undone: bool) -> Outcome:
        seen = self.stamp()
        document = self._load()
        outcome = self._fulfil(document, wishes, undone=undone)
        if outcome.changes:  # else nobody has to wait for us
            with locked(self.path) as still_ours:
                present = self._load(document)
                if present is not document:
                    outcome = self._fulfil(present, wishes, undone=undone)
                if not still_ours():
                    raise TaskManagerError(f"{self.path}: the lock was lost while the file was read", passing=True)
                if outcome.changes:
                    self._write(present.edited())
                seen = self.stamp()
        self._seen = seen
        return outcome

    def _fulfil(self, document: Document, wishes: Mapping[str, Wish], *, undone: bool) -> Outcome:
        outcome = Outcome([], [], [])
        for task_id, wish in sorted(wishes.items(), key=lambda item: item[1].timestamp):
            task = document.tasks.get(task_id)
            if task is None:
                outcome.unknown.append(task_id)
            elif task.status != wish.status:
                if task.is_newer_than(wish.timestamp, or_equal=undone):
                    outcome.kept.append(Change(task_id, task.status, wish.status))
                else:
                    task.set(wish)
        outcome.changes.extend(document.changes())
        return outcome

    # -- the file ------------------------------------------------------------------------------------------------

    def _load(self, known: Document | None = None) -> Document:
        """Return the file as it is now: the known document where it has not changed."""
        for _ in range(_ATTEMPTS - 1):
            with contextlib.suppress(TaskManagerError):
                return self._parse(known)
            time.sleep(_PAUSE)
        return self._parse(known)

    def _parse(self, known: Document | None) -> Document:
        try:
            with open(self.path, encoding="utf-8", newline="") as file:
                text, tag = file.read(), self._current_tag()
            return known if known is not None and known.is_of(text, tag) else Document(text, tag)
        except FileNotFoundError:
            raise TaskManagerError(f"{self.path} does not exist: is Task Master used in this project?") from None
        except OSError as error:
            raise TaskManagerError(f"{self.path} cannot be read: {error.strerror}") from None
        except RecursionError:
            raise TaskManagerError(f"{self.path} is nested too deeply; it was left alone") from None
        except ValueError as error:
            raise TaskManagerError(f"{self.path} is not valid JSON; it was left alone: {error}") from None
        except _UnknownShapeError as error:
            raise TaskManagerError(f"{self.path}: {error}; it was left alone") from None

    def _current_tag(self) -> str:
        if self._tag or self._environ.get("TASKMASTER_TAG"):
            return self._tag or self._environ["TASKMASTER_TAG"]
        try:
            with open(self._state, encoding="utf-8") as file:
                state = json.load(file)
            return str(state.get("currentTag") or _DEFAULT_TAG)
        except (OSError, ValueError, AttributeError):
            return _DEFAULT_TAG  # as Task Master does

    def _write(self, text: str) -> None:
        """Put the text in the file's place; a link is followed, mode and owner are kept."""
        target = os.path.realpath(self.path)
        folder, name = os.path.split(target)
        temporary = os.path.join(folder, f".{name}.swarmtask")  # only who holds the lock writes it
        try:
            stat = os.stat(target)
            with open(temporary, "w", encoding="utf-8", newline="", opener=_private) as file:
                file.write(text)
            os.chmod(temporary, stat.st_mode & 0o7777)
            with contextlib.suppress(OSError, AttributeError):  # only root may give files away
                os.chown(temporary, stat.st_uid, stat.st_gid)
            os.replace(temporary, target)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise TaskManagerError(f"{self.path} cannot be written: {error.strerror}") from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)


class _UnknownShapeError(Exception):
    """The file is JSON, but not what we know."""


class Document:
    """The text of a file with the tasks in it.

    Attributes:
        tasks: tasks and subtasks by id.

    Raises:
        ValueError: it is not JSON.
        _UnknownShapeError: it has no list of tasks where it should be.
    """

    def __init__(self, text: str, tag: str) -> None:
        self._text = text
        self._tag = tag
        self.tasks: dict[str, _Entry] = {}
        value, at, where = _list_of_tasks(text, tag)
        for task in _entries(text, value, at, where, None):
            self.tasks.setdefault(task.id, task)
            for subtask in task.subtasks:
                self.tasks.setdefault(subtask.id, subtask)

    def is_of(self, text: str, tag: str) -> bool:
        """Tell whether it was made of this text and tag."""
        return (self._text, self._tag) == (text, tag)

    def changes(self) -> Iterator[Change]:
        """Yield the statuses that were changed, in the order of the file."""
        for task in self.tasks.values():
            if task.status != task.before:
                yield Change(task.id, task.before, task.status)

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


class _Entry:
    """A task or subtask.

    Attributes:
        id: of a subtask with that of its task in front.
        start: where its object begins in the text.
        before: its status in the text.
        edits: texts of members that were set.
    """

    __slots__ = ("before", "edits", "id", "parent", "start", "status", "subtasks", "title", "updated")

    def __init__(self, value: dict[str, Any], start: int, parent: _Entry | None) -> None:
        own = str(value["id"])
        self.id: str = f"{parent.id}.{own}" if parent else own
        self.parent = parent
        self.start = start
        self.title = str(value.get("title") or "")
        self.status = self.before = str(value.get("status") or "pending")
        self.updated = _seconds(value.get("updatedAt"))
        self.subtasks: list[_Entry] = []
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
        raise _UnknownShapeError(f"expected an object, found {_kind(value)}")
    path = ["tasks"] if value and value.keys() <= _NO_TAGS and tag == _DEFAULT_TAG else [tag, "tasks"]
    for depth, key in enumerate(path):
        where = ".".join(path[: depth + 1])
        if not isinstance(value, dict) or key not in value:
            tags = [name for name in value if name not in _NO_TAGS] if not depth else []
            raise _UnknownShapeError(f"found no {where}{f', only {_some(tags)}' if tags else ''}")
        value, at = value[key], edit.members(text, at)[key].start
    if not isinstance(value, list):
        raise _UnknownShapeError(f"expected a list at {'.'.join(path)}, found {_kind(value)}")
    return value, at, ".".join(path)


def _entries(text: str, values: list[Any], start: int, where: str, parent: _Entry | None) -> Iterator[_Entry]:
    for number, (value, span) in enumerate(zip(values, edit.items(text, start), strict=True)):
        path = f"{where}[{number}]"
        if not isinstance(value, dict) or type(value.get("id")) not in (int, str):
            raise _UnknownShapeError(f"expected a task with an id at {path}, found {_kind(value)}")
        if not isinstance(value.get("status"), (str, type(None))):
            raise _UnknownShapeError(f"expected a text at {path}.status, found {_kind(value['status'])}")
        entry = _Entry(value, span.start, parent)
        subtasks = value.get("subtasks")
        if subtasks and parent is None:
            if not isinstance(subtasks, list):
                raise _UnknownShapeError(f"expected a list at {path}.subtasks, found {_kind(subtasks)}")
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
        moment = dt.datetime.fromisoformat(str(timestamp).replace("Z", "+00:00"))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.timezone.utc)).timestamp()
