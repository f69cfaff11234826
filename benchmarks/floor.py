"""The floor: a pytest plugin with the minimum of work for two events per test, without any protection.

For each event it makes one dictionary, its JSON, and one write. It has no redaction, reruns, subtests, workers, or ids
that are unique beyond this file. The cost of our plugin is measured relative to this cost.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


class Floor:
    """Writes two lines for each test."""

    def __init__(self) -> None:
        self._fd = os.open("floor.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)
        self._count = 0
        self._duration = 0.0
        self._outcome = "passed"

    def _write(self, event_type: str, status: str, nodeid: str, facts: dict[str, Any]) -> None:
        self._count += 1
        now = time.time()
        event = {
            "id": f"floor-{self._count}",
            "event_type": event_type,
            "task_id": nodeid,
            "status": status,
            "timestamp": now,
            "source": "floor",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "span_id": "00f067aa0ba902b7",
            "parent_span_id": "00f067aa0ba902b8",
            "metadata": {"timestamp": now, "workflow": "pytest", "action": "test", "specific_test": nodeid, **facts},
        }
        os.write(self._fd, f"{_encode(event)}\n".encode())

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Write the start."""
        self._duration, self._outcome = 0.0, "passed"
        self._write("TEST_STARTED", "started", nodeid, {"test_type": "pytest"})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the duration of this phase."""
        self._duration += report.duration
        if report.outcome != "passed":
            self._outcome = report.outcome

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Write the end."""
        passed = self._outcome == "passed"
        facts = {"success": passed, "duration": self._duration, "test_type": "pytest", "test_passed": passed}
        facts |= {"outcome": self._outcome, "phase": "call", "attempt": 1}
        self._write("TEST_PASSED" if passed else "TEST_FAILED", "completed", nodeid, facts)


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin."""
    config.pluginmanager.register(Floor())
