"""References to environment variables: what they are replaced by, and what is refused since it only looks like one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pytest_swarmtask.config.load import load
from pytest_swarmtask.config.variables import expand, literal_part, mentioned, references, unknown_reference
from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.project import Project

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
