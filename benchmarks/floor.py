"""The floor: a pytest plugin with the minimum of work for two events per test, without any protection.

It formats each event as one string and writes it with one call. That is the fastest encoder: no dictionary is made and
none is encoded. It has no redaction, reruns, subtests, workers, locks, or ids that are unique beyond this file. The
cost of our plugin is measured relative to this cost.
"""

from __future__ import annotations

import os
import time
from json.encoder import encode_basestring
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_RUN = (
    '"source":"floor","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","parent_span_id":null'
)


class Floor:
    """Writes two lines for each test."""

    def __init__(self) -> None:
        self._fd = os.open("floor.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)
        self._count = 0
        self._duration = 0.0
        self._outcome = "passed"

    def _write(self, event_type: str, status: str, nodeid: str, facts: str) -> None:
        self._count += 1
        name, now = encode_basestring(nodeid), int(time.time() * 1000)
        line = (
            f'{{"id":"floor-{self._count}","event_type":"{event_type}","task_id":{name},"status":"{status}",'
            f'"timestamp":{now},{_RUN},"metadata":{{"timestamp":{now},"workflow":"pytest","action":"test",'
            f'"test_type":"pytest","specific_test":{name}{facts}}}}}\n'
        )
        os.write(self._fd, line.encode())

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Write the start."""
        self._duration, self._outcome = 0.0, "passed"
        self._write("TEST_STARTED", "started", nodeid, "")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the duration of this phase."""
        self._duration += report.duration
        if report.outcome != "passed":
            self._outcome = report.outcome

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Write the end."""
        passed = "true" if self._outcome == "passed" else "false"
        facts = (
            f',"success":{passed},"duration":{int(self._duration * 1e6) / 1e6},"test_passed":{passed},'
            f'"outcome":"{self._outcome}","phase":"call","attempt":1'
        )
        self._write("TEST_PASSED" if self._outcome == "passed" else "TEST_FAILED", "completed", nodeid, facts)


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin."""
    config.pluginmanager.register(Floor())
