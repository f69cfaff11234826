"""The metadata of the events that one test has: its start and its end."""

from __future__ import annotations

from pytest_swarmtask.core.project import relative
from pytest_swarmtask.sources.pytest.outcome import EVENT_OF

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pytest_swarmtask.redaction.redactor import Redactor
    from pytest_swarmtask.sources.pytest.outcome import TestRun


def start_metadata(run: TestRun) -> dict[str, Any]:
    """Return the metadata of TEST_STARTED. It holds no secret, since the node id is redacted already."""
    return {"workflow": "pytest", "action": "test", "test_type": "pytest", "specific_test": run.task_id}


def end_metadata(run: TestRun, outcome: str, redactor: Redactor, root: str) -> dict[str, Any]:
    """Return the metadata of the event that ends a test, redacted. Files below `root` are named relative to it."""
    event_type = EVENT_OF[outcome]
    passed = event_type == "TEST_PASSED"
    metadata: dict[str, Any] = {"workflow": "pytest", "action": "test"}
    if event_type != "TEST_SKIPPED":  # a skipped test neither succeeded nor failed
        metadata["success"] = passed
    if run.error is not None:
        metadata["error"] = redactor.text(run.error)
    metadata["duration"] = round(run.duration, 6)
    metadata["test_type"] = "pytest"
    metadata["specific_test"] = run.task_id
    metadata["test_passed"] = passed
    metadata["outcome"] = outcome
    metadata["phase"] = run.phase
    if run.worker is not None:
        metadata["worker"] = run.worker
    metadata["attempt"] = run.attempt
    if not passed:
        _add_failure(run, metadata, redactor, root)
    return metadata


def _add_failure(run: TestRun, metadata: dict[str, Any], redactor: Redactor, root: str) -> None:
    if run.location is not None:
        metadata["location"] = redactor.text(relative(run.location, root))
    if run.failed_subtests:
        metadata["failed_subtests"] = run.failed_subtests
    if run.teardown_error is not None:
        metadata["teardown_error"] = redactor.text(run.teardown_error)
