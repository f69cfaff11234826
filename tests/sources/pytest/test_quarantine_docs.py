"""The commands in docs/quarantine.md print what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pytest_swarmtask.config.quarantine import parse_quarantine
from tests.lab import REPOSITORY, UNRELATED, clean_environ
from tests.shop import without_slowest
from tests.suite import Suite

TEXT = (REPOSITORY / "docs" / "quarantine.md").read_text("utf-8")
# Days, times, ids of runs and commits, durations, and lines whose length depends on the width of other words.
_VARYING = r"\d{4}-\d\d-\d\d|\b\d\d:\d\d\b|\b[0-9a-f]{8,32}\b|\b\d+\.\d+ ?s\b|={3,}|-{3,}"


def blocks(language: str) -> list[str]:
    """Return the blocks of the page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def comparable(text: str) -> str:
    """Return a text without what differs from run to run."""
    return re.sub(_VARYING, "#", without_slowest(text))


@pytest.fixture
def shop(project: Suite) -> Suite:
    """The suite of the page, after its three runs on one commit."""
    project.file("pytest.ini", "[pytest]\ntestpaths = tests\n")
    project.file(".gitignore", "__pycache__/\n.pytest_cache/\n.taskmaster/events/\n")
    project.file("tests/test_shop.py", f"import os\n\n\n{blocks('python')[0]}")
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for command in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-qm", "A shop")):
        subprocess.run(["git", *identity, *command], cwd=project.root, check=True)
    for shop in ("quick", "slow", "quick"):
        shell(project, "pytest -q", SHOP=shop)
    return project


def shell(project: Suite, command: str, **environ: str) -> str:
    """Return the output of a command."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = clean_environ(PATH=path, PYTHONUTF8="1", PYTEST_ADDOPTS=" ".join(UNRELATED), **environ)
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=project.root,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    return done.stdout


def test_the_commands_print_what_the_page_says(shop: Suite) -> None:
    """All of them, in their order."""
    steps = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", "".join(blocks("console")), re.MULTILINE)
    assert len(steps) == 8
    for command, output in steps:
        rest = comparable(shell(shop, command))
        for part in filter(None, re.split(r"^\.\.\.\n", comparable(output), flags=re.MULTILINE)):
            before, found, rest = rest.partition(part)
            assert found == part, f"{command}:\n{before}"


def test_the_file_of_the_page_is_valid() -> None:
    """Each key is one that the file may have."""
    text = blocks("yaml")[0]
    first = min(entry["until"] for entry in yaml.safe_load(text)["tests"])
    file = parse_quarantine(text, first)
    assert (len(file.entries), file.problems) == (2, [])
