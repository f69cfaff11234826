"""Where OTLP requests go and with which headers: as the webhook says, or as the variables of OpenTelemetry say."""

from __future__ import annotations

import pytest

from pytest_swarmtask.config.workflow import Webhook
from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.relay.otlp.address import address_of, parse_headers
from tests.lab import Lab
from tests.relay.otlp.collector import Collector

BASE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example:4318/base/"}


def absolute(url: str = "", **environ: str) -> tuple[str, str]:
    address = address_of(Webhook(name="a", url=url, format="otlp"), environ)
    return address.traces.absolute, address.logs.absolute


class TestUrl:
    @pytest.mark.parametrize(
        ("url", "traces", "logs"),
        [
            ("https://a.example", "https://a.example/v1/traces", "https://a.example/v1/logs"),
            ("https://a.example/", "https://a.example/v1/traces", "https://a.example/v1/logs"),
            ("https://a.example/otlp/", "https://a.example/otlp/v1/traces", "https://a.example/otlp/v1/logs"),
            ("https://a.example/v1/traces", "https://a.example/v1/traces", "https://a.example/v1/logs"),
            ("https://a.example/x?k=v", "https://a.example/x/v1/traces?k=v", "https://a.example/x/v1/logs?k=v"),
            ("${BASE}:4318", "http://h:4318/v1/traces", "http://h:4318/v1/logs"),
        ],
    )
    def test_the_url_of_the_file_is_the_base_or_the_whole(self, url: str, traces: str, logs: str) -> None:
        assert absolute(url, BASE="http://h") == (traces, logs)

    def test_the_environment_is_not_asked_if_there_is_a_url(self) -> None:
        webhook = Webhook(name="a", url="https://a.example", format="otlp")
        environ = {**BASE, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=secret", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
        address = address_of(webhook, environ)
        assert (address.traces.host, address.headers) == ("a.example", {})


class TestEnvironment:
    def test_the_base_gets_the_path_of_each_signal(self) -> None:
        base = "http://collector.example:4318/base"
        assert absolute(**BASE) == (f"{base}/v1/traces", f"{base}/v1/logs")

    def test_the_address_for_traces_is_taken_as_it_is(self) -> None:
        address = address_of(
            Webhook(name="a", format="otlp"),
            {**BASE, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://b.example/api/v0.2/traces"},
        )
        assert address.traces.absolute == "https://b.example/api/v0.2/traces"
        with pytest.raises(ConfigError, match="does not end in /v1/traces"):
            _ = address.logs

    def test_headers_for_traces_take_precedence(self) -> None:
        environ = {**BASE, "OTEL_EXPORTER_OTLP_HEADERS": "a=1", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "b=2"}
        assert address_of(Webhook(name="a", format="otlp"), environ).headers == {"b": "2"}

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", {}),
            ("api-key=abc", {"api-key": "abc"}),
            (" Api-Key = abc , b=2,", {"api-key": "abc", "b": "2"}),
            ("authorization=Basic%20dXNlcg==", {"authorization": "Basic dXNlcg=="}),
            ("authorization=Bearer a b", {"authorization": "Bearer a b"}),
            ("a=1%2C2", {"a": "1,2"}),
            ("a=", {"a": ""}),
        ],
    )
    def test_headers_are_pairs_percent_encoded(self, text: str, expected: dict[str, str]) -> None:
        assert parse_headers("OTEL_EXPORTER_OTLP_HEADERS", text) == expected

    @pytest.mark.parametrize("text", ["s3cr3t", "a=1,s3cr3t", "=s3cr3t", "a b=s3cr3t"])
    def test_other_headers_are_refused_and_not_repeated(self, text: str) -> None:
        with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_HEADERS: its part") as error:
            parse_headers("OTEL_EXPORTER_OTLP_HEADERS", text)
        assert "s3cr3t" not in str(error.value)

    @pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"])
    def test_the_address_of_another_protocol_is_refused(self, name: str) -> None:
        with pytest.raises(ConfigError, match=f"{name} is 'grpc', expected http/protobuf"):
            absolute(**BASE, **{name: "grpc"})

    @pytest.mark.parametrize("value", ["not a url", "ftp://x.example", "http://h:99999"])
    def test_an_address_that_is_none_is_refused(self, value: str) -> None:
        with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_ENDPOINT: url"):
            absolute(OTEL_EXPORTER_OTLP_ENDPOINT=value)


class TestAProject:
    def test_an_endpoint_without_url_exports_to_where_the_environment_says(
        self, exporting: Lab, collector: Collector
    ) -> None:
        exporting.webhooks({"name": "spans", "format": "otlp", "max_age": 0.2})
        exporting.emit("TASK_COMPLETED", "unheard")
        assert "spans" not in exporting.status()["endpoints"]
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base,
            "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%24b%20${HOME}",
        }
        event = exporting.emit("TASK_COMPLETED", "heard", **environ)
        collector.wait_for(event["span_id"])
        assert collector.exports[0].path == "/v1/traces"
        assert collector.exports[0].headers["x-key"] == "a$b ${HOME}"
        assert [sent.span.name for sent in collector.spans().values()] == ["heard"]

    def test_the_environment_alone_exports_nothing(self, lone: Lab, collector: Collector) -> None:
        lone.emit("TASK_COMPLETED", "unheard", OTEL_EXPORTER_OTLP_ENDPOINT=collector.base)
        assert not lone.status()["endpoints"]
        assert not collector.exports

    def test_neither_show_nor_doctor_repeats_what_the_variables_hold(
        self, exporting: Lab, collector: Collector
    ) -> None:
        exporting.webhooks({"name": "spans", "format": "otlp"})
        inactive = exporting.run("doctor").stdout
        assert "webhook spans: inactive" in inactive
        assert "set OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT to use it" in inactive
        secrets = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"{collector.base}/t0ken-of-path",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=t0ken-of-header",
        }
        outputs = [exporting.run(*words, **secrets) for words in (["config", "show"], ["doctor"], ["status"])]
        assert "webhook spans: accepted a request without spans" in outputs[1].stdout
        assert not any("t0ken" in done.stdout + done.stderr for done in outputs)
        assert "t0ken" not in exporting.log()
