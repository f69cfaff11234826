"""Each example in `docs/scripts.md` works with its tool."""

from __future__ import annotations

import re
import shutil

import pytest

from pytest_swarmtask.sources.command.options import HELP
from tests.lab import REPOSITORY
from tests.sources.command.test_events import tree
from tests.watched import Watched

pytestmark = pytest.mark.slow

TEXT = (REPOSITORY / "docs" / "scripts.md").read_text("utf-8")

TOOLS: dict[str, tuple[str, list[list[str]]]] = {
    "A shell script": ("sh", [["release"], ["release", "app"], ["release", "smoke"], ["release", "web"]]),
    "npm": ("npm", [["npm"], ["npm", "app"], ["unit"]]),
    "just": ("just", [["just"], ["just", "app"], ["just", "smoke"]]),
    "tox": ("tox", [["tox"], ["tox", "unit"]]),
    "nox": ("nox", [["nox"], ["nox", "unit"]]),
}
"""For each example, its tool and the paths of the tasks that it reports."""


def section(title: str) -> str:
    """Return the text under a heading of the document."""
    _, _, rest = TEXT.partition(f"\n### {title}\n")
    return re.split(r"\n##", rest)[0]


def files(text: str) -> dict[str, str]:
    """Return the files that a section shows. The name is on its own line before the block."""
    return dict(re.findall(r"^`([^`\n]+)`:\n\n```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


def commands(text: str) -> list[str]:
    """Return the commands that a section shows."""
    return re.findall(r"^\$ (.*)$", text, re.MULTILINE)


def test_all_are_tested() -> None:
    """Each example of the document is tested."""
    assert re.findall(r"^### (.*)$", TEXT, re.MULTILINE) == list(TOOLS)
    assert all(files(section(title)) and commands(section(title)) for title in TOOLS)


@pytest.mark.parametrize("title", TOOLS)
def test_an_example(watched: Watched, title: str) -> None:
    """The example works as shown, and reports the expected tasks."""
    tool, expected = TOOLS[title]
    if shutil.which(tool, path=watched.environ()["PATH"]) is None:
        pytest.skip(f"{tool} is not installed")
    watched.tool("python", 'exec python3 "$@"')
    watched.file("app.py", "print('hello')\n")
    for name, text in files(section(title)).items():
        watched.file(name, text)
    for command in commands(section(title)):
        done = watched.shell(command, HOME=str(watched.root), npm_config_update_notifier="false")
        assert done.returncode == 0, done.stdout + done.stderr
    events = watched.events()
    assert all(event["metadata"].get("success", True) for event in events)
    runs = {event["trace_id"]: [one for one in events if one["trace_id"] == event["trace_id"]] for event in events}
    assert sorted(path for run in runs.values() for path in tree(run).values()) == sorted(expected)


@pytest.mark.parametrize("command", commands(TEXT.partition("## One run")[0]))
def test_the_first_commands(watched: Watched, command: str) -> None:
    """Each command at the beginning of the document works."""
    for name in ("build.sh", "deploy.sh", "smoke-test.sh"):
        watched.file(name, "#!/bin/sh\nexit 0\n", 0o755)
    watched.tool("npm", "exit 0")
    assert watched.shell(command).returncode == 0
    watched.pair()


def test_every_option_is_documented() -> None:
    """The document lists the same options as the help, in the same order."""
    documented = re.findall(r"^\| `(--[a-z]+)", TEXT, re.MULTILINE)
    assert documented == re.findall(r"^  (--[a-z]+)", HELP, re.MULTILINE)
