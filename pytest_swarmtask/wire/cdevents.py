"""Events as CDEvents 0.5.1 inside of CloudEvents in structured mode.

CDEvents has no subject for a deployment that starts or fails, and a build has no outcome, so these become task runs,
which have one. Its schemas allow no further keys, so `customData` carries the whole plain event.

See https://github.com/cdevents/spec/blob/main/cloudevents-binding.md and, beside it, `spec.md` (the context), `core.md`
(task runs), `continuous-integration.md` (builds) and `testing-events.md` (tests).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pytest_swarmtask.wire.cloudevents import CloudEvent, encode, is_time, text, traceparent, uri_reference

if TYPE_CHECKING:
    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.plugins.sink import PendingEvent

SPEC_VERSION = "0.5.1"

# Each type of event has a version of its own, see the `schemas` folder of the specification.
_VERSIONS = {
    "taskrun.started": "0.3.0",
    "taskrun.finished": "0.3.0",
    "build.started": "0.3.0",
    "build.finished": "0.3.0",
    "testcaserun.started": "0.3.0",
    "testcaserun.finished": "0.3.0",
    "testcaserun.skipped": "0.2.0",
    "testsuiterun.started": "0.3.0",
    "testsuiterun.finished": "0.3.0",
}
KINDS = {
    "TASK_STARTED": ("taskrun.started", "testsuiterun.started"),
    "TASK_COMPLETED": ("taskrun.finished", "testsuiterun.finished"),
    "TASK_FAILED": ("taskrun.finished", "testsuiterun.finished"),
    "BUILD_STARTED": ("build.started",),
    "BUILD_COMPLETED": ("build.finished",),
    "BUILD_FAILED": ("taskrun.finished",),
    "TEST_STARTED": ("testcaserun.started",),
    "TEST_PASSED": ("testcaserun.finished",),
    "TEST_FAILED": ("testcaserun.finished",),
    "TEST_SKIPPED": ("testcaserun.skipped",),
    "DEPLOYMENT_STARTED": ("taskrun.started",),
    "DEPLOYMENT_COMPLETED": ("taskrun.finished",),
    "DEPLOYMENT_FAILED": ("taskrun.finished",),
}
"""The kinds of CDEvent that each type of event becomes. A session's task is a test suite."""
_UNKNOWN_TIME = "1970-01-01T00:00:00.000Z"  # the schemas demand a timestamp

_SESSION = ("pytest", "session")

# The outcomes of a test and the exit codes of a session that become the outcome "error" instead of "failure".
_TEST_ERRORS = ("error", "crashed")
_SESSION_ERRORS = (2, 3, 4)


def cdevent(pending: PendingEvent) -> CloudEvent:
    """Return an event as a CDEvent inside of a CloudEvent."""
    event = pending.event
    kind, content = _translated(event)
    subject_id = _run_id(event, event.span_id) or text(event.id) or "-"
    context = {
        "specversion": SPEC_VERSION,
        "id": text(event.id) or "-",
        "source": uri_reference(event.source),
        "type": f"dev.cdevents.{kind}.{_VERSIONS[kind]}",
        "timestamp": event.timestamp if is_time(event.timestamp) else _UNKNOWN_TIME,
    }
    if event.trace_id:
        context["chainId"] = text(event.trace_id)
    data = {
        "context": context,
        "subject": {"id": subject_id, "source": context["source"], "content": content},
        "customData": msgspec.Raw(pending.line),
        "customDataContentType": "application/json",
    }
    return _envelope(event, context, subject_id, encode(data))


def _envelope(event: Event, context: dict[str, str], subject_id: str, data: bytes) -> CloudEvent:
    """Return the CloudEvent around a CDEvent. Its attributes repeat the context, as the binding demands."""
    kind = context["type"].split(".")
    return CloudEvent(
        id=context["id"],
        source=context["source"],
        type=context["type"],
        subject=subject_id,
        taskid=text(event.task_id or ""),
        time=context["timestamp"],
        traceparent=traceparent(event),
        dataschema=f"https://cdevents.dev/{SPEC_VERSION}/schema/{kind[2]}-{kind[3]}-event",
        datacontenttype="application/cdevents+json",
        data=msgspec.Raw(data),
    )


def _translated(event: Event) -> tuple[str, dict[str, Any]]:
    """Return the kind of CDEvent, such as ``taskrun.started``, and the content of its subject."""
    family, _, verb = event.event_type.partition("_")
    if family == "TEST":
        return _test_case(event, verb)
    if family == "BUILD" and verb != "FAILED":
        return f"build.{_PHASES[verb]}", {}
    if family == "TASK" and (event.metadata.get("workflow"), event.metadata.get("action")) == _SESSION:
        return _test_suite(event, verb)
    return _task(event, verb)


_PHASES = {"STARTED": "started", "COMPLETED": "finished", "PASSED": "finished", "FAILED": "finished"}


def _task(event: Event, verb: str) -> tuple[str, dict[str, Any]]:
    content: dict[str, Any] = {"taskName": _name(event)}
    if pipeline := _run_id(event, None):
        content["pipelineRun"] = {"id": pipeline}
    if verb != "STARTED":
        content["outcome"] = "failure" if verb == "FAILED" else "success"
        _explain(event, content, "errors")
    return f"taskrun.{_PHASES[verb]}", content


def _test_suite(event: Event, verb: str) -> tuple[str, dict[str, Any]]:
    content: dict[str, Any] = {"environment": _environment(event), "testSuite": {"id": _name(event)}}
    if verb != "STARTED":
        content["outcome"] = _outcome(verb, error=event.metadata.get("exit_code") in _SESSION_ERRORS)
        _explain(event, content, "reason")
    return f"testsuiterun.{_PHASES[verb]}", content


def _test_case(event: Event, verb: str) -> tuple[str, dict[str, Any]]:
    content: dict[str, Any] = {"environment": _environment(event), "testCase": {"id": _name(event)}}
    if event.parent_span_id and (suite := _run_id(event, event.parent_span_id)):
        content["testSuiteRun"] = {"id": suite}
    if verb == "STARTED":
        return "testcaserun.started", content
    _explain(event, content, "reason")
    if verb == "SKIPPED":
        return "testcaserun.skipped", content
    content["outcome"] = _outcome(verb, error=event.metadata.get("outcome") in _TEST_ERRORS)
    return "testcaserun.finished", content


def _outcome(verb: str, *, error: bool) -> str:
    if verb != "FAILED":
        return "success"
    return "error" if error else "failure"


def _explain(event: Event, content: dict[str, Any], key: str) -> None:
    reason = event.metadata.get("error")
    if isinstance(reason, str) and reason:
        content[key] = text(reason)


def _name(event: Event) -> str:
    return text(event.task_id or "") or event.event_type.partition("_")[0].lower()


def _environment(event: Event) -> dict[str, str]:
    named = event.metadata.get("environment")
    return {"id": (text(named) if isinstance(named, str) else "") or "default"}


def _run_id(event: Event, span_id: str | None) -> str:
    """Return the id of a span or, without a span id, of the whole run: the same in each of its events."""
    return text("/".join(part for part in (event.trace_id, span_id) if part))
