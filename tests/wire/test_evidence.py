"""Evidence is stripped from events on their way to receivers for which the user does not want it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_swarmtask.core.event import EVIDENCE, EVIDENCE_TEXTS, Event
from pytest_swarmtask.plugins.sink import PendingEvent
from pytest_swarmtask.wire import formats
from pytest_swarmtask.wire.evidence import without_evidence

TEXTS: dict[str, Any] = {key: f"what {key} shows ü \x00" for key in EVIDENCE_TEXTS}
FACTS: dict[str, Any] = {
    "test_type": "pytest",
    "error": "assert 1 == 2",
    "exception": "AssertionError",
    "fingerprint": "0" * 16,
}
ATTEMPT: dict[str, Any] = {"outcome": "failed", "phase": "call", "error": "not yet", "duration": 0.5}


def pending(event_type: str = "TEST_FAILED", **metadata: Any) -> PendingEvent:
    time = "2024-01-15T10:30:00.000Z"
    event = Event("ab-1", event_type, "t", "failed", time, "s", "a" * 32, "b" * 16, None, metadata)
    line = event.encode().rstrip(b"\n")
    return PendingEvent(line, event, "segment", len(line) + 1)


FAILED = pending(**FACTS, **TEXTS, properties=[["a", 1]], attempts=[{**ATTEMPT, **TEXTS}])


@pytest.mark.parametrize("name", ["cloudevents", "cdevents", "plain"])
@pytest.mark.parametrize("batch", [False, True])
def test_no_format_carries_it(name: str, batch: bool) -> None:
    """A body has no evidence, also none of earlier attempts; the facts stay."""
    body = formats.by_name(name).body([without_evidence(FAILED)], batch=batch).decode()
    assert not [key for key in EVIDENCE if f'"{key}"' in body]
    assert "shows" not in body
    assert '"fingerprint":"0000000000000000"' in body
    assert '"error":"not yet"' in body


def test_the_rest_stays() -> None:
    """Line and event are what they would be without evidence, and the event on its way is left alone."""
    stripped = without_evidence(FAILED)
    plain = pending(**FACTS, attempts=[ATTEMPT])
    assert (stripped.line, stripped.event) == (plain.line, plain.event)
    assert (stripped.segment, stripped.end) == (FAILED.segment, FAILED.end)
    assert FAILED.event.metadata["traceback"] == TEXTS["traceback"]


@pytest.mark.parametrize("key", EVIDENCE)
def test_each_alone(key: str) -> None:
    """One kind of evidence is enough to be stripped, in a test and in an earlier attempt of it."""
    value = [["a", 1]] if key == "properties" else "text"
    given: dict[str, Any] = {"test_type": "pytest", key: value}
    assert key not in json.loads(without_evidence(pending(**given)).line)["metadata"]
    nested = pending("TEST_PASSED", test_type="pytest", attempts=[{"outcome": "failed", key: value}])
    assert json.loads(without_evidence(nested).line)["metadata"]["attempts"] == [{"outcome": "failed"}]


def test_an_event_without_it() -> None:
    """An event without evidence is passed on as it is, byte for byte."""
    plain = pending(**FACTS, attempts=[ATTEMPT])
    assert without_evidence(plain) is plain


@pytest.mark.parametrize("event_type", ["BUILD_FAILED", "TEST_FAILED"])
def test_metadata_of_the_user(event_type: str) -> None:
    """Metadata of the same names that a user's own event has is no evidence."""
    own = pending(event_type, log="the user's", stdout="own", properties={"a": 1})
    assert without_evidence(own) is own


def test_the_end_of_a_session() -> None:
    """Properties of the suite are stripped, too."""
    end = pending("TASK_FAILED", test_type="pytest", action="session", properties=[["a", 1]])
    assert "properties" not in json.loads(without_evidence(end).line)["metadata"]


def test_the_list_of_what_was_redacted() -> None:
    """The places that are stripped are no longer in the list of redacted places."""
    places = ["task_id", "traceback", "properties[0][1]", "attempts[0].stdout", "attempts[0].error"]
    failed = pending(**FACTS, traceback="text", redacted=places)
    assert without_evidence(failed).event.metadata["redacted"] == ["task_id", "attempts[0].error"]
    only = pending(**FACTS, traceback="text", redacted=["traceback"])
    assert "redacted" not in without_evidence(only).event.metadata
