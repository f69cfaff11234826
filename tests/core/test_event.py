"""The event: its types, its fields and its written form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_swarmtask.core.errors import EventTypeError, JournalError, SwarmtaskError
from pytest_swarmtask.core.event import EVENT_TYPES, Event, event_type_name
from pytest_swarmtask.core.event_types import AutomationEventType

FIELDS = (
    "id",
    "event_type",
    "task_id",
    "status",
    "timestamp",
    "source",
    "trace_id",
    "span_id",
    "parent_span_id",
    "metadata",
)
"""The fields of an event, in the order of the design."""

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def event(**changes: Any) -> Event:
    fields: dict[str, Any] = {
        "id": "0f1e2d3c4b5a6978-1",
        "event_type": "TEST_FAILED",
        "task_id": "tests/test_api.py::test_login[admin]",
        "status": "failed",
        "timestamp": "2024-01-15T10:30:00.000Z",
        "source": "swarm-director",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "00f067aa0ba902b7",
        "parent_span_id": None,
        "metadata": {"success": False},
    }
    return Event(**{**fields, **changes})


def line(**changes: Any) -> bytes:
    """Return a journal line with these fields, which need not be valid."""
    return json.dumps({**event().to_dict(), **changes}).encode()


def test_the_twelve_types_and_skipped() -> None:
    """The event types are exactly the types of the design, and each type has its default status."""
    assert EVENT_TYPES == {
        "TASK_STARTED": "started",
        "TASK_COMPLETED": "completed",
        "TASK_FAILED": "failed",
        "BUILD_STARTED": "started",
        "BUILD_COMPLETED": "completed",
        "BUILD_FAILED": "failed",
        "DEPLOYMENT_STARTED": "started",
        "DEPLOYMENT_COMPLETED": "completed",
        "DEPLOYMENT_FAILED": "failed",
        "TEST_STARTED": "started",
        "TEST_PASSED": "completed",
        "TEST_FAILED": "failed",
        "TEST_SKIPPED": "skipped",
    }


def test_a_type_is_its_name() -> None:
    """An event type equals the plain string, and prints and formats as that string on every Python."""
    member = AutomationEventType.TASK_STARTED
    assert member == "TASK_STARTED"
    assert (str(member), f"{member}", "%s" % member) == ("TASK_STARTED",) * 3  # noqa: UP031 - all three ways
    assert event_type_name(member) == event_type_name("TASK_STARTED") == "TASK_STARTED"
    assert type(event_type_name(member)) is str


def test_the_enumeration_has_all_types() -> None:
    """The enumeration and the table of types are defined in two modules, and both have the same names."""
    assert [member.value for member in AutomationEventType] == list(AutomationEventType.__members__) == [*EVENT_TYPES]


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("TASK_START", "TASK_STARTED"),
        ("task_failed", "TASK_FAILED"),
        ("TSET_PASSED", "TEST_PASSED"),
        ("DEPLOY_FAILED", "DEPLOYMENT_FAILED"),
    ],
)
def test_an_unknown_type_names_the_nearest(wrong: str, nearest: str) -> None:
    """The error for an unknown event type quotes it, lists all types, and names the nearest type."""
    with pytest.raises(EventTypeError) as caught:
        event_type_name(wrong)
    message = str(caught.value)
    assert repr(wrong) in message
    assert f"did you mean {nearest}?" in message
    assert all(name in message for name in EVENT_TYPES)


@pytest.mark.parametrize("wrong", [None, 5, "", "zzz", ["TASK_STARTED"], {}, b"TASK_STARTED"])
def test_anything_else_is_no_type(wrong: Any) -> None:
    """A value that is no event type raises an EventTypeError, which is a SwarmtaskError and a ValueError."""
    with pytest.raises(EventTypeError) as caught:
        event_type_name(wrong)
    assert isinstance(caught.value, SwarmtaskError)
    assert isinstance(caught.value, ValueError)


def test_written_form() -> None:
    """A journal line is compact JSON in UTF-8 on one line, with the fields in the order of the design."""
    text = event(task_id='say "ü"\n', metadata={"error": "a\nb", "n": 1.5}).encode()
    assert text.endswith(b"}\n")
    assert text.count(b"\n") == 1
    assert b": " not in text
    assert "ü".encode() in text
    assert tuple(json.loads(text)) == FIELDS


@given(st.none() | st.text(), st.text(), st.text(), st.dictionaries(st.text(), JSON_VALUES, max_size=5))
def test_round_trip(task_id: str | None, status: str, source: str, metadata: dict[str, Any]) -> None:
    """An event with any JSON values equals the event that is read from its line."""
    written = event(task_id=task_id, status=status, source=source, metadata=metadata)
    read = Event.decode(written.encode())
    assert read == written
    assert hash(read) == hash(written)
    assert read.encode() == written.encode()


def test_to_dict_is_the_line() -> None:
    """`to_dict` returns the fields of the line in their order."""
    assert tuple(event().to_dict()) == FIELDS
    assert event().to_dict() == json.loads(event().encode())


@pytest.mark.parametrize("name", FIELDS)
def test_a_missing_field_is_named(name: str) -> None:
    """A line without one of the fields is refused, and the error names the field."""
    fields = event().to_dict()
    del fields[name]
    with pytest.raises(JournalError, match=name):
        Event.decode(json.dumps(fields).encode())


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [5, True, ["TASK_STARTED"], 1.5], ids=repr)
def test_a_field_of_the_wrong_type_is_refused(name: str, value: Any) -> None:
    """A line with a field of a wrong type is refused, also if the value cannot be hashed."""
    with pytest.raises(JournalError, match=name):
        Event.decode(line(**{name: value}))


@pytest.mark.parametrize(
    ("name", "value"), [("event_type", {}), ("event_type", None), ("id", None), ("metadata", None)]
)
def test_no_field_is_null_or_an_object_where_it_must_not(name: str, value: Any) -> None:
    """A line with null or an object in a field that does not allow it is refused."""
    with pytest.raises(JournalError, match=name):
        Event.decode(line(**{name: value}))


@pytest.mark.parametrize(
    "foreign",
    [
        b"",
        b"\n",
        b"{",
        b"[]",
        b"null",
        b"5",
        b'"text"',
        b"\xff\xfe",
        b"\x00" * 40,
        b"[" * 100_000,
        b"9" * 5000,
        line()[:-1],
    ],
    ids=lambda value: repr(value[:12]),
)
def test_foreign_lines(foreign: bytes) -> None:
    """A line that is no event raises only `JournalError`."""
    with pytest.raises(JournalError):
        Event.decode(foreign)


@given(st.binary(max_size=200))
def test_any_bytes(garbage: bytes) -> None:
    """Reading any bytes raises only `JournalError`."""
    with pytest.raises(JournalError):
        Event.decode(garbage)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_flipped_byte(position: int, value: int) -> None:
    """A damaged line either gives an event or raises `JournalError`."""
    damaged = bytearray(event().encode())
    damaged[position % len(damaged)] = value
    try:
        Event.decode(bytes(damaged))
    except JournalError:
        pass


def test_more_fields_than_we_know() -> None:
    """A line with an additional field, as a later version may write, can be read."""
    assert Event.decode(line(novelty=1)) == event()


def test_repr_shows_no_metadata() -> None:
    """The repr shows the type and the ids of the event, but no metadata."""
    assert repr(event(metadata={"error": "hunter2"})) == (
        "<Event TEST_FAILED 'tests/test_api.py::test_login[admin]' 0f1e2d3c4b5a6978-1>"
    )


def test_unequal() -> None:
    """Events with a different field are unequal, and an event is unequal to any other object."""
    assert event() != event(status="passed")
    assert event() != "event"
