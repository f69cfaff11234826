"""What a real pytest session, a build and a deployment become: decoded by the official classes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from pytest_swarmtask.core.facts import ci
from tests.lab import GITHUB_JOB, UNRELATED, Lab, wait_until
from tests.relay.otlp.collector import Collector, Export, Sent, collecting, plain_attributes

SUITE = """
import pytest

tries = []

def test_passes():
    pass

def test_fails():
    print("said before")
    assert 1 == 2

class TestGroup:
    @pytest.mark.parametrize("n", [1])
    def test_raises(self, n):
        raise KeyError("gone")

@pytest.mark.skip(reason="not today")
def test_is_skipped():
    pass

@pytest.mark.xfail
def test_xfails():
    assert 0

@pytest.fixture
def broken():
    raise OSError("no disk")

def test_errors(broken):
    pass

@pytest.mark.flaky(reruns=2)
def test_is_repeated():
    tries.append(1)
    assert len(tries) > 2

@pytest.mark.task("5.2")
def test_of_a_task():
    pass
"""
ENDS = ("COMPLETED", "PASSED", "FAILED", "SKIPPED")
ERROR, UNSET = Status.STATUS_CODE_ERROR, Status.STATUS_CODE_UNSET


class Told(NamedTuple):
    """A session, and what the receiver got of it."""

    events: list[dict[str, Any]]
    exports: list[Export]
    spans: dict[str, Sent]
    named: dict[str, list[Sent]]

    def last(self, name: str) -> Sent:
        return self.named[name][-1]

    def end(self, name: str) -> dict[str, Any]:
        (event,) = [one for one in self.events if one["task_id"].endswith(name) and one["event_type"].endswith(ENDS)]
        return event


def told(lab: Lab, collector: Collector) -> Told:
    lab.wait_for_settled()
    spans = collector.spans()
    named: dict[str, list[Sent]] = {}
    for sent in spans.values():
        named.setdefault(sent.span.name.rpartition("::")[2], []).append(sent)
    return Told(lab.events(), list(collector.exports), spans, named)


def a_session(tmp_path_factory: pytest.TempPathFactory, **options: Any) -> Iterator[Told]:
    with collecting() as collector:
        lab = Lab(tmp_path_factory.mktemp("otlp") / "shop", **GITHUB_JOB, GITHUB_SHA="ab" * 20, GITHUB_REF_NAME="main")
        webhook = {"name": "spans", "url": collector.base, "format": "otlp", "max_age": 0.2, **options}
        lab.webhooks(webhook, environments={"nightly": {}})
        lab.file("test_shop.py", SUITE)
        lab.file("test_broken.py", "import there_is_no_such_module\n")
        done = lab.pytest("--continue-on-collection-errors", WORKFLOW_ENVIRONMENT="nightly")
        assert done.returncode == 1, done.stdout
        yield told(lab, collector)
        lab.kill()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    yield from a_session(tmp_path_factory)


@pytest.fixture(scope="module")
def with_evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    yield from a_session(tmp_path_factory, evidence=True, logs=True)


def nanoseconds(timestamp: str) -> int:
    from datetime import datetime, timezone

    moment = datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000


class TestOfASession:
    def test_each_end_is_one_span_with_the_same_ids_and_exact_times(self, session: Told) -> None:
        ends = [event for event in session.events if event["event_type"].endswith(ENDS)]
        assert len(ends) == 11
        for event in ends:
            span = session.spans[event["span_id"]].span
            assert span.trace_id.hex() == event["trace_id"]
            assert span.parent_span_id.hex() == (event["parent_span_id"] or "")
            assert span.name == event["task_id"]
            assert span.kind == Span.SPAN_KIND_INTERNAL
            assert span.end_time_unix_nano == nanoseconds(event["timestamp"])
            micros = round(event["metadata"].get("duration", 0) * 1_000_000)
            assert span.end_time_unix_nano - span.start_time_unix_nano == micros * 1000

    def test_there_is_no_other_span_but_those_of_earlier_attempts(self, session: Told) -> None:
        ends = {event["span_id"] for event in session.events if event["event_type"].endswith(ENDS)}
        others = [sent for id_, sent in session.spans.items() if id_ not in ends]
        assert [sent.span.name for sent in others] == ["test_shop.py::test_is_repeated"] * 2

    def test_the_resource_has_the_facts_of_the_run(self, session: Told) -> None:
        start = session.events[0]["metadata"]
        for sent in session.spans.values():
            assert sent.resource == {
                "service.name": "shop",
                "host.name": start["host"],
                "os.type": "linux" if sys.platform == "linux" else "darwin",
                "process.pid": start["pid"],
                "process.runtime.name": start["implementation"],
                "process.runtime.version": start["python"],
                "deployment.environment.name": "nightly",
                "vcs.ref.head.revision": "ab" * 20,
                "vcs.ref.head.name": "main",
                "cicd.pipeline.run.id": "github:https://github.com/o/r/7",
                "cicd.pipeline.run.url.full": "https://github.com/o/r/actions/runs/7/attempts/1",
                "swarmtask.ci": "github",
                "swarmtask.ci_job": "test",
                "swarmtask.ci_job_run": "1",
                "swarmtask.variant": start["variant"],
                "telemetry.sdk.name": "pytest-swarmtask",
                "telemetry.sdk.language": "python",
                "telemetry.sdk.version": sent.resource["telemetry.sdk.version"],
            }

    def test_a_request_has_each_resource_once_with_schema_and_scope(self, session: Told) -> None:
        for export in session.exports:
            assert export.path == "/v1/traces"
            (group,) = export.message.resource_spans  # type: ignore[union-attr]
            (scope,) = group.scope_spans
            assert group.schema_url == scope.schema_url == "https://opentelemetry.io/schemas/1.44.0"
            assert scope.scope.name == "pytest-swarmtask"

    @pytest.mark.parametrize(
        ("name", "verdict", "outcome", "status"),
        [
            ("test_passes", "pass", "passed", UNSET),
            ("test_fails", "fail", "failed", ERROR),
            ("test_raises[1]", "fail", "failed", ERROR),
            ("test_is_skipped", "skip", "skipped", UNSET),
            ("test_xfails", "skip", "xfailed", UNSET),
            ("test_errors", "fail", "error", ERROR),
            ("test_is_repeated", "pass", "passed", UNSET),
            ("test_broken.py", "fail", "error", ERROR),
        ],
    )
    def test_a_test_is_a_test_case(self, session: Told, name: str, verdict: str, outcome: str, status: int) -> None:
        sent = session.last(name)
        found = sent.attributes
        assert found["test.case.name"] == sent.span.name
        assert found["test.case.result.status"] == verdict
        assert found["test.suite.name"] == "pytest_run"
        assert found["swarmtask.outcome"] == outcome
        assert found["swarmtask.event.id"] == session.end(name)["id"]
        assert sent.span.status.code == status

    def test_a_failure_says_what_where_and_why(self, session: Told) -> None:
        sent = session.last("test_fails")
        assert sent.span.status.message == "assert 1 == 2"
        found = sent.attributes
        assert found["error.type"] == "AssertionError"
        assert (found["code.file.path"], found["code.function.name"]) == ("test_shop.py", "test_fails")
        assert found["code.line.number"] == SUITE.splitlines().index("    assert 1 == 2") + 1
        (event,) = sent.span.events
        assert (event.name, event.time_unix_nano) == ("exception", sent.span.end_time_unix_nano)
        assert plain_attributes(event.attributes) == {
            "exception.type": "AssertionError",
            "exception.message": "assert 1 == 2",
        }

    def test_the_function_has_its_class_and_no_parameters(self, session: Told) -> None:
        found = session.last("test_raises[1]").attributes
        assert found["code.function.name"] == "TestGroup.test_raises"
        assert found["error.type"] == "KeyError"

    def test_a_skip_has_its_reason_and_no_error(self, session: Told) -> None:
        found = session.last("test_is_skipped").attributes
        assert "not today" in found["swarmtask.error"]
        assert "error.type" not in found

    def test_evidence_stays_here_unless_it_is_wanted(self, session: Told) -> None:
        sent = session.spans.values()
        texts = [str(one.span) for one in sent]
        assert not any("said before" in text or "exception.stacktrace" in text for text in texts)

    def test_evidence_is_the_stack_trace_and_attributes_where_it_is_wanted(self, with_evidence: Told) -> None:
        sent = with_evidence.last("test_fails")
        (event,) = sent.span.events
        assert "> " in plain_attributes(event.attributes)["exception.stacktrace"]
        assert sent.attributes["swarmtask.stdout"] == "said before\n"

    def test_earlier_attempts_are_spans_that_the_last_one_links(self, session: Told) -> None:
        *earlier, last = session.named["test_is_repeated"]
        assert [one.attributes["swarmtask.attempt"] for one in (*earlier, last)] == [1, 2, 3]
        assert [(link.trace_id, link.span_id) for link in last.span.links] == [
            (one.span.trace_id, one.span.span_id) for one in earlier
        ]
        at = last.span.start_time_unix_nano
        for one in earlier:
            assert one.span.parent_span_id == last.span.parent_span_id
            assert one.span.status.code == ERROR
            assert one.attributes["test.case.result.status"] == "fail"
            assert one.span.start_time_unix_nano == at
            at = one.span.end_time_unix_nano
        assert at <= last.span.end_time_unix_nano

    def test_ids_of_earlier_attempts_are_the_same_for_the_same_event(self, session: Told) -> None:
        from pytest_swarmtask.core.event import Event
        from pytest_swarmtask.wire.otlp.spans import spans_of

        event = Event(**session.end("test_is_repeated"))
        assert [span.span_id.hex() for span in spans_of(event, None)] == [
            sent.id for sent in session.named["test_is_repeated"]
        ]

    def test_the_session_is_a_task_and_a_test_suite(self, session: Told) -> None:
        sent = session.last("pytest_run")
        found = sent.attributes
        expected = {
            "cicd.pipeline.task.name": "pytest_run",
            "cicd.pipeline.task.run.id": sent.id,
            "cicd.pipeline.task.run.result": "failure",
            "cicd.pipeline.task.type": "test",
            "test.suite.name": "pytest_run",
            "test.suite.run.status": "failure",
            "error.type": "tests failed",
            "process.exit.code": 1,
            "swarmtask.counts.passed": 3,
            "swarmtask.pytest": pytest.__version__,
        }
        assert expected.items() <= found.items()
        assert found["process.command_args"][:2] == ["pytest", "-q"]
        assert "test_passes" in found["swarmtask.slowest"]
        assert sent.span.status.code == ERROR

    def test_a_task_of_tests_is_a_task(self, session: Told) -> None:
        found = session.last("5.2").attributes
        assert found["cicd.pipeline.task.name"] == "5.2"
        assert found["cicd.pipeline.task.run.result"] == "success"

    def test_starts_are_log_records_where_they_are_wanted(self, with_evidence: Told) -> None:
        starts = [one for one in with_evidence.events if one["event_type"].endswith("_STARTED")]
        records = {one.span_id.hex(): one for export in with_evidence.exports for one in export.records}
        assert records.keys() == {one["span_id"] for one in starts}
        for event in starts:
            record = records[event["span_id"]]
            assert record.trace_id.hex() == event["trace_id"]
            assert record.time_unix_nano == nanoseconds(event["timestamp"])
            assert record.event_name == "dev.swarmtask." + event["event_type"].lower().replace("_", ".")
            assert record.body.string_value == f"{event['task_id']} started"
            assert plain_attributes(record.attributes)["swarmtask.event.id"] == event["id"]

    def test_starts_are_not_sent_otherwise(self, session: Told) -> None:
        assert not any(export.records for export in session.exports)


def test_a_crash_ends_when_the_process_was_last_seen(exporting: Lab, collector: Collector) -> None:
    exporting.file(
        "test_it.py", "import os, time\n\ndef test_hangs():\n    open('up', 'w').close()\n    time.sleep(600)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *UNRELATED]
    process = subprocess.Popen(command, cwd=exporting.root, env=exporting.environ, stdout=subprocess.DEVNULL)
    wait_until(lambda: (exporting.root / "up").exists() and len(exporting.events()) == 2, "the test")
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: len(exporting.events()) == 4, "the end events")
    start, _, test, session = exporting.events()
    spans = collector.wait_for(test["span_id"], session["span_id"])
    for event, is_suite in ((test, False), (session, True)):
        sent = spans[event["span_id"]]
        assert sent.span.end_time_unix_nano == nanoseconds(event["metadata"]["last_seen"])
        assert sent.span.status.code == ERROR
        assert "killed or crashed" in sent.span.status.message
        assert sent.resource["host.name"] == start["metadata"]["host"]
        found = sent.attributes
        assert found["error.type"] == ("killed or crashed" if is_suite else "crashed")
        assert found.get("test.suite.run.status") == ("aborted" if is_suite else None)
        assert found.get("cicd.pipeline.task.run.result") == ("error" if is_suite else None)


def test_a_build_its_session_and_its_tests_are_one_trace(exporting: Lab, collector: Collector) -> None:
    exporting.file("test_it.py", "def test_it():\n    pass\n")
    pytest_command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *UNRELATED]
    done = exporting.run("run", "--kind", "build", "--id", "wheel", "--", *pytest_command)
    assert done.returncode == 0, done.stderr
    exporting.wait_for_settled()
    build, session, test = (collector.named(name) for name in ("wheel", "pytest_run", "test_it"))
    assert len({sent.span.trace_id for sent in (build, session, test)}) == 1
    assert session.span.parent_span_id == build.span.span_id
    assert test.span.parent_span_id == session.span.span_id
    assert build.span.parent_span_id == b""
    expected = {
        "cicd.pipeline.task.name": "wheel",
        "cicd.pipeline.task.type": "build",
        "cicd.pipeline.task.run.result": "success",
        "process.command_args": pytest_command,
        "process.exit.code": 0,
    }
    assert expected.items() <= build.attributes.items()
    assert "host.name" not in build.resource
    assert build.resource["service.name"] == "project"


@pytest.mark.parametrize(("code", "error"), [(3, "3"), (130, "130")])
def test_a_deployment_that_fails(exporting: Lab, collector: Collector, code: int, error: str) -> None:
    exporting.run("run", "--kind", "deployment", "--id", "web", "--", "sh", "-c", f"exit {code}")
    exporting.wait_for_settled()
    sent = collector.named("web")
    expected = {
        "cicd.pipeline.task.type": "deploy",
        "cicd.pipeline.task.run.result": "cancellation" if code == 130 else "failure",
        "deployment.name": "web",
        "deployment.status": "failed",
        "error.type": error,
        "process.exit.code": code,
    }
    assert expected.items() <= sent.attributes.items()
    assert sent.span.status.code == ERROR


def test_another_attempt_at_a_github_run_links_the_one_before(exporting: Lab, collector: Collector) -> None:
    first = ci.trace_context(GITHUB_JOB)
    assert first is not None
    for attempt in ("1", "2"):
        done = exporting.run(
            "run", "--id", f"try-{attempt}", "--", "true", **{**GITHUB_JOB, "GITHUB_RUN_ATTEMPT": attempt}
        )
        assert done.returncode == 0
    exporting.wait_for_settled()
    assert not collector.named("try-1").span.links
    (link,) = collector.named("try-2").span.links
    assert (link.trace_id.hex(), link.span_id.hex()) == first


@pytest.mark.slow
def test_under_xdist_each_test_is_one_span_below_the_session(exporting: Lab, collector: Collector) -> None:
    """Also what a test records in a worker is in the trace, without the facts that only the controller has."""
    exporting.file(
        "test_it.py",
        """
        import pytest
        from pytest_swarmtask import trigger_task_event

        @pytest.mark.parametrize("n", range(20))
        def test_it(n):
            if n == 7:
                trigger_task_event("BUILD_COMPLETED", "made by a test")
        """,
    )
    assert exporting.pytest("-n2").returncode == 0
    exporting.wait_for_settled()
    found = told(exporting, collector)
    session = found.last("pytest_run")
    tests = [found.last(f"test_it[{n}]") for n in range(20)]
    assert len(found.spans) == 22
    assert all(sent.span.parent_span_id == session.span.span_id for sent in tests)
    assert all(sent.resource == session.resource for sent in tests)
    assert {sent.attributes["swarmtask.worker"] for sent in tests} <= {"gw0", "gw1"}
    build = found.last("made by a test")
    assert build.span.trace_id == session.span.trace_id
    assert build.span.parent_span_id == session.span.span_id
    assert "host.name" not in build.resource


def test_what_a_test_records_has_the_facts_of_its_session(exporting: Lab, collector: Collector) -> None:
    exporting.file(
        "test_it.py",
        """
        from pytest_swarmtask import trigger_task_event

        def test_it():
            trigger_task_event("BUILD_COMPLETED", "made by a test")
        """,
    )
    assert exporting.pytest().returncode == 0
    exporting.wait_for_settled()
    found = told(exporting, collector)
    build, test = found.last("made by a test"), found.last("test_it")
    assert build.span.parent_span_id == test.span.span_id
    assert build.resource == test.resource
    assert "host.name" in build.resource
