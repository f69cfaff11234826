"""Takes signed requests into the store. A request is answered with 2xx only after its events are committed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_swarmtask.core.errors import BodyError
from pytest_swarmtask.history.ingest import TaskKeys, write_batch
from pytest_swarmtask.history.rows import Batch
from pytest_swarmtask.journal.segments import MAX_LINE
from pytest_swarmtask.wire.cloudevents import PING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.history.store import Store
    from pytest_swarmtask.server.access import Senders

_MOST_PROJECTS = 50
"""Projects whose task keys are remembered. The keys of a suite of 20,000 tests take a few megabytes."""


class Intake:
    """Verifies requests, and writes their events. Several threads may use it.

    Args:
        store: where the events go.
        senders: who may write.
    """

    def __init__(self, store: Store, senders: Senders) -> None:
        self._store = store
        self._senders = senders
        self._keys: OrderedDict[str, TaskKeys] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, headers: Mapping[str, str], body: bytes) -> dict[str, int]:
        """Write the events of a request, and return how many there are of each project.

        An event that the store has already is not written again, so a sender may repeat a request.

        Raises:
            WebhookError: the request is refused, whole; the error has the status to answer with.
            StoreAwayError: nothing was written, and the sender should try again later.
        """
        request = self._senders.verifier.open(headers, body)
        batches: dict[str, Batch] = {}
        for event in request.events:
            if event.get("type") != PING:
                project = self._senders.project_of(request.signers, _source(event))
                _add(batches.setdefault(project, Batch()), event)
        for project, batch in batches.items():
            self._write(project, batch)
        return {project: len(batch.events) for project, batch in batches.items()}

    def _write(self, project: str, batch: Batch) -> None:
        with self._store.writing(project) as db:
            keys = self._keys_of(project)
            try:
                with db.transaction():
                    write_batch(db, batch, keys)
            except BaseException:
                keys.forget()  # some may be of tasks that were not inserted after all
                raise

    def _keys_of(self, project: str) -> TaskKeys:
        """Return the task keys of a project. Only its writer uses them, and there is one at a time."""
        with self._lock:
            keys = self._keys.pop(project, None) or TaskKeys()
            self._keys[project] = keys
            if len(self._keys) > _MOST_PROJECTS:
                self._keys.popitem(last=False)
            return keys


def _source(event: Mapping[str, Any]) -> str:
    source = event.get("source")
    return source if isinstance(source, str) else ""


def _add(batch: Batch, event: dict[str, Any]) -> None:
    """Add an event to a batch.

    Raises:
        BodyError: it is not an event that this version knows. Its sender keeps it as a dead letter.
    """
    try:
        line = msgspec.json.encode(event)
    except (UnicodeEncodeError, ValueError) as error:
        raise BodyError(f"an event cannot be stored: {error}") from None
    if len(line) > MAX_LINE:
        raise BodyError(f"an event has {len(line)} bytes, at most {MAX_LINE} are accepted")
    if not batch.add(line):
        raise BodyError(f"the event {str(event.get('id'))[:100]!r} is not one that this version knows")
