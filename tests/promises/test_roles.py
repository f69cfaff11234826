"""An action without permission is refused everywhere, and the refusal affects nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import Any

import pytest

from pytest_swarmtask.core.roles import token_hash
from pytest_swarmtask.receiver import Verifier, WebhookError
from pytest_swarmtask.wire.signing import new_secret
from tests.lab import REPOSITORY, SECRET, Lab, Receiver

MAKEFILE = REPOSITORY / "make" / "tasks.mk"
TOKEN = "9f1c" * 16
KEY = new_secret()
REFUSAL = (
    "not permitted: the role developer may not emit:DEPLOYMENT_STARTED; set DEPLOY_TOKEN to the token of the role "
    "deployer; or add it to access_control.roles.developer.allow in workflow.yaml"
)


@pytest.fixture
def roles(lab: Lab) -> Lab:
    """A project in which a developer may report tasks and tests, and a deployer may report everything."""
    configure(lab, ["emit:TASK_*", "emit:TEST_*"])
    return lab


def configure(lab: Lab, allow: list[str]) -> None:
    deployer = {
        "allow": ["*"],
        "token_hash": token_hash(TOKEN),
        "token_env": "DEPLOY_TOKEN",
        "secret_env": "DEPLOY_KEY",
    }
    lab.webhooks(
        access_control={"default_role": "developer", "roles": {"developer": {"allow": allow}, "deployer": deployer}}
    )


class TestCommands:
    def test_emit_says_what_would_grant_it_and_ends_with_3(self, roles: Lab) -> None:
        done = roles.run("emit", "DEPLOYMENT_STARTED", "web")
        assert (done.returncode, done.stdout, done.stderr) == (3, "", f"swarmtask: {REFUSAL}\n")
        assert roles.events() == []
        assert roles.run("emit", "TASK_STARTED", "web").returncode == 0

    def test_emit_with_the_token_is_permitted(self, roles: Lab) -> None:
        event = roles.emit("DEPLOYMENT_STARTED", "web", DEPLOY_TOKEN=TOKEN, DEPLOY_KEY=KEY)
        assert event["task_id"] == "web"

    def test_emit_is_permitted_nothing_where_recording_is_off(self, roles: Lab) -> None:
        done = roles.run("emit", "DEPLOYMENT_STARTED", "web", SWARMTASK_DISABLED="1")
        assert (done.returncode, done.stderr) == (0, "")

    def test_the_emitter_of_recipes_says_it_and_ends_with_0(self, roles: Lab) -> None:
        done = roles.python(
            "import runpy, sys; sys.argv = ['emit', 'DEPLOYMENT_STARTED', 'web'];"
            "runpy.run_module('pytest_swarmtask.emit', run_name='__main__')"
        )
        assert (done.returncode, done.stderr) == (0, f"swarmtask: {REFUSAL}\n")
        assert roles.events() == []

    def test_a_recipe_goes_on_and_says_it_for_each_event(self, roles: Lab) -> None:
        shutil.copy(MAKEFILE, roles.root)
        (roles.root / "Makefile").write_text(
            "include tasks.mk\n"
            "deploy:\n"
            "\t@$(call task-event,TASK_STARTED,first)\n"
            "\t@$(call task-event,DEPLOYMENT_STARTED,web)\n"
            "\t@echo deployed\n"
        )
        done = subprocess.run(
            ["make", "-s", "deploy", f"TASKS_PYTHON={sys.executable}"],
            cwd=roles.root,
            env=roles.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "deployed\n")
        assert done.stderr == f"tasks.mk: swarmtask: {REFUSAL}\n"
        assert [event["task_id"] for event in roles.events()] == ["first"]

    @pytest.mark.parametrize("code", [0, 7])
    def test_run_runs_the_command_and_keeps_its_exit_code(self, roles: Lab, code: int) -> None:
        command = [sys.executable, "-c", f"print('ran'); raise SystemExit({code})"]
        done = roles.run("run", "--kind", "deployment", "--id", "web", "--", *command)
        assert (done.returncode, done.stdout) == (code, "ran\n")
        assert done.stderr == f"swarmtask: {REFUSAL}\n"
        assert roles.events() == []

    def test_doctor_names_the_role_and_a_wrong_token(self, roles: Lab) -> None:
        assert "ok   role: developer\n" in roles.run("doctor", "--no-ping").stdout
        assert "ok   role: deployer\n" in roles.run("doctor", "--no-ping", DEPLOY_TOKEN=TOKEN, DEPLOY_KEY=KEY).stdout
        done = roles.run("doctor", "--no-ping", DEPLOY_TOKEN="wr0ng")
        assert done.returncode == 1
        assert "BAD  DEPLOY_TOKEN is not the token of its role" in done.stdout
        assert "wr0ng" not in done.stdout + done.stderr

    def test_config_show_tells_no_token(self, roles: Lab) -> None:
        shown = roles.run("config", "show", DEPLOY_TOKEN=TOKEN).stdout
        assert "token_env: DEPLOY_TOKEN" in shown
        assert TOKEN not in shown

    def test_a_new_token_comes_with_its_hash(self, roles: Lab) -> None:
        token, found = roles.run("secret", "--token").stdout.split()
        assert len(token) == 64
        assert found == token_hash(token)

    def test_sending_dead_letters_again_needs_its_control(self, roles: Lab) -> None:
        configure(roles, ["emit:*"])
        assert roles.run("replay").returncode == 0
        done = roles.run("replay", "--all")
        assert (done.returncode, done.stdout) == (3, "")
        assert "the role developer may not delivery:replay; set DEPLOY_TOKEN" in done.stderr
        assert roles.run("replay", "--all", DEPLOY_TOKEN=TOKEN).stdout == "0 of 0 delivered\n"


class TestPytest:
    def test_a_session_with_denied_events_is_one_warning_and_as_green_as_without(self, roles: Lab) -> None:
        (roles.root / "test_it.py").write_text(
            "from pytest_swarmtask import trigger_task_event\n"
            "def test_it():\n"
            "    for n in range(3):\n"
            "        assert trigger_task_event('DEPLOYMENT_STARTED', f'web{n}') is None\n"
        )
        done = roles.pytest()
        assert done.returncode == 0
        assert done.stdout.count("not permitted") == 1
        assert f"swarmtask: warning: {REFUSAL}" in done.stdout
        types = [event["event_type"] for event in roles.events()]
        assert types == ["TASK_STARTED", "TEST_STARTED", "TEST_PASSED", "TASK_COMPLETED"]
        assert re.search(r"swarmtask: 4 events( delivered)?, 3 lost", done.stdout)

    def test_a_role_that_may_say_nothing_records_nothing(self, roles: Lab) -> None:
        configure(roles, [])
        (roles.root / "test_it.py").write_text("def test_it(): pass\n")
        done = roles.pytest("-v")
        assert done.returncode == 0
        assert done.stdout.count("not permitted: the role developer may not emit:TASK_STARTED") == 1
        assert "swarmtask: 0 events, 4 lost" in done.stdout
        assert roles.events() == []

    @pytest.mark.parametrize(
        ("allow", "count", "lost"), [(["emit:TASK_STARTED", "emit:TEST_*"], 3, 1), (["emit:TASK_COMPLETED"], 1, 3)]
    )
    def test_the_closing_line_knows_whether_the_end_may_be_told(
        self, roles: Lab, allow: list[str], count: int, lost: int
    ) -> None:
        """The closing line already counts the session's end event as recorded or lost, and gives the reason."""
        configure(roles, allow)
        (roles.root / "test_it.py").write_text("def test_it(): pass\n")
        done = roles.pytest("-v")
        assert done.returncode == 0
        assert re.search(f"swarmtask: {count} events( delivered)?, {lost} lost", done.stdout)
        roles.wait_for_end()  # no process is reported as crashed if its role may not emit the end
        assert len(roles.events()) == count
        assert done.stdout.count("not permitted") == 1

    def test_handlers_are_not_told_of_what_was_denied(self, roles: Lab) -> None:
        (roles.root / "test_it.py").write_text(
            "from pytest_swarmtask import AutomationIntegrator\n"
            "def test_it():\n"
            "    integrator, got = AutomationIntegrator(), []\n"
            "    integrator.register_handler('*', lambda *event: got.append(event))\n"
            "    integrator.trigger_event('DEPLOYMENT_STARTED', 'web')\n"
            "    integrator.trigger_event('TASK_STARTED', 'web')\n"
            "    integrator.flush(5)\n"
            "    assert [event[0] for event in got] == ['TASK_STARTED']\n"
        )
        assert roles.pytest().returncode == 0


class TestPython:
    def test_a_denied_event_is_none_and_one_warning(self, roles: Lab) -> None:
        done = roles.python(
            "from pytest_swarmtask import AutomationIntegrator as A, trigger_task_event as t\n"
            "print([A().trigger_event('DEPLOYMENT_STARTED') for _ in range(3)], t('DEPLOYMENT_STARTED'))\n"
            "assert A().trigger_event('TASK_STARTED', 'web')"
        )
        assert (done.returncode, done.stdout) == (0, "[None, None, None] None\n")
        assert done.stderr == f"{REFUSAL}\n"
        assert len(roles.events()) == 1

    def test_registering_a_webhook_without_the_right_to_is_an_error(self, roles: Lab) -> None:
        program = (
            "from pytest_swarmtask import AutomationIntegrator\n"
            "try:\n"
            "    AutomationIntegrator().register_webhook('https://other.example/')\n"
            "except PermissionError as error:\n"
            "    print(type(error).__name__, error)"
        )
        done = roles.python(program)
        assert done.stdout.startswith("AccessError not permitted: the role developer may not webhook:register; ")
        assert roles.python(program, DEPLOY_TOKEN=TOKEN, DEPLOY_KEY=KEY).stdout == ""
        assert roles.python(program, SWARMTASK_DISABLED="1").stdout == ""


class TestKeys:
    """Events of a role with its own key are signed with that key, and events of other roles are not."""

    @pytest.fixture
    def signed(self, roles: Lab, receiver: Receiver) -> list[tuple[str, tuple[str, ...]]]:
        """Event types with the roles that have signed them, in order of arrival."""
        verifier = Verifier(roles={"developer": (SECRET, ["emit:*"]), "deployer": (KEY, ["emit:*"])})
        found: list[tuple[str, tuple[str, ...]]] = []
        take = receiver.take

        def taking(path: str, headers: dict[str, str], body: bytes) -> Any:
            received = verifier.verify(headers, body)
            found.extend((event["event_type"], received.roles) for event in received.events)
            return take(path, headers, body)

        receiver.take = taking  # type: ignore[method-assign]
        return found

    def test_each_role_signs_with_its_own(self, roles: Lab, receiver: Receiver, signed: list[Any]) -> None:
        roles.emit("TASK_STARTED", "web")
        roles.emit("DEPLOYMENT_STARTED", "web", DEPLOY_TOKEN=TOKEN, DEPLOY_KEY=KEY)
        roles.emit("TASK_COMPLETED", "web")
        receiver.wait(3)
        assert sorted(signed) == [
            ("DEPLOYMENT_STARTED", ("developer", "deployer")),
            ("TASK_COMPLETED", ("developer",)),
            ("TASK_STARTED", ("developer",)),
        ]

    def test_flush_signs_each_with_its_own(self, roles: Lab, receiver: Receiver, signed: list[Any]) -> None:
        """A single process that delivers for two roles signs the events of each role with that role's key."""
        nowhere = {"TASKMASTER_WEBHOOK_URL": "http://127.0.0.1:9/"}
        deployer = {"DEPLOY_TOKEN": TOKEN, "DEPLOY_KEY": KEY}
        roles.record(2, **nowhere)
        roles.record(3, **nowhere, **deployer)
        roles.kill()
        done = roles.run("flush", "--timeout", "30", **deployer)
        assert done.returncode == 0, done.stdout + done.stderr
        assert sorted(roles for _, roles in signed) == 2 * [("developer",)] + 3 * [("developer", "deployer")]
        endpoints = roles.status()["endpoints"]
        assert {name: found["delivered"] for name, found in endpoints.items()} == {
            "default": 2,
            "default as deployer": 3,
        }

    def test_without_the_key_nothing_is_sent_and_nothing_lost(self, roles: Lab, receiver: Receiver) -> None:
        roles.emit("DEPLOYMENT_STARTED", "web", DEPLOY_TOKEN=TOKEN)
        roles.wait_for_end()
        assert receiver.arrivals == []
        done = roles.run("status")
        assert "webhook    default as deployer: 0 delivered, 1 waiting" in done.stdout
        assert "DEPLOY_KEY" in done.stdout
        assert roles.run("flush", "--timeout", "30", DEPLOY_TOKEN=TOKEN, DEPLOY_KEY=KEY).returncode == 0
        assert receiver.wait(1)[0]["event_type"] == "DEPLOYMENT_STARTED"

    def test_a_role_that_is_gone_is_named(self, roles: Lab, receiver: Receiver) -> None:
        roles.emit(
            "TASK_STARTED", "web", DEPLOY_TOKEN=TOKEN, TASKMASTER_WEBHOOK_URL="http://127.0.0.1:9/", DEPLOY_KEY=KEY
        )
        roles.kill()
        roles.webhooks()
        assert roles.run("flush", "--timeout", "30").returncode == 1
        assert "no role is named 'deployer' in the configuration any more" in roles.run("status").stdout

    def test_a_receiver_with_roles_refuses_what_a_role_may_not_say(
        self, roles: Lab, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A receiver that checks roles refuses forbidden events, even if somebody edits the sender's configuration."""
        verifier = Verifier(roles={"developer": (SECRET, ["emit:TASK_*"]), "deployer": (KEY, ["emit:*"])})
        take = receiver.take

        def taking(path: str, headers: dict[str, str], body: bytes) -> Any:
            try:
                verifier.verify(headers, body)
            except WebhookError as error:
                return error.status
            return take(path, headers, body)

        monkeypatch.setattr(receiver, "take", taking)
        configure(roles, ["*"])
        roles.emit("DEPLOYMENT_STARTED", "forged")
        roles.wait_for_end()
        assert receiver.accepted == []
        assert "403" in roles.run("status").stdout
        roles.emit("DEPLOYMENT_STARTED", "right", DEPLOY_TOKEN=TOKEN, DEPLOY_KEY=KEY)
        assert [event["task_id"] for event in receiver.wait(1)] == ["right"]
