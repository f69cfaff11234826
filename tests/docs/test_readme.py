"""What the README shows: its commands, in their order, give what it says."""

from __future__ import annotations

import re

import pytest

from tests.lab import REPOSITORY
from tests.team import free_port
from tests.watched import Watched

TEXT = (REPOSITORY / "README.md").read_text("utf-8")


@pytest.fixture
def project(watched: Watched) -> Watched:
    """A project with a test that passes and one that fails."""
    watched.tool("pytest", 'exec python3 -m pytest -p no:cacheprovider "$@"')
    watched.file("test_a.py", "def test_ok():\n    pass\n\ndef test_bad():\n    assert 1 == 2\n")
    return watched


def commands(title: str) -> list[str]:
    """Return the commands of a section, without comments."""
    section = re.split(r"^##+ ", TEXT.partition(f" {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return [command.partition("   #")[0] for command in re.findall(r"^\$ (.*)$", section, re.MULTILINE)]


@pytest.mark.slow
def test_five_lines(project: Watched) -> None:
    """They need no configuration, and end with the page."""
    install, pytest_, report, explain, page = commands("Try it")[:5]
    assert install == "python -m pip install pytest-swarmtask"
    done = project.shell(pytest_)
    assert b"swarmtask report --run" in done.stdout
    assert b"test_a.py::test_bad  failed" in project.shell(report).stdout
    assert b"test_a.py::test_bad" in project.shell(explain).stdout
    assert project.shell(page).returncode == 0
    assert (project.root / "report.html").exists()


def test_the_commands_in_a_clone() -> None:
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    targets = [found[1] for command in commands("Try it") if (found := re.fullmatch(r"make ([a-z-]+) *", command))]
    assert targets == ["demo", "demo-team", "test"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


@pytest.mark.slow
def test_a_webhook(project: Watched) -> None:
    """Whoever follows the lines in their order sees verified events."""
    port = str(free_port())
    *first, last = commands("To a webhook")
    lines = "\n".join(first).replace("8017", port)
    background = "swarmtask listen > received.txt &"
    assert background in lines
    assert last == "kill %1"  # which works in a shell of a person
    script = lines.replace(background, f"{background.replace('listen', f'listen --port {port}')} listener=$!")
    # What is printed stands there before the answer, so nothing of it is missing after `flush`.
    done = project.shell(script.replace("cat ", "swarmtask flush >&2\ncat ") + "\nkill $listener; wait")
    shown = [line.split() for line in done.stdout.decode().splitlines() if re.match(r"\d\d:\d\d:\d\d\.", line)]
    kinds = [kind for _, kind, *_ in shown]
    assert kinds == ["TASK_STARTED", "TEST_STARTED", "TEST_PASSED", "TEST_STARTED", "TEST_FAILED", "TASK_FAILED"]
    assert {words[-1] for words in shown} == {"verified"}
