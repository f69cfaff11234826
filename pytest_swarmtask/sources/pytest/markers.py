"""The names of the markers of a test that failed."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import pytest

    from pytest_swarmtask.sources.pytest.outcome import TestRun


class MarkerNames:
    """Finds the markers of a test by its item or, where another process has that, by the names in its report.

    A report of an xdist worker has one list of names: the markers of the test, but also its own name, those of its
    class, file and folders, and the attributes of its function. A name counts as a marker if it is registered in the
    ini file or by a plug-in and is no part of the node id.

    Args:
        config: pytest's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._session: Any = None
        self._items: dict[str, pytest.Item] | None = None
        self._registered: frozenset[str] = frozenset()

    def collect(self, session: pytest.Session) -> None:
        """Remember the session, whose items are looked up when the first test has failed."""
        self._session = session
        self._items = None  # a module that could not be collected may have asked before

    def of(self, run: TestRun) -> Sequence[str]:
        """Return the names, sorted."""
        if self._items is None:
            self._items = {item.nodeid: item for item in getattr(self._session, "items", ())}
            self._registered = frozenset(map(_name, self._config.getini("markers")))
        item = self._items.get(run.nodeid)
        if item is not None:
            return sorted({mark.name for mark in item.iter_markers()})
        keywords = getattr(run.report, "keywords", ())
        return sorted(self._registered.intersection(keywords).difference(_parts(run.nodeid)))


def _name(line: str) -> str:
    """Return the name in a line such as ``slow(reason): takes more than a minute``."""
    return line.partition(":")[0].partition("(")[0].strip()


def _parts(nodeid: str) -> list[str]:
    path, *names = nodeid.partition("[")[0].split("::")
    return [*path.split("/"), *names]
