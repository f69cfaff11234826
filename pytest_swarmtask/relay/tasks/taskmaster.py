"""Task Master's `tasks.json`, read and changed beside the real tool (`task-master-ai`).

It reads the file before it takes the lock, and may so undo a change that was made in between. What we write says
since when it holds, in `updatedAt`: who reads the file again finds out whether it was undone (what is there is older)
or overruled (what is there is newer).
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import TaskManagerError
from pytest_swarmtask.core.files import mode_of, replace_file
from pytest_swarmtask.relay.tasks.document import DEFAULT_TAG, Document, UnknownShapeError
from pytest_swarmtask.relay.tasks.lock import locked
from pytest_swarmtask.relay.tasks.manager import Outcome, StatusChange, Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.config.workflow import TaskManagerConfig as Definition
    from pytest_swarmtask.relay.tasks.manager import Wish

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
        """The stamp of a file in which nothing was undone that we know of; none where that is still to be found out."""

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
        found = written = self.stamp()
        document = self._load()
        outcome = self._fulfil(document, wishes, undone=undone)
        if outcome.changes:  # else nobody has to wait for us
            with locked(self.path) as still_ours:
                found = self.stamp()
                present = self._load(document)
                if present is not document:
                    outcome = self._fulfil(present, wishes, undone=undone)
                if not still_ours():
                    raise TaskManagerError(f"{self.path}: the lock was lost while the file was read", passing=True)
                if outcome.changes:
                    self._write(present.edited())
                written = self.stamp()
        # Somebody else's change may have undone earlier wishes, of which this call knew nothing.
        self._seen = written if undone or found == self._seen else ()
        return outcome

    def _fulfil(self, document: Document, wishes: Mapping[str, Wish], *, undone: bool) -> Outcome:
        outcome = Outcome([], [], [])
        for task_id, wish in sorted(wishes.items(), key=lambda item: item[1].timestamp):
            task = document.tasks.get(task_id)
            if task is None:
                outcome.unknown.append(task_id)
            elif task.status != wish.status:
                if task.is_newer_than(wish.timestamp, or_equal=undone):
                    outcome.kept.append(StatusChange(task_id, task.status, wish.status))
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
        except UnknownShapeError as error:
            raise TaskManagerError(f"{self.path}: {error}; it was left alone") from None

    def _current_tag(self) -> str:
        if self._tag or self._environ.get("TASKMASTER_TAG"):
            return self._tag or self._environ["TASKMASTER_TAG"]
        try:
            with open(self._state, encoding="utf-8") as file:
                state = json.load(file)
            return str(state.get("currentTag") or DEFAULT_TAG)
        except (OSError, ValueError, AttributeError):
            return DEFAULT_TAG  # as Task Master does

    def _write(self, text: str) -> None:
        """Put the text in the file's place; a link is followed, mode and owner are kept."""
        target = os.path.realpath(self.path)
        folder, name = os.path.split(target)
        temporary = os.path.join(folder, f".{name}.swarmtask")  # only who holds the lock writes it
        try:
            owner = os.stat(target)
            replace_file(target, text.encode(), mode=mode_of(target), temporary=temporary)
            with contextlib.suppress(OSError, AttributeError):  # only root may give files away
                os.chown(target, owner.st_uid, owner.st_gid)
        except OSError as error:
            raise TaskManagerError(f"{self.path} cannot be written: {error.strerror}") from None
