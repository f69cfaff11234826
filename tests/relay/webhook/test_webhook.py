"""A webhook sends signed requests to a real server, and reads every answer correctly."""

from __future__ import annotations

import email.utils
import json
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
import standardwebhooks
from cloudevents.core.bindings.http import HTTPMessage, from_http_event

from pytest_swarmtask.core.event import EVENT_TYPES
from pytest_swarmtask.plugins.sink import Delivered, Disabled, Rejected, Retry, Sink, Split, Stopped
from pytest_swarmtask.relay.http import answers
from tests.relay.webhook.servers import BATCH, ENVIRON, KEY, OK, ONE, Script, Serve, SinkTo, origin, record, status

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.usefixtures("no_proxy")


class TestWhatIsSent:
    @pytest.mark.parametrize("format_", ["cloudevents", "cdevents", "plain"])
    @pytest.mark.parametrize("batch", [False, True])
    def test_the_official_verifier_accepts_it(self, serve: Serve, sink_to: SinkTo, format_: str, batch: bool) -> None:
        server = serve()
        sink = sink_to(server.url, format=format_, batch=batch)
        assert sink.send(BATCH if batch else BATCH[:1]) == Delivered()
        (request,) = server.requests
        verified = standardwebhooks.Webhook(KEY.encode()).verify(request.body, request.headers)
        assert isinstance(verified, list) is batch
        for change in ({"webhook-id": "other"}, {"webhook-timestamp": str(int(time.time()) + 9)}):
            with pytest.raises(standardwebhooks.WebhookVerificationError):
                standardwebhooks.Webhook(KEY.encode()).verify(request.body, {**request.headers, **change})
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(KEY.encode()).verify(request.body[:-1] + b" ", request.headers)

    @pytest.mark.parametrize("wanted", [False, True])
    def test_evidence_of_tests_only_where_it_is_wanted(self, serve: Serve, sink_to: SinkTo, wanted: bool) -> None:
        """Tracebacks and output of tests are sent with `evidence: true` only. The error is always sent."""
        server = serve()
        failed = record(event_type="TEST_FAILED", test_type="pytest", error="assert 0", traceback="E  assert 0")
        options = {"evidence": True} if wanted else {}
        assert sink_to(server.url, format="plain", **options).send([failed]) == Delivered()
        (request,) = server.requests
        metadata = json.loads(request.body)["metadata"]
        assert metadata["error"] == "assert 0"
        assert ("traceback" in metadata) is wanted

    def test_the_official_cloudevents_library_reads_it(self, serve: Serve, sink_to: SinkTo) -> None:
        server = serve()
        sink_to(server.url).send(BATCH[:1])
        (request,) = server.requests
        read = from_http_event(HTTPMessage(request.headers, request.body))
        assert read.get_id() == request.headers["webhook-id"] == "ab-0"
        assert read.get_data() == json.loads(BATCH[0].line)

    def test_the_request_is_the_one_that_the_endpoint_was_configured_for(self, serve: Serve, sink_to: SinkTo) -> None:
        server = serve()
        environ = {"HOST": f"127.0.0.1:{server.port}", "TOKEN": "t0ken", "A": "first key", "B": "second key"}
        sink = sink_to(
            "http://user:p%40ss@${HOST}/in?key=${TOKEN}#part",
            environ,
            headers={"X-Api-Key": "${TOKEN}", "User-Agent": "own"},
            secret_env=["A", "B"],
        )
        assert sink.send([record()]) == Delivered()
        (request,) = server.requests
        assert request.line == "POST /in?key=t0ken HTTP/1.1"
        assert request.headers["host"] == f"127.0.0.1:{server.port}"
        assert request.headers["authorization"] == "Basic dXNlcjpwQHNz"
        assert request.headers["x-api-key"] == "t0ken"
        assert request.headers["user-agent"] == "own"
        assert request.headers["content-type"] == "application/cloudevents+json"
        for key in (b"first key", b"second key"):
            standardwebhooks.Webhook(key).verify(request.body, request.headers)

    def test_it_says_who_sends(self, serve: Serve, sink_to: SinkTo) -> None:
        server = serve()
        sink_to(server.url).send([record()])
        assert server.requests[0].headers["user-agent"].startswith("pytest-swarmtask/")

    def test_without_a_secret_it_is_not_signed(self, serve: Serve, sink_to: SinkTo) -> None:
        server = serve()
        assert sink_to(server.url, {}).send([record()]) == Delivered()
        headers = server.requests[0].headers
        assert "webhook-signature" not in headers
        assert {"webhook-id", "webhook-timestamp"} <= headers.keys()

    def test_another_attempt_has_the_same_id_and_body_and_a_new_timestamp(
        self, serve: Serve, sink_to: SinkTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = serve(status(503))
        sink = sink_to(server.url, batch=True)
        assert isinstance(sink.send(BATCH), Retry)
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 100)
        sink.send(BATCH)
        first, second = server.requests
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.body == second.body
        assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) >= 99
        assert first.headers["webhook-signature"] != second.headers["webhook-signature"]

    @pytest.mark.parametrize(("batch", "type_"), [(False, "cloudevents"), (True, "cloudevents-batch")])
    @pytest.mark.parametrize("format_", ["cloudevents", "cdevents", "plain"])
    def test_a_ping_is_a_signed_cloudevent(
        self,
        serve: Serve,
        sink_to: SinkTo,
        batch: bool,
        type_: str,
        format_: str,
    ) -> None:
        server = serve()
        assert sink_to(server.url, batch=batch, format=format_).ping() == Delivered()
        (request,) = server.requests
        found = standardwebhooks.Webhook(KEY.encode()).verify(request.body, request.headers)
        event = found[0] if batch else found
        assert event["type"] == "dev.swarmtask.ping"
        assert request.headers["content-type"] == f"application/{type_}+json"

    def test_only_the_chosen_types_are_accepted(self, sink_to: SinkTo) -> None:
        sink = sink_to("http://127.0.0.1:1/", events=["TASK_*", "TEST_FAILED"])
        chosen = [name for name in EVENT_TYPES if sink.accepts(name)]
        assert chosen == ["TASK_STARTED", "TASK_COMPLETED", "TASK_FAILED", "TEST_FAILED"]

    def test_limits_are_those_of_one_event_unless_batches_are_wanted(self, sink_to: SinkTo) -> None:
        single: Sink = sink_to("http://127.0.0.1:1/")
        batch: Sink = sink_to("http://127.0.0.1:1/", batch=True, max_events=7, max_age=2.0)
        assert (single.max_events, single.max_age) == (1, 0.0)
        assert (batch.max_events, batch.max_age) == (7, 2.0)


class TestAnswers:
    @pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
    def test_2xx_is_delivered(self, serve: Serve, sink_to: SinkTo, code: int) -> None:
        assert sink_to(serve(status(code)).url).send(ONE) == Delivered()

    @pytest.mark.parametrize("code", [408, 425, 429, 500, 501, 502, 503, 504, 599, 600, 999])
    def test_what_may_pass_is_tried_again(self, serve: Serve, sink_to: SinkTo, code: int) -> None:
        verdict = sink_to(serve(status(code)).url, batch=True).send(BATCH)
        assert isinstance(verdict, Retry)
        assert str(code) in verdict.reason

    @pytest.mark.parametrize("code", [400, 402, 406, 409, 411, 415, 418, 422, 451, 499])
    def test_other_4xx_refuse_an_event_and_split_a_batch(self, serve: Serve, sink_to: SinkTo, code: int) -> None:
        sink = sink_to(serve(status(code)).url, batch=True)
        assert isinstance(sink.send(BATCH), Split)
        assert isinstance(sink.send(ONE), Rejected)

    @pytest.mark.parametrize("code", [404, 405])
    def test_nobody_at_the_address_stops_the_endpoint(self, serve: Serve, sink_to: SinkTo, code: int) -> None:
        """No event is refused by a server that knows nothing of events."""
        sink = sink_to(serve(status(code)).url, batch=True)
        for some in (BATCH, ONE):
            verdict = sink.send(some)
            assert isinstance(verdict, Stopped)
            assert verdict.reason.endswith("to a test event, too: nobody takes events at this address; correct its url")

    @pytest.mark.parametrize("code", [404, 405])
    def test_something_that_an_event_names_may_not_exist(self, serve: Serve, sink_to: SinkTo, code: int) -> None:
        """If a test event is accepted, the address is right and the event is refused."""

        def script(connection: socket.socket) -> None:
            is_test = b"dev.swarmtask.ping" in server.requests[-1].body
            connection.sendall(status(200 if is_test else code))

        server = serve(script)
        sink = sink_to(server.url, batch=True)
        assert isinstance(sink.send(BATCH), Split)
        assert isinstance(sink.send(ONE), Rejected)

    @pytest.mark.parametrize("code", [401, 403])
    def test_without_a_secret_there_is_none_to_compare(self, serve: Serve, sink_to: SinkTo, code: int) -> None:
        verdict = sink_to(serve(status(code)).url, {}).send(ONE)
        assert isinstance(verdict, Stopped)
        assert "no secret is set" in verdict.reason
        assert "compare" not in verdict.reason

    def test_413_splits(self, serve: Serve, sink_to: SinkTo) -> None:
        sink = sink_to(serve(status(413)).url, batch=True)
        assert isinstance(sink.send(BATCH), Split)
        assert isinstance(sink.send(ONE), Split)

    def test_410_disables(self, serve: Serve, sink_to: SinkTo) -> None:
        assert isinstance(sink_to(serve(status(410)).url, batch=True).send(BATCH), Disabled)

    @pytest.mark.parametrize("code", [401, 403, 407])
    def test_refused_credentials_stop_the_endpoint(self, serve: Serve, sink_to: SinkTo, code: int) -> None:
        verdict = sink_to(serve(status(code)).url, batch=True).send(BATCH)
        assert isinstance(verdict, Stopped)
        assert str(code) in verdict.reason

    @pytest.mark.parametrize("ahead", [-86_400, 86_400])
    def test_a_wrong_clock_is_set_by_the_receiver(self, serve: Serve, sink_to: SinkTo, ahead: int) -> None:
        """A machine whose clock is a day off signs with the time of the receiver, once that has refused a request."""
        date = email.utils.formatdate(time.time() + ahead, usegmt=True)

        def script(connection: socket.socket) -> None:
            connection.sendall(status(401, date=date) if len(server.requests) == 1 else OK)

        server = serve(script)
        sink = sink_to(server.url)
        assert [sink.send(ONE), sink.send(ONE)] == [Delivered(), Delivered()]
        times = [int(request.headers["webhook-timestamp"]) - time.time() for request in server.requests]
        assert times == pytest.approx([0, ahead, ahead], abs=30)

    @pytest.mark.parametrize("date", ["now", "yesterday, about noon", "Mon, 31 Feb 2026 10:00:00 GMT"])
    def test_a_right_clock_stays(self, serve: Serve, sink_to: SinkTo, date: str) -> None:
        date = email.utils.formatdate(usegmt=True) if date == "now" else date
        server = serve(status(401, date=date))
        assert isinstance(sink_to(server.url).send(ONE), Stopped)
        assert len(server.requests) == 1

    @pytest.mark.parametrize("code", [300, 301, 302, 303, 307, 308])
    def test_redirects_are_not_followed(self, serve: Serve, sink_to: SinkTo, code: int) -> None:
        trap = serve()
        server = serve(status(code, location=f"http://127.0.0.1:{trap.port}/x?token=hidden"))
        verdict = sink_to(server.url).send(ONE)
        assert isinstance(verdict, Stopped)
        assert "127.0.0.1" in verdict.reason
        assert "hidden" not in verdict.reason
        assert trap.connections == 0

    @pytest.mark.parametrize(
        "location", ["", "/elsewhere", "http://[", "\x80\xff", "http://" + "a" * 5000, "//h\x1b[31m/"]
    )
    def test_an_odd_redirect_is_one_too(self, serve: Serve, sink_to: SinkTo, location: str) -> None:
        assert isinstance(sink_to(serve(status(302, location=location)).url).send(ONE), Stopped)

    def test_101_and_endless_100s_are_not_an_answer(self, serve: Serve, sink_to: SinkTo) -> None:
        assert isinstance(sink_to(serve(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n").url).send(ONE), Retry)
        assert isinstance(sink_to(serve(b"HTTP/1.1 100 Go on\r\n\r\n" * 9).url, timeout=0.3).send(ONE), Retry)

    def test_retry_after_is_passed_on(self, serve: Serve, sink_to: SinkTo) -> None:
        asking, silent = serve(status(429, retry_after="17")), serve(status(503))
        assert sink_to(asking.url).send(ONE) == Retry(f"{origin(asking)} answered 429 Too Many Requests", 17.0)
        assert sink_to(silent.url).send(ONE) == Retry(f"{origin(silent)} answered 503 Service Unavailable", None)

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("0", 0.0),
            ("120", 120.0),
            (" 5 ", 5.0),
            ("-7", 0.0),
            ("86400", 3600.0),
            ("9" * 5000, 3600.0),
            (email.utils.formatdate(1_000_060, usegmt=True), 60.0),
            (email.utils.formatdate(999_000, usegmt=True), 0.0),
            (email.utils.formatdate(9_000_000, usegmt=True), 3600.0),
            ("Sun, 06 Nov 9999 08:49:37 GMT", 3600.0),
            ("", None),
            ("soon", None),
            ("6_0", None),
            ("60.5", None),
            ("60, 120", None),
            ("1.5e3", None),
            ("Sun, 99 Nov 9999 08:49:37 GMT", None),
            (None, None),
        ],
    )
    def test_retry_after_is_seconds_or_a_date_within_an_hour(self, text: str | None, seconds: float | None) -> None:
        assert answers.retry_after(text, now=1_000_000) == seconds

    @pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
    def test_all_forms_of_a_date_are_in_utc(self, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        at = time.gmtime(1_000_060)
        forms = [
            email.utils.formatdate(1_000_060, usegmt=True),
            email.utils.formatdate(1_000_060),
            time.strftime("%A, %d-%b-%y %H:%M:%S GMT", at),
            time.asctime(at),
        ]
        try:
            assert [answers.retry_after(form, now=1_000_000) for form in forms] == [60.0] * 4
        finally:
            monkeypatch.undo()
            time.tzset()


class TestWhatNeedsAPerson:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"url": "https://${UNSET_URL}/"}, "UNSET_URL is not set"),
            ({"headers": {"x-key": "${UNSET_KEY}"}}, "UNSET_KEY is not set"),
            ({"secret_env": "UNSET_SECRET"}, "UNSET_SECRET"),
            ({"secret_env": ["AUTOMATION_SECRET_KEY", "UNSET_SECRET"]}, "UNSET_SECRET"),
            ({"secret_env": "BAD_SECRET"}, "BAD_SECRET"),
            ({"url": "ftp://host/"}, "https://"),
            ({"url": "no url at all"}, "https://"),
            ({"url": "http://[::1"}, "not a valid URL"),
            ({"url": "http://127.0.0.1:0/"}, "port"),
            ({"url": "http://127.0.0.1:99999/"}, "port"),
            ({"url": "http:///path"}, "host"),
            ({"headers": {"webhook-id": "mine"}}, "cannot be configured"),
            ({"headers": {"Content-Length": "1"}}, "cannot be configured"),
            ({"headers": {"x-key": "${INJECTED}"}}, "does not allow"),
            ({"headers": {"bad name": "x"}}, "does not allow"),
        ],
    )
    def test_a_wrong_definition_stops_the_endpoint_and_says_why(
        self, sink_to: SinkTo, options: dict[str, Any], words: str
    ) -> None:
        environ = {**ENVIRON, "BAD_SECRET": "whsec_hunter2!", "INJECTED": "hunter2\r\nx-evil: 1"}
        sink = sink_to(**{"url": "http://127.0.0.1:1/", **options}, environ=environ)
        verdict = sink.send(ONE)
        assert isinstance(verdict, Stopped)
        assert words in verdict.reason
        assert "hunter2" not in verdict.reason
        assert sink.send(ONE) == verdict


class TestNeverLeak:
    def test_no_secret_is_in_a_reason_or_in_a_repr(self, serve: Serve, sink_to: SinkTo) -> None:
        environ = {"AUTOMATION_SECRET_KEY": KEY, "T": "t0ken"}
        told = []
        scripts: list[Script | bytes] = [status(code) for code in (301, 400, 401, 410, 413, 500)]
        scripts += [lambda _: False, b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: t0ken\r\n\r\n"]
        for script in scripts:
            url = serve(script).url.replace("http://", "http://user:p4ssword@") + "/p4th-${T}?key=${T}"
            sink = sink_to(url, environ, headers={"x-key": "${T}"}, timeout=1.0)
            told += [str(sink.send(ONE)), repr(sink), str(sink.send(BATCH[:1]))]
        told.append(str(sink_to("http://user:p4ssword@127.0.0.1:1/p4th-t0ken", environ).send(ONE)))
        for secret in (KEY, "t0ken", "p4ssword", "p4th"):
            assert not [one for one in told if secret in one]
