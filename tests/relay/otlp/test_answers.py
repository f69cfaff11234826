"""The sink of OTLP sends what the specification asks for, and reads every answer as it demands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_swarmtask.config.workflow import Webhook
from pytest_swarmtask.core.event import Event
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.plugins.sink import Delivered, Disabled, PendingEvent, Rejected, Retry, Sink, Split, Stopped
from pytest_swarmtask.relay.otlp.sink import OtlpSink
from pytest_swarmtask.wire.otlp import requests
from tests.lab import CLOSE, RESET, Answer, closed_port
from tests.relay.otlp.collector import PROTOBUF, Collector, decoded, partially

SinkTo = Callable[..., OtlpSink]


def record(number: int = 1, event_type: str = "TEST_PASSED", **fields: Any) -> PendingEvent:
    given = {
        "id": f"ab-{number}",
        "task_id": "tests/test_api.py::test_login",
        "status": "completed",
        "timestamp": "2024-01-15T10:30:00.000Z",
        "source": "shop",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": f"{number:016x}",
        "parent_span_id": None,
        "metadata": {"workflow": "pytest"},
        **fields,
    }
    event = Event(event_type=event_type, **given)
    line = event.encode().rstrip(b"\n")
    return PendingEvent(line, event, "", len(line) + 1)


pytestmark = pytest.mark.usefixtures("no_proxy")
ONE = [record()]
BATCH = [record(number) for number in (1, 2, 3)]


@pytest.fixture
def sink_to(tmp_path: Path) -> Iterator[SinkTo]:
    sinks: list[OtlpSink] = []

    def make(url: str, environ: dict[str, str] | None = None, **options: Any) -> OtlpSink:
        definition = Webhook(**{"name": "spans", "url": url, "format": "otlp", "timeout": 5.0, **options})
        sinks.append(OtlpSink(definition, environ or {}, Project(str(tmp_path))))
        return sinks[-1]

    yield make
    for sink in sinks:
        sink.close()


def answering(collector: Collector, answer: Answer) -> str:
    collector.reply = lambda _: answer
    return collector.base


class TestWhatIsSent:
    def test_a_batch_is_one_compressed_request_without_signature(self, collector: Collector, sink_to: SinkTo) -> None:
        sink = sink_to(
            collector.base, {"AUTOMATION_SECRET_KEY": "s3cr3t", "TOKEN": "t0ken"}, headers={"X-Key": "${TOKEN}"}
        )
        assert sink.send(BATCH) == Delivered()
        (export,) = collector.exports
        assert [sent.id for sent in export.spans] == [one.event.span_id for one in BATCH]
        assert export.headers["content-encoding"] == "gzip"
        assert export.headers["x-key"] == "t0ken"
        assert not any(name.startswith("webhook-") for name in export.headers)

    def test_the_same_events_are_the_same_bytes(self, collector: Collector, sink_to: SinkTo) -> None:
        sink = sink_to(answering(collector, 503))
        for _ in range(2):
            assert isinstance(sink.send(BATCH), Retry)
        first, second = collector.exports
        assert first.body == second.body

    def test_starts_need_no_request(self, collector: Collector, sink_to: SinkTo) -> None:
        sink = sink_to(collector.base)
        assert not sink.accepts("TEST_STARTED")
        assert sink.send([record(event_type="TEST_STARTED")]) == Delivered()  # as `replay` may send one
        assert not collector.exports

    def test_spans_go_first_and_log_records_beside_them(self, collector: Collector, sink_to: SinkTo) -> None:
        sink = sink_to(f"{collector.base}/api?team=a", logs=True)
        assert sink.accepts("TEST_STARTED")
        assert sink.send([record(event_type="TEST_STARTED"), record()]) == Delivered()
        assert [export.path for export in collector.exports] == ["/api/v1/traces?team=a", "/api/v1/logs?team=a"]

    def test_the_filter_of_events_applies(self, sink_to: SinkTo) -> None:
        sink = sink_to("http://127.0.0.1:1", events=["TEST_*"], logs=True)
        assert [sink.accepts(name) for name in ("TEST_STARTED", "TEST_FAILED", "TASK_FAILED")] == [True, True, False]

    def test_limits_of_batches_are_those_of_the_webhook(self, sink_to: SinkTo) -> None:
        sink: Sink = sink_to("http://127.0.0.1:1", max_events=7, max_bytes=9, max_age=2.0)
        assert (sink.max_events, sink.max_bytes, sink.max_age) == (7, 9, 2.0)

    def test_a_ping_is_a_request_without_spans(self, collector: Collector, sink_to: SinkTo) -> None:
        assert sink_to(collector.base).ping() == Delivered()
        (export,) = collector.exports
        assert not export.message.resource_spans  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"trace_id": "xyz"}, "trace_id is 'xyz', expected 32 hex digits that are not all 0"),
            ({"trace_id": "0" * 32}, "expected 32 hex digits that are not all 0"),
            ({"span_id": "ab"}, "span_id is 'ab', expected 16 hex digits that are not all 0"),
            ({"parent_span_id": "no"}, "parent_span_id is 'no', expected 16 hex digits"),
            ({"timestamp": "yesterday"}, "cannot be written as otlp: "),
            ({"timestamp": "1969-01-15T10:30:00.000Z"}, "expected one since 1970"),
        ],
    )
    def test_an_event_that_is_no_span_is_refused_alone(
        self, collector: Collector, sink_to: SinkTo, fields: dict[str, Any], said: str
    ) -> None:
        sink = sink_to(collector.base)
        bad = record(9, **fields)
        assert isinstance(sink.send([*BATCH, bad]), Split)
        found = sink.send([bad])
        assert isinstance(found, Rejected)
        assert said in found.reason
        assert not collector.exports

    def test_metadata_may_be_anything(self, collector: Collector, sink_to: SinkTo) -> None:
        odd: dict[str, Any] = {
            "duration": "long",
            "attempts": [3, {"duration": float(10**12), "error": 5}],
            "attempt": None,
            "last_seen": "x",
            "location": 7,
            "exception": 3,
            "big": 1 << 70,
            "none": None,
            "nested": {"list": [1, {"a": None}], "empty": {}},
            "texts": ["a", "b"],
            "arguments": 4,
        }
        pending = record(event_type="TEST_FAILED", metadata=odd)
        odd["lone"] = ["\ud800 and \U0001f600"]  # as a line of another program may have it, in escapes
        odd["nested"]["list"][1]["a"] = "\udfff"
        assert sink_to(collector.base).send([pending]) == Delivered()
        sent = collector.exports[0].spans[-1]
        assert sent.span.start_time_unix_nano == sent.span.end_time_unix_nano
        expected = {
            "swarmtask.big": str(1 << 70),
            "swarmtask.lone": ["\ufffd and \U0001f600"],
            "swarmtask.nested.list": '[1,{"a":"\ufffd"}]',
            "swarmtask.texts": ["a", "b"],
        }
        assert expected.items() <= sent.attributes.items()
        assert "swarmtask.none" not in sent.attributes

    def test_an_event_may_know_better_than_its_session(self) -> None:
        """Nothing that an event says is lost, even if the resource has another value of the same fact."""
        facts = {"action": "session", "commit": "aa", "branch": "main"}
        start = record(7, "TASK_STARTED", metadata=facts).event
        own = {"commit": "bb", "branch": "main", "location": "Makefile:7", "exception": "none raised"}
        event = record(8, "DEPLOYMENT_COMPLETED", parent_span_id=start.span_id, metadata=own).event
        body = requests.traces([(event, start)])
        ((sent,),) = [decoded("/v1/traces", {}, body).spans]
        assert sent.resource["vcs.ref.head.revision"] == "aa"
        assert {name: value for name, value in sent.attributes.items() if name.startswith("swarmtask.")} == {
            "swarmtask.commit": "bb",
            "swarmtask.location": "Makefile:7",
            "swarmtask.exception": "none raised",
            "swarmtask.event.id": "ab-8",
        }

    @pytest.mark.parametrize(
        ("seconds", "nanoseconds"),
        [(0.0123, 12_300_000), (4_000_000.000001, 4_000_000_000_001_000), (7, 7_000_000_000), (0.000001, 1000)],
    )
    def test_durations_are_exact(self, collector: Collector, sink_to: SinkTo, seconds: float, nanoseconds: int) -> None:
        assert sink_to(collector.base).send([record(metadata={"duration": seconds})]) == Delivered()
        span = collector.exports[0].spans[0].span
        assert span.end_time_unix_nano == 1_705_314_600_000_000_000
        assert span.end_time_unix_nano - span.start_time_unix_nano == nanoseconds


class TestAnswers:
    @pytest.mark.parametrize("code", [200, 202, 204])
    def test_2xx_is_delivered(self, collector: Collector, sink_to: SinkTo, code: int) -> None:
        assert sink_to(answering(collector, code)).send(BATCH) == Delivered()

    @pytest.mark.parametrize("code", [429, 502, 503, 504])
    def test_what_the_specification_calls_retryable_is_tried_again(
        self, collector: Collector, sink_to: SinkTo, code: int
    ) -> None:
        assert isinstance(sink_to(answering(collector, code)).send(BATCH), Retry)

    @pytest.mark.parametrize("code", [429, 503])
    def test_retry_after_is_honoured(self, collector: Collector, sink_to: SinkTo, code: int) -> None:
        found = sink_to(answering(collector, (code, {"Retry-After": "17"}))).send(BATCH)
        assert isinstance(found, Retry)
        assert found.after == 17.0

    @pytest.mark.parametrize("answer", [CLOSE, RESET])
    def test_a_broken_connection_is_tried_again(self, collector: Collector, sink_to: SinkTo, answer: int) -> None:
        assert isinstance(sink_to(answering(collector, answer)).send(BATCH), Retry)

    def test_no_connection_is_tried_again(self, sink_to: SinkTo) -> None:
        assert isinstance(sink_to(f"http://127.0.0.1:{closed_port()}").send(BATCH), Retry)

    @pytest.mark.parametrize("code", [400, 402, 406, 408, 409, 413, 418, 422, 425, 500, 501, 505, 599])
    def test_no_other_request_is_repeated(self, collector: Collector, sink_to: SinkTo, code: int) -> None:
        """A batch is halved, which makes other requests of it, until the event at fault is alone."""
        sink = sink_to(answering(collector, code))
        assert isinstance(sink.send(BATCH), Split)
        assert isinstance(sink.send(ONE), (Rejected, Split))

    @pytest.mark.parametrize(
        ("code", "advice"),
        [
            (401, "it wants credentials: check headers"),
            (403, "it does not let this sender in: check headers"),
            (404, "nobody takes OTLP at this address; correct its url"),
            (405, "nobody takes OTLP at this address; correct its url"),
            (407, "the proxy wants credentials"),
            (415, "it does not take OTLP in protobuf"),
        ],
    )
    def test_what_a_person_must_mend_stops_the_endpoint(
        self, collector: Collector, sink_to: SinkTo, code: int, advice: str
    ) -> None:
        for records in (BATCH, ONE):
            found = sink_to(answering(collector, code)).send(records)
            assert isinstance(found, Stopped)
            assert advice in found.reason

    def test_a_redirect_is_not_followed(self, collector: Collector, sink_to: SinkTo) -> None:
        found = sink_to(answering(collector, (307, {"Location": "http://other.example/x"}))).send(BATCH)
        assert isinstance(found, Stopped)
        assert "redirect to other.example" in found.reason

    def test_410_disables(self, collector: Collector, sink_to: SinkTo) -> None:
        assert isinstance(sink_to(answering(collector, 410)).send(BATCH), Disabled)

    def test_a_partial_success_is_not_repeated_and_counted(self, collector: Collector, sink_to: SinkTo) -> None:
        found = sink_to(answering(collector, partially(2, "too old"))).send(BATCH)
        assert isinstance(found, Delivered)
        assert found.rejected == 2
        assert found.reason.endswith("accepted the request but refused 2 of its items: too old")

    def test_more_than_all_is_all(self, collector: Collector, sink_to: SinkTo) -> None:
        found = sink_to(answering(collector, partially(99))).send(BATCH)
        assert isinstance(found, Delivered)
        assert found.rejected == 3

    def test_the_only_event_that_is_refused_is_known(self, collector: Collector, sink_to: SinkTo) -> None:
        found = sink_to(answering(collector, partially(1, "too old"))).send(ONE)
        assert isinstance(found, Rejected)
        assert "too old" in found.reason

    @pytest.mark.parametrize("answer", [partially(0, "a warning"), partially(-4, "nonsense")])
    def test_a_message_alone_refuses_nothing(self, collector: Collector, sink_to: SinkTo, answer: Answer) -> None:
        assert sink_to(answering(collector, answer)).send(BATCH) == Delivered()

    @pytest.mark.parametrize(
        ("headers", "body"),
        [
            (PROTOBUF, b"\xff\xff\xff\xff"),
            (PROTOBUF, b"\x0a\x7f"),
            (PROTOBUF, b"x" * 200_000),
            ({"Content-Type": "application/json"}, b'{"partialSuccess":{"rejectedSpans":"3"}}'),
            ({"Content-Type": "text/html"}, b"<html>"),
            ({}, b"ok"),
        ],
    )
    def test_a_body_that_cannot_be_understood_says_nothing(
        self, collector: Collector, sink_to: SinkTo, headers: dict[str, str], body: bytes
    ) -> None:
        sink = sink_to(answering(collector, (200, headers, body)))
        assert sink.send(BATCH) == Delivered()
        assert sink.send(BATCH) == Delivered()

    def test_refused_log_records_count_with_refused_spans(self, collector: Collector, sink_to: SinkTo) -> None:
        sink = sink_to(answering(collector, partially(1, "full")), logs=True)
        found = sink.send([*BATCH, *(record(number, "TEST_STARTED") for number in (1, 2))])
        assert isinstance(found, Delivered)
        assert found.rejected == 2

    def test_one_span_among_log_records_is_not_the_only_event(self, collector: Collector, sink_to: SinkTo) -> None:
        """So a refusal makes no dead letter of the first event of the batch, which may be another one."""
        mixed = [record(2, "TEST_STARTED"), record()]
        assert isinstance(sink_to(answering(collector, 400), logs=True).send(mixed), Split)
        collector.reply = lambda export: partially(1, "full") if export.spans else 200
        found = sink_to(collector.base, logs=True).send(mixed)
        assert isinstance(found, Delivered)
        assert found.rejected == 1
        bad = [record(2, "TEST_STARTED"), record(span_id="no")]
        assert isinstance(sink_to(collector.base, logs=True).send(bad), Split)

    def test_a_receiver_without_logs_stops_an_endpoint_that_wants_them(
        self, collector: Collector, sink_to: SinkTo
    ) -> None:
        collector.reply = lambda export: 404 if export.path == "/v1/logs" else 200
        assert isinstance(sink_to(collector.base, logs=True).send([record(), record(2, "TEST_STARTED")]), Stopped)
