"""The tests of a session that are running, and which of them a report or a hook call is about."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_swarmtask.sources.pytest.outcome import TestRun


class RunningTests:
    """The tests that have started and not ended, by node id.

    One node id can belong to several of them, because ``--dist=each`` of xdist runs each test on every worker.
    """

    __slots__ = ("_runs",)

    def __init__(self) -> None:
        self._runs: dict[str, list[TestRun]] = {}

    def add(self, nodeid: str, run: TestRun) -> None:
        """Add a test that starts."""
        self._runs.setdefault(nodeid, []).append(run)

    def remove(self, nodeid: str, run: TestRun) -> None:
        """Remove a test that has ended."""
        runs = self._runs[nodeid]
        runs.remove(run)
        if not runs:
            del self._runs[nodeid]

    def all(self) -> list[tuple[str, TestRun]]:
        """Return every running test with its node id."""
        return [(nodeid, run) for nodeid, runs in self._runs.items() for run in runs]

    def awaiting_rerun(self, nodeid: str) -> TestRun | None:
        """Return the test with this node id whose next attempt is about to start, or None."""
        for run in self._runs.get(nodeid, ()):
            if run.rerunning:
                return run
        return None

    def reported(self, nodeid: str, worker: str | None) -> TestRun | None:
        """Return the test that a report from a worker is about, or None if none with this node id is running.

        The first report about a test assigns the test to the worker.

        Args:
            nodeid: the node id in the report.
            worker: the xdist worker that sent it, or None without xdist.
        """
        runs = self._runs.get(nodeid)
        if runs is None:
            return None
        for run in runs:
            if run.worker == worker or run.worker is None:
                run.worker = worker
                return run
        return runs[0]

    def ended_attempt(self, nodeid: str) -> TestRun | None:
        """Return the test whose attempt `pytest_runtest_logfinish` ends, or None.

        That hook is not told the worker. If several tests have this node id, it is the one whose teardown was reported.
        """
        runs = self._runs.get(nodeid, ())
        for run in runs:
            if not run.rerunning and (run.torn_down or len(runs) == 1):
                return run
        return None
