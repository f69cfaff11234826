"""Writes the events of a project. Requests that come while one is written are written together after it.

So the costs of a transaction, above all waiting for the disk, are shared by all senders of a busy project, and a quiet
project waits for nobody.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from pytest_swarmtask.core.service_errors import BodyError
from pytest_swarmtask.history.ingest import BATCH
from pytest_swarmtask.history.keys import Keys
from pytest_swarmtask.history.rows import Batch
from pytest_swarmtask.history.write import write_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_swarmtask.history.rows import Recorded
    from pytest_swarmtask.history.store import HistoryStore

_MOST_PROJECTS = 50
"""Projects whose task keys are remembered. The keys of a suite of 20,000 tests take a few megabytes."""


class _Request:
    """The events of one request for one project, and what became of them."""

    def __init__(self, events: Sequence[Recorded]) -> None:
        self.events = events
        self.is_done = False
        self.error: Exception | None = None


class _ProjectWriter:
    def __init__(self, store: HistoryStore, project: str) -> None:
        self._store = store
        self._project = project
        self._keys = Keys()
        self._waiting: deque[_Request] = deque()
        self._lock = threading.Lock()

    def write(self, events: Sequence[Recorded]) -> None:
        own = _Request(events)
        self._waiting.append(own)
        with self._lock:
            while not own.is_done:  # else another thread has written it with its own
                self._write_together(self._next())
        if own.error is not None:
            raise own.error

    def _next(self) -> list[_Request]:
        """Return the requests that are written next: all that wait, as far as one transaction should have."""
        requests: list[_Request] = []
        size = 0
        while self._waiting and size < BATCH:
            requests.append(self._waiting.popleft())
            size += len(requests[-1].events)
        return requests

    def _write_together(self, requests: list[_Request]) -> None:
        error: Exception | None = None
        try:
            self._write(requests)
        except BodyError as refused:
            if len(requests) > 1:  # one of them is to blame, and the others must not suffer
                for request in requests:
                    self._write_together([request])
                return
            error = refused
        except Exception as away:  # noqa: BLE001 - each of the threads that wait has to raise it
            error = away
        for request in requests:
            request.error = error
            request.is_done = True

    def _write(self, requests: list[_Request]) -> None:
        batch = Batch()
        for request in requests:
            for event in request.events:
                batch.add_event(event)
        try:
            with self._store.writing(self._project) as db, db.transaction():
                write_batch(db, batch, self._keys)
        except BaseException:
            self._keys.forget()  # some may be of tasks that were not inserted after all
            raise


class Writer:
    """Writes events into a store. Several threads may use it.

    Args:
        store: the store.
    """

    def __init__(self, store: HistoryStore) -> None:
        self._store = store
        self._projects: OrderedDict[str, _ProjectWriter] = OrderedDict()
        self._lock = threading.Lock()

    def write(self, project: str, events: Sequence[Recorded]) -> None:
        """Write events of a project, each once, and return when they are committed.

        Raises:
            BodyError: the database cannot store one of them.
            StoreAwayError: the database cannot be used now, and nothing was written.
        """
        self._writer_of(project).write(events)

    def _writer_of(self, project: str) -> _ProjectWriter:
        with self._lock:
            writer = self._projects.pop(project, None) or _ProjectWriter(self._store, project)
            self._projects[project] = writer
            if len(self._projects) > _MOST_PROJECTS:
                self._projects.popitem(last=False)
            return writer
