"""A real relay runs each action for real events, and runs nothing for events that match no rule."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from pytest_swarmtask.journal import locks
from tests.lab import SECRET, Lab, Receiver, receiving, wait_until
from tests.relay.tasks.board import Board, task
from tests.relay.triggers.rules import (
    Notes,
    cause_of,
    configure,
    python,
    rule,
    summary,
    wait_for_failure,
    wait_for_triggers,
)

HOSTILE = "x; touch pwned `touch pwned` $(touch pwned) && ../.. \n--flag 'q\" ${AUTOMATION_SECRET_KEY} {{status}}"


@pytest.fixture
def notes(lab: Lab) -> Notes:
    return Notes(lab)


class TestRun:
    def test_a_command_is_told_of_the_event(self, lab: Lab, notes: Notes) -> None:
        """A command gets the event as arguments and variables, and runs in the project or in one of its folders."""
        (lab.root / "sub").mkdir()
        action = notes.action("{{event_type}}", "n={{metadata.ci.job}}", cwd="sub", env={"MINE": "<{{name}} ${LANE}>"})
        configure(lab, rule(action))
        lab.emit("TASK_STARTED", "5", LANE="fast")
        event = lab.emit("TASK_COMPLETED", "5", '{"ci": {"job": 7}}', LANE="fast")
        (note,) = notes.wait()
        assert note["argv"] == ["TASK_COMPLETED", "n=7"]
        assert note["cwd"] == str(lab.root / "sub")
        environ = note["environ"]
        assert environ["MINE"] == "<rule fast>"
        assert [
            environ[f"SWARMTASK_EVENT_{name}"] for name in ("ID", "TYPE", "TASK_ID", "STATUS", "PARENT_SPAN_ID")
        ] == [*(event["id"], "TASK_COMPLETED", "5", "completed", "")]
        assert json.loads(environ["SWARMTASK_EVENT_METADATA"])["ci"] == {"job": 7}
        assert environ["TRACEPARENT"] == f"00-{event['trace_id']}-{event['span_id']}-01"
        wait_for_triggers(lab)
        assert (len(notes.read()), summary(lab)["fired"], summary(lab)["failed"]) == (1, 1, 0)

    def test_a_command_gets_evidence_by_name_only(self, lab: Lab, notes: Notes) -> None:
        """A command, which may send its variables anywhere, gets a traceback only where the rule names it."""
        wanted = notes.action(env={"TRACEBACK": "{{metadata.traceback}}"})
        configure(lab, rule(wanted, on="TEST_FAILED"))
        (lab.root / "test_it.py").write_text("def test_a():\n    assert 1 == 2\n")
        assert lab.pytest().returncode == 1
        (note,) = notes.wait()
        metadata = json.loads(note["environ"]["SWARMTASK_EVENT_METADATA"])
        assert "traceback" not in metadata
        assert metadata["exception"] == "AssertionError"
        assert "assert 1 == 2" in note["environ"]["TRACEBACK"]

    def test_what_an_event_says_stays_one_argument(self, lab: Lab, notes: Notes) -> None:
        """Text from an event stays one argument. It is never read as shell code, as a variable or as a template."""
        configure(lab, rule(notes.action("{{task_id}}", "--name={{metadata.said}}", env={"SAID": "{{metadata.said}}"})))
        lab.emit("TASK_COMPLETED", HOSTILE, json.dumps({"said": HOSTILE}))
        (note,) = notes.wait()
        assert note["argv"] == [HOSTILE, f"--name={HOSTILE}"]
        assert note["environ"]["SAID"] == HOSTILE
        assert not list(lab.root.rglob("pwned"))

    @pytest.mark.parametrize("said", ["--upload-pack=touch pwned", "-rf"])
    def test_what_an_event_says_becomes_no_option(self, lab: Lab, notes: Notes, said: str) -> None:
        configure(lab, rule(notes.action("{{metadata.branch}}")))
        lab.emit("TASK_COMPLETED", "5", json.dumps({"branch": said}))
        assert "would become the option" in wait_for_failure(lab)
        assert notes.read() == []

    def test_its_output_goes_to_the_log(self, lab: Lab) -> None:
        """The output of a command goes to the log line by line, without secrets and terminal escapes."""
        program = (
            "import os; print('one\\x1b[2J'); print('key', os.environ['AUTOMATION_SECRET_KEY']); print('x' * 99999)"
        )
        configure(lab, rule(python(program)))
        lab.emit("TASK_COMPLETED", "5")
        wait_until(lambda: "trigger rule | xxx" in lab.log(), "the output")
        log = lab.log()
        assert "trigger rule | one\\x1b[2J\n" not in log  # only the last 64 KiB of the output are kept
        assert SECRET not in log
        lab.wait_for_end()
        configure(lab, rule(python(program.replace("99999", "9"))))
        lab.emit("TASK_COMPLETED", "5")
        wait_until(lambda: "trigger rule | one\\x1b[2J\n" in lab.log(), "the output")
        assert "trigger rule | key [REDACTED]\n" in lab.log()
        assert SECRET.removeprefix("whsec_") not in lab.log()

    def test_after_its_time_it_is_killed_with_its_children(self, lab: Lab) -> None:
        held = lab.root / "held"
        child = (
            f"import fcntl, time; file = open({str(held)!r}, 'w'); fcntl.flock(file, fcntl.LOCK_EX); time.sleep(600)"
        )
        parent = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(600)"
        configure(lab, rule(python(parent), timeout=3))
        lab.emit("TASK_COMPLETED", "5")
        wait_until(lambda: held.exists() and locks.is_locked(str(held)), "the child")
        wait_until(lambda: not locks.is_locked(str(held)), "its end")
        assert "was killed, as it took longer than 3 s" in wait_for_failure(lab)

    @pytest.mark.parametrize(
        ("action", "words"),
        [
            ({"action": "run", "command": ["no-such-program"]}, "no-such-program could not be started"),
            ({"action": "run", "command": [sys.executable, "-c", "raise SystemExit(3)"]}, "ended with exit code 3"),
            ({"action": "run", "command": ["true"], "env": {"X": "${UNSET}"}}, "UNSET is not set"),
        ],
        ids=["missing", "exit code", "variable"],
    )
    def test_a_failure_is_counted_and_ends_the_rule(self, lab: Lab, notes: Notes, action: object, words: str) -> None:
        """A failed action is counted and ends its rule, since later actions rely on it. Other rules go on."""
        configure(
            lab,
            {**rule(notes.action("after")), "do": [action, notes.action("after")]},
            rule(notes.action("b"), name="b"),
        )
        lab.emit("TASK_COMPLETED", "5")
        assert [note["argv"] for note in notes.wait()] == [["b"]]
        assert words in wait_for_failure(lab)
        assert words in lab.log()


class TestWebhook:
    def test_the_event_is_sent_signed_and_tried_again(self, lab: Lab) -> None:
        with receiving() as other:
            other.answer = lambda _: 503 if len(other.arrivals) < 2 else 200
            webhook = {"name": "other", "url": other.url, "events": ["BUILD_STARTED"], "format": "plain"}
            action = {"action": "webhook", "webhook": "other"}
            configure(lab, rule(action), task_integration={"webhooks": [webhook]})
            lab.emit("TASK_STARTED", "5")
            event = lab.emit("TASK_COMPLETED", "5")
            assert other.wait(1) == [event]
            wait_for_triggers(lab)
            assert (len(other.arrivals), summary(lab)["failed"]) == (2, 0)

    def test_a_body_of_its_own(self, lab: Lab) -> None:
        with receiving() as other:
            webhook = {"name": "other", "url": other.url, "events": ["BUILD_STARTED"]}
            body = {"text": "{{task_id}} is {{status}}", "more": [{"n": 1, "by": "{{name}}"}]}
            action = {"action": "webhook", "webhook": "other", "body": body}
            configure(lab, rule(action), task_integration={"webhooks": [webhook]})
            event = lab.emit("TASK_COMPLETED", "5")
            assert other.wait(1) == [{"text": "5 is completed", "more": [{"n": 1, "by": "rule"}]}]
            assert other.arrivals[0].webhook_id != event["id"]

    def test_variables_in_a_body(self, lab: Lab) -> None:
        """A body's variables are filled in when it is sent and stored nowhere; what an event says is no variable."""
        with receiving() as other:
            webhook = {"name": "other", "url": other.url, "events": ["BUILD_STARTED"]}
            body = {"x": "${MY_TOKEN}", "y": [{"z": "$$A {{metadata.said}} ${UNSET:-none}"}]}
            action = {"action": "webhook", "webhook": "other", "body": body}
            configure(lab, rule(action), task_integration={"webhooks": [webhook]})
            token = "correct-horse-battery"
            lab.emit("TASK_COMPLETED", "5", '{"said": "${MY_TOKEN}"}', MY_TOKEN=token)
            assert other.wait(1) == [{"x": token, "y": [{"z": "$A ${MY_TOKEN} none"}]}]
            lab.wait_for_end()
            stored = [path for path in Path(lab.journal).rglob("*") if path.is_file()]
            assert not [path for path in stored if token.encode() in path.read_bytes()]

    def test_a_variable_of_a_body_that_is_not_set(self, lab: Lab) -> None:
        with receiving() as other:
            webhook = {"name": "other", "url": other.url, "events": ["BUILD_STARTED"]}
            action = {"action": "webhook", "webhook": "other", "body": {"x": "${UNSET}"}}
            configure(lab, rule(action), task_integration={"webhooks": [webhook]})
            lab.emit("TASK_COMPLETED", "5")
            assert "the environment variable UNSET is not set" in wait_for_failure(lab)
            assert other.arrivals == []

    def test_a_refusal_is_counted(self, lab: Lab) -> None:
        with receiving() as other:
            other.answer = lambda _: 422
            webhook = {"name": "other", "url": other.url, "events": ["BUILD_STARTED"]}
            action = {"action": "webhook", "webhook": "other"}
            configure(lab, rule(action), task_integration={"webhooks": [webhook]})
            lab.emit("TASK_COMPLETED", "5")
            assert "422" in wait_for_failure(lab)
            assert len(other.arrivals) == 1


class TestSetStatus:
    def test_it_has_the_last_word(self, lab: Lab, board: Board) -> None:
        """The action `set_status` overrides the status that the event itself sets."""
        board.write(task(5), task(6))
        configure(
            lab,
            rule({"action": "set_status", "status": "review"}),
            task_integration={"task_manager": {"enabled": True}},
        )
        lab.emit("TASK_COMPLETED", "5")
        lab.emit("TASK_FAILED", "6")
        lab.wait_for_settled()
        assert board.statuses() == {"5": "review", "6": "pending"}

    def test_another_task_and_one_that_is_none(self, lab: Lab, board: Board) -> None:
        board.write(task(5), task(6))
        action = {"action": "set_status", "status": "blocked", "task_id": "{{metadata.next}}"}
        configure(lab, rule(action))
        lab.emit("TASK_COMPLETED", "5", '{"next": 6}')
        wait_until(lambda: board.statuses() == {"5": "pending", "6": "blocked"}, "the status")
        lab.emit("TASK_COMPLETED", "5", '{"next": "seven"}')
        assert "there is no task seven" in wait_for_failure(lab)

    def test_a_variable_chooses_the_task(self, lab: Lab, board: Board) -> None:
        board.write(task(5), task(6))
        configure(lab, rule({"action": "set_status", "status": "blocked", "task_id": "${NEXT_ONE}"}))
        lab.emit("TASK_COMPLETED", "5", NEXT_ONE="6")
        wait_until(lambda: board.statuses() == {"5": "pending", "6": "blocked"}, "the status")


class TestEmit:
    def test_it_is_part_of_the_run_and_delivered(self, lab: Lab, receiver: Receiver) -> None:
        action = {
            "action": "emit",
            "event_type": "BUILD_STARTED",
            "task_id": "of {{task_id}}",
            "metadata": {"k": "{{status}}"},
        }
        configure(lab, rule(action))
        lab.emit("TASK_STARTED", "5")
        lab.emit("TASK_COMPLETED", "5")
        cause = cause_of(lab)
        event = next(event for event in receiver.wait(3) if event["event_type"] == "BUILD_STARTED")
        assert (event["task_id"], event["status"]) == ("of 5", "started")
        assert (event["trace_id"], event["parent_span_id"]) == (cause["trace_id"], cause["span_id"])
        metadata = event["metadata"]
        assert (metadata["k"], metadata["trigger"], metadata["caused_by"]) == ("completed", "rule", ["rule"])
        lab.wait_for_end()
        assert len(lab.events()) == 3

    def test_a_start_and_its_end_are_one_span(self, lab: Lab, receiver: Receiver) -> None:
        start, end = (
            {"action": "emit", "event_type": f"DEPLOYMENT_{verb}", "task_id": "web"}
            for verb in ("STARTED", "COMPLETED")
        )
        configure(lab, rule(start, end))
        lab.emit("TASK_COMPLETED", "5")
        spans = [event["span_id"] for event in receiver.wait(3) if event["task_id"] == "web"]
        assert len(spans) == 2
        assert len(set(spans)) == 1

    def test_secrets_are_hidden(self, lab: Lab, receiver: Receiver) -> None:
        action = {"action": "emit", "event_type": "BUILD_STARTED", "metadata": {"note": "with ${MY_TOKEN}"}}
        configure(lab, rule(action))
        lab.emit("TASK_COMPLETED", "5", MY_TOKEN="correct-horse-battery")
        assert receiver.wait(2)[1]["metadata"]["note"] == "with [REDACTED]"


class TestNotify:
    def test_people_are_told_what_and_where(self, lab: Lab) -> None:
        configure(
            lab,
            rule({"action": "notify", "to": ["log"]}, on="TASK_FAILED"),
            rule(
                {"action": "notify", "to": ["log"], "message": "{{name}}: {{task_id}}, {{link}}"},
                on="BUILD_*",
                name="own",
            ),
        )
        lab.emit("TASK_COMPLETED", "4")
        event = lab.emit("TASK_FAILED", "5", '{"error": "it broke", "branch": "main"}')
        lab.emit("BUILD_STARTED", "b", '{"ci_url": "https://ci.example/7"}')
        wait_until(lambda: "own: b, https://ci.example/7" in lab.log(), "the message")
        log = lab.log()
        for words in ("5 failed", "it broke", "main", event["trace_id"][:8]):
            assert words in log
        assert "4 completed" not in log

    def test_variables_in_a_message(self, lab: Lab) -> None:
        """A message has the values of variables, but no secret, as it is stored and may be logged."""
        message = "{{task_id}} of ${TEAM}, $$5, ${MY_TOKEN}, {{metadata.said}}"
        configure(lab, rule({"action": "notify", "to": ["log"], "message": message}))
        lab.emit("TASK_COMPLETED", "5", '{"said": "${TEAM}"}', TEAM="core", MY_TOKEN="correct-horse-battery")
        wait_until(lambda: "5 of core, $5, [REDACTED], ${TEAM}" in lab.log(), lab.log)


def test_status_counts_and_shows_the_last_failure(lab: Lab, notes: Notes) -> None:
    """`status` counts firings and shows the last failure, and the event still counts as delivered."""
    configure(lab, rule(python("raise SystemExit(3)")), rule(notes.action(), name="good"))
    lab.emit("TASK_COMPLETED", "5")
    assert notes.wait()
    lab.wait_for_settled()
    shown = lab.run("status")
    assert shown.returncode == 0
    assert re.search(r"^triggers   trigger:run: 1 delivered, 0 waiting", shown.stdout, re.MULTILINE)
    assert re.search(r"^fired      2 times, 1 failed; last failure: rule at .*exit code 3$", shown.stdout, re.MULTILINE)
    triggers = lab.status()["triggers"]
    assert {name: (one["fired"], one["failed"]) for name, one in triggers.items()} == {"rule": (1, 1), "good": (1, 0)}


def test_the_watched_process_knows_only_that_there_are_triggers(lab: Lab, receiver: Receiver) -> None:
    """Ten rules cost the watched process no more than one name among its endpoints."""
    configure(lab, *(rule(python("pass"), name=f"rule-{number}") for number in range(10)))
    lab.emit("TASK_STARTED", "5")
    compiled = Path(lab.journal, "config.json").read_text()
    assert "trigger:run" in compiled
    assert "rule-1" not in compiled
    assert receiver.wait(1)
