"""The configuration of a stranger runs nothing, sends nothing to others, and shows no variable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_swarmtask.config.load import load
from pytest_swarmtask.recording.settings import read_settings
from tests.lab import Lab, Receiver, receiving, wait_until

EVENT = {
    "pull_request": {
        "number": 5,
        "head": {"label": "mallory:main", "sha": "a" * 40, "repo": {"full_name": "mallory/shop"}},
        "base": {"repo": {"full_name": "acme/shop"}},
    }
}
CONFIG = """
task_integration:
  source: src-${PLANTED}
  metadata: {team: "${PLANTED}", kind: unit}
  redact: {allow: [token], keys: [licence]}
  webhooks:
    - {name: hook, url: "${TASKMASTER_WEBHOOK_URL}", headers: {x-leak: "${PLANTED}"}, evidence: true}
    - {name: theirs, url: "THEIRS", secret_env: PLANTED}
  task_manager: {enabled: true, file: elsewhere.json}
automation_triggers:
  rules:
    - {name: run, on: [TASK_STARTED], do: [{action: run, command: [touch, fired]}]}
monitoring:
  metrics: {textfile: metrics.prom}
  notifiers: [{name: chat, kind: webhook, webhook: theirs}]
  alerts: [{name: any, kind: failure, events: ["*_STARTED"], notify: [chat]}]
"""
TEST = """
from pytest_swarmtask import trigger_task_event
def test_it(): trigger_task_event("TASK_STARTED", "5", metadata={"token": "Xk9_f3Lq7w", "licence": "Yk9_f3Lq7w"})
"""


@pytest.fixture
def other() -> Iterator[Receiver]:
    """A receiver that only the file names."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def stranger(lab: Lab, other: Receiver) -> Lab:
    """A project with a configuration that does all that it can."""
    lab.file(".taskmaster/config/workflow.yaml", CONFIG.replace("THEIRS", other.url))
    lab.file("test_it.py", TEST)
    return lab


def forked(root: Path) -> dict[str, str]:
    path = root / "event.json"
    path.write_text(json.dumps(EVENT))
    names = {"GITHUB_HEAD_REF": "main", "GITHUB_REF": "refs/pull/5/merge", "GITHUB_EVENT_PATH": str(path)}
    return {"CI": "true", "GITHUB_ACTIONS": "true", **names}


WITHOUT_CI = {"TF_BUILD": "True", "BUILD_SOURCEBRANCH": "refs/pull/5/merge", "SYSTEM_PULLREQUEST_ISFORK": "True"}


@pytest.mark.parametrize("told_by", ["the variable", "the service", "a service that sets no CI"])
def test_a_stranger_s_configuration(stranger: Lab, receiver: Receiver, other: Receiver, told_by: str) -> None:
    told = {"the variable": {"SWARMTASK_UNTRUSTED": "1"}, "the service": forked(stranger.root)}.get(told_by, WITHOUT_CI)
    assert stranger.pytest(PLANTED="planted-value", **told).returncode == 0
    stranger.wait_for_end()
    events = receiver.wait(5)
    assert "planted-value" not in json.dumps([arrival._asdict() for arrival in receiver.arrivals], default=str)
    start = next(event for event in events if event["task_id"] == "pytest_run")
    assert "team" not in start["metadata"]
    assert start["metadata"]["kind"] == "unit"
    task = next(event for event in events if event["task_id"] == "5")
    assert task["metadata"]["token"] == task["metadata"]["licence"] == "[REDACTED]"
    assert other.arrivals == []
    assert not [name for name in ("fired", "metrics.prom", "elsewhere.json") if (stranger.root / name).exists()]
    assert "counts as a stranger's" in stranger.run("doctor", PLANTED="planted-value", **told).stdout


def test_it_can_be_trusted(stranger: Lab, other: Receiver) -> None:
    """A pull request from a fork is a stranger's by default only."""
    done = stranger.pytest(PLANTED="a long planted value", SWARMTASK_UNTRUSTED="0", **forked(stranger.root))
    assert done.returncode == 0
    wait_until((stranger.root / "fired").exists)
    wait_until(lambda: other.refused, "requests that another secret has signed")


def test_a_stranger_gets_no_evidence_sent(stranger: Lab) -> None:
    """Only who is trusted may have tracebacks and output of tests sent."""
    environ = {"TASKMASTER_WEBHOOK_URL": "https://example.com/", "PLANTED": "a long planted value"}
    for told, wanted in (("0", True), ("1", False)):
        workflow = load(stranger.project, {**environ, "SWARMTASK_UNTRUSTED": told}).workflow
        assert workflow.task_integration.webhooks[0].evidence is wanted


def test_what_is_compiled_for_one_is_not_used_for_the_other(stranger: Lab) -> None:
    """Who trusts the project and who does not may use it in turn."""
    environ = {"TASKMASTER_WEBHOOK_URL": "https://example.com/", "PLANTED": "a long planted value"}
    for _ in range(2):
        trusted, not_trusted = (
            read_settings(stranger.project, {**environ, "SWARMTASK_UNTRUSTED": told}).endpoints for told in "01"
        )
        assert "theirs" in trusted
        assert not_trusted == ["hook"]


def test_a_stranger_exports_nothing_to_the_address_of_other_programs(lone: Lab) -> None:
    """The variables of OpenTelemetry were not set for us, so whoever set them has chosen no receiver of events."""
    lone.webhooks({"name": "spans", "format": "otlp"})
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://otlp.example.com"}
    trusted, not_trusted = (
        read_settings(lone.project, {**environ, "SWARMTASK_UNTRUSTED": told}).endpoints for told in "01"
    )
    assert trusted == ["spans"]
    assert not_trusted == []
