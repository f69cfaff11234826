"""`swarmtask triggers test` shows which rules would fire, with their actions or the reason, and runs nothing."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.lab import Json, Lab
from tests.relay.triggers.rules import Notes, configure, rule, wait_for_triggers


@pytest.fixture
def notes(lab: Lab) -> Notes:
    return Notes(lab)


def tried(lab: Lab, *arguments: str, **environ: str) -> list[Json]:
    """Return the result of the command for each event."""
    done = lab.run("triggers", "test", "--json", "--event", *arguments, **environ)
    assert (done.returncode, done.stderr) == (0, "")
    events: list[Json] = json.loads(done.stdout)["events"]
    return events


def test_each_action_is_shown_and_none_is_done(lab: Lab, notes: Notes) -> None:
    """Each action is shown with filled templates, and none is run. Variables stay unexpanded, as they may be secret."""
    webhook = {"name": "chat", "url": "http://127.0.0.1:9/"}
    actions: list[Json] = [
        {"action": "run", "command": ["touch", "{{task_id}}", "${AUTOMATION_SECRET_KEY}"]},
        {"action": "webhook", "webhook": "chat"},
        {"action": "webhook", "webhook": "chat", "body": {"text": "{{status}}"}},
        {"action": "set_status", "status": "done"},
        {"action": "set_status", "status": "done", "task_id": "{{metadata.next}}"},
        {"action": "emit", "event_type": "BUILD_STARTED", "metadata": {"of": "{{id}}"}},
        {"action": "notify", "to": ["log"]},
        {"action": "notify", "to": ["log"], "message": "{{name}}: {{task_id}}"},
    ]
    configure(lab, rule(*actions), task_integration={"webhooks": [webhook]})
    (event,) = tried(lab, "TASK_COMPLETED", "--task-id", "a b", "--metadata", '{"next": 6}')
    assert event["rules"][0]["actions"] == [
        "run touch 'a b' '${AUTOMATION_SECRET_KEY}'",
        "send the event to chat",
        'send {"text": "completed"} to chat',
        "set the status of a b to done",
        "set the status of 6 to done",
        f'emit BUILD_STARTED a b {{"of": "{event["id"]}"}}',
        "tell log: what happened",
        "tell log: rule: a b",
    ]
    assert not lab.journal.joinpath("relay").exists()
    assert lab.events() == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"on": ["BUILD_*"]}, "event type is TASK_COMPLETED, expected BUILD_*"),
        ({"enabled": False}, "the rule is not enabled"),
        ({"when": {"task_id": "x*"}}, "task_id is 5, expected x*"),
        ({"when": {"metadata": {"n": {"gt": 7}}}}, "metadata.n is 7, expected a number greater than 7"),
        ({"when": {"environment": "prod"}}, "environment is not there, expected prod"),
    ],
    ids=["type", "disabled", "task id", "metadata", "environment"],
)
def test_why_not(lab: Lab, notes: Notes, more: dict[str, Any], words: str) -> None:
    configure(lab, {**rule(notes.action()), **more})
    (event,) = tried(lab, "TASK_COMPLETED", "--task-id", "5", "--metadata", '{"n": 7}')
    assert event["rules"] == [{"rule": "rule", "fires": False, "reason": words, "actions": []}]


def test_the_journal_as_if_it_came_now(lab: Lab, notes: Notes) -> None:
    """The command tests the journal event by event, and knows which events have already fired a rule."""
    lab.record(3)
    configure(lab, rule(notes.action(), on="TASK_STARTED", once_per="run"))
    (segment,) = lab.segments()
    verdicts = [event["rules"][0]["reason"] for event in tried(lab, str(segment))]
    again = "once_per run: it has fired in this one"
    assert verdicts == [None, again, again]
    packed = lab.file("old.jsonl.gz", gzip.compress(segment.read_bytes()))
    assert [event["rules"][0]["reason"] for event in tried(lab, str(packed))] == verdicts
    lab.emit("TASK_STARTED", "5")
    wait_for_triggers(lab)
    newest = lab.segments()[-1]
    assert [event["rules"][0]["reason"] for event in tried(lab, str(newest))] == ["it has fired on this event"]
    one = lab.root / "event.json"
    one.write_text(json.dumps(lab.events()[0], indent=2))
    assert [event["task_id"] for event in tried(lab, str(one), str(one))] == ["0", "0"]


def test_a_section_that_is_off(lab: Lab, notes: Notes) -> None:
    configure(lab, automation_triggers={"enabled": False, "rules": [rule(notes.action())]})
    assert tried(lab, "TASK_COMPLETED")[0]["rules"][0]["reason"] == "automation_triggers is not enabled"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--event", "TASK_DONE"], "unknown event type 'TASK_DONE'"),
        (["--event", "TASK_FAILED", "--metadata", "{"], "--metadata is not JSON"),
        (["--event", "TASK_FAILED", "--metadata", "[]"], "expected a JSON object"),
        (["--event", "no/such.jsonl"], "no/such.jsonl: No such file"),
        (["--event", "bad.json"], "bad.json:1: the field 'event_type' is missing"),
        (["--event", "empty.json.gz"], "empty.json.gz: Not a gzipped file"),
        (["--event", "cut.json.gz"], "cut.json.gz: Compressed file ended before"),
        (["--event", "empty.json"], "empty.json: found an empty file"),
        (["--event", "TASK_FAILED", "--root", "nowhere"], "there is no such folder"),
    ],
)
def test_bad_input(lab: Lab, arguments: list[str], words: str) -> None:
    """Bad input is named in a message, with exit code 2 and without a traceback."""
    (lab.root / "bad.json").write_text("{}")
    (lab.root / "empty.json").write_text("\n")
    (lab.root / "empty.json.gz").write_text("\n")
    (lab.root / "cut.json.gz").write_bytes(gzip.compress(b"{}")[:-9])
    done = lab.run("triggers", "test", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_without_rules(lab: Lab) -> None:
    assert "there are no rules" in lab.run("triggers", "test", "--event", "TASK_FAILED").stdout
