"""A line that is too long loses evidence first, and only as much as is necessary."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_swarmtask.core.event import EVIDENCE, MAX_EVENT, MAX_FACTS, Event
from pytest_swarmtask.recording.truncate import truncate

KILO = "x" * 1023 + "\n"
FACTS = {"test_type": "pytest", "error": "assert 1 == 2", "team": "y" * 2000}


def cut(event_type: str = "TEST_FAILED", **metadata: Any) -> dict[str, Any]:
    """Return the metadata of an event after it was cut."""
    metadata = {"log": KILO * 20, "stdout": KILO}
    event = Event("a-1", event_type, "t", "failed", "", "s", "a" * 32, "b" * 16, None, metadata)
    assert len(truncate(event)) <= MAX_FACTS
