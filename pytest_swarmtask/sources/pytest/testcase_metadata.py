"""The metadata of the events that one test has: its start and its end.

Most tests pass. For these the metadata is written as JSON at once, since a dictionary and its encoding take three times
as long. Both forms give the same bytes.
"""

from __future__ import annotations

from pytest_swarmtask.core.fastjson import encode_basestring
from pytest_swarmtask.core.project import relative
from pytest_swarmtask.sources.pytest.outcome import EVENT_OF, message, seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pytest_swarmtask.redaction.redactor import Redactor
    from pytest_swarmtask.sources.pytest.evidence import EvidenceReader
    from pytest_swarmtask.sources.pytest.outcome import TestRun


def encoded_start(run: TestRun, timestamp: str) -> str:
    """Return `start_metadata` as JSON, with the event's timestamp before it."""
    return (
        f'{{"timestamp":"{timestamp}","workflow":"pytest","action":"test","test_type":"pytest",'
        f'"specific_test":{run.encoded_id}}}'
    )


def encoded_pass(run: TestRun, timestamp: str) -> str:
    """Return `EndMetadata.of` a test that passed as JSON, with the event's timestamp; empty if there is more."""
    if not run.encoded_id or run.error is not None or run.tasks or run.attempts:
        return ""
    if getattr(run.last_report, "user_properties", None):
        return ""
    worker = "" if run.worker is None else f'"worker":{encode_basestring(run.worker)},'
    return (
        f'{{"timestamp":"{timestamp}","workflow":"pytest","action":"test","success":true,'
        f'"duration":{seconds(run.duration)!r},"test_type":"pytest","specific_test":{run.encoded_id},'
        f'"test_passed":true,"outcome":"passed","phase":"call",{worker}"attempt":{run.attempt}}}'
    )


def start_metadata(run: TestRun) -> dict[str, Any]:
    """Return the metadata of TEST_STARTED. It holds no secret, since the node id is redacted already."""
    return {"workflow": "pytest", "action": "test", "test_type": "pytest", "specific_test": run.task_id}


class EndMetadata:
    """Makes the metadata of the events that end tests, redacted.

    Args:
        redactor: hides secrets.
        root: the project's folder; files below it are named relative to it.
        evidence: reads why tests failed.
    """

    def __init__(self, redactor: Redactor, root: str, evidence: EvidenceReader) -> None:
        self._redactor = redactor
        self._root = root
        self._evidence = evidence

    def of(self, run: TestRun, outcome: str) -> dict[str, Any]:
        """Return the metadata of the event that ends a test with this outcome."""
        event_type = EVENT_OF[outcome]
        passed = event_type == "TEST_PASSED"
        metadata: dict[str, Any] = {"workflow": "pytest", "action": "test"}
        if event_type != "TEST_SKIPPED":  # a skipped test neither succeeded nor failed
            metadata["success"] = passed
        found: Sequence[str] = ()
        if run.error is not None:
            metadata["error"], found = self._redactor.searched(run.error)
        metadata["duration"] = seconds(run.duration)
        metadata["test_type"] = "pytest"
        metadata["specific_test"] = run.task_id
        metadata["test_passed"] = passed
        metadata["outcome"] = outcome
        metadata["phase"] = run.phase
        if run.worker is not None:
            metadata["worker"] = run.worker
        metadata["attempt"] = run.attempt
        if run.tasks:
            metadata["tasks"] = [self._redactor.short(name) for name in run.tasks]
        if not passed:
            self._add_failure(run, metadata)
        if not passed or run.attempts or getattr(run.last_report, "user_properties", None):
            self._evidence.add(metadata, run, outcome, found)
        return metadata

    def _add_failure(self, run: TestRun, metadata: dict[str, Any]) -> None:
        if run.location is not None:
            metadata["location"] = self._redactor.text(relative(run.location, self._root))
        if run.quarantine is not None:
            metadata["quarantine"] = {name: self._redactor.text(text) for name, text in run.quarantine.items()}
        if run.failed_subtests:
            metadata["failed_subtests"] = run.failed_subtests
        teardown_error = message(run.teardown_report) if run.teardown_report is not None else None
        if teardown_error is not None:
            metadata["teardown_error"] = self._redactor.text(teardown_error)
