"""A line that is too long loses evidence first, and only as much as is necessary."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_swarmtask.core.event import EVIDENCE, MAX_EVENT, MAX_FACTS, Event
from pytest_swarmtask.recording.truncate import truncate

KILO = "x" * 1023 + "\n"
FACTS = {"test_type": "pytest", "error": "assert 1 == 2", "team": "y" * 2000}


def made(event_type: str, metadata: dict[str, Any]) -> Event:
    time = "2026-01-31T10:15:00.858Z"
    return Event("a-1", event_type, "t", "failed", time, "s", "a" * 32, "b" * 16, None, metadata)


def cut(**metadata: Any) -> dict[str, Any]:
    """Return the metadata of a failed test after its event was cut."""
    event = made("TEST_FAILED", metadata)
    line = truncate(event)
    assert len(line) <= MAX_EVENT
    assert Event.decode(line) == event
    return event.metadata


def test_what_fits_stays() -> None:
    """Evidence may take more than other facts."""
    given = {**FACTS, "traceback": KILO * 20, "stdout": KILO * 20}
    assert cut(**given) == given


def test_earlier_attempts_go_first() -> None:
    attempts = [{"outcome": "failed", "error": "not yet", "traceback": KILO * 20} for _ in range(2)]
    found = cut(**FACTS, traceback=KILO * 30, attempts=attempts)
    assert found["attempts"] == [{"outcome": "failed", "error": "not yet"}] * 2
    assert found["traceback"] == KILO * 30
    assert found["truncated"] is True


def test_the_traceback_goes_last() -> None:
    """Output goes before the traceback, and the other facts are whole."""
    found = cut(**FACTS, traceback=KILO * 40, stdout=KILO * 30, log=KILO * 30)
    assert found == {**FACTS, "traceback": KILO * 40, "truncated": True}


def test_facts_go_after_all_evidence() -> None:
    """Facts are cut where they are too long without evidence."""
    many = {f"n{number}": "z" * 2000 for number in range(40)}
    found = cut(**FACTS, **many, traceback=KILO, properties=[["a", KILO]])
    assert not found.keys() & set(EVIDENCE)
    assert found["error"] == FACTS["error"]
    assert found["n0"].endswith("…")


@pytest.mark.parametrize("event_type", ["BUILD_FAILED", "TEST_FAILED"])
def test_other_events_stay_small(event_type: str) -> None:
    """Metadata of a user that is named like evidence does not make an event longer."""
    assert len(truncate(made(event_type, {"log": KILO * 20, "stdout": KILO}))) <= MAX_FACTS
