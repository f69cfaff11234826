"""The parts of a test case in JUnit XML that say how it ended, in the words of pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.core.outcomes import quarantine_note
from pytest_swarmtask.report.evidence import output

if TYPE_CHECKING:
    from pytest_swarmtask.history.query import Evidence, ResultDetails

_TAGS = {
    "failed": "failure",
    "error": "error",
    "crashed": "error",
    "unfinished": "error",
    "skipped": "skipped",
    "xfailed": "skipped",
    "quarantined": "skipped",
}
"""The element of each outcome that has one. pytest, too, puts failures that do not count under `skipped`."""
_IN_FIXTURES = ("setup", "teardown")
_WIDTH = 80
"""Columns of a heading in `system-out`."""


class OutcomeElement(NamedTuple):
    """An element such as `failure`: its tag, its attributes, and the text in it."""

    tag: str
    attributes: dict[str, str]
    body: str


def outcome_element(details: ResultDetails) -> OutcomeElement | None:
    """Return the element that says how a test ended; None if it passed."""
    result, phase = details.result, details.phase
    tag = _TAGS.get(result.outcome)
    if tag is None:
        return None
    error, body = result.error or "", details.evidence.traceback or result.place or ""
    if tag == "skipped":
        return _skipped(details, error)
    if result.outcome == "unfinished":
        return OutcomeElement(tag, {"message": "it has not ended"}, body)
    if result.outcome == "error" and phase == "collect":
        return OutcomeElement(tag, {"message": "collection failure"}, body if details.evidence.traceback else error)
    if result.outcome == "error" and phase in _IN_FIXTURES:
        error = f'failed on {phase} with "{error}"'
    return OutcomeElement(tag, {"message": error}, body)


def teardown_element(details: ResultDetails) -> OutcomeElement | None:
    """Return the element that says that the teardown of a failed test failed as well, or None.

    The failures of a quarantined test are one result.
    """
    if details.teardown_error is None or details.result.outcome == "quarantined":
        return None
    message = f'failed on teardown with "{details.teardown_error}"'
    return OutcomeElement("error", {"message": message}, details.evidence.teardown_traceback or "")


def _skipped(details: ResultDetails, reason: str) -> OutcomeElement:
    result = details.result
    if result.outcome == "xfailed":
        return OutcomeElement("skipped", {"type": "pytest.xfail", "message": reason}, "")
    if result.outcome == "quarantined":
        return OutcomeElement("skipped", {"type": "pytest.xfail", "message": quarantine_note(details.quarantine)}, "")
    body = f"{result.place}: {reason}" if result.place else reason
    if details.phase == "collect":
        return OutcomeElement("skipped", {"message": "collection skipped"}, body)
    return OutcomeElement("skipped", {"type": "pytest.skip", "message": reason}, body)


def output_elements(evidence: Evidence) -> dict[str, str]:
    """Return the texts of `system-out` and `system-err`, as pytest writes them with `junit_logging=all`.

    They are empty if nothing is known to have been captured.
    """
    captured = output(evidence)
    if not captured:
        return {}
    return {
        "system-out": _headed("Captured Log", captured["log"]) + _headed("Captured Out", captured["stdout"]),
        "system-err": _headed("Captured Err", captured["stderr"]),
    }


def _headed(heading: str, text: str) -> str:
    return f"{f' {heading} '.center(_WIDTH, '-')}\n{text}\n"
