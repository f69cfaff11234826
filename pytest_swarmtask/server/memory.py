"""What the alerts of a project remember, in the store of a server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.history import evaluated
from pytest_swarmtask.relay.delivery.memory import as_text, from_rows, from_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.evaluated import NextEvents
    from pytest_swarmtask.history.store import HistoryStore
    from pytest_swarmtask.relay.delivery.memory import DraftMemory

_GET = "SELECT value FROM memory WHERE project = ? AND scope = ? AND key = ?"
_ITEMS = "SELECT key, value FROM memory WHERE project = ? AND scope = ? ORDER BY key"
_PUT = """
INSERT INTO memory (project, scope, key, value, changed) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (project, scope, key) DO UPDATE SET value = excluded.value, changed = excluded.changed
"""
_REMOVE = "DELETE FROM memory WHERE project = ? AND scope = ? AND key = ?"
_FORGET = "DELETE FROM memory WHERE project = ? AND scope = ? AND changed < ?"


class StoreMemory:
    """The memory of a project. Each change is committed at once, see `relay.delivery.memory.Memory`.

    Args:
        store: the store.
        project: the name of the project.

    Raises:
        StoreAwayError: from any method, when the database cannot be used now.
    """

    def __init__(self, store: HistoryStore, project: str) -> None:
        self._store = store
        self._project = project

    def get(self, scope: str, key: str) -> dict[str, Any] | None:
        """Return the object that was put there last, or None."""
        with self._store.reading(self._project) as db:
            return _get(db, scope, key)

    def items(self, scope: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Return keys and objects of a scope, by key."""
        with self._store.reading(self._project) as db:
            return items(db, scope)

    def swap(self, scope: str, key: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> bool:
        """Replace an object if nobody has changed it meanwhile."""
        with self._store.writing(self._project) as db, db.transaction():
            if _get(db, scope, key) != old:
                return False
            _put(db, scope, key, new)
            return True

    def forget_before(self, scope: str, at: float) -> None:
        """Remove the objects that were put before a time, in seconds since the epoch."""
        with self._store.writing(self._project) as db, db.transaction():
            db.execute(_FORGET, (db.project, scope, at))

    def save(self, draft: DraftMemory, events: NextEvents) -> bool:
        """Write all changes of a draft, and that these events are evaluated, in one transaction.

        Returns:
            Whether that was done. If another process has evaluated the events, or has changed one of the objects,
            nothing is written, and the draft cannot be used.
        """
        with self._store.writing(self._project) as db, db.transaction():
            if any(_get(db, *where) != before for where, (before, _) in draft.changes.items()):
                return False
            if events.until > events.after and not evaluated.advance(db, events):
                return False
            for where, (_, now) in draft.changes.items():
                _put(db, *where, now)
            return True


def _get(db: Database, scope: str, key: str) -> dict[str, Any] | None:
    row = db.execute(_GET, (db.project, scope, key)).fetchone()
    return from_text(row[0]) if row else None


def items(db: Database, scope: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return keys and objects of a scope in the memory of the project that a connection is for, by key."""
    return from_rows(db.execute(_ITEMS, (db.project, scope)).fetchall())


def _put(db: Database, scope: str, key: str, value: Mapping[str, Any] | None) -> None:
    if value is None:
        db.execute(_REMOVE, (db.project, scope, key))
    else:
        db.execute(_PUT, (db.project, scope, key, as_text(value), time.time()))
