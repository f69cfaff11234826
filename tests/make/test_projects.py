"""Projects in the usual styles behave as before after they get the include and one tracked target."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from pytest_swarmtask.cli import tasksmk
from tests.lab import clean_environ, read_events
from tests.make.lab import PYTHON, ended

PROJECTS = Path(__file__).parent / "projects"
GOALS = {
    "python": ["", "clean", "lint", "test", "test FAIL=1 ARGS=a", "dist", "docs O=-n", "no-such-target", "-n dist"],
    "pattern": ["", "program check", "-k broken check", "clean", "touched.h", "-n", "-q", "-j4 -O -B check"],
    "sane": ["", "test", "strict", "unset", "build", "-n build", "-t build"],
}
TRACKED = "tracked: ; @$(call build-run,$@,echo tracked)\n"
OURS = re.compile(
    r"(\.\./)?tasks-|TASKS_|TRACEPARENT$|(task-event|(task|build|deploy|test)-run)$|tracked(:|$)|(\.\./)?tasks\.mk(:|$)"
)
OF_READING = ("MAKEFILE_LIST", ".VARIABLES", ".SHELLSTATUS")
"""The variables of make that depend on the files and commands that were read last."""


class Outcome(NamedTuple):
    """The result of one make."""

    code: int
    output: str
    errors: str
    files: dict[str, bytes]


class Subject:
    """A project, with or without tasks.mk."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder
        self._source = PROJECTS / name
        self._plain = (self._source / "Makefile").read_text()
        (folder.parent / "tasks.mk").write_bytes(tasksmk.installed().read_bytes())

    def set_up(self, place: str | None) -> None:
        """Set up the project again, with the include at the top or the bottom of the Makefile, or without it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self._source, self.folder)
        (self.folder / ".taskmaster").mkdir()
        include = "include ../tasks.mk\n"
        above, below = (include, "") if place == "top" else ("", include) if place == "bottom" else ("", "")
        (self.folder / "Makefile").write_text(above + self._plain + "\n" + below + (TRACKED if place else ""))

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", *arguments],
            cwd=self.folder,
            env=clean_environ(TASKS_PYTHON=PYTHON),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def outcome(self, *arguments: str) -> Outcome:
        done = self.make(*arguments)
        files = {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and path.name not in ("Makefile", "tasks.mk") and ".taskmaster" not in path.parts
        }
        errors = re.sub(r"Makefile:\d+", "Makefile", done.stderr)  # the include shifts the line numbers
        return Outcome(done.returncode, "\n".join(sorted(done.stdout.splitlines())), errors, files)

    def database(self) -> tuple[dict[str, str], set[str]]:
        """Return the variables and the rules of make, without those of tasks.mk."""
        text = self.make("-pq", "no-such-target").stdout
        variables, _, rest = text.partition("\n# Implicit Rules\n")
        values = dict(re.findall(r"^([^\s#:=+?!]+) (?::=|=) (.*)$", variables, re.MULTILINE))
        kept = {name: value for name, value in values.items() if not OURS.match(name) and name not in OF_READING}
        blocks = re.sub(r"(?m)^(#|\.RECIPEPREFIX).*\n", "", rest).split("\n\n")
        return kept, {_without_ours(block.strip()) for block in blocks if not OURS.match(block.strip())}


def _without_ours(rule: str) -> str:
    """Return a rule without our targets among its prerequisites, such as those of .PHONY."""
    first, newline, recipe = rule.partition("\n")
    return " ".join(word for word in first.split() if not OURS.match(word)) + newline + recipe


@pytest.fixture(params=GOALS)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    return Subject(request.param, tmp_path / "project")


@pytest.mark.parametrize("place", ["top", "bottom"])
def test_a_project_acts_as_before(subject: Subject, place: str) -> None:
    """Exit codes, outputs and files of all targets are the same as without tasks.mk, with several options of make."""
    goals = GOALS[subject._source.name]
    subject.set_up(None)
    before = [subject.outcome(*goal.split()) for goal in goals]
    subject.set_up(place)
    for goal, expected in zip(goals, before, strict=True):
        assert subject.outcome(*goal.split()) == expected, goal
    assert read_events(subject.folder) == []
    tracked = subject.make("tracked")
    assert (tracked.returncode, tracked.stdout, tracked.stderr) == (0, "tracked\n", "")
    told = [(event["event_type"], event["task_id"]) for event in read_events(subject.folder)]
    assert told == ended("tracked", "BUILD")


@pytest.mark.parametrize("place", ["top", "bottom"])
def test_variables_and_rules_are_as_before(subject: Subject, place: str) -> None:
    """The variables and rules that make lists are unchanged, apart from those of tasks.mk."""
    subject.set_up(None)
    variables, rules = subject.database()
    assert len(variables) > 20
    assert len(rules) > 5
    subject.set_up(place)
    found = subject.database()
    assert found[0] == variables
    assert found[1] == rules
