"""Import the journal into the history. Each event is imported once, even if importers are killed or run in parallel."""

from __future__ import annotations

import json
import threading
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_swarmtask.history.keys import Keys
from pytest_swarmtask.history.rows import Batch
from pytest_swarmtask.history.runs import refresh
from pytest_swarmtask.history.write import write_batch
from pytest_swarmtask.journal import segment_file
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.journal.compression import DamagedSegmentError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.history.database import Database

BATCH = 10_000
"""Lines in one transaction. It bounds the memory of an import, and how long another writer has to wait."""

_CURSORS = "SELECT name, offset FROM segment WHERE name IN (SELECT value FROM json_each(?))"
_SEGMENT = """
INSERT INTO segment VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE
SET offset = excluded.offset, events = segment.events + excluded.events,
    foreign_lines = segment.foreign_lines + excluded.foreign_lines
"""


class Ingested(NamedTuple):
    """How many lines one call of `ingest` has imported.

    Attributes:
        events: lines that are events.
        foreign: lines that are not events. They are only counted.
        damaged: paths of compressed segments that are damaged. Their lines before the damage are imported.
    """

    events: int = 0
    foreign: int = 0
    damaged: tuple[str, ...] = ()

    def plus(self, batch: Batch) -> Ingested:
        """Return the sum of this and of a batch."""
        events = self.events + sum(counts[1] for counts in batch.segments.values())
        foreign = self.foreign + sum(counts[2] for counts in batch.segments.values())
        return Ingested(events, foreign, (*self.damaged, *batch.damaged))


def ingest(db: Database, project: Project, without_lines: Container[str] = ()) -> Ingested:
    """Import all new lines of a journal.

    The cursor of a segment is written in the same transaction as its lines, so an import may be interrupted anywhere.
    If there are no new lines, nothing is written, and no other writer is waited for.

    Args:
        db: the history.
        project: the project whose journal is imported.
        without_lines: names of segments of which only the rows are kept, and not the whole lines beside them.

    Raises:
        sqlite3.Error: the database is locked for too long, full or corrupt. Finished transactions remain.
    """
    cursors = _cursors(db)
    names = _grown_segments(project, cursors)
    total = Ingested()
    keys = Keys()
    batch, left = _read_batch(project, names, cursors, without_lines)
    while batch.segments:
        with db.transaction():
            if not _are_current(db, cursors, batch.segments):  # another process has moved them meanwhile
                cursors = _cursors(db)
                batch, left = _read_batch(project, names, cursors, without_lines)
            write_batch(db, batch, keys)
            db.executemany(_SEGMENT, [(name, *counts) for name, counts in batch.segments.items()])
            total = total.plus(batch)
            cursors.update({name: counts[0] for name, counts in batch.segments.items()})
            names, batch = left, Batch()  # the rows are written, and the next ones need their memory
            ahead = _ReadAhead(project, names, cursors, without_lines)
        batch, left = ahead.result()
    refresh(db)
    return total.plus(batch)


class _ReadAhead:
    """Reads the next batch in a thread while the database commits the one before, which takes as long."""

    def __init__(self, project: Project, names: list[str], *more: Any) -> None:
        self._error: BaseException | None = None
        self._found: tuple[Batch, list[str]] = (Batch(), [])
        self._thread = threading.Thread(target=self._read, args=(project, names, *more), daemon=True)
        if names:
            self._thread.start()

    def _read(self, *arguments: Any) -> None:
        try:
            self._found = _read_batch(*arguments)
        except BaseException as error:  # noqa: BLE001 - the thread that waits raises it
            self._error = error

    def result(self) -> tuple[Batch, list[str]]:
        """Wait for the batch, and return it with the segments that may have more lines."""
        if self._thread.ident is not None:
            self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found


def _cursors(db: Database) -> dict[str, int]:
    return dict(db.execute("SELECT name, offset FROM segment"))


def _are_current(db: Database, cursors: Mapping[str, int], names: Iterable[str]) -> bool:
    """Whether the history still has these cursors of segments. Only inside a transaction nobody moves them."""
    found = dict(db.execute(_CURSORS, (json.dumps(list(names)),)))
    return all(found.get(name, 0) == cursors.get(name, 0) for name in names)


def _grown_segments(project: Project, cursors: Mapping[str, int]) -> list[str]:
    """Return the names of the segments that are longer than their cursor, oldest first."""
    names = (segment.name for segment in journals.segments(project.journal))
    return [name for name in names if _size(project, name) > cursors.get(name, 0)]


def _size(project: Project, name: str) -> int:
    try:
        return segment_file.size(project.segment(name))
    except OSError:
        return 0  # retention has removed it meanwhile


def forget_segments(db: Database, names: Iterable[str]) -> None:
    """Make the next import read these segments from their beginning. What is known already stays as it is."""
    with db.transaction():
        db.executemany("DELETE FROM segment WHERE name = ?", [(name,) for name in names])


def _read_batch(
    project: Project, names: list[str], cursors: Mapping[str, int], without_lines: Container[str]
) -> tuple[Batch, list[str]]:
    """Return the next lines, and the segments that may have more lines."""
    batch = Batch()
    left = BATCH
    for number, name in enumerate(names):
        counts = [cursors.get(name, 0), 0, 0]
        keep_line = name not in without_lines
        lines = _lines(project.segment(name), counts[0], batch.damaged)
        for line, counts[0] in islice(lines, left):
            counts[1 if batch.add(line, keep_line=keep_line) else 2] += 1
        left -= counts[1] + counts[2]
        if counts[1] or counts[2]:
            batch.segments[name] = counts
        if not left:
            return batch, names[number:]
    return batch, []


def _lines(path: str, offset: int, damaged: list[str]) -> Iterable[tuple[bytes, int]]:
    try:
        yield from journals.read(path, offset)
    except DamagedSegmentError as error:
        damaged.append(error.filename)
    except OSError:
        pass  # retention has removed it meanwhile, or another user's process has written it
