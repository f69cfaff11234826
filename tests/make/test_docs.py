"""The Makefiles in docs/make.md work as shown, and each command prints and reports the documented result."""

from __future__ import annotations

import importlib.util
import re

import pytest

from pytest_swarmtask.cli import tasksmk
from tests.lab import REPOSITORY
from tests.make.lab import paths
from tests.watched import Watched

pytestmark = pytest.mark.slow

TEXT = (REPOSITORY / "docs" / "make.md").read_text("utf-8")

REPORTED: dict[str, list[list[str]]] = {
    "The include": [["app"]],
    "The wrappers": [["lint"], ["site"], ["web"], ["smoke"]],
    "One event": [["web"]],
    "Quoting": [["release-1.4"], ["all: it's all"], ["script"]],
    "One run": [
        ["everything"],
        ["everything", "one"],
        ["everything", "two"],
        ["release"],
        ["release", "everything"],
        ["release", "everything", "one"],
        ["release", "everything", "two"],
    ],
    "Standard targets": [
        ["dev_setup"],
        ["dev_setup", "install_dependencies"],
        ["dev_setup", "setup_database"],
        ["make_build"],
        ["make_test_single"],
        ["make_test_single", "pytest_run"],
        ["make_test_single", "pytest_run", "tests/test_app.py::test_app"],
        ["make_test_coverage"],
        ["make_test_coverage", "pytest_run"],
        ["make_test_coverage", "pytest_run", "tests/test_app.py::test_app"],
        ["make_deploy"],
        ["make_deploy"],
    ],
    "Where nothing can be reported": [],
    "Why there is no TASKS_TRACK": [["app"]],
}
"""For each section with commands, the paths of the spans that they report."""


def section(title: str) -> str:
    _, _, rest = TEXT.partition(f"\n## {title}\n")
    return rest.split("\n## ")[0]


def blocks(text: str, language: str) -> list[tuple[str, str]]:
    """Return each block of a language with the file name before it, or ""."""
    return re.findall(rf"(?:^`([^`\n]+)`:\n\n)?^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Return each command with the output lines that the document shows."""
    shown = "".join(block for _, block in blocks(text, "console"))
    return [(part.splitlines()[0], part.splitlines()[1:]) for part in re.split(r"^\$ ", shown, flags=re.MULTILINE)[1:]]


def test_all_is_tested() -> None:
    """Each section with code blocks is tested."""
    titles = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
    assert [title for title in titles if "```" in section(title)] == list(REPORTED)


@pytest.mark.parametrize("title", REPORTED)
def test_a_section(watched: Watched, title: str) -> None:
    """The commands of a section succeed with its Makefile, and print and report the expected lines and spans."""
    if title == "Standard targets" and importlib.util.find_spec("coverage") is None:
        pytest.skip("coverage is not installed")
    watched.tool("python3", f'exec "{watched.command[0]}" "$@"')
    watched.file("src/app.py", "import os\nprint(os.name)\n")
    watched.file("tests/test_app.py", "def test_app(): pass\n")
    watched.file("sub/empty", "")
    watched.file("make/tasks.mk", tasksmk.stamped())
    for name, text in blocks(section(title), "make"):
        watched.file(name or "Makefile", text)
    if title.startswith("Where nothing"):
        watched.file("Makefile", "include make/tasks.mk\nall: ; @$(call task-run,$@,true)\n")
    for command, shown in commands(section(title)):
        done = watched.shell(command)
        output = done.stdout.decode()
        assert (done.returncode, done.stderr) == (0, b""), output
        assert all(line in output for line in shown), output
    assert sorted(path for run in _runs(watched) for path in paths(run)) == sorted(REPORTED[title])


def _runs(watched: Watched) -> list[list[dict[str, object]]]:
    runs: dict[str, list[dict[str, object]]] = {}
    for event in watched.events():
        runs.setdefault(event["trace_id"], []).append(event)
    return list(runs.values())


def test_every_variable_and_function_is_documented() -> None:
    """Each variable and function in the comments of tasks.mk is documented in docs/make.md."""
    text = tasksmk.installed().read_text()
    names = set(re.findall(r"^#   (TASKS_[A-Z_]+) ", text, re.MULTILINE)) | set(
        re.findall(r"\(call ([a-z-]+),ID", text)
    )
    assert {"TASKS_PYTHON", "TASKS_DEPLOY", "TASKS_DATABASE", "build-run"} <= names
    assert [name for name in sorted(names) if name not in TEXT] == []
