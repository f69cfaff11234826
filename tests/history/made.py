"""Journals written by hand as processes would write them, and the contents of their history."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from pytest_swarmtask.core.event import Event
from pytest_swarmtask.core.trace import Clock, Ids
from pytest_swarmtask.history.database import Database
from pytest_swarmtask.history.ingest import Ingested, ingest
from pytest_swarmtask.history.keys import Keys
from pytest_swarmtask.history.postgres import PostgresStore
from pytest_swarmtask.history.rows import Batch
from pytest_swarmtask.history.runs import refresh
from pytest_swarmtask.history.sqlite import connect
from pytest_swarmtask.history.write import write_batch
from pytest_swarmtask.journal.segments import read, segments
from tests.lab import project_of
from tests.postgres import new_history, prepared

BASE = time.time() - 200_000
"""Time of the first events; recent, because retention would delete older ones."""
ENDINGS = {"passed": "TEST_PASSED", "failed": "TEST_FAILED", "skipped": "TEST_SKIPPED"}


class Process:
    """A process that writes one segment of a run; each event comes a second after the previous one."""

    def __init__(self, journal: Path, trace_id: str, began: float = BASE) -> None:
        journal.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.ids = Ids()
        self._clock = Clock()
        self.trace_id = trace_id
        self.now = began
        stamp = self._clock.timestamp(began).translate(str.maketrans("", "", "-:.Z"))
        self.path = journal / f"{stamp}-{trace_id}-{self.ids.writer}-local.jsonl"

    def event(self, event_type: str, task: str, span: str, parent: str | None = None, **metadata: Any) -> Event:
        """Return one event, a second later than the previous one."""
        self.now += 1
        at = self._clock.timestamp(self.now)
        status = event_type.partition("_")[2].lower()
        return Event(self.ids.event(), event_type, task, status, at, "made", self.trace_id, span, parent, metadata)

    def write(self, events: Iterable[Event]) -> None:
        """Append events to the segment."""
        with self.path.open("ab") as file:
            file.writelines(event.encode() for event in events)

    def session(self, tests: dict[str, str], **facts: Any) -> list[Event]:
        """Return the events of a pytest session whose tests have these outcomes."""
        session = self.ids.span()
        events = [self.event("TASK_STARTED", "pytest_run", session, None, action="session", **facts)]
        for test, outcome in tests.items():
            span = self.ids.span()
            events.append(self.event("TEST_STARTED", test, span, session))
            more = {"error": f"{test} is wrong", "location": "t.py:1"} if outcome == "failed" else {}
            events.append(self.event(ENDINGS[outcome], test, span, session, outcome=outcome, duration=0.5, **more))
        ending = "TASK_FAILED" if "failed" in tests.values() else "TASK_COMPLETED"
        events.append(self.event(ending, "pytest_run", session, None, action="session", duration=60.0))
        return events


def run(journal: Path, number: int, tests: dict[str, str], **facts: Any) -> Process:
    """Write the session of one run; a higher number is a later run."""
    process = Process(journal, f"{number:032x}", BASE + number * 1000)
    process.write(process.session(tests, **facts))
    return process


SQLITE = "sqlite"
engine = SQLITE
"""The engine that holds the histories of a test: `SQLITE`, or a major version of PostgreSQL. A fixture changes it."""
_addresses: dict[Path, str] = {}


def address(journal: Path) -> str:
    """Return the address of the history of a journal in PostgreSQL."""
    if journal not in _addresses:
        _addresses[journal] = new_history(engine)
    return _addresses[journal]


@contextmanager
def opened(journal: Path) -> Iterator[Database]:
    """Open the history of a journal."""
    if engine == SQLITE:
        with closing(connect(project_of(journal).history)) as db:
            yield db
    else:
        with closing(PostgresStore(address(journal), 1)) as store, store.writing("made") as db:
            yield db


def take_in(journal: Path) -> Ingested:
    """Import a journal into its history."""
    with opened(journal) as db:
        if engine == SQLITE:
            return ingest(db, project_of(journal))
        project = project_of(journal)
        lines = [line for segment in segments(project.journal) for line, _ in read(project.segment(segment.name))]
        batch = Batch()
        events = sum(map(batch.add, lines))
        with db.transaction():
            write_batch(db, batch, Keys())
        refresh(db)
        return Ingested(events, len(lines) - events)


def asked(journal: Path, question: Callable[..., Any], *arguments: Any) -> Any:
    """Import the journal, and query the history."""
    take_in(journal)
    with opened(journal) as db:
        return question(db, *arguments)


def rows(journal: Path, query: str) -> list[tuple[Any, ...]]:
    """Query a history with plain SQL, as any other program would."""
    if engine != SQLITE:
        with prepared(address(journal)) as connection:
            return connection.execute(query.encode()).fetchall()
    with closing(sqlite3.connect(f"file:{project_of(journal).history}?mode=ro", uri=True)) as db:
        return db.execute(query).fetchall()


def content(journal: Path) -> list[object]:
    """Return the rows of all views of a history."""
    views = ("runs", "spans", "events", "tests", "failures", "flaky", "slowest")
    return [sorted(map(repr, rows(journal, f"SELECT * FROM {view}"))) for view in views]


def event_ids(journal: Path) -> list[str]:
    """Return the ids of the events in the history, sorted."""
    return sorted(json.loads(line)["id"] for (line,) in rows(journal, "SELECT line FROM event"))


def journaled_ids(journal: Path) -> list[str]:
    """Return the ids of the events in the journal, sorted."""
    return sorted(json.loads(line)["id"] for path in journal.glob("*.jsonl") for line in path.read_bytes().splitlines())
