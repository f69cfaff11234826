"""The event: its types, its fields and its one written form."""

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
"""As the design writes them, in its order."""

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
    """Return a journal line whose fields need not be right."""
    return json.dumps({**event().to_dict(), **changes}).encode()


def test_the_twelve_types_and_skipped() -> None:
    """There are exactly the types of the design, each with the status that an event of it has by default."""
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
    """A member equals the plain string, prints as it, and formats as it on every Python."""
    member = AutomationEventType.TASK_STARTED
    assert member == "TASK_STARTED"
    assert (str(member), f"{member}", "%s" % member) == ("TASK_STARTED",) * 3  # noqa: UP031 - all three ways
    assert event_type_name(member) == event_type_name("TASK_STARTED") == "TASK_STARTED"
    assert type(event_type_name(member)) is str


def test_the_enumeration_has_all_types() -> None:
    """The enumeration and the table of the types, which stand in two modules, name the same ones."""
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
    """What is no event type is an error that quotes it, lists the types, and names the nearest one."""
    with pytest.raises(EventTypeError) as caught:
        event_type_name(wrong)
    message = str(caught.value)
    assert repr(wrong) in message
    assert f"did you mean {nearest}?" in message
    assert all(name in message for name in EVENT_TYPES)


@pytest.mark.parametrize("wrong", [None, 5, "", "zzz", ["TASK_STARTED"], {}, b"TASK_STARTED"])
def test_anything_else_is_no_type(wrong: Any) -> None:
    """Values of any Python type are refused by the same error, which is ours and a ValueError; no far-fetched guess."""
    with pytest.raises(EventTypeError) as caught:
        event_type_name(wrong)
    assert isinstance(caught.value, SwarmtaskError)
    assert isinstance(caught.value, ValueError)


def test_written_form() -> None:
    """A journal line is compact JSON in UTF-8 on one line, its fields in the order of the design."""
    text = event(task_id='say "ü"\n', metadata={"error": "a\nb", "n": 1.5}).encode()
    assert text.endswith(b"}\n")
    assert text.count(b"\n") == 1
    assert b": " not in text
    assert "ü".encode() in text
    assert tuple(json.loads(text)) == FIELDS


@given(st.none() | st.text(), st.text(), st.text(), st.dictionaries(st.text(), JSON_VALUES, max_size=5))
def test_round_trip(task_id: str | None, status: str, source: str, metadata: dict[str, Any]) -> None:
    """Whatever JSON can carry comes back equal."""
    written = event(task_id=task_id, status=status, source=source, metadata=metadata)
    read = Event.decode(written.encode())
    assert read == written
    assert hash(read) == hash(written)
    assert read.encode() == written.encode()


def test_to_dict_is_the_line() -> None:
    """`to_dict` gives the written form, in its order."""
    assert tuple(event().to_dict()) == FIELDS
    assert event().to_dict() == json.loads(event().encode())


@pytest.mark.parametrize("name", FIELDS)
def test_a_missing_field_is_named(name: str) -> None:
    """A line without one of the fields is no event, and the error names the field."""
    fields = event().to_dict()
    del fields[name]
    with pytest.raises(JournalError, match=name):
        Event.decode(json.dumps(fields).encode())


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [5, True, ["TASK_STARTED"], 1.5], ids=repr)
def test_a_field_of_the_wrong_type_is_refused(name: str, value: Any) -> None:
    """A field that holds another type than it should, also one that cannot be hashed, makes a line foreign."""
    with pytest.raises(JournalError, match=name):
        Event.decode(line(**{name: value}))


@pytest.mark.parametrize(
    ("name", "value"), [("event_type", {}), ("event_type", None), ("id", None), ("metadata", None)]
)
def test_no_field_is_null_or_an_object_where_it_must_not(name: str, value: Any) -> None:
    """The same for null and objects, where these are not right."""
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
    """What is no event raises nothing but `JournalError`, however odd."""
    with pytest.raises(JournalError):
        Event.decode(foreign)


@given(st.binary(max_size=200))
def test_any_bytes(garbage: bytes) -> None:
    """No bytes at all make the reader raise anything but `JournalError`."""
    with pytest.raises(JournalError):
        Event.decode(garbage)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_flipped_byte(position: int, value: int) -> None:
    """A damaged line is an event or a `JournalError`, never another exception."""
    damaged = bytearray(event().encode())
    damaged[position % len(damaged)] = value
    try:
        Event.decode(bytes(damaged))
    except JournalError:
        pass


def test_more_fields_than_we_know() -> None:
    """A line of a later version, with a field more, is read."""
    assert Event.decode(line(novelty=1)) == event()


def test_repr_shows_no_metadata() -> None:
    """The repr tells which event it is and nothing of what it carries."""
    assert repr(event(metadata={"error": "hunter2"})) == (
        "<Event TEST_FAILED 'tests/test_api.py::test_login[admin]' 0f1e2d3c4b5a6978-1>"
    )


def test_unequal() -> None:
    """Events differ when a field does, and from what is no event."""
    assert event() != event(status="passed")
    assert event() != "event"
