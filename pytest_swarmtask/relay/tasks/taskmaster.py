"""Task Master's file `tasks.json`, which Task Master itself (`task-master-ai`) may change at the same time.

Task Master reads the file before it locks it, so it may undo a change that was made in between. Therefore each change
is written with its time, in `updatedAt`. A later look at the file then shows whether a change was undone (the file has
an older time) or replaced on purpose (the file has a newer time).
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.core.files import only_regular, replace_file
from pytest_swarmtask.core.service_errors import TaskManagerError
from pytest_swarmtask.relay.tasks.document import DEFAULT_TAG, Document, UnknownShapeError
from pytest_swarmtask.relay.tasks.lock import locked
from pytest_swarmtask.relay.tasks.manager import Outcome, StatusChange, Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.config.workflow import TaskManagerConfig as Definition
    from pytest_swarmtask.relay.tasks.manager import DesiredStatus

_ATTEMPTS = 3
"""Attempts at reading the file: an editor may just be writing it."""
_PAUSE = 0.1
"""Seconds between two attempts."""


class TaskMasterFile:
    """A file of Task Master.

    Args:
        path: the file.
        tag: the tag whose tasks are used, or None for Task Master's current one.
        state: Task Master's file with the current tag.
        environ: where `TASKMASTER_TAG` is looked up, as Task Master does.
    """

    def __init__(self, path: str, tag: str | None, state: str, environ: Mapping[str, str]) -> None:
        self.path = path
        self._tag = tag
        self._state = state
        self._environ = environ
        self._seen: tuple[int, ...] = ()
        """The stamp of the file when no change of ours was undone in it, or empty if that is not known."""

    @classmethod
    def configured(cls, definition: Definition, root: str, environ: Mapping[str, str]) -> TaskMasterFile:
        """Return the file that is configured for the project in the folder `root`."""
        path = os.path.join(root, definition.file)
        return cls(path, definition.tag, os.path.join(root, ".taskmaster", "state.json"), environ)

    def read(self) -> dict[str, Task]:
        """Return the tasks and subtasks by id."""
        return {task.id: Task(task.id, task.title, task.status) for task in self._load().tasks.values()}

    def set_status(self, desired: Mapping[str, DesiredStatus], *, dry_run: bool = False) -> Outcome:
        """Set the status of tasks, except of those that were changed more recently."""
        if dry_run:
            document = self._load()
            outcome = self._apply(document, desired, restoring=False)
            return outcome._replace(diff=document.diff(self.path))
        return self._change(desired, restoring=False)

    def restore(self, desired: Mapping[str, DesiredStatus]) -> Outcome | None:
        """Set statuses again that were undone. Return None if the file has not changed since the last look."""
        return self._change(desired, restoring=True) if self.stamp() != self._seen else None

    def stamp(self) -> tuple[int, ...]:
        """Return numbers that change whenever the file does, or nothing if there is no file."""
        try:
            stat = os.stat(self.path)
        except OSError:
            return ()
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def close(self) -> None:
        """Do nothing: the file is opened anew for each change."""

    def _change(self, desired: Mapping[str, DesiredStatus], *, restoring: bool) -> Outcome:
        found = written = self.stamp()
        document = self._load()
        outcome = self._apply(document, desired, restoring=restoring)
        if outcome.changes:  # else the lock is not needed, and Task Master need not wait for it
            with locked(self.path) as is_still_ours:
                found = self.stamp()
                present = self._load(document)
                if present is not document:
                    outcome = self._apply(present, desired, restoring=restoring)
                if not is_still_ours():
                    raise TaskManagerError(f"{self.path}: the lock was lost while the file was read", passing=True)
                if outcome.changes:
                    self._write(present.edited())
                written = self.stamp()
        # If another program changed the file, it may have undone earlier statuses, which only `restore` is called with.
        self._seen = written if restoring or found == self._seen else ()
        return outcome

    def _apply(self, document: Document, desired: Mapping[str, DesiredStatus], *, restoring: bool) -> Outcome:
        """Set statuses in a document. A task that was changed more recently keeps its own.

        Args:
            document: the document.
            desired: the statuses by task id.
            restoring: the statuses were set before. So a task with the same time and another status was changed since.
        """
        outcome = Outcome([], [], [])
        for task_id, status in sorted(desired.items(), key=lambda item: item[1].timestamp):
            task = document.tasks.get(task_id)
            if task is None:
                outcome.unknown.append(task_id)
            elif task.status != status.status:
                if task.is_newer_than(status.timestamp, or_equal=restoring):
                    outcome.kept.append(StatusChange(task_id, task.status, status.status))
                else:
                    task.set(status)
        outcome.changes.extend(document.changes())
        return outcome

    # -- the file ------------------------------------------------------------------------------------------------

    def _load(self, known: Document | None = None) -> Document:
        """Return the document of the file as it is now; that is `known` if the file has not changed.

        Raises:
            TaskManagerError: the file cannot be read, or is not one of Task Master.
        """
        for _ in range(_ATTEMPTS - 1):
            with contextlib.suppress(TaskManagerError):
                return self._parse(known)
            time.sleep(_PAUSE)
        return self._parse(known)

    def _parse(self, known: Document | None) -> Document:
        try:
            with open(self.path, encoding="utf-8", newline="", opener=only_regular) as file:
                text, tag = file.read(), self._current_tag()
            return known if known is not None and known.is_made_of(text, tag) else Document(text, tag)
        except FileNotFoundError:
            raise TaskManagerError(f"{self.path} does not exist: is Task Master used in this project?") from None
        except OSError as error:
            raise TaskManagerError(f"{self.path} cannot be read: {error.strerror}") from None
        except RecursionError:
            raise TaskManagerError(f"{self.path} is nested too deeply; it was left alone") from None
        except ValueError as error:
            raise TaskManagerError(f"{self.path} is not valid JSON; it was left alone: {error}") from None
        except UnknownShapeError as error:
            raise TaskManagerError(f"{self.path}: {error}; it was left alone") from None

    def _current_tag(self) -> str:
        if self._tag or self._environ.get("TASKMASTER_TAG"):
            return self._tag or self._environ["TASKMASTER_TAG"]
        try:
            with open(self._state, encoding="utf-8", opener=only_regular) as file:
                state = json.load(file)
            return str(state.get("currentTag") or DEFAULT_TAG)
        except (OSError, ValueError, AttributeError):
            return DEFAULT_TAG  # as Task Master does without that file

    def _write(self, text: str) -> None:
        """Replace the file, or the one that a symbolic link leads to. Its mode and owner stay."""
        target = os.path.realpath(self.path)
        folder, name = os.path.split(target)
        temporary = os.path.join(folder, f".{name}.swarmtask")  # a fixed name: only the owner of the lock writes it
        try:
            stat = os.stat(target)
            owner = (stat.st_uid, stat.st_gid)
            replace_file(target, text.encode(), mode=stat.st_mode & 0o7777, owner=owner, temporary=temporary)
        except OSError as error:
            raise TaskManagerError(f"{self.path} cannot be written: {error.strerror}") from None
