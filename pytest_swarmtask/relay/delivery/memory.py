"""What triggers and alerts remember from one relay to the next: small JSON objects in the relay's database."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.relay.delivery.store import open_database

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping


class Memory:
    """JSON objects by scope and key. Used from one thread; the database is opened with the first use.

    Args:
        path: of the relay's database. If it is damaged, it is moved aside, and so everything is forgotten.

    Raises:
        sqlite3.Error: from any method, when the database cannot be read or written.
        OSError: its file cannot be created.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._opened: sqlite3.Connection | None = None

    @property
    def _db(self) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = open_database(self._path)
        return self._opened

    def get(self, scope: str, key: str) -> dict[str, Any] | None:
        """Return the object that was put there last, or None."""
        row = self._db.execute("SELECT value FROM memory WHERE scope = ? AND key = ?", (scope, key)).fetchone()
        return _read(row[0]) if row else None

    def items(self, scope: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield keys and objects of a scope, by key."""
        rows = self._db.execute("SELECT key, value FROM memory WHERE scope = ? ORDER BY key", (scope,)).fetchall()
        for key, text in rows:
            value = _read(text)
            if value is not None:
                yield key, value

    def put(self, scope: str, key: str, value: Mapping[str, Any]) -> None:
        """Store an object in place of the one that was there."""
        with self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO memory VALUES (?, ?, ?, ?)", (scope, key, _text(value), time.time())
            )

    def swap(self, scope: str, key: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> bool:
        """Replace an object if nobody has changed it meanwhile; None stands for no object.

        Returns:
            Whether it still was `old`. If not, nothing is changed.
        """
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            if self.get(scope, key) != old:
                return False
            if new is None:
                self._db.execute("DELETE FROM memory WHERE scope = ? AND key = ?", (scope, key))
            else:
                row = (scope, key, _text(new), time.time())
                self._db.execute("INSERT OR REPLACE INTO memory VALUES (?, ?, ?, ?)", row)
            return True

    def forget_before(self, scope: str, at: float) -> None:
        """Remove the objects that were put before a time, in seconds since the epoch."""
        with self._db:
            self._db.execute("DELETE FROM memory WHERE scope = ? AND changed < ?", (scope, at))

    def close(self) -> None:
        """Close the database; the next use opens it again."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _read(text: str) -> dict[str, Any] | None:
    """Return an object, or None if it is damaged in a way that SQLite does not see."""
    with contextlib.suppress(ValueError, TypeError):
        value = json.loads(text)
        if isinstance(value, dict):
            return value
    return None
