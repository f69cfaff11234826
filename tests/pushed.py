"""Whole journals, sent to a real server as signed webhooks, so that commands can ask it for their history."""

from __future__ import annotations

import atexit
import functools
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from pytest_swarmtask.core.project import Project
from pytest_swarmtask.history.runs import refresh
from pytest_swarmtask.history.store import open_store
from pytest_swarmtask.journal.orphans import close_orphaned_spans
from pytest_swarmtask.journal.segments import read, segments
from tests import postgres
from tests.lab import Json, wait_until
from tests.team import Server

SQLITE = "sqlite"
ENGINE_VARIABLE = "SWARMTASK_TEST_SERVER"
"""The variable that makes `tests.shop.swarmtask` ask a server: ``sqlite``, or a major version of PostgreSQL."""
_MOST_EVENTS, _LONGEST = 500, 2_000_000
"""Events and bytes of a request, about: a server takes 5 MB."""
_names = itertools.count()


class HistoryServer:
    """A running server with an empty history, into which journals are pushed.
    Attributes:
        server: the server.
    """

    def __init__(self, folder: Path, engine: str, *options: str, **environ: str) -> None:
        self._database = str(folder / "team.sqlite") if engine == SQLITE else postgres.new_history(engine)
        self.server = Server(folder, self._database, options, **environ).start()

    def page(self, project: str) -> str:
        """Return the address of the page of a project."""
        return f"{self.server.url}/p/{project}/"

    def push(self, root: Path, project: str) -> None:
        """Send the whole journal of a folder, as the events of a project. The totals of its runs are computed, too."""
        local = Project(str(root))
        close_orphaned_spans(local)  # which a relay does before it sends
        lines = [line for one in segments(local.journal) for line, _ in read(local.segment(one.name))]
        events = [{**event, "source": project} for event in map(_event, lines) if event is not None]
        for body in _bodies(events):
            assert self.server.post(body) == (204, "")
        self.refresh(project)

    def refresh(self, project: str) -> None:
        """Compute the totals of the runs of a project now. The server does it after a second or so."""
        with closing(open_store(self._database, 1)) as store, store.writing(project) as db:
            wait_until(lambda: refresh(db), lambda: "the totals of all runs")  # the server may be at it


def _bodies(events: Iterable[Json]) -> Iterator[bytes]:
    """Yield events as JSON arrays of a size that a server takes."""
    waiting: list[str] = []
    for event in events:
        waiting.append(json.dumps(event))
        if sum(map(len, waiting)) > _LONGEST or len(waiting) == _MOST_EVENTS:
            yield f"[{','.join(waiting)}]".encode()
            waiting = []
    if waiting:
        yield f"[{','.join(waiting)}]".encode()


def _event(line: bytes) -> Json | None:
    """Return the event of a line, or None for a line that is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "event_type" in found else None


@functools.cache
def server(engine: str) -> HistoryServer:
    """Return the server of this test process, which is started when it is asked for first."""
    folder = Path(tempfile.mkdtemp(prefix="swarmtask-team-"))
    made = HistoryServer(folder, engine)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(made.server.close)
    return made


def from_a_server(root: Path) -> list[str]:
    """Return the options with which a command asks a server that has the whole journal of a folder.
    There are none if `ENGINE_VARIABLE` is not set.
    """
    engine = os.environ.get(ENGINE_VARIABLE)
    if not engine:
        return []
    project = f"made-{os.getpid()}-{next(_names)}"
    server(engine).push(root, project)
    return ["--from", server(engine).page(project)]
