"""A `tasks.json` as Task Master writes it, and a stand-in that changes it as Task Master does."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pytest_swarmtask.relay.tasks.manager import DesiredStatus
from pytest_swarmtask.relay.tasks.taskmaster import TaskMasterFile

Json = dict[str, Any]

OLD = "2026-01-01T00:00:00.000Z"


def task(id_: int | str, status: str = "pending", subtasks: Sequence[Json] = (), **more: Any) -> Json:
    """Return a task in Task Master's form."""
    described: Json = {"id": id_, "title": f"Löse {id_}", "description": "…", "status": status, "dependencies": []}
    return {**described, "priority": "high", "subtasks": list(subtasks), **more}


def subtask(id_: int | str, status: str = "pending", **more: Any) -> Json:
    """Return a subtask in Task Master's form."""
    return {"id": id_, "title": f"Teil {id_}", "description": "…", "status": status, "dependencies": [], **more}


def now() -> str:
    """Return the current time in Task Master's format."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def desired(status: str, timestamp: str | None = None) -> DesiredStatus:
    """Return a desired status, with the current time or another time."""
    return DesiredStatus(status, timestamp or now(), {})


class Board:
    """The task file of a project.

    Attributes:
        path: the path of the file.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / ".taskmaster" / "tasks" / "tasks.json"
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, *tasks: Json, tag: str = "master", **others: Any) -> Board:
        """Write tasks under a tag, in Task Master's formatting."""
        metadata = {"version": "1.0.0", "lastModified": OLD, "taskCount": len(tasks), "tags": [tag]}
        return self.dump({tag: {"tasks": list(tasks), "metadata": metadata}, **others})

    def dump(self, content: Any) -> Board:
        """Write any content, in Task Master's formatting."""
        self.path.write_text(json.dumps(content, indent=2, ensure_ascii=False), "utf-8")
        return self

    def load(self) -> Json:
        """Return the whole content of the file."""
        content: Json = json.loads(self.path.read_text("utf-8"))
        return content

    def file(self, tag: str | None = None, **environ: str) -> TaskMasterFile:
        """Return the file as our code opens it."""
        return TaskMasterFile(str(self.path), tag, str(self.root / ".taskmaster" / "state.json"), environ)

    def statuses(self, tag: str = "master") -> dict[str, str]:
        """Return the status of every task and subtask."""
        found = {}
        for one in self.load()[tag]["tasks"]:
            found[str(one["id"])] = one["status"]
            found.update({f"{one['id']}.{part['id']}": part["status"] for part in one["subtasks"]})
        return found


class StandIn:
    """Sets the status of a task as Task Master 0.43 does.

    It reads the file and acquires the lock up to 2.5 seconds later. Then it writes all tasks of the tag as it read
    them.

    Args:
        board: the task file to change.
        between: called between reading and locking.
    """

    def __init__(self, board: Board, between: Callable[[], object] = lambda: None) -> None:
        self._path = board.path
        self._lock = Path(f"{board.path}.lock")
        self._between = between

    def set_status(self, task_id: str, status: str) -> None:
        """Set the status of a task."""
        tasks = self._read()["master"]["tasks"]
        own, _, part = task_id.partition(".")
        (found,) = [one for one in tasks if str(one["id"]) == own]
        if part:
            (inner,) = [one for one in found["subtasks"] if str(one["id"]) == part]
            inner.update(status=status, updatedAt=now())
            found["status"] = _parent(found)
        else:
            found["status"] = status
        found["updatedAt"] = now()
        self._between()
        self._acquire()
        try:
            content = self._read()
            content["master"] = {"tasks": tasks, "metadata": content["master"]["metadata"]}
            temporary = self._path.with_name(".tasks.json.tmp")
            temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False), "utf-8")
            temporary.replace(self._path)
        finally:
            self._lock.rmdir()

    def _read(self) -> Json:
        content: Json = json.loads(self._path.read_text("utf-8"))
        return content

    def _acquire(self) -> None:
        patience = [0.1, 0.2, 0.4, 0.8, *[1.0] * 5]  # four seconds longer than Task Master, for a busy machine
        for pause in (*patience, None):
            with contextlib.suppress(FileExistsError):
                self._lock.mkdir()
                return
            assert pause is not None, "the lock was held all the time"
            with contextlib.suppress(FileNotFoundError):
                assert time.time() - os.stat(self._lock).st_mtime < 10
            time.sleep(pause)


def _parent(task: Json) -> str:
    statuses = [part["status"] for part in task["subtasks"]]
    if all(status == "done" for status in statuses):
        return "done"
    if any(status in ("done", "in-progress") for status in statuses):
        return "in-progress"
    return "pending" if all(status == "pending" for status in statuses) else str(task["status"])
