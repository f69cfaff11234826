"""What docs/agents.md shows: the answers are those of its suite, the configurations start the command."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_swarmtask.mcp.bounds import MOST
from tests.agents.asked import Agent, agent_in
from tests.lab import REPOSITORY, clean_environ
from tests.suite import Suite

TEXT = (REPOSITORY / "docs" / "agents.md").read_text("utf-8")
ARGUMENTS: dict[str, dict[str, Any]] = {
    "history_of_test": {"test": "test_total_of_nothing"},
    "tests_of_tasks": {"task": "5"},
}
CONFIGURATIONS = [json.loads(block) for block in re.findall(r"^```json\n(\{.*?)\n```", TEXT, re.DOTALL | re.MULTILINE)]
_EACH_TIME = ("run", "started", "since", "duration", "commit", "since_commit", "variant", "branch", "last")
"""Fields that no two runs have in common."""


def documented() -> Iterator[tuple[str, Any]]:
    """Yield each documented tool with its answer."""
    for name, answer in re.findall(r"^### (\w+)\n.*?^```json\n(.*?)\n```", TEXT, re.DOTALL | re.MULTILINE):
        yield name, json.loads(answer)


def comparable(value: Any) -> Any:
    """Return an answer without the values that no two runs have in common."""
    if isinstance(value, dict):
        return {
            name: type(item).__name__ if name in _EACH_TIME and not isinstance(item, dict) else comparable(item)
            for name, item in value.items()
        }
    return [comparable(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """An agent in the documented project."""
    suite = Suite(tmp_path_factory.mktemp("project")).write(
        test_shop=re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[0]
    )
    commit = "git init -qb main && git add . && git -c user.name=me -c user.email=me@example.com commit -qm first"
    subprocess.run(commit, shell=True, cwd=suite.root, env=clean_environ(), check=True)
    assert suite.pytest().exit_code == 1
    with agent_in(suite.root) as agent:
        yield agent


def test_each_tool_is_documented_with_its_answer(agent: Agent) -> None:
    documents = dict(documented())
    assert list(documents) == [tool.name for tool in agent.tools]
    for tool, answer in documents.items():
        assert comparable(agent.call(tool, **ARGUMENTS.get(tool, {}))) == comparable(answer), tool


def test_each_parameter_is_documented(agent: Agent) -> None:
    for tool in agent.tools:
        section = TEXT.partition(f"\n### {tool.name}\n")[2].partition("```json")[0]
        for name in tool.input_schema["properties"]:
            assert f"`{name}`" in section, f"{tool.name}: {name}"


@pytest.mark.parametrize("configuration", [one for one in CONFIGURATIONS if any("ervers" in name for name in one)])
def test_a_configuration_of_an_editor(configuration: dict[str, Any], tmp_path: Path) -> None:
    """Each starts the command, with options that it has."""
    (server,) = next(iter(configuration.values())).values()
    assert server["command"].endswith(".venv/bin/swarmtask")
    (tmp_path / ".taskmaster").mkdir()
    folder = str(tmp_path)
    arguments = [one.replace("${workspaceFolder}", folder).replace("/home/me/shop", folder) for one in server["args"]]
    assert arguments.pop(0) == "mcp"
    with agent_in(tmp_path, *arguments) as other:
        assert other.call("latest_runs") == {"runs": []}


def test_the_documented_length() -> None:
    assert f"{MOST:,} bytes" in TEXT
