"""References to environment variables: what they are replaced by, and what is refused since it only looks like one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_swarmtask.config.load import load
from pytest_swarmtask.config.variables import expand, literal_part, mentioned, references, unknown_reference
from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.recording.settings import read_settings

ENVIRON = {"TEAM": "core", "EMPTY": "", "USER": "ann"}
UNKNOWN = [
    "$HOME",
    "${TEAM-none}",
    "${TEAM:-${USER}}",
    "${TEAM:-$USER}",
    "${TEAM",
    "${}",
    "${1}",
    "${TEAM:=x}",
    "a_$b-c",
]


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${TEAM}", "core"),
        ("${TEAM:-none} ${EMPTY:-none} ${UNSET:-none}", "core none none"),
        ("$${TEAM}", "${TEAM}"),
        ("$$$${TEAM}$$${TEAM}", "$${TEAM}$core"),
        ("costs 5$, or $5", "costs 5$, or $5"),
        ("^a$|b$", "^a$|b$"),
    ],
)
def test_what_is_understood(text: str, expanded: str) -> None:
    """References are replaced, `$$` is a dollar sign, and one that cannot begin a reference stays."""
    assert unknown_reference(text) is None
    assert expand(text, ENVIRON) == expanded


def test_a_plain_dollar_sign_names_no_variable() -> None:
    """What stands after `$$` is neither needed nor mentioned, but part of the text."""
    assert references("$${A} ${B} ${C:-x}") == ["B"]
    assert mentioned("$${A} ${B} ${C:-x}") == ["B", "C"]
    assert literal_part("$${A} ${B} ${C:-x}") == "${A}  x"


HOOK = {"webhooks": [{"name": "a", "url": "https://a.example"}]}
ALERT = {"name": "x", "kind": "failure"}
PLUGIN = {"name": "x", "kind": "plugin"}
NOTIFIER = {"name": "n", "kind": "webhook", "webhook": "a"}
LOG = {"monitoring": {"notifiers": [{"name": "log", "kind": "log"}]}}


def unfilled(text: str) -> dict[str, dict[str, Any]]:
    """Return configurations that have a text in one place each where no variable is filled in."""

    def when(**conditions: Any) -> dict[str, Any]:
        rule = {"name": "r", "on": ["*"], "do": [{"action": "run", "command": ["a"]}], "when": conditions}
        return {"automation_triggers": {"rules": [rule]}}

    return {
        "when": when(task_id=text),
        "when with several": when(branch=["main", text]),
        "when with a comparison": when(source={"not_equals": text}),
        "when with metadata": when(metadata={"a.b": text, "c": {"equals": text}}),
        "when of an alert": {"monitoring": {"alerts": [{**ALERT, "when": {"task_id": text}}]}},
        "file": {"task_integration": {"task_manager": {"file": text}}},
        "tag": {"task_integration": {"task_manager": {"tag": text}}},
        "redact": {"task_integration": {"redact": {"keys": [text]}}},
    }


def places(text: str) -> dict[str, dict[str, Any]]:
    """Return configurations that have a text in one place each."""
    webhook = {"name": "a", "url": "https://a.example"}

    def rule(action: str, **options: Any) -> dict[str, Any]:
        return {"automation_triggers": {"rules": [{"name": "r", "on": ["*"], "do": [{"action": action, **options}]}]}}

    return {
        "url": {"task_integration": {"webhooks": [{**webhook, "url": f"https://a.example/{text}"}]}},
        "headers": {"task_integration": {"webhooks": [{**webhook, "headers": {"X-Team": text}}]}},
        "ca_file": {"task_integration": {"webhooks": [{**webhook, "ca_file": text}]}},
        "proxy": {"task_integration": {"webhooks": [{**webhook, "proxy": f"http://{text}"}]}},
        "source": {"task_integration": {"source": text}},
        "metadata": {"task_integration": {"metadata": {"team": text}}},
        "environments": {"environments": {"ci": {"task_integration": {"metadata": {"team": text}}}}},
        "env": rule("run", command=["a"], env={"A": text}),
        "cwd": rule("run", command=["a"], cwd=text),
        "emit": rule("emit", event_type="TASK_STARTED", metadata={"a": text}),
        "task_id of emit": rule("emit", event_type="TASK_STARTED", task_id=text),
        "task_id of set_status": rule("set_status", status="done", task_id=text),
        "message": rule("notify", to=["log"], message=text) | LOG,
        "body of a trigger": rule("webhook", webhook="a", body={"a": [{"b": text}]}) | {"task_integration": HOOK},
        "session_task_id": {"task_integration": {"session_task_id": text}},
        "rest.body": {"task_integration": {"task_manager": {"rest": {"body": {"a": {"b": text}}}}}},
        "rest.statuses": {"task_integration": {"task_manager": {"rest": {"statuses": {"done": text}}}}},
        "message of an alert": {"monitoring": {"alerts": [{**ALERT, "message": text}]}},
        "body of a notifier": {
            "task_integration": HOOK,
            "monitoring": {"notifiers": [{**NOTIFIER, "body": {"a": text}}]},
        },
        "options of a notifier": {"monitoring": {"notifiers": [{**PLUGIN, "plugin": "p", "options": {"a": [text]}}]}},
        "options of a condition": {"monitoring": {"alerts": [{**PLUGIN, "condition": "c", "options": {"a": text}}]}},
        "textfile": {"monitoring": {"metrics": {"textfile": text}}},
    }


def write(root: Path, content: dict[str, Any]) -> Project:
    """Write a configuration, as JSON, which is YAML."""
    path = root / ".taskmaster" / "config" / "workflow.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return Project(str(root))


@pytest.mark.parametrize("text", UNKNOWN)
@pytest.mark.parametrize("place", places(""))
def test_what_is_not_understood_is_refused(tmp_path: Path, place: str, text: str) -> None:
    """In every text whose variables are filled in, what only looks like a reference is an error that says so."""
    project = write(tmp_path, places(text)[place])
    with pytest.raises(
        ConfigError, match=re.escape("expected ${NAME}, ${NAME:-default}, or $$ for a plain dollar sign")
    ):
        load(project, {})


def test_a_command_may_name_variables_of_its_shell(tmp_path: Path) -> None:
    """In the arguments of a command `$NAME` is for the shell, and only a broken `${…}` is refused."""

    def command(argument: str) -> Project:
        action = {"action": "run", "command": ["sh", "-c", argument]}
        return write(tmp_path, {"automation_triggers": {"rules": [{"name": "r", "on": ["*"], "do": [action]}]}})

    load(command("echo $HOME"), {})
    with pytest.raises(ConfigError):
        load(command("echo ${A-d}"), {})


@pytest.mark.parametrize("text", [*UNKNOWN, "${TEAM}", "a ${TEAM:-none}"])
@pytest.mark.parametrize("place", unfilled(""))
def test_where_no_variable_is_filled_in(tmp_path: Path, place: str, text: str) -> None:
    """Where no variable is filled in, also a valid reference is an error that says so."""
    project = write(tmp_path, unfilled(text)[place])
    with pytest.raises(ConfigError, match="expected text without variables, which are not filled in here"):
        load(project, {})


@pytest.mark.parametrize("place", unfilled(""))
def test_a_plain_dollar_sign_there(tmp_path: Path, place: str) -> None:
    """A doubled dollar sign is a plain one, also where no variable is filled in."""
    workflow = load(write(tmp_path, unfilled("a$$HOME")[place]), {}).workflow
    assert b'"a$HOME"' in msgspec.json.encode(workflow)
    assert b"$$" not in msgspec.json.encode(workflow)


@pytest.mark.parametrize(
    "content",
    [
        {"task_integration": {"task_manager": {"rest": {"body": {"${TEAM}": "x"}}}}},
        {"task_integration": {"task_manager": {"rest": {"body": {"a": [{"${TEAM": "x"}]}}}}},
        {"task_integration": {"metadata": {"${TEAM:-a}": "x"}}},
    ],
)
def test_a_key_is_not_filled_in(tmp_path: Path, content: dict[str, Any]) -> None:
    """A key that looks as if a variable were filled in is an error; other dollar signs in keys are usual."""
    with pytest.raises(ConfigError, match=re.escape("expected a key without ${…}")):
        load(write(tmp_path, content), {})
    load(write(tmp_path, {"task_integration": {"task_manager": {"rest": {"body": {"$set": {"$ip": 1}}}}}}), {})


def test_a_program_names_no_variable_of_a_shell(tmp_path: Path) -> None:
    """No shell reads the program, so `$NAME` in it is an error, and `${NAME}` is filled in."""

    def program(text: str) -> Project:
        action = {"action": "run", "command": [text, "$A"]}
        return write(tmp_path, {"automation_triggers": {"rules": [{"name": "r", "on": ["*"], "do": [action]}]}})

    load(program("${A}/bin/x$$"), {})
    with pytest.raises(ConfigError, match=re.escape("only arguments may contain $NAME")):
        load(program("$A"), {})


def test_a_stranger_s_session_has_no_variable_in_its_task_id(tmp_path: Path) -> None:
    """The task id of a session shows no variable to the receivers if the configuration is a stranger's."""
    project = write(tmp_path, {"task_integration": {"session_task_id": "suite-${TEAM}"}})
    assert read_settings(project, {**ENVIRON, "SWARMTASK_UNTRUSTED": "0"}).session_task_id == "suite-core"
    assert read_settings(project, {**ENVIRON, "SWARMTASK_UNTRUSTED": "1"}).session_task_id == "pytest_run"
