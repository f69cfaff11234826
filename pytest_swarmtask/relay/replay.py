"""Dead letters on a person's request: sending them again, or dropping them."""

from __future__ import annotations

import contextlib
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
    """Send dead letters again, once each, unchanged and with their ids.

    If an endpoint cannot be reached or accepts nothing at all, its other letters are left out.

    Yields:
        Each letter that was sent, with the reason why it failed, or None. Without a reason it was delivered, and is
        no dead letter any more.

    Raises:
        sqlite3.Error: the relay's database cannot be read or written.
    """
    routes, plugins = Routes(project, environ), relay_plugins()
    sinks: dict[str, Sink] = {}
    unreachable: set[str] = set()
    with contextlib.closing(Store(project.database)) as store, contextlib.ExitStack() as opened:
        for letter in letters:
            name = letter.endpoint
            if name in unreachable:
                continue
            if name not in sinks:
                sinks[name] = routes.sink(routes.newest_route_to(name), name, plugins)
                opened.callback(sinks[name].close)
            problem, is_unreachable = _send(sinks[name], letter)
            if problem is None:
                store.revive(letter)
            elif is_unreachable:
                unreachable.add(name)
            yield letter, problem


def _send(sink: Sink, letter: DeadLetter) -> tuple[str | None, bool]:
    """Send one letter; return the reason why it failed, or None, and whether every other letter would fail, too."""
    try:
        event = Event.decode(letter.line)
    except JournalError as error:
        return f"it is damaged: {error}", False
    result = sink.send([PendingEvent(letter.line, event, "", 0)])
    if isinstance(result, Delivered):
        return None, False
    return result.reason, not isinstance(result, (Rejected, Split))
