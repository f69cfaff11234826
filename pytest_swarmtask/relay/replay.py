"""Sending dead letters again, or dropping them, because a person asks for it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import JournalError
from pytest_swarmtask.core.event import Event
from pytest_swarmtask.plugins.sink import Delivered, PendingEvent, Rejected, Split
from pytest_swarmtask.relay.builtin_plugins import relay_plugins
from pytest_swarmtask.relay.delivery.routes import Routes
from pytest_swarmtask.relay.delivery.store import PURGED, Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.plugins.sink import Sink
    from pytest_swarmtask.relay.delivery.store import DeadLetter


def dead_letters(project: Project) -> list[DeadLetter]:
    """Return the dead letters of a journal, oldest first; none where nothing was ever owed to anybody.

    Raises:
        sqlite3.Error: the relay's database cannot be read.
    """
    path = project.database
    if not os.path.exists(path):
        return []
    with contextlib.closing(Store(path)) as store:
        return list(store.dead_letters())


def purge(project: Project, letters: Iterable[DeadLetter]) -> int:
    """Drop dead letters for good; return how many of them there still were.

    Raises:
        sqlite3.Error: the relay's database cannot be read or written.
    """
    with contextlib.closing(Store(project.database)) as store:
        return store.drop([(letter.endpoint, letter.event_id) for letter in letters], PURGED)


def replay(
    project: Project, environ: Mapping[str, str], letters: Iterable[DeadLetter]
) -> Iterator[tuple[DeadLetter, str | None]]:
    """Send dead letters again, once each, as they were and with their ids.

    Yields:
        Each letter with what is wrong, None where it was delivered and is a dead letter no more. After trouble that
        is not the letter's own, the other letters of its endpoint are left out.

    Raises:
        sqlite3.Error: the relay's database cannot be read or written.
    """
    routes = Routes(project, environ)
    plugins = relay_plugins()
    sinks: dict[str, Sink] = {}
    with contextlib.closing(Store(project.database)) as store, contextlib.ExitStack() as opened:
        troubled: set[str] = set()
        for letter in letters:
            if letter.endpoint in troubled:
                continue
            if letter.endpoint not in sinks:
                sink = sinks[letter.endpoint] = routes.sink(
                    routes.leading_to(letter.endpoint), letter.endpoint, plugins
                )
                opened.callback(sink.close)
            problem, again = _send(sinks[letter.endpoint], letter)
            if problem is None:
                store.revive(letter)
            elif not again:
                troubled.add(letter.endpoint)
            yield letter, problem


def _send(sink: Sink, letter: DeadLetter) -> tuple[str | None, bool]:
    """Return what is wrong, if anything is, and whether it is the letter's own trouble."""
    try:
        event = Event.decode(letter.line)
    except JournalError as error:
        return f"it is damaged: {error}", True
    verdict = sink.send([PendingEvent(letter.line, event, "", 0)])
    if isinstance(verdict, Delivered):
        return None, True
    return verdict.reason, isinstance(verdict, (Rejected, Split))
