"""The tests of a session that are running, and which of them a report or a hook call is about."""

from __future__ import annotations

from threading import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_swarmtask.sources.pytest.outcome import TestRun


class RunningTests:
    """The tests that have started and not ended, by node id.

    Some plugins change the node ids of reports. A report with an unknown node id is about the test whose protocol
    (`pytest_runtest_protocol`) runs in the same thread. xdist allows no other node ids.

    Attributes:
        has_twins: whether one node id can belong to several running tests: with ``--dist=each`` of xdist, which runs
            each test on every worker, with ``--keep-duplicates``, and with tests that a plugin has given one name.
        names: the collected tests, each node id with the redacted one.
        current: the running test whose protocol the only thread runs, or None. Most hook calls are about it, and they
            need not look it up. Twins, tests within tests, and tests of several threads are kept apart from it.
    """

    __slots__ = ("_others", "_protocols", "current", "has_twins", "names")

    def __init__(self, *, has_twins: bool) -> None:
        self.has_twins = has_twins
        self.names: dict[str, str] = {}
        self.current: TestRun | None = None
        self._others: dict[str, list[TestRun]] = {}
        self._protocols: dict[int, list[str]] = {}  # thread to the items whose protocols it is in, innermost last

    def enter_protocol(self, nodeid: str) -> None:
        """Note that the protocol of an item begins in this thread."""
        self._protocols.setdefault(get_ident(), []).append(nodeid)

    def leave_protocol(self) -> Sequence[TestRun]:
        """Note that the protocol that began last in this thread ends, and return the tests that have ended with it."""
        nodeid = self._protocols[get_ident()].pop()
        current = self.current
        if current is not None and current.nodeid == nodeid:
            return () if current.rerunning else (current,)
        return [run for run in self._others.get(nodeid, ()) if not run.rerunning]

    def is_in_protocol(self, nodeid: str) -> bool:
        """Whether this thread runs the protocol of that item."""
        return self._innermost("") == nodeid

    def _innermost(self, nodeid: str) -> str:
        """Return the item whose protocol runs in this thread, or the given one if there is none."""
        nested = self._protocols.get(get_ident())
        return nested[-1] if nested else nodeid

    def add(self, run: TestRun) -> None:
        """Add a test that starts."""
        if (
            len(self._protocols) == 1
            and self.current is None
            and not self.has_twins
            and self._innermost("") == run.nodeid
        ):
            self.current = run
        else:
            self._others.setdefault(run.nodeid, []).append(run)

    def remove(self, run: TestRun) -> None:
        """Remove a test that has ended."""
        if run is self.current:
            self.current = None
            return
        runs = self._others[run.nodeid]
        runs.remove(run)
        if not runs:
            del self._others[run.nodeid]

    def all(self) -> list[TestRun]:
        """Return every running test."""
        current = [] if self.current is None else [self.current]
        return [run for runs in (*self._others.values(), current) for run in runs]

    def _named(self, nodeid: str) -> Sequence[TestRun]:
        """Return the running tests with this node id."""
        current = self.current
        return (current,) if current is not None and current.nodeid == nodeid else self._others.get(nodeid, ())

    def is_new(self, nodeid: str) -> bool:
        """Whether a collected test has this node id, and none that is running."""
        return self.current is None and nodeid in self.names and nodeid not in self._others

    def item_of(self, nodeid: str) -> str:
        """Return the node id of the item that a hook call is about: the given one, unless no test of ours has it."""
        if nodeid in self.names or self._named(nodeid):
            return nodeid
        return self._innermost(nodeid)

    def started_before(self, nodeid: str) -> TestRun | None:
        """Return the running test that another `pytest_runtest_logstart` is about, or None if a new test starts."""
        for run in self._named(nodeid):
            if run.rerunning or run.is_finished or not self.has_twins:
                return run
        return None

    def reported(self, nodeid: str, worker: str | None) -> TestRun | None:
        """Return the test that a report from a worker is about, or None if no running test fits.

        The first report about a test assigns the test to the worker.

        Args:
            nodeid: the node id in the report.
            worker: the xdist worker that sent it, or None without xdist.
        """
        runs = self._named(nodeid)
        for run in runs:
            if run.worker == worker or run.worker is None:
                run.worker = worker
                return run
        return runs[0] if runs else None

    def finished(self, nodeid: str) -> TestRun | None:
        """Return the test that `pytest_runtest_logfinish` is about, or None.

        That hook is not told the worker. If several tests have this node id, it is the one whose teardown was reported.
        """
        runs = self._named(nodeid)
        for run in runs:
            if not run.rerunning and (run.torn_down or len(runs) == 1):
                return run
        return None
