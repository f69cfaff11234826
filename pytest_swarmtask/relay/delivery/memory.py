"""What triggers and alerts remember: small JSON objects, in the relay's database or wherever their home is."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any, Protocol

from pytest_swarmtask.relay.delivery.store import open_database

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Mapping


class Memory(Protocol):
    """JSON objects by scope and key. Used from one thread."""

    def get(self, scope: str, key: str) -> dict[str, Any] | None:
        """Return the object that was put there last, or None."""

    def items(self, scope: str) -> Iterable[tuple[str, dict[str, Any]]]:
        """Return keys and objects of a scope, by key."""

    def swap(self, scope: str, key: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> bool:
        """Replace an object if nobody has changed it meanwhile; None stands for no object.

        Returns:
            Whether it still was `old`. If not, nothing is changed.
        """


class RelayMemory:
    """A memory in the relay's database, which outlives the relay. The database is opened with the first use.

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
        return from_text(row[0]) if row else None

    def items(self, scope: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield keys and objects of a scope, by key."""
        rows = self._db.execute("SELECT key, value FROM memory WHERE scope = ? ORDER BY key", (scope,)).fetchall()
        return from_rows(rows)

    def swap(self, scope: str, key: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> bool:
        """Replace an object if nobody has changed it meanwhile, see `Memory.swap`."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            if self.get(scope, key) != old:
                return False
            if new is None:
                self._db.execute("DELETE FROM memory WHERE scope = ? AND key = ?", (scope, key))
            else:
                row = (scope, key, as_text(new), time.time())
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


class DraftMemory:
    """Changes to a memory that are not written yet, and that nobody else sees.

    Args:
        read: returns the objects of a scope, without the changes. Each scope is read at most once.

    Attributes:
        changes: the objects that were changed, as they were and as they are now, by scope and key.
    """

    def __init__(self, read: Callable[[str], Iterable[tuple[str, dict[str, Any]]]]) -> None:
        self.begin(read)

    def begin(self, read: Callable[[str], Iterable[tuple[str, dict[str, Any]]]]) -> None:
        """Forget all changes, and read anew."""
        self._read = read
        self._scopes: dict[str, dict[str, dict[str, Any]]] = {}
        self.changes: dict[tuple[str, str], tuple[dict[str, Any] | None, dict[str, Any] | None]] = {}

    def get(self, scope: str, key: str) -> dict[str, Any] | None:
        """Return the object as it was changed, or None."""
        return self._scope(scope).get(key)

    def items(self, scope: str) -> list[tuple[str, dict[str, Any]]]:
        """Return keys and objects of a scope as they were changed, by key."""
        return sorted(self._scope(scope).items())

    def swap(self, scope: str, key: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> bool:
        """Replace an object in the draft, see `Memory.swap`."""
        known = self.get(scope, key)
        if known != old:
            return False
        before, _ = self.changes.get((scope, key), (known, None))
        self.changes[scope, key] = before, None if new is None else dict(new)
        if new is None:
            self._scope(scope).pop(key, None)
        else:
            self._scope(scope)[key] = dict(new)
        return True

    def _scope(self, scope: str) -> dict[str, dict[str, Any]]:
        if scope not in self._scopes:
            self._scopes[scope] = dict(self._read(scope))
        return self._scopes[scope]


def as_text(value: Mapping[str, Any]) -> str:
    """Return an object as it is stored."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def from_text(text: str) -> dict[str, Any] | None:
    """Return an object, or None if it is damaged in a way that the database does not see."""
    with contextlib.suppress(ValueError, TypeError):
        value = json.loads(text)
        if isinstance(value, dict):
            return value
    return None


def from_rows(rows: Iterable[tuple[str, str]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield keys and objects of rows with key and text, without damaged ones."""
    for key, text in rows:
        value = from_text(text)
        if value is not None:
            yield key, value
