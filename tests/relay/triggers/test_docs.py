"""The examples about triggers in `docs/automation.md` work as documented."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from tests.lab import REPOSITORY, Lab, wait_until
from tests.relay.triggers.rules import cause_of

TEXT = (REPOSITORY / "docs" / "automation.md").read_text("utf-8")
HALF = TEXT[TEXT.index("\n## Triggers\n") :].partition("\n## Alerts\n")[0]


def blocks(language: str) -> list[str]:
    """Return the examples in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", HALF, re.MULTILINE | re.DOTALL)


def configure(lab: Lab, example: str) -> None:
    path = lab.root / ".taskmaster" / "config" / "workflow.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(example)


@pytest.mark.parametrize("example", blocks("yaml"))
def test_the_configurations(lab: Lab, example: str) -> None:
    """`swarmtask config validate` accepts the documented configurations without a note."""
    configure(lab, example)
    done = lab.run("config", "validate")
    assert (done.returncode, "note:" in done.stdout) == (0, False), done.stderr


def test_failed_deployments_are_told(lab: Lab) -> None:
    configure(lab, blocks("yaml")[0])
    lab.emit("DEPLOYMENT_FAILED", "one", json.dumps({"branch": "main", "attempt": 1, "error": "x"}))
    lab.emit("DEPLOYMENT_FAILED", "two", json.dumps({"branch": "topic", "attempt": 2, "error": "x"}))
    lab.emit("DEPLOYMENT_FAILED", "three", json.dumps({"branch": "release/7", "attempt": 2, "error": "no space"}))
    wait_until(lambda: "three failed on release/7: no space" in lab.log(), "the message")
    assert "failed on main" not in lab.log()
    assert "failed on topic" not in lab.log()


def test_what_would_happen(lab: Lab) -> None:
    """The documented command prints the documented output."""
    configure(lab, blocks("yaml")[0])
    command, _, expected = blocks("console")[0].partition("\n")
    done = lab.run(*shlex.split(command)[2:])
    assert (done.stdout, done.returncode) == (expected, 0)


def test_builds_are_announced(lab: Lab) -> None:
    """The documented rule announces a build, and text from the event stays data even in a shell command."""
    configure(lab, blocks("yaml")[1])
    customer = '$(touch pwned) "`touch pwned`"'
    lab.emit("BUILD_COMPLETED", "app; touch pwned", json.dumps({"customer": customer}), LANE="fast")
    cause = cause_of(lab)
    wait_until(lambda: f"announce-builds | built app; touch pwned for {customer}" in lab.log(), "the output")
    wait_until(lambda: len(lab.events()) == 2, "the event")
    event = next(event for event in lab.events() if event["id"] != cause["id"])
    assert (event["event_type"], event["task_id"]) == ("DEPLOYMENT_STARTED", "staging")
    assert event["metadata"]["build"] == "app; touch pwned"
    assert not list(lab.root.rglob("pwned"))
