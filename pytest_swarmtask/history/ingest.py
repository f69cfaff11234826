"""Import the journal into the history. Each event is imported once, even if importers are killed or run in parallel."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.history.keys import Keys
from pytest_swarmtask.history.rows import Batch
from pytest_swarmtask.history.runs import refresh
from pytest_swarmtask.history.write import write_batch
from pytest_swarmtask.journal import segment_file
from pytest_swarmtask.journal import segments as journals
from pytest_swarmtask.journal.compression import DamagedSegmentError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.history.database import Database

BATCH = 10_000
"""Lines in one transaction. It bounds the memory of an import, and how long another writer has to wait."""

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
    events = foreign = 0
    damaged: list[str] = []
    keys = Keys()
    grown = _grown_segments(db, project)
    while grown:
        with db.transaction():
            batch, grown = _read_batch(db, project, grown, without_lines)
            if batch.segments:
                write_batch(db, batch, keys)
                db.executemany(_SEGMENT, [(name, *counts) for name, counts in batch.segments.items()])
        events += sum(counts[1] for counts in batch.segments.values())
        foreign += sum(counts[2] for counts in batch.segments.values())
        damaged += batch.damaged
    refresh(db)
    return Ingested(events, foreign, tuple(damaged))


def _grown_segments(db: Database, project: Project) -> list[str]:
    """Return the names of the segments that are longer than their cursor, oldest first."""
    cursors: dict[str, int] = dict(db.execute("SELECT name, offset FROM segment"))
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
    db: Database, project: Project, names: list[str], without_lines: Container[str]
) -> tuple[Batch, list[str]]:
    """Return the next lines, and the segments that may have more lines.

    The cursors are read here, inside the transaction, because another process may have moved them meanwhile.
    """
    batch = Batch()
    left = BATCH
    for number, name in enumerate(names):
        row = db.execute("SELECT offset FROM segment WHERE name = ?", (name,)).fetchone()
        offset = row[0] if row else 0
        counts = [offset, 0, 0]
        keep_line = name not in without_lines
        for line, counts[0] in _lines(project.segment(name), offset, batch.damaged):
            counts[1 if batch.add(line, keep_line=keep_line) else 2] += 1
            left -= 1
            if not left:
                break
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
