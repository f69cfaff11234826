"""On any foreign input, our parsers raise no exception other than their documented error."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pytest_swarmtask.config.load import load
from pytest_swarmtask.core.errors import ConfigError, JournalError
from pytest_swarmtask.core.event import EVENT_TYPES, Event
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.core.service_errors import BodyError, EndpointError, SignatureError, WebhookError
from pytest_swarmtask.journal import segments
from pytest_swarmtask.receiver import Verifier, events_in
from pytest_swarmtask.recording.settings import Settings, read_settings
from pytest_swarmtask.relay.http import address, answers
from pytest_swarmtask.relay.otlp.address import parse_headers
from pytest_swarmtask.wire import signing
from pytest_swarmtask.wire.cloudevents import CLOUDEVENT_TYPES, PING
from pytest_swarmtask.wire.otlp import requests

KEY = b"a key"
OF_SPANS = (
    *("duration", "attempts", "attempt", "last_seen", "location", "exception", "traceback", "error", "exit_code"),
    *("command", "arguments", "counts", "platform", "commit", "ci_run", "ci_job_run", "action", "test_type"),
)
"""Keys of metadata that a span is made of."""
HEADERS = ("webhook-id", "Webhook-Timestamp", "WEBHOOK-SIGNATURE", "x")
ANY_TEXT = st.text(st.characters(codec=None), max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
NAMES = st.sampled_from([*EVENT_TYPES, *CLOUDEVENT_TYPES.values(), PING, "dev.cdevents.build.started.0.3.0", "x"])
SAID = NAMES | JSON
BODIES: st.SearchStrategy[dict[str, Any]] = st.deferred(
    lambda: st.fixed_dictionaries(
        {}, optional={"event_type": SAID, "type": SAID, "id": JSON, "data": BODIES | JSON, "customData": BODIES}
    )
)
"""Objects that are, or almost are, events, CloudEvents and CDEvents."""
anything = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


def signed(body: bytes, webhook_id: str = "w") -> dict[str, str]:
    now = int(time.time())
    signature = signing.sign([KEY], webhook_id, now, body)
    return {"webhook-id": webhook_id, "webhook-timestamp": str(now), "webhook-signature": signature}


class TestReceiver:
    @anything
    @given(st.dictionaries(st.sampled_from(HEADERS) | ANY_TEXT, ANY_TEXT), st.binary(max_size=50))
    def test_any_headers_are_refused(self, headers: dict[str, str], body: bytes) -> None:
        with pytest.raises(SignatureError):
            Verifier(KEY).verify(headers, body)

    @anything
    @given(st.sampled_from(HEADERS[:3]), st.integers(0, 99), ANY_TEXT, st.binary(max_size=50))
    def test_no_header_can_be_changed(self, name: str, position: int, put: str, body: bytes) -> None:
        headers = signed(body)
        value = headers[name.lower()]
        headers[name.lower()] = value[: position % len(value)] + put + value[position % len(value) + 1 :]
        try:
            assert signing.verify(headers, body, {"": [KEY]}) == ("w", ("",))
        except SignatureError:
            return
        changed = headers["webhook-signature"].split(" ") if name == HEADERS[2] else [headers[name.lower()].strip()]
        assert value in changed

    @anything
    @given(st.binary(max_size=300))
    def test_any_bytes_are_events_or_no_body(self, body: bytes) -> None:
        try:
            found = Verifier(KEY).verify(signed(body), body).events
        except BodyError:
            with pytest.raises(BodyError):
                events_in(body)
        else:
            assert found == events_in(body)

    @anything
    @given(st.lists(BODIES, max_size=3) | BODIES, st.sets(st.sampled_from(sorted(EVENT_TYPES))))
    def test_a_role_gets_through_what_it_may_send_and_nothing_else(self, content: Any, allowed: set[str]) -> None:
        body = json.dumps(content).encode()
        verifier = Verifier(roles={"some": (KEY, [f"emit:{name}" for name in allowed])})
        try:
            received = verifier.verify(signed(body), body)
        except WebhookError:
            return
        kinds = {outer: name for name, outer in CLOUDEVENT_TYPES.items()}
        right = [None, *allowed]
        for one in content if isinstance(content, list) else [content]:
            told = one.get("type")
            assert told == PING or str(told).startswith("dev.cdevents.") or kinds.get(told, told) in right
            assert one.get("event_type") in right
        assert all(event.get("event_type") in right for event in received.events)

    @anything
    @given(ANY_TEXT)
    def test_any_retry_after_is_seconds_within_an_hour_or_nothing(self, text: str) -> None:
        found = answers.retry_after(text)
        assert found is None or 0 <= found <= answers.MAX_RETRY_AFTER

    @anything
    @given(ANY_TEXT | st.builds("{}://{}".format, st.sampled_from(["http", "https", "socks5", ""]), ANY_TEXT))
    def test_any_proxy_is_an_http_url_or_refused(self, text: str) -> None:
        try:
            assert address.proxy_url(text, "receiver.example").startswith(("http://", "https://"))
        except EndpointError:
            pass


class TestOtlp:
    @anything
    @given(st.sampled_from(sorted(EVENT_TYPES)), st.dictionaries(st.sampled_from(OF_SPANS) | ANY_TEXT, JSON), ANY_TEXT)
    def test_any_metadata_is_exported(self, event_type: str, metadata: dict[str, Any], text: str) -> None:
        """An event with valid ids and a valid time is a span, whatever else it says."""
        event = Event(
            "ab-1", event_type, text, text, "2024-01-15T10:30:00.000Z", text, "1" * 32, "2" * 16, None, metadata
        )
        start = Event("ab-0", "TASK_STARTED", text, text, event.timestamp, text, "1" * 32, "2" * 16, None, metadata)
        for around in (None, start):
            sent = ExportTraceServiceRequest.FromString(requests.traces([(event, around)]))
            spans = sent.resource_spans[0].scope_spans[0].spans
            assert spans[-1].span_id == b"\x22" * 8
            assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in spans)
            assert ExportLogsServiceRequest.FromString(requests.logs([(event, around)])).resource_logs

    @anything
    @given(st.sampled_from([requests.CONTENT_TYPE, "application/json", ""]), st.binary(max_size=60))
    def test_any_answer_refuses_some_or_nothing(self, content_type: str, body: bytes) -> None:
        assert requests.partial_success(content_type, body).rejected >= 0

    @anything
    @given(ANY_TEXT)
    def test_any_headers_of_the_environment_are_pairs_or_refused(self, text: str) -> None:
        try:
            assert all(name == name.lower() for name in parse_headers("NAME", text))
        except ConfigError:
            pass


class TestJournal:
    @anything
    @given(st.lists(st.binary(max_size=40), max_size=8), st.binary(max_size=40))
    def test_any_bytes_are_read_as_the_lines_they_are(self, tmp_path: Path, whole: list[bytes], torn: bytes) -> None:
        lines = [line.replace(b"\n", b"") for line in whole]
        content = b"".join(line + b"\n" for line in lines)
        path = tmp_path / "segment.jsonl"
        path.write_bytes(content + torn.replace(b"\n", b""))
        read = list(segments.read(str(path)))
        assert [line for line, _ in read] == lines
        assert all(content[:end].count(b"\n") == number for number, (_, end) in enumerate(read, 1))
        for line, end in read:
            assert [rest for rest, _ in segments.read(str(path), end)] == lines[len([e for _, e in read if e <= end]) :]
            assert isinstance(decoded(line), (Event, JournalError))

    @anything
    @given(st.fixed_dictionaries(dict.fromkeys(Event.__slots__, JSON | NAMES)))
    def test_any_object_with_the_right_keys_is_an_event_or_a_journal_error(self, fields: dict[str, Any]) -> None:
        found = decoded(json.dumps(fields).encode())
        if isinstance(found, Event):
            assert found.to_dict() == json.loads(found.encode())

    @anything
    @given(ANY_TEXT | st.from_regex(r"[0-9T]*-[0-9a-f]{32}-[0-9a-f_]*-[a-z0-9]*\.jsonl", fullmatch=True))
    def test_any_file_name_is_a_segment_or_none(self, name: str) -> None:
        found = segments.Segment.parse(name)
        assert found is None or (found.name == name and len(found.trace_id) == 32)


def decoded(line: bytes) -> Event | JournalError:
    try:
        return Event.decode(line)
    except JournalError as error:
        return error


SAMPLE = """\
task_integration: &base # a comment
  webhooks:
    - {name: a, url: "https://a.example/${ID:-1}", max_age: 1.5}
access_control:
  default_role: some
  roles:
    some:
      allow: ["emit:TASK_*", delivery:*]
environments:
  prod: {task_integration: {<<: *base, drain_timeout: 30}}
"""
SECTIONS = ("task_integration", "automation_triggers", "monitoring", "access_control", "environments")
KEYS = ("webhooks", "name", "url", "roles", "rules", "alerts", "allow", "default_role", "enabled", "metadata", "redact")
TEXTS = st.text(max_size=12) | st.sampled_from(["${A}", "${", "*"])
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | TEXTS, inner, max_size=4),
    max_leaves=15,
)
YAML = st.text(st.sampled_from("ab:-?[]{},&*!|>'\"%@#<~0.: \n\n  \t\\x\u00e9\ufeff\x00\u2028"), max_size=80)


class TestConfiguration:
    @anything
    @given(YAML | st.text(max_size=80))
    def test_any_text_is_a_configuration_or_a_list_of_problems(self, tmp_path: Path, text: str) -> None:
        self.check(tmp_path, text.encode("utf-8", "surrogatepass"))

    @anything
    @given(st.binary(max_size=80))
    def test_any_bytes_are(self, tmp_path: Path, content: bytes) -> None:
        self.check(tmp_path, content)

    @anything
    @given(st.dictionaries(st.sampled_from(SECTIONS) | st.text(max_size=4), TREES, max_size=3))
    def test_any_tree_is(self, tmp_path: Path, tree: dict[str, Any]) -> None:
        self.check(tmp_path, json.dumps(tree).encode())

    @anything
    @given(st.integers(0, len(SAMPLE)), st.integers(0, 30), YAML)
    def test_a_real_file_that_was_tampered_with_is(self, tmp_path: Path, at: int, gone: int, put: str) -> None:
        self.check(tmp_path, (SAMPLE[:at] + put + SAMPLE[at + gone :]).encode("utf-8", "surrogatepass"))

    @staticmethod
    def check(root: Path, content: bytes) -> None:
        path = Path(Project(str(root)).workflow_file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        try:
            load(Project(str(root)), {})
        except ConfigError as error:
            problems = error.problems
        else:
            problems = [f"{path}: none"]
        assert problems
        assert all(str(path) in problem and "\n" not in problem for problem in problems)
        assert isinstance(read_settings(Project(str(root)), {}), Settings)

    @pytest.mark.parametrize(
        "tag",
        [
            "!!python/object/apply:os.mkdir [ran]",
            "!!python/object/new:os.mkdir [ran]",
            "!!python/object/apply:os.system ['mkdir ran']",
            "!!python/object/new:type {args: [x, [], {}], listitems: !!python/object/apply:os.mkdir [ran]}",
            "!!python/name:os.mkdir",
            "!!python/module:os",
            "! !python/object/apply:os.mkdir [ran]",
            "!<tag:yaml.org,2002:python/object/apply:os.mkdir> [ran]",
        ],
    )
    def test_no_tag_runs_anything(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: str) -> None:
        monkeypatch.chdir(tmp_path)
        for text in (f"task_integration: {{source: {tag}}}", f"{tag}: 1", f"a: &a {tag}\nb: {{<<: *a}}", tag):
            self.check(tmp_path, text.encode())
        assert not os.path.exists("ran")

    @pytest.mark.parametrize(
        "bomb",
        [
            "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)),
            "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{l: *a{i - 1}, r: *a{i - 1}}}\n" for i in range(1, 30)),
            "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 60)),
            "a: &a [*a, *a]\n",
            "a: &a {b: *a, <<: *a}\n",
            "a: &a\n  ? *a\n  : *a\n",
        ],
        ids=["lists", "mappings", "merges", "itself", "merges itself", "its own key"],
    )
    def test_no_aliases_unfold_without_bounds(self, tmp_path: Path, bomb: str) -> None:
        self.check(tmp_path, bomb.encode())
        with pytest.raises(ConfigError):
            load(Project(str(tmp_path)), {})
