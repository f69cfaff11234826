"""Which attributes of OpenTelemetry an event has, by the semantic conventions; what they do not name is `swarmtask.*`.

See https://github.com/open-telemetry/semantic-conventions, in docs: `cicd/cicd-spans.md`, `resource/cicd.md`, and the
registry for `test`, `code`, `vcs`, `process`, `host` and `exception`. docs/opentelemetry.md has the table for users.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_swarmtask.core.event import SKIPPED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pytest_swarmtask.core.event import Event

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the conventions that the names below are of. A backend can translate them to the names of another
version."""
SCOPE = "pytest-swarmtask"
_PREFIX = "swarmtask."

_RESOURCE = {
    "host": "host.name",
    "pid": "process.pid",
    "implementation": "process.runtime.name",
    "python": "process.runtime.version",
    "environment": "deployment.environment.name",
    "commit": "vcs.ref.head.revision",
    "branch": "vcs.ref.head.name",
    "ci_run": "cicd.pipeline.run.id",
    "ci_url": "cicd.pipeline.run.url.full",
}
"""Facts of a whole run, which the start of a session has, and their names."""
_OWN_RESOURCE = ("ci", "ci_job", "ci_job_run", "dirty", "merge_commit", "shard", "variant")
"""Facts of a whole run without a convention."""
_OS_TYPES = {"linux": "linux", "darwin": "darwin", "win32": "windows", "freebsd": "freebsd", "aix": "aix"}
"""The values of `os.type` by the beginning of Python's `sys.platform`."""
_OF_RESOURCE = frozenset((*_RESOURCE, *_OWN_RESOURCE, "platform"))
_TOLD = frozenset(
    (
        *("timestamp", "duration", "last_seen", "success", "error", "attempts"),
        *("test_passed", "test_type", "specific_test", "command", "arguments", "exit_code"),
    )
)
"""Metadata that the span itself or an attribute below already tells."""
_TOLD_OF_FAILURE = _TOLD | {"exception", "traceback"}
"""The same of a failure, which has the span event `exception`."""

_TASK_TYPES = {"BUILD": "build", "DEPLOYMENT": "deploy", "TEST": "test"}
_INTERRUPTED = (130, 143)
"""Exit codes of commands that SIGINT or SIGTERM ended, as shells write them."""
_ABORTED = (2, 3)
"""Exit codes of pytest for an interrupted session and for an internal error."""


def resource_attributes(carrier: Event) -> dict[str, Any]:
    """Return the attributes of the resource: who has recorded, on which machine, of which run and commit.

    Args:
        carrier: the start of the session around the event, or the event itself if there is none.
    """
    facts = carrier.metadata
    found = {"service.name": carrier.source}
    found |= {name: facts[key] for key, name in _RESOURCE.items() if key in facts}
    found |= {_PREFIX + key: facts[key] for key in _OWN_RESOURCE if key in facts}
    platform = str(facts.get("platform", ""))
    system = next((name for start, name in _OS_TYPES.items() if platform.startswith(start)), None)
    return {**found, "os.type": system}


def span_attributes(event: Event, start: Event | None) -> dict[str, Any]:
    """Return the attributes of the span that an event ends.

    Args:
        event: the event.
        start: the start of the session around the event, or of the session that the event ends; None if there is none.
    """
    if event.event_type.startswith("TEST_"):
        suite = start.task_id if start is not None else None
        known = {**_of_test(event), "test.suite.name": suite}
    else:
        known = _of_task(event)
    facts = event.metadata
    if start is not None and start.span_id == event.span_id:
        facts = {**start.metadata, **facts}  # the end of a session does not repeat what its start says
    known |= _of_process(facts)
    if is_failure(event):
        known["error.type"] = _error_type(event)
    elif "error" in facts:
        known[_PREFIX + "error"] = facts["error"]  # why a test was skipped; a failure has it in its status
    own = _own(facts, _TOLD_OF_FAILURE if is_failure(event) else _TOLD, (start or event).metadata)
    return {**own, _PREFIX + "event.id": event.id, **known}


def log_attributes(event: Event, start: Event | None) -> dict[str, Any]:
    """Return the attributes of the log record of a start event; `start` as for a span."""
    name = "test.case.name" if event.event_type.startswith("TEST_") else "cicd.pipeline.task.name"
    known = {name: event.task_id, "cicd.pipeline.task.type": _task_type(event), **_of_process(event.metadata)}
    own = _own(event.metadata, _TOLD, (start or event).metadata)
    return {**own, _PREFIX + "event.id": event.id, **known}


def attempt_attributes(event: Event, attempt: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of the span of an earlier attempt at a test, except for its number."""
    known = {
        "test.case.name": event.task_id,
        "test.case.result.status": "fail",
        "error.type": attempt.get("exception") or attempt.get("outcome"),
        **_code(event),
    }
    return {**_own(attempt, _TOLD_OF_FAILURE, {}), **known}


def is_failure(event: Event) -> bool:
    """Whether an event says that something failed. A task whose tests were all skipped has not."""
    return event.event_type.endswith("_FAILED") and event.status != SKIPPED


def _of_test(event: Event) -> dict[str, Any]:
    verdict = {"TEST_PASSED": "pass", "TEST_FAILED": "fail"}.get(event.event_type, "skip")
    return {"test.case.name": event.task_id, "test.case.result.status": verdict, **_code(event)}


def _code(event: Event) -> dict[str, Any]:
    """Return where the code of a test is: file and function by its node id, and the line of a failure in that file."""
    if event.metadata.get("test_type") != "pytest" or not event.task_id:
        return {}
    file, _, function = event.task_id.partition("::")
    place, _, line = str(event.metadata.get("location", "")).rpartition(":")
    return {
        "code.file.path": file,
        "code.function.name": function.partition("[")[0].replace("::", ".") or None,
        "code.line.number": int(line) if place == file and line.isdecimal() and len(line) < 10 else None,
    }


def _of_task(event: Event) -> dict[str, Any]:
    found = {
        "cicd.pipeline.task.name": event.task_id,
        "cicd.pipeline.task.run.id": event.span_id,
        "cicd.pipeline.task.run.result": _result(event),
        "cicd.pipeline.task.type": _task_type(event),
    }
    if _is_of_session(event):
        found |= {"test.suite.name": event.task_id, "test.suite.run.status": _suite_status(event)}
    if event.event_type.startswith("DEPLOYMENT_"):
        status = "failed" if is_failure(event) else "succeeded"
        found |= {"deployment.name": event.task_id, "deployment.status": status}
    return found


def _task_type(event: Event) -> str | None:
    return "test" if _is_of_session(event) else _TASK_TYPES.get(event.event_type.partition("_")[0])


def _is_of_session(event: Event) -> bool:
    return event.metadata.get("action") == "session"


def _result(event: Event) -> str:
    """Return a value of `cicd.pipeline.task.run.result`: `error` means that the worker failed, not the work."""
    if event.status == SKIPPED:
        return "skip"
    if not is_failure(event):
        return "success"
    if "last_seen" in event.metadata:
        return "error"
    return "cancellation" if _was_interrupted(event) else "failure"


def _suite_status(event: Event) -> str:
    if event.status == SKIPPED:
        return "skipped"
    if not is_failure(event):
        return "success"
    is_aborted = "last_seen" in event.metadata or event.metadata.get("exit_code") in _ABORTED
    return "aborted" if is_aborted else "failure"


def _was_interrupted(event: Event) -> bool:
    exit_code = event.metadata.get("exit_code")
    if _is_of_session(event):
        return exit_code == 2
    return exit_code in _INTERRUPTED or event.metadata.get("signal") in ("SIGINT", "SIGTERM")


def _of_process(facts: Mapping[str, Any]) -> dict[str, Any]:
    command = facts.get("command")
    if command is None and isinstance(facts.get("arguments"), list):
        command = ["pytest", *facts["arguments"]]
    name = "process.command_args" if isinstance(command, list) else "process.command_line"
    return {name: command, "process.exit.code": facts.get("exit_code")}


def _error_type(event: Event) -> str:
    """Return the class of a failure. Unlike messages, classes have few different values."""
    facts = event.metadata
    if facts.get("exit_code") not in (None, 0) and "exception" not in facts and "reason" not in facts:
        return str(facts["exit_code"])
    named = facts.get("exception") or facts.get("reason") or facts.get("outcome")
    # The value that the conventions define for a failure of no known class.
    return str(named) if named else "_OTHER"


def _own(facts: Mapping[str, Any], told: Collection[str], of_run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata for which there is no convention.

    Args:
        facts: the metadata.
        told: the keys that something else tells.
        of_run: the metadata of which the resource is made. An event may know better, such as another commit.
    """
    left = {
        key: value
        for key, value in facts.items()
        if key not in told and not (key in _OF_RESOURCE and of_run.get(key) == value)
    }
    return {_PREFIX + name: value for name, value in _flat(left)}


def _flat(facts: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return keys and values, with those of nested mappings named ``outer.inner``."""
    found: list[tuple[str, Any]] = []
    for key, value in facts.items():
        name = f"{prefix}{key}"
        found += _flat(value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return found
