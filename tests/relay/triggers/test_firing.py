"""Rules fire once for each event, run, task or day, not too soon, never endlessly, and with a role's permissions."""

from __future__ import annotations

import json
import sys
import textwrap

import pytest

from pytest_swarmtask.core.roles import token_hash
from tests.lab import Lab, Receiver, wait_until
from tests.relay.triggers.rules import (
    NOTE,
    Notes,
    cause_of,
    configure,
    python,
    rule,
    summary,
    wait_for_failure,
    wait_for_triggers,
)

TOKEN = "9f1c" * 16


@pytest.fixture
def notes(lab: Lab) -> Notes:
    return Notes(lab)


def emit(lab: Lab, *task_ids: str, trace: str | None = None) -> None:
    """Complete tasks, each in its own run or all in one run, and wait until the triggers have processed them."""
    for task_id in task_ids:
        more = {"TRACEPARENT": f"00-{trace}-00f067aa0ba902b7-01"} if trace else {}
        lab.emit("TASK_COMPLETED", task_id, **more)
    wait_for_triggers(lab)


@pytest.mark.parametrize(
    ("once_per", "expected"),
    [("run", ["a", "c"]), ("task", ["a", "b", "c"]), ("day", ["a"]), (None, ["a", "b", "a", "c", "a"])],
)
def test_once_per(lab: Lab, notes: Notes, once_per: str | None, expected: list[str]) -> None:
    """`once_per` limits how often a rule fires, also if another relay takes over."""
    more = {"once_per": once_per} if once_per else {}
    configure(lab, rule(notes.action("{{task_id}}"), **more))
    emit(lab, "a", "b", "a", trace="1" * 32)
    lab.kill()
    emit(lab, "c", "a", trace="2" * 32)
    assert [note["argv"][0] for note in notes.read()] == expected


def test_cooldown(lab: Lab, notes: Notes) -> None:
    """A cooldown continues when another relay takes over, and it ends."""
    configure(
        lab, rule(notes.action("{{task_id}}"), cooldown=3600), rule(notes.action("short"), name="b", cooldown=0.01)
    )
    emit(lab, "a")
    lab.kill()
    emit(lab, "b")
    assert sorted(note["argv"][0] for note in notes.read()) == ["a", "short", "short"]
    shown = lab.run("triggers", "test", "--event", "TASK_COMPLETED").stdout
    assert "rule: no: cooldown: 3" in shown


UNTIL_TOLD = """
import time
for _ in range(600):
    if os.path.exists("go-on"):
        break
    time.sleep(0.1)
"""


def test_a_killed_relay_does_nothing_twice(lab: Lab, notes: Notes) -> None:
    """If a relay dies while a command runs, the next relay does not run the command again."""
    configure(lab, rule(python(NOTE + UNTIL_TOLD, str(notes.path)), timeout=900))
    event = lab.emit("TASK_COMPLETED", "5")
    (note,) = notes.wait()
    lab.kill()
    assert lab.run("flush").returncode == 0
    (lab.root / "go-on").touch()  # the command outlives its relay
    assert (len(notes.read()), summary(lab)["fired"]) == (1, 1)
    assert note["environ"]["SWARMTASK_EVENT_ID"] == event["id"]


class TestLoops:
    def test_a_rule_does_not_set_itself_off(self, lab: Lab, receiver: Receiver) -> None:
        configure(lab, rule({"action": "emit", "event_type": "TASK_COMPLETED"}))
        lab.emit("TASK_COMPLETED", "5")
        receiver.wait(2)
        lab.wait_for_end()
        assert [event["metadata"].get("caused_by") for event in lab.events()] == [None, ["rule"]]

    def test_rules_that_set_each_other_off_come_to_an_end(self, lab: Lab) -> None:
        """Rules that fire each other come to an end: no chain is longer than five rules."""
        emit = {"action": "emit", "event_type": "TASK_COMPLETED"}
        configure(lab, *(rule(emit, name=f"r{number}", once_per="run") for number in range(7)))
        lab.emit("TASK_COMPLETED", "5")
        lab.wait_for_end()
        chains = [event["metadata"].get("caused_by", []) for event in lab.events()]
        assert max(map(len, chains)) <= 5
        assert all(len(set(chain)) == len(chain) for chain in chains)
        configure(lab, *({**rule(emit, name=f"r{n}"), "on": ["TASK_COMPLETED"]} for n in range(2)))
        before = len(lab.events())
        lab.emit("TASK_COMPLETED", "6")
        lab.wait_for_end()
        assert sorted(str(event["metadata"].get("caused_by")) for event in lab.events()[before:]) == sorted(
            ["None", "['r0']", "['r1']", "['r0', 'r1']", "['r1', 'r0']"]
        )

    def test_a_command_that_reports_itself_does_not_set_its_rule_off(self, lab: Lab) -> None:
        """Events from a rule's own command do not fire the rule again.

        This holds for an emitter, for `run`, and for a whole pytest session.
        """
        (lab.root / "test_it.py").write_text("def test_it():\n    pass\n")
        ours = [sys.executable, "-m", "pytest_swarmtask"]
        commands = [
            [*ours, "emit", "TASK_COMPLETED", "x"],
            [*ours, "run", "--", "true"],
            [sys.executable, "-m", "pytest"],
        ]
        configure(lab, rule(*({"action": "run", "command": command} for command in commands), on="*_COMPLETED"))
        lab.emit("TASK_COMPLETED", "5")
        cause = cause_of(lab)
        lab.wait_for_end()
        others = [event for event in lab.events() if event["id"] != cause["id"]]
        assert {event["event_type"] for event in others} >= {"TASK_COMPLETED", "TEST_PASSED"}
        assert [event for event in others if event["metadata"].get("caused_by") != ["rule"]] == []
        assert {event["trace_id"] for event in others} == {cause["trace_id"]}
        assert (summary(lab)["fired"], summary(lab)["failed"]) == (1, 0)

    def test_nor_does_one_that_dies(self, lab: Lab) -> None:
        """A session that dies within a rule's command does not fire the rule again.

        The relay closes its open spans as failed, and the rule listens to failures.
        """
        (lab.root / "test_it.py").write_text("def test_it():\n    import time\n    time.sleep(600)\n")
        program = (
            "import os, signal, subprocess, sys, time\n"
            "session = subprocess.Popen([sys.executable, '-m', 'pytest', 'test_it.py'])\n"
            "while not any('TEST_STARTED' in open(f'.taskmaster/events/{name}').read()\n"
            "              for name in os.listdir('.taskmaster/events') if name.endswith('.jsonl')): time.sleep(0.05)\n"
            "session.send_signal(signal.SIGKILL); session.wait()\n"
        )
        configure(lab, rule(python(program), on="*_FAILED"))
        lab.emit("TASK_FAILED", "5")
        wait_until(lambda: len(lab.events()) == 5, "the ends")
        lab.wait_for_end()
        ends = [event["metadata"]["caused_by"] for event in lab.events() if "last_seen" in event["metadata"]]
        assert ends == [["rule"], ["rule"]]
        assert summary(lab)["fired"] == 1


class TestRoles:
    ROLES = textwrap.dedent("""
        default_role: developer
        roles:
          developer: {allow: %s}
          robot: {allow: [trigger:run, "emit:TASK_*"]}
          boss: {allow: ["*"], token_hash: "%s", token_env: BOSS_TOKEN}
    """)

    def configure(self, lab: Lab, allow: list[str], *rules: dict[str, object]) -> None:
        import yaml

        configure(lab, *rules, access_control=yaml.safe_load(self.ROLES % (json.dumps(allow), token_hash(TOKEN))))

    @pytest.mark.parametrize(
        ("action", "words"),
        [
            ({"action": "emit", "event_type": "BUILD_STARTED"}, "the role robot may not emit:BUILD_STARTED"),
            ({"action": "set_status", "status": "done"}, "the role robot may not task:sync"),
        ],
        ids=["emit", "set_status"],
    )
    def test_what_the_role_may_not_do_is_refused_and_counted(
        self, lab: Lab, notes: Notes, action: dict[str, object], words: str
    ) -> None:
        """If the role lacks a permission, the whole rule is refused and counted, since half a rule may do harm."""
        self.configure(lab, ["*"], rule(notes.action(), action, role="robot"))
        lab.emit("TASK_COMPLETED", "5")
        assert wait_for_failure(lab) == words
        assert notes.read() == []
        assert len(lab.events()) == 1

    def test_what_it_may_do_is_done(self, lab: Lab, notes: Notes) -> None:
        self.configure(lab, ["*"], rule(notes.action(), {"action": "emit", "event_type": "TASK_FAILED"}, role="robot"))
        lab.emit("TASK_COMPLETED", "5")
        assert notes.wait()
        wait_until(lambda: len(lab.events()) == 2, "the event")
        assert summary(lab)["failed"] == 0

    def test_runs_whose_role_may_not_trigger_anything(self, lab: Lab, notes: Notes, receiver: Receiver) -> None:
        """Events of a role without the permission fire no rule, but are delivered as usual.

        With the token of a permitted role, the rule fires.
        """
        self.configure(lab, ["emit:*"], rule(notes.action("{{task_id}}")))
        lab.emit("TASK_COMPLETED", "theirs")
        receiver.wait(1)
        lab.emit("TASK_COMPLETED", "mine", BOSS_TOKEN=TOKEN)
        assert [note["argv"] for note in notes.wait()] == [["mine"]]
        shown = lab.run("triggers", "test", "--event", "TASK_COMPLETED").stdout
        assert "the role developer may not trigger:run" in shown


def test_a_long_command_holds_up_nobody(lab: Lab, receiver: Receiver) -> None:
    """A long command delays neither the webhooks nor the end of a session."""
    go = lab.root / "go"
    waiting = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.05)"
    configure(lab, rule(python(waiting), on="TASK_STARTED"))
    (lab.root / "test_it.py").write_text("def test_it():\n    pass\n")
    done = lab.pytest(CI="1")  # the session may wait for ten seconds
    assert "4 events delivered" in done.stdout
    assert len(receiver.wait(4)) == 4
    assert not go.exists()
    assert lab.busy()
    go.touch()
    lab.wait_for_end()
    assert summary(lab)["failed"] == 0


def test_events_of_python_code_and_of_tests_set_rules_off(lab: Lab, notes: Notes) -> None:
    """Events from Python code and from tests fire rules, and handlers in the process still work."""
    rules = (rule(notes.action("{{task_id}}"), on=kind, name=kind) for kind in ("TASK_COMPLETED", "TEST_FAILED"))
    configure(lab, *rules)
    program = (
        "from pytest_swarmtask import AutomationEventType, AutomationIntegrator, trigger_task_event\n"
        "with AutomationIntegrator() as integrator:\n"
        "    integrator.register_handler(AutomationEventType.TASK_COMPLETED, lambda *event: print(event[1]))\n"
        "    trigger_task_event(AutomationEventType.TASK_COMPLETED, task_id='unique_id')\n"
    )
    assert lab.python(program).stdout == "unique_id\n"
    (lab.root / "test_it.py").write_text("def test_it():\n    assert 0\n")
    lab.pytest()
    assert [note["argv"] for note in notes.wait(2)] == [["unique_id"], ["test_it.py::test_it"]]


def test_rules_that_are_off(lab: Lab, notes: Notes, receiver: Receiver) -> None:
    """A disabled rule does not fire, and no rule fires if the section is disabled."""
    configure(lab, rule(notes.action("a"), enabled=False), rule(notes.action("b"), name="b"))
    lab.emit("TASK_COMPLETED", "5")
    assert [note["argv"] for note in notes.wait()] == [["b"]]
    configure(lab, automation_triggers={"enabled": False, "rules": [rule(notes.action("c"))]})
    lab.emit("TASK_COMPLETED", "5")
    receiver.wait(2)
    lab.wait_for_end()
    assert len(notes.read()) == 1


@pytest.mark.parametrize(
    ("ours", "pull_request"),
    [
        (
            {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_REF_NAME": "main"},
            {"GITHUB_HEAD_REF": "main", "GITHUB_REF": "refs/pull/5/merge"},
        ),
        ({"CI": "woodpecker", "CI_COMMIT_BRANCH": "main"}, {"CI_COMMIT_PULL_REQUEST": "5"}),
    ],
    ids=["github", "woodpecker"],
)
def test_the_branch_of_a_fork_is_no_branch_of_ours(
    lab: Lab, notes: Notes, ours: dict[str, str], pull_request: dict[str, str]
) -> None:
    """A rule for `main` does nothing in a pull request, whether `main` is its source in a fork or its target.

    Rules of a fork are trusted here, to tell the branch from the trust.
    """
    configure(lab, rule(notes.action("{{task_id}}"), when={"branch": "main"}))
    ours = {**ours, "SWARMTASK_UNTRUSTED": "0"}
    lab.emit("TASK_COMPLETED", "theirs", **ours, **pull_request)
    lab.wait_for_end()
    lab.emit("TASK_COMPLETED", "ours", **ours)
    assert [note["argv"] for note in notes.wait()] == [["ours"]]
    lab.wait_for_end()
    assert len(notes.read()) == 1


def test_branch_and_environment_are_those_of_the_run(lab: Lab, notes: Notes) -> None:
    """Rules use the branch and environment of the run if the event does not state them."""
    git = lab.root / ".git"
    git.mkdir()
    (git / "HEAD").write_text("ref: refs/heads/release/7\n")
    when = {"branch": "release/*", "environment": "prod"}
    configure(lab, rule(notes.action("{{environment}}"), when=when), environments={"prod": {}, "dev": {}})
    lab.emit("TASK_COMPLETED", "5", WORKFLOW_ENVIRONMENT="dev")
    lab.emit("TASK_COMPLETED", "5", WORKFLOW_ENVIRONMENT="prod")
    assert [note["argv"] for note in notes.wait()] == [["prod"]]
    lab.wait_for_end()
    assert len(notes.read()) == 1
