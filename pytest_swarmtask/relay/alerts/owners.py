"""The owners of the tests that alerts are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_swarmtask.history.owners import read_owners

if TYPE_CHECKING:
    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.history.owners import Owners


class OwnersOfTests:
    """Reads `CODEOWNERS` once for each run, since a relay outlives runs, and the file may change between them.

    Args:
        root: the project's folder.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._run = ""
        self._owners: Owners | None = None

    def of(self, event: Event) -> list[str]:
        """Return the owners of the test that an event is about; empty if it is about something else."""
        if not event.event_type.startswith("TEST_") or not event.task_id:
            return []
        if event.trace_id != self._run:
            self._run, self._owners = event.trace_id, read_owners(self._root)
        return [] if self._owners is None else self._owners.of_test(event.task_id)
