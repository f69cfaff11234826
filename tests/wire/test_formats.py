"""Every event, even with odd values, becomes a body that the standards' own schemas and libraries accept."""

from __future__ import annotations

import itertools
import json
from datetime import datetime
from typing import Any

import jsonschema
import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_http_event

from pytest_swarmtask.core.event import EVENT_TYPES, Event
from pytest_swarmtask.plugins.sink import PendingEvent
from pytest_swarmtask.wire import cloudevents, formats
from tests.lab import REPOSITORY

DATA = REPOSITORY / "tests" / "data"
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = "00f067aa0ba902b7"
CHECKER = jsonschema.FormatChecker(formats=["uri", "uri-reference", "date-time"])

HOSTILE = [
    "tests/test_api.py::test_login[admin]",
    "",
    "ünï/cödé ☃ 🐍",
    'quotes " and \\ and </script>',
    "controls \x00\x01\x1b[31m\x7f\x85\n\r\t",
    "nonchar \ufffe\uffff\ufdd0 \U0001ffff",
    "lone surrogate \ud800 end",
    "a b:c?d#e%zz[1]{2}|^`<>",
    "//evil.example/path",
    "http://user:pass@host:99999999/x y",
    "1:2",
    ":",
    "%",
    "?",
    "#",
    "/",
    "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
    "https://ci.example/job/1?x=1#y",
    "x" * 4000,
    "\u202e\u2028\ufeff",
]

TIMES = [
    "2024-01-15 10:30:00Z",
    "2024-01-15T24:00:00Z",
    "2024-01-15t10:30:00z",
    "2024-06-30T23:59:60Z",
    "2024-02-30T10:30:00Z",
    "2024-01-15T10:30:00",
    "2024-01-15T10:30:00+0100",
    "2024-01-15T10:30:00+25:00",
    "2024-01-15T10:30:00.123456789012Z",
    "2024-01-15T10:30:00.Z",
    "20240115T103000Z",
    "2024-01-15",
    "1705314600",
    "0000-01-01T00:00:00Z",
    "\uff12024-01-15T10:30:00Z",
    "2024-01-15T10:30:00Z\n",
    "2024-01-15T10:30:00-05:30",
]

SESSION = {"workflow": "pytest", "action": "session"}
ODD_VALUES: list[Any] = [*HOSTILE, None, 1, 3, 1.5, True, [], ["failed"], {}, {"a": []}, 10**30]


def record(event: Event) -> PendingEvent:
    """Return a pending event with a line as in a journal, where lone surrogates are written as escapes."""
    fields = {name: getattr(event, name) for name in ("id", "event_type", "task_id", "status", "timestamp", "source")}
    fields |= {name: getattr(event, name) for name in ("trace_id", "span_id", "parent_span_id", "metadata")}
    line = json.dumps(fields, separators=(",", ":")).encode()
    return PendingEvent(line, Event.decode(line), "segment", len(line) + 1)


def event_of(event_type: str, **changes: Any) -> Event:
    metadata = {"workflow": "make", "success": True, "duration": 0.5}
    fields = {"id": "ab-1", "task_id": "make_test", "status": "completed", "timestamp": "2024-01-15T10:30:00.000Z"}
    fields |= {"source": "swarm-director", "trace_id": TRACE, "span_id": SPAN, "parent_span_id": PARENT}
    return Event(**{"event_type": event_type, "metadata": metadata, **fields, **changes})


def hostile_events(event_type: str) -> list[Event]:
    places = ("id", "task_id", "status", "timestamp", "source", "trace_id", "span_id", "parent_span_id")
    odd = [event_of(event_type, **{place: value}) for place in places for value in HOSTILE]
    odd += [event_of(event_type, timestamp=value) for value in TIMES]
    odd += [event_of(event_type, **dict.fromkeys(places, value)) for value in HOSTILE]
    odd += [
        event_of(event_type, metadata={**workflow, "error": value, "outcome": value, "environment": value})
        for workflow in (SESSION, {"workflow": "make"})
        for value in ODD_VALUES
    ]
    odd += [event_of(event_type, metadata={**SESSION, "exit_code": value}) for value in ODD_VALUES]
    odd += [
        event_of(event_type, metadata={"workflow": value, "action": value, "exit_code": value}) for value in ODD_VALUES
    ]
    return [*odd, event_of(event_type, task_id=None, parent_span_id=None, metadata={})]


def valid(content: Any, schema: str) -> None:
    definition = json.loads((DATA / schema).read_text("utf-8"))
    validator = jsonschema.validators.validator_for(definition)(definition, format_checker=CHECKER)
    validator.validate(content)


def cdevents_schema(content: dict[str, Any]) -> str:
    _, _, subject, predicate, _ = content["context"]["type"].split(".", 4)
    return f"cdevents/{subject}{predicate}.json"


def read_by_library(body: bytes, content_type: str = formats.CLOUDEVENT) -> BaseCloudEvent:
    """Read with the official library.

    The library would invent a missing id or time, so their presence is checked first.
    """
    assert {"specversion", "id", "source", "type"} <= json.loads(body).keys()
    return from_http_event(HTTPMessage({"content-type": content_type}, body))


def forbidden_in_attributes(text: str) -> bool:
    return any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in text) or any(
        ord(c) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(c) <= 0xFDEF for c in text
    )


def test_the_schemas_are_checked_with_their_formats() -> None:
    """jsonschema checks URIs and times; without its optional packages it would accept any text for them."""
    for name, wrong in (("uri", "no"), ("uri-reference", "a b"), ("date-time", "yesterday")):
        with pytest.raises(jsonschema.exceptions.FormatError):
            CHECKER.check(wrong, name)


class TestCloudEvents:
    @pytest.mark.parametrize("event_type", EVENT_TYPES)
    def test_every_type_is_valid_whatever_its_values(self, event_type: str) -> None:
        for event in hostile_events(event_type):
            one = record(event)
            content = json.loads(formats.by_name("cloudevents").body([one], batch=False))
            valid(content, "cloudevents.schema.json")
            assert content["data"] == json.loads(one.line)
            attributes = {name: value for name, value in content.items() if name != "data"}
            assert all(name.isalnum() and name.islower() for name in attributes)
            assert all(value and not forbidden_in_attributes(value) for value in attributes.values())

    @pytest.mark.parametrize("event_type", EVENT_TYPES)
    def test_the_official_library_reads_it(self, event_type: str) -> None:
        body = formats.by_name("cloudevents").body([record(event_of(event_type))], batch=False)
        read = read_by_library(body)
        family, _, verb = event_type.lower().partition("_")
        assert read.get_type() == f"dev.swarmtask.{family}.{verb}"
        assert (read.get_id(), read.get_source(), read.get_subject()) == ("ab-1", "swarm-director", "make_test")
        assert str(read.get_time()) == "2024-01-15 10:30:00+00:00"
        assert read.get_extension("taskid") == "make_test"
        assert read.get_extension("traceparent") == f"00-{TRACE}-{SPAN}-01"

    def test_the_official_library_reads_hostile_values(self) -> None:
        for event in hostile_events("TEST_FAILED"):
            read_by_library(formats.by_name("cloudevents").body([record(event)], batch=False))

    def test_the_line_is_spliced_byte_by_byte(self) -> None:
        line = b'{ "id":"x", "order":1.50, "metadata": {} }'
        one = PendingEvent(line, event_of("TASK_STARTED"), "segment", 0)
        assert line in formats.by_name("cloudevents").body([one], batch=False)

    def test_a_batch_is_an_array_of_the_same_events(self) -> None:
        records = [record(event_of(event_type, id=f"ab-{n}")) for n, event_type in enumerate(EVENT_TYPES)]
        format_ = formats.by_name("cloudevents")
        singles = [json.loads(format_.body([one], batch=False)) for one in records]
        assert json.loads(format_.body(records, batch=True)) == singles
        assert format_.batch == "application/cloudevents-batch+json"

    @pytest.mark.parametrize("year", ["0000", "0001", "2023", "2024", "2100", "9999"])
    def test_only_times_that_exist_are_written(self, year: str) -> None:
        for month, day in itertools.product(range(14), range(33)):
            text = f"{year}-{month:02}-{day:02}T10:30:00.000Z"
            try:
                exists = bool(datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ"))  # noqa: DTZ007 - only whether it is one
            except ValueError:
                exists = False
            assert cloudevents.is_time(text) is exists

    @pytest.mark.parametrize("time", ["24:00:00.000Z", "10:60:00.000Z", "10:30:61.000Z", "10:30:00.000", "10:30:00.Z"])
    def test_no_time_of_a_day_is_written_that_does_not_exist(self, time: str) -> None:
        assert not cloudevents.is_time(f"2024-01-15T{time}")

    def test_without_a_task_there_is_no_subject(self) -> None:
        one = record(event_of("TASK_STARTED", task_id=None))
        content = json.loads(formats.by_name("cloudevents").body([one], batch=False))
        assert "subject" not in content
        assert "taskid" not in content

    @pytest.mark.parametrize("batch", [False, True])
    def test_a_ping_is_one_too(self, batch: bool) -> None:
        content = json.loads(cloudevents.ping("ping_1", "my project", 1705314600.5, batch=batch))
        event = content[0] if batch else content
        valid(event, "cloudevents.schema.json")
        assert (event["type"], event["time"]) == ("dev.swarmtask.ping", "2024-01-15T10:30:00.500Z")


class TestSource:
    @pytest.mark.parametrize(
        "source",
        [
            "swarm-director",
            "a/b",
            "/a",
            "https://ci.example/job/1?x=1#y",
            "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
            "mailto:team@example.com",
            "%20",
        ],
    )
    def test_a_uri_reference_stays_as_it_is(self, source: str) -> None:
        assert cloudevents.uri_reference(source) == source

    @pytest.mark.parametrize(
        ("source", "encoded"),
        [
            ("my project", "my%20project"),
            ("1:2", "1%3A2"),
            ("ü", "%C3%BC"),
            ("//evil", "%2F%2Fevil"),
            ("a%zz", "a%25zz"),
            ("", "swarmtask"),
        ],
    )
    def test_anything_else_is_encoded(self, source: str, encoded: str) -> None:
        assert cloudevents.uri_reference(source) == encoded


class TestCDEvents:
    @pytest.mark.parametrize("event_type", EVENT_TYPES)
    def test_every_type_is_valid_whatever_its_values(self, event_type: str) -> None:
        for event in hostile_events(event_type):
            one = record(event)
            content = json.loads(formats.by_name("cdevents").body([one], batch=False))
            valid(content, "cloudevents.schema.json")
            cdevent = content["data"]
            valid(cdevent, cdevents_schema(cdevent))
            assert cdevent["customData"] == json.loads(one.line)

    @pytest.mark.parametrize("event_type", EVENT_TYPES)
    def test_the_binding_is_followed(self, event_type: str) -> None:
        body = formats.by_name("cdevents").body([record(event_of(event_type))], batch=False)
        read = read_by_library(body)
        cdevent = json.loads(body)["data"]
        context = cdevent["context"]
        assert read.get_id() == context["id"] == "ab-1"
        assert read.get_source() == context["source"]
        assert read.get_type() == context["type"]
        assert read.get_subject() == cdevent["subject"]["id"]
        assert json.loads(body)["time"] == context["timestamp"]
        assert read.get_datacontenttype() == "application/cdevents+json"
        schema = json.loads((DATA / cdevents_schema(cdevent)).read_text("utf-8"))
        assert read.get_dataschema() == schema["$id"]

    @pytest.mark.parametrize(
        ("event_type", "metadata", "kind", "outcome"),
        [
            ("TASK_STARTED", {}, "taskrun.started.0.3.0", None),
            ("TASK_COMPLETED", {}, "taskrun.finished.0.3.0", "success"),
            ("TASK_FAILED", {}, "taskrun.finished.0.3.0", "failure"),
            ("BUILD_STARTED", {}, "build.started.0.3.0", None),
            ("BUILD_COMPLETED", {}, "build.finished.0.3.0", None),
            ("BUILD_FAILED", {}, "taskrun.finished.0.3.0", "failure"),
            ("DEPLOYMENT_STARTED", {}, "taskrun.started.0.3.0", None),
            ("DEPLOYMENT_COMPLETED", {}, "taskrun.finished.0.3.0", "success"),
            ("DEPLOYMENT_FAILED", {}, "taskrun.finished.0.3.0", "failure"),
            ("TEST_STARTED", {}, "testcaserun.started.0.3.0", None),
            ("TEST_PASSED", {"outcome": "passed"}, "testcaserun.finished.0.3.0", "success"),
            ("TEST_FAILED", {"outcome": "failed"}, "testcaserun.finished.0.3.0", "failure"),
            ("TEST_FAILED", {"outcome": "error"}, "testcaserun.finished.0.3.0", "error"),
            ("TEST_FAILED", {"outcome": "crashed"}, "testcaserun.finished.0.3.0", "error"),
            ("TEST_SKIPPED", {"outcome": "xfailed"}, "testcaserun.skipped.0.2.0", None),
            ("TASK_STARTED", SESSION, "testsuiterun.started.0.3.0", None),
            ("TASK_COMPLETED", SESSION, "testsuiterun.finished.0.3.0", "success"),
            ("TASK_FAILED", {**SESSION, "exit_code": 1}, "testsuiterun.finished.0.3.0", "failure"),
            ("TASK_STARTED", {"workflow": "pytest", "action": "task"}, "taskrun.started.0.3.0", None),
            ("TASK_FAILED", {**SESSION, "exit_code": 3}, "testsuiterun.finished.0.3.0", "error"),
        ],
    )
    def test_each_type_has_its_kind_and_outcome(
        self, event_type: str, metadata: dict[str, Any], kind: str, outcome: str | None
    ) -> None:
        one = record(event_of(event_type, metadata=metadata))
        cdevent = json.loads(formats.by_name("cdevents").body([one], batch=False))["data"]
        assert cdevent["context"]["type"] == f"dev.cdevents.{kind}"
        assert cdevent["subject"]["content"].get("outcome") == outcome

    def test_a_test_points_at_its_session_and_an_end_at_its_start(self) -> None:
        start, end, session = (
            json.loads(formats.by_name("cdevents").body([record(event)], batch=False))["data"]["subject"]
            for event in (
                event_of("TEST_STARTED"),
                event_of("TEST_PASSED", id="ab-2"),
                event_of("TASK_STARTED", id="ab-0", span_id=PARENT, metadata=SESSION),
            )
        )
        assert start["id"] == end["id"]
        assert start["content"]["testSuiteRun"]["id"] == session["id"]

    def test_a_batch_is_an_array_of_the_same_events(self) -> None:
        records = [record(event_of(event_type)) for event_type in EVENT_TYPES]
        format_ = formats.by_name("cdevents")
        singles = [json.loads(format_.body([one], batch=False)) for one in records]
        assert json.loads(format_.body(records, batch=True)) == singles


class TestPlain:
    def test_a_body_is_the_journal_line(self) -> None:
        one = record(event_of("TEST_FAILED"))
        assert formats.by_name("plain").body([one], batch=False) == one.line

    def test_a_batch_is_an_array_of_lines(self) -> None:
        records = [record(event_of(event_type)) for event_type in EVENT_TYPES]
        body = formats.by_name("plain").body(records, batch=True)
        assert json.loads(body) == [json.loads(one.line) for one in records]


class TestMessageId:
    def test_one_event_has_its_own_id(self) -> None:
        assert formats.message_id([record(event_of("TASK_STARTED", id="4fzk-1a"))]) == "4fzk-1a"

    def test_a_batch_has_one_that_only_its_ids_decide(self) -> None:
        first = [record(event_of("TASK_STARTED", id=f"ab-{n}")) for n in range(3)]
        again = [record(event_of("TASK_FAILED", id=f"ab-{n}", status="other")) for n in range(3)]
        assert formats.message_id(first) == formats.message_id(again)
        assert formats.message_id(first) != formats.message_id(first[:2])
        assert formats.message_id(first) != formats.message_id(first[::-1])

    @pytest.mark.parametrize("odd", HOSTILE)
    def test_it_is_always_fit_for_a_header_and_holds_no_dot(self, odd: str) -> None:
        records = [record(event_of("TASK_STARTED", id=odd)), record(event_of("TASK_STARTED", id=f"{odd}."))]
        for found in (*(formats.message_id([one]) for one in records), formats.message_id(records)):
            assert found.replace("_", "").isalnum()
            assert found.isascii()
        assert formats.message_id(records[:1]) != formats.message_id(records[1:])
