"""An event matches the conditions of a rule or an alert, or the mismatch has a readable reason."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pytest_swarmtask.config.triggers import When
from pytest_swarmtask.core.event import Event
from pytest_swarmtask.relay.delivery.matching import is_among, mismatch

METADATA = {
    "outcome": "error",
    "duration": 12.5,
    "attempt": 2,
    "success": False,
    "version": "5.10",
    "ci": {"provider": "github", "job": {"n": 1}},
    "a.b": "dotted",
    "list": [1],
    "nothing": None,
}


def event(task_id: str | None = "release_1", **metadata: Any) -> Event:
    known = {**METADATA, **metadata}
    at = "2026-01-01T00:00:00.000Z"
    return Event("i-1", "TASK_FAILED", task_id, "failed", at, "src", "0" * 32, "1" * 16, None, known)


def unmet(when: dict[str, Any], found: Event | None = None, **around: str) -> str | None:
    """Return why an event does not match, or None if it matches. `when` has the form of the configuration file."""
    return mismatch(msgspec.convert(when, When), found or event(), around.get("environment", ""), around.get("branch"))


@pytest.mark.parametrize(
    "when",
    [
        {},
        {"task_id": "release_*"},
        {"task_id": ["x", "*_1"]},
        {"task_id": {"equals": "release_1", "not_equals": "x", "glob": ["r*"], "not_glob": "x*", "exists": True}},
        {"status": "failed", "outcome": ["error", "crashed"], "source": "src"},
        {"metadata": {"duration": {"gt": 12, "ge": 12.5, "lt": 13, "le": 12.5}, "attempt": 2, "success": False}},
        {"metadata": {"ci.provider": "git*", "ci.job.n": 1, "a.b": "dotted", "version": "5.10", "attempt": "2"}},
        {"metadata": {"absent": {"exists": False, "not_equals": "x", "not_glob": "*"}, "success": "false"}},
        {"metadata": {"duration": 12.5, "attempt": {"not_equals": 3}, "list": {"exists": True}}},
    ],
)
def test_what_holds(when: dict[str, Any]) -> None:
    assert unmet(when) is None


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ({"task_id": "deploy*"}, "task_id is release_1, expected deploy*"),
        ({"task_id": ["a", "b"]}, "task_id is release_1, expected one of a, b"),
        ({"task_id": {"not_glob": ["r*", "x"]}}, "task_id is release_1, expected none of r*, x"),
        ({"status": {"not_equals": "failed"}}, "status is failed, expected not failed"),
        ({"outcome": {"exists": False}}, "outcome is error, expected none"),
        ({"branch": "main"}, "branch is not there, expected main"),
        ({"environment": "prod"}, "environment is not there, expected prod"),
        ({"metadata": {"duration": {"gt": 12.5}}}, "metadata.duration is 12.5, expected a number greater than 12.5"),
        ({"metadata": {"version": {"ge": 5}}}, "metadata.version is 5.10, expected a number at least 5"),
        ({"metadata": {"success": {"lt": 1}}}, "metadata.success is false, expected a number less than 1"),
        ({"metadata": {"success": 0}}, "metadata.success is false, expected 0"),
        ({"metadata": {"attempt": True}}, "metadata.attempt is 2, expected true"),
        ({"metadata": {"version": 5.1}}, "metadata.version is 5.10, expected 5.1"),
        ({"metadata": {"absent": "*"}}, "metadata.absent is not there, expected *"),
        ({"metadata": {"ci.provider.x": {"exists": True}}}, "metadata.ci.provider.x is not there, expected a value"),
        ({"metadata": {"ci": "*"}}, 'metadata.ci is {"provider": "github", "job": {"n": 1}}, expected *'),
    ],
)
def test_what_does_not(when: dict[str, Any], words: str) -> None:
    assert unmet(when) == words


def test_branch_and_environment_come_from_the_run() -> None:
    """Branch and environment come from the run, unless the event itself states them."""
    assert unmet({"branch": "main", "environment": "prod"}, environment="prod", branch="main") is None
    assert unmet({"branch": "main"}, event(branch="topic"), branch="main") == "branch is topic, expected main"


def test_an_event_of_no_task() -> None:
    assert unmet({"task_id": {"exists": False}}, event(None)) is None
    assert unmet({"task_id": "*"}, event(None)) == "task_id is not there, expected *"


def test_globs_over_types() -> None:
    assert is_among("TASK_FAILED", ["BUILD_*", "*_FAILED"])
    assert not is_among("TASK_FAILED", ["BUILD_*", "task_*"])
