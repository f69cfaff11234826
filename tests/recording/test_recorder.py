"""The recorder makes an event of any values, and never raises an error."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import json
import math
import os
import pathlib
import threading
import time
import uuid
from collections import ChainMap, OrderedDict, UserDict, UserString, deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_swarmtask.core.event import EVENT_TYPES, MASK, MAX_FACTS, Event
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.recording import recorder as recorders
from pytest_swarmtask.recording.recorder import Recorder
from pytest_swarmtask.recording.routing import Routing
from pytest_swarmtask.recording.settings import read_settings
from tests.lab import no_relay, read_events

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def recorder(root: Path) -> Iterator[Recorder]:
    made = make(root)
    yield made
    made.close()


def make(root: Path, **environ: str) -> Recorder:
    return Recorder(read_settings(Project(str(root)), environ), environ)


def record(recorder: Recorder, metadata: Any, task_id: Any = "a", status: Any = None) -> dict[str, Any]:
    """Trigger an event, and return the event that is read from its journal line."""
    lines: list[bytes] = []
    journal = recorder._journal
    real = journal._write

    def written(fd: int, line: bytes) -> int:
        lines.append(line)
        return real(fd, line)

    journal._write = written  # type: ignore[assignment] # the journal writes only lines
    try:
        event = recorder.trigger("TASK_COMPLETED", task_id, status, metadata)
    finally:
        journal._write = real
    assert event is not None, recorder.problem
    (line,) = lines
    assert len(line) <= MAX_FACTS
    assert line.count(b"\n") == 1
    found: dict[str, Any] = json.loads(
        line.decode("utf-8"), parse_constant=lambda name: pytest.fail(f"{name} is no JSON")
    )
    assert Event.decode(line).id == event.id
    return found


# -- values --------------------------------------------------------------------------------------------------------


class Text(str, enum.Enum):
    A = "text"


class Number(enum.IntEnum):
    A = 3


class Plain(enum.Enum):
    A = object()


class Float64(float):
    """A float subclass with its own text form, as in NumPy."""

    def __repr__(self) -> str:
        return f"np.float64({float(self)!r})"

    __str__ = __repr__


class Int64(int):
    def __repr__(self) -> str:
        return f"np.int64({int(self)!r})"

    __str__ = __repr__


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


class Proxy:
    """An object that raises an error even for its class, as a web framework's request does outside of a request."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("working outside of request context")

    @__class__.setter
    def __class__(self, value: Any) -> None: ...


class Refusing(Mapping[str, Any]):
    """A mapping that raises an error on every access."""

    def __getitem__(self, key: str) -> Any:
        raise OSError("gone")

    def __iter__(self) -> Iterator[str]:
        raise OSError("gone")

    def __len__(self) -> int:
        raise OSError("gone")


class Undecided(UserDict[str, Any]):
    """A mapping that is neither true nor false, as a data frame."""

    def __bool__(self) -> bool:
        raise ValueError("the truth value is ambiguous")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, None),
        (True, True),
        (5, 5),
        (-(2**63), -(2**63)),
        (2**64 - 1, 2**64 - 1),
        (2**64, hex(2**64)),
        (10**20, hex(10**20)),
        (1.5, 1.5),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        ("text", "text"),
        ("a\x00b\nc\u2028", "a\x00b\nc\u2028"),
        ("\udc80 ü \U0001f600", "\\udc80 ü \U0001f600"),
        (b"bytes \xff", "bytes \\xff"),
        (bytearray(b"array"), "array"),
        ((1, 2), [1, 2]),
        ({1}, [1]),
        (frozenset({"a"}), ["a"]),
        (ValueError("bad"), "ValueError: bad"),
        (Text.A, "text"),
        (Number.A, 3),
        (Float64(1.5), 1.5),
        (Float64(math.nan), "nan"),
        (Int64(7), 7),
        (decimal.Decimal("1.10"), "1.10"),
        (fractions.Fraction(1, 3), "1/3"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.PurePosixPath("a/b"), "a/b"),
        (dt.date(2024, 1, 15), "2024-01-15"),
        (UserString("own"), "own"),
        (OrderedDict(a=1), {"a": 1}),
        (UserDict(a=1), {"a": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (ChainMap({"a": 1}, {"b": 2}), {"a": 1, "b": 2}),
        (Unshowable(), "<Unshowable that cannot be shown: RuntimeError>"),
        (Proxy(), "<Proxy that cannot be shown: RuntimeError>"),
        (Refusing(), "<Refusing that cannot be shown: OSError>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_of_any_type(recorder: Recorder, value: Any, written: Any) -> None:
    """A JSON value is unchanged, any other value becomes text, both at the top and nested."""
    found = record(recorder, {"value": value, "nested": [{"deep": value}]})["metadata"]
    assert found["value"] == written
    assert type(found["value"]) is type(written)
    assert found["nested"] == [{"deep": written}]


@pytest.mark.parametrize(
    "value",
    [
        object(),
        SimpleNamespace(a=1),
        deque([1]),
        range(3),
        print,
        len,
        type,
        Plain.A,
        ...,
        memoryview(b"x"),
        iter([]),
        1j,
    ],
)
def test_a_value_that_shows_itself(recorder: Recorder, value: Any) -> None:
    """Any other object is written as `str` shows it."""
    assert record(recorder, {"value": value})["metadata"]["value"] == str(value)


def test_a_huge_integer(recorder: Recorder) -> None:
    """An integer that is too large for decimal text is written as hexadecimal text."""
    assert record(recorder, {"value": 10**6000})["metadata"]["value"].startswith("0x")


def test_a_cycle(recorder: Recorder) -> None:
    """A value that contains itself is cut off, and the event is recorded."""
    mapping: dict[str, Any] = {}
    mapping["self"] = [mapping]
    found = record(recorder, mapping)["metadata"]
    assert "…" in json.dumps(found, ensure_ascii=False)


ANYTHING = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(alphabet=st.characters(codec=None)),
        st.text(max_size=3).map(lambda text: text * 3000),
        st.binary(),
        st.complex_numbers(),
        st.dates(),
        st.uuids(),
        st.builds(ValueError, st.text()),
        st.builds(Unshowable) | st.builds(Proxy) | st.builds(Refusing),
        st.integers(5000, 6000).map(lambda digits: 10**digits),
        st.sampled_from([Text.A, Plain.A, Float64(math.inf), "\udfff" * 5000, "\x00" * 5000]),
    ),
    lambda inner: st.one_of(
        st.lists(inner),
        st.tuples(inner, inner),
        st.frozensets(st.integers() | st.text()),
        st.dictionaries(st.text(alphabet=st.characters(codec=None)) | st.integers() | st.none() | st.binary(), inner),
        inner.map(lambda value: [value] * 150),
    ),
    max_leaves=60,
)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(alphabet=st.characters(codec=None)), ANYTHING), ANYTHING, ANYTHING)
def test_any_value_at_all(recorder: Recorder, metadata: dict[str, Any], task_id: Any, status: Any) -> None:
    """Any values give an event of at most 16 KiB that any JSON reader can read."""
    record(recorder, metadata, task_id, status)


STANDARD = (
    "timestamp",
    "workflow",
    "action",
    "success",
    "error",
    "duration",
    "outcome",
    "exit_code",
    "redacted",
    "truncated",
)


@pytest.mark.parametrize("worst", ["\udfff", "\x00", "\U0001f600", '"', "ü"], ids=ascii)
@pytest.mark.parametrize("depth", [0, 6])
def test_the_worst_that_can_be_given(recorder: Recorder, worst: str, depth: int) -> None:
    """An event stays within the limit with all fields too long, in the longest characters, and deeply nested."""
    nest: Any = worst * 5000
    for _ in range(depth):
        nest = {f"{worst * 150}{n}": nest for n in range(6)}
    metadata = {**dict.fromkeys(STANDARD, nest), **{f"{worst * 190}{n}": nest for n in range(90)}}
    found = record(recorder, metadata, worst * 5000, worst * 5000)
    assert found["metadata"]["truncated"]


def test_what_is_cut_says_so(recorder: Recorder) -> None:
    """An event that is too long is shortened: standard fields stay whole, and `truncated` is set."""
    found = record(recorder, {"error": "AssertionError", **{f"n{n}": "x" * 2000 for n in range(50)}})["metadata"]
    assert found["truncated"] is True
    assert (found["error"], found["workflow"], found["success"]) == ("AssertionError", recorder.settings.source, True)
    assert found["n0"].startswith("xxx")
    assert found["n0"].endswith("…")
    assert "truncated" not in record(recorder, {"short": "x"})["metadata"]


@pytest.mark.parametrize(
    ("given_id", "written"),
    [
        (5, "5"),
        (5.2, "5.2"),
        (["a"], "['a']"),
        ({"a": 1}, "{'a': 1}"),
        (b"x", "x"),
        (pathlib.PurePosixPath("a/b"), "a/b"),
        (Text.A, "text"),
        ("", ""),
        (None, None),
    ],
)
def test_a_task_id_of_any_type(recorder: Recorder, given_id: Any, written: str | None) -> None:
    """A task id that is no string becomes a string. None stays None."""
    assert record(recorder, {}, given_id)["task_id"] == written


@pytest.mark.parametrize("metadata", [Refusing(), Undecided({"a": 1})], ids=lambda value: type(value).__name__)
def test_metadata_that_refuses(recorder: Recorder, metadata: Any) -> None:
    """Metadata that raises an error on access or on `bool` still gives an event."""
    found = record(recorder, metadata)["metadata"]
    assert "gone" in str(found) or "OSError" in str(found) or found["a"] == 1


# -- standard metadata ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_standard_metadata(root: Path, event_type: str) -> None:
    """Each event has timestamp, workflow and action, each end event has success, and the status matches the type."""
    made = make(root)
    event = made.trigger(event_type, "task", None, {})
    made.close()
    assert event is not None
    kind, _, verb = event_type.partition("_")
    assert event.metadata["timestamp"] == event.timestamp
    assert event.metadata["workflow"] == root.name
    assert event.metadata["action"] == kind.lower()
    assert event.metadata.get("success") == {"COMPLETED": True, "PASSED": True, "FAILED": False, "SKIPPED": False}.get(
        verb
    )
    assert event.status == EVENT_TYPES[event_type]


def test_the_caller_s_metadata_comes_first(recorder: Recorder) -> None:
    """Metadata from the caller is never overwritten, not even a standard field."""
    own: dict[str, Any] = {name: f"my {name}" for name in STANDARD}
    recorder.trigger("TASK_STARTED", "a", None, {})
    found = record(recorder, {**own, "password": "x"}, "a", "my status")
    assert found["status"] == "my status"
    assert {name: found["metadata"][name] for name in own} == own
    assert found["metadata"]["password"] == MASK
    assert found["timestamp"] != "my timestamp"


def test_the_caller_s_metadata_is_not_touched(recorder: Recorder) -> None:
    """Recording does not change the caller's metadata."""
    own = {"password": "x", "list": [1, {"a": b"b"}]}
    record(recorder, own)
    assert own == {"password": "x", "list": [1, {"a": b"b"}]}


def test_duration_and_span(root: Path) -> None:
    """A start and its end share a span, and the end has the duration between them."""
    made = make(root)
    start = made.trigger("BUILD_STARTED", "a", None, {})
    time.sleep(0.02)
    end = made.trigger("BUILD_FAILED", "a", None, {})
    made.close()
    assert start is not None
    assert end is not None
    assert start.span_id == end.span_id
    assert 0.02 <= end.metadata["duration"] < 5
    assert "duration" not in start.metadata


def test_the_same_task_again(root: Path) -> None:
    """A task that runs twice has two spans, and two kinds of the same name have different spans."""
    made = make(root)
    spans = []
    for kind in ("TASK", "BUILD", "TASK"):
        start = made.trigger(f"{kind}_STARTED", "a", None, {})
        end = made.trigger(f"{kind}_COMPLETED", "a", None, {})
        assert start is not None
        assert end is not None
        assert start.span_id == end.span_id
        spans.append(start.span_id)
    made.close()
    assert len(set(spans)) == 3


def test_an_end_without_a_start(root: Path) -> None:
    """An end event whose start was recorded elsewhere has the same span, but no duration."""
    here, there = make(root, TRACEPARENT=f"00-{TRACE}-{SPAN}-01"), make(root, TRACEPARENT=f"00-{TRACE}-{SPAN}-01")
    start = there.trigger("TASK_STARTED", "a", None, {})
    end = here.trigger("TASK_COMPLETED", "a", None, {})
    here.close()
    there.close()
    assert start is not None
    assert end is not None
    assert start.span_id == end.span_id
    assert start.trace_id == end.trace_id == TRACE
    assert start.parent_span_id == end.parent_span_id == SPAN
    assert "duration" not in end.metadata


# -- the run and its surroundings ----------------------------------------------------------------------------------


def test_handing_the_run_down(root: Path) -> None:
    """A process with the recorder's `traceparent` belongs to the same run, and its parent is the present span."""
    above = make(root)
    above.parent_span_id = SPAN
    below = make(root, TRACEPARENT=above.traceparent())
    assert (below.trace_id, below.parent_span_id) == (above.trace_id, SPAN)


def test_secrets_are_hidden_everywhere(tmp_path: Path) -> None:
    """A secret is hidden in task id, status, source, keys and values before the event is written."""
    secret = "correct-horse-battery"
    project = tmp_path / f"checkout-{secret}"
    project.mkdir()
    made = make(project, MY_TOKEN=secret)
    made.trigger("TASK_STARTED", f"deploy {secret}", f"is {secret}", {secret: secret, "list": [{"a": secret}]})
    made.close()
    (segment,) = (project / ".taskmaster" / "events").glob("*.jsonl")
    assert secret not in segment.read_text()
    (event,) = read_events(project)
    assert event["task_id"] == f"deploy {MASK}"


def test_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    """A project in a folder whose name is not UTF-8 is recorded."""
    folder = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    os.mkdir(folder)
    made = make(Path(os.fsdecode(folder)))
    assert made.trigger("TASK_STARTED", "a", None, {}) is not None
    made.close()
    (event,) = read_events(os.fsdecode(folder))
    assert event["source"] == "caf\\udce9"


def test_switched_off(tmp_path: Path) -> None:
    """If recording is off, nothing is written and no event counts as lost."""
    (tmp_path / ".taskmaster" / "config").mkdir(parents=True)
    (tmp_path / ".taskmaster" / "config" / "workflow.yaml").write_text("task_integration: {enabled: false}\n")
    made = make(tmp_path, TASKMASTER_WEBHOOK_URL="http://127.0.0.1:9/")
    made.register_webhook({"name": "hook", "url": "http://127.0.0.1:9/"}, [])
    assert made.trigger("TASK_STARTED", "a", None, {}) is None
    assert (made.count, made.lost, made.has_pending) == (0, 0, False)
    assert made.drain(0)
    made.close()
    assert not list((tmp_path / ".taskmaster" / "events").glob("*.jsonl"))


def test_listeners_get_what_was_journaled(root: Path) -> None:
    """A listener gets each event after it was written."""
    made = make(root)
    heard: list[tuple[Event, bool]] = []
    made.listeners.append(lambda event: heard.append((event, event.id in {one["id"] for one in read_events(root)})))
    event = made.trigger("TASK_STARTED", "a", None, {})
    made.close()
    assert heard == [(event, True)]


def test_one_recorder_for_all_threads(tmp_path: Path) -> None:
    """Threads that request a project's recorder at the same time get the same recorder."""
    for attempt in range(20):
        root = str(tmp_path / f"{attempt}")
        ready = threading.Barrier(8)
        got: list[Recorder] = []

        def ask(root: str, ready: threading.Barrier, got: list[Recorder]) -> None:
            ready.wait()
            got.append(recorders.get_recorder(Project(str(root))))

        threads = [threading.Thread(target=ask, args=(root, ready, got)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 8
        assert len(set(map(id, got))) == 1
        del recorders._recorders[Project(str(root))]


# -- routes --------------------------------------------------------------------------------------------------------


def owe(recorder: Recorder, name: str) -> None:
    """Register a webhook for later events, without a relay that would deliver them."""
    recorder.register_webhook({"name": name, "url": "http://127.0.0.1:9/"}, [])
    no_relay(recorder)


def routes(root: Path) -> dict[str, Any]:
    folder = root / ".taskmaster" / "events" / "routes"
    return {path.stem: json.loads(path.read_bytes()) for path in folder.glob("*.json")}


def test_a_route_says_what_a_segment_is_owed_to(tmp_path: Path) -> None:
    """The route in a segment's name lists the webhooks that were registered when the segment was written."""
    made = make(tmp_path)
    made.trigger("TASK_STARTED", "nobody", None, {})
    owe(made, "one")
    made.trigger("TASK_STARTED", "one", None, {})
    owe(made, "two")
    made.trigger("TASK_STARTED", "both", None, {})
    made.unregister_webhook("one")
    no_relay(made)
    made.trigger("TASK_STARTED", "two", None, {})
    made.unregister_webhook("two")
    made.trigger("TASK_STARTED", "nobody again", None, {})
    made.close()
    known = routes(tmp_path)
    owed = {}
    for path in (tmp_path / ".taskmaster" / "events").glob("*.jsonl"):
        route = path.stem.rpartition("-")[2]
        owed[json.loads(path.read_bytes())["task_id"]] = known[route]["endpoints"] if route != "local" else []
    assert owed == {"nobody": [], "one": ["one"], "both": ["one", "two"], "two": ["two"], "nobody again": []}
    assert {name for route in known.values() for name in route["registered"]} == {"one", "two"}


def test_a_webhook_that_came_and_went(tmp_path: Path) -> None:
    """A webhook that was registered and unregistered before any event has no effect."""
    made = make(tmp_path)
    made.register_webhook({"name": "hook", "url": "http://127.0.0.1:9/"}, [])
    made.unregister_webhook("hook")
    assert made.trigger("TASK_STARTED", "a", None, {}) is not None
    assert not made.has_pending
    made.close()


def test_no_secret_in_a_route(tmp_path: Path) -> None:
    """A route contains the names of variables, but not their values."""
    made = make(
        tmp_path, TASKMASTER_WEBHOOK_URL="http://127.0.0.1:9/secret-path", AUTOMATION_SECRET_KEY="correct-horse"
    )
    assert made._deliveries is not None
    (content,) = [path.read_text() for path in (tmp_path / ".taskmaster" / "events" / "routes").glob("*.json")]
    assert "secret-path" not in content
    assert "correct-horse" not in content


def test_ours_and_others_relays(tmp_path: Path) -> None:
    """Runs share a relay if the variables have the same values, but not with another secret or environment."""
    same = {"TASKMASTER_WEBHOOK_URL": "http://127.0.0.1:9/", "AUTOMATION_SECRET_KEY": "a"}
    environs: list[dict[str, str]] = [
        same,
        {**same, "OTHER": "x"},
        {**same, "AUTOMATION_SECRET_KEY": "b"},
        {**same, "WORKFLOW_ENVIRONMENT": "prod"},
    ]
    keys = [Routing(read_settings(Project(str(tmp_path)), environ), environ).relay_key() for environ in environs]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
