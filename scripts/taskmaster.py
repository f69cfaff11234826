"""`make taskmaster`: the real Task Master, from npm, and tests of its tasks.

The first trial lets Task Master initialise a project, runs pytest on tests marked with its tasks, and asks Task Master
for the statuses. The second trial makes 200 changes while Task Master runs as many `set-status` commands as possible at
the same time.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from scripts import lab

PACKAGE = "task-master-ai@0.43.1"
OURS = [str(number) for number in range(101, 121)]
THEIRS = [str(number) for number in range(201, 211)]
CHANGES = 200
SECONDS = 32
"""Seconds that all our changes take together; one call of Task Master takes 5 to 10."""
STATUSES = ("review", "in-progress", "blocked", "deferred", "done")

TESTS = """
import pytest

@pytest.mark.task("1")
@pytest.mark.parametrize("number", range(3))
def test_parser(number):
    pass

@pytest.mark.task("2.1")
def test_reading():
    pass

@pytest.mark.task("2.2")
def test_writing():
    assert not "finished"
"""

CONFIGURATION = "task_integration: {task_manager: {enabled: true}}\n"

RACER = f"""
import sys, time
from pytest_swarmtask import AutomationIntegrator
integrator, ours = AutomationIntegrator(), {OURS}
for number in range({CHANGES}):
    last = number >= {CHANGES} - len(ours)
    kind = "TASK_COMPLETED" if last else ("TASK_STARTED", "TASK_FAILED")[number // len(ours) % 2]
    integrator.trigger_event(kind, ours[number % len(ours)])
    time.sleep({SECONDS} / {CHANGES})
"""


def installed() -> str:
    """Return the command of Task Master; it is installed once and kept under `.cache`."""
    kept = lab.CACHE / PACKAGE
    command = kept / "node_modules" / ".bin" / "task-master"
    if not command.exists():
        print(f"installing {PACKAGE}", flush=True)
        fresh = kept.with_name(f"{kept.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        lab.must(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(fresh), PACKAGE])
        shutil.rmtree(kept, ignore_errors=True)
        fresh.rename(kept)
    return str(command)


class Project:
    """A project of Task Master.

    Args:
        root: its folder.
        command: the command of Task Master.
    """

    def __init__(self, root: Path, command: str) -> None:
        self.root = root
        self._command = command
        self._file = root / ".taskmaster" / "tasks" / "tasks.json"
        self._environ = lab.environ(TASKMASTER_SKIP_AUTO_UPDATE="1")

    def task_master(self, *arguments: str) -> str:
        """Run a command of Task Master, and return its output."""
        done = lab.run([self._command, *arguments], self.root, 120, self._environ)
        if done.returncode:
            raise lab.LabError(
                f"task-master {' '.join(arguments)}: exit code {done.returncode}\n{lab.tail(done.stdout)}"
            )
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """Return the JSON object in the output of a Task Master command."""
        said = self.task_master(*arguments)
        return json.JSONDecoder().raw_decode(said, said.index("{"))[0]

    def begin(self) -> None:
        """Let Task Master initialise the project, and write tasks, which otherwise need a language model."""
        self.task_master("init", "-y", "--no-git", "--no-aliases", "--rules=cursor")
        tasks = [
            _task("1"),
            _task("2", dependencies=["1"], subtasks=[_task(1), _task(2, dependencies=[1])]),
            _task("3", dependencies=["2"]),
            *(_task(id_) for id_ in (*OURS, *THEIRS)),
        ]
        self._file.parent.mkdir(exist_ok=True)
        content = {"master": {"tasks": tasks, "metadata": {"description": "Tasks for the trial"}}}
        self._file.write_text(json.dumps(content, indent=2), "utf-8")
        configuration = self.root / ".taskmaster" / "config" / "workflow.yaml"
        configuration.parent.mkdir()
        configuration.write_text(CONFIGURATION)
        (self.root / "test_tasks.py").write_text(TESTS)

    def statuses(self) -> dict[str, str]:
        """Return the status of each task and subtask, as Task Master lists them."""
        return _statuses(self.json("list", "--json", "--with-subtasks")["tasks"])

    def written(self) -> dict[str, str]:
        """Return the status of each task and subtask, as the file contains them."""
        return _statuses(json.loads(self._file.read_text("utf-8"))["master"]["tasks"])

    def overwritten(self) -> int:
        """Return how often the relay had to set a status again."""
        log = self.root / ".taskmaster" / "events" / "relay" / "relay.log"
        return log.read_text().count("was overwritten") if log.exists() else 0

    def python(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start Python with the present package on its path."""
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=self.root, env=self._environ, stdin=subprocess.DEVNULL
        )


def _task(id_: int | str, **more: Any) -> dict[str, Any]:
    described = {"id": id_, "title": f"Part {id_}", "description": "For the trial", "status": "pending"}
    return {**described, "dependencies": [], "priority": "medium", "details": "", "testStrategy": "", **more}


def _statuses(tasks: list[dict[str, Any]]) -> dict[str, str]:
    found = {}
    for task in tasks:
        found[str(task["id"])] = task["status"]
        found.update({f"{task['id']}.{part['id']}": part["status"] for part in task.get("subtasks") or []})
    return found


def marked_tests(project: Project) -> None:
    """Run tests of tasks, and ask Task Master for the resulting statuses."""
    lab.check("the exit code of pytest", project.python("-m", "pytest", "-q").wait(120), 1)
    expected = {"1": "done", "2": "in-progress", "2.1": "done", "2.2": "pending", "3": "pending"}
    lab.wait_for(lambda: expected.items() <= project.written().items())
    found = project.statuses()
    lab.check("task-master list --json", {id_: found[id_] for id_ in expected}, expected)
    lab.check("task-master show 2.1", project.json("show", "2.1", "--format", "json")["task"]["status"], "done")
    lab.check("task-master next", project.json("next", "--format", "json")["task"]["id"], "2.2")
    said = project.task_master("validate-dependencies")
    lab.check("task-master validate-dependencies", "All Dependencies Are Valid" in said, expected=True)


def race(project: Project) -> None:
    """Change tasks from both sides at once; the last change of each side must remain."""
    racer = project.python("-c", RACER)
    wanted: dict[str, str] = {}
    while racer.poll() is None:
        id_, status = THEIRS[len(wanted) % len(THEIRS)], STATUSES[len(wanted) % len(STATUSES)]
        project.task_master("set-status", f"--id={id_}", f"--status={status}")
        wanted[id_] = status
    lab.check("the exit code of our changes", racer.wait(), 0)
    print(f"  {CHANGES} changes by us, {len(wanted)} by Task Master", flush=True)
    expected = {**dict.fromkeys(OURS, "done"), **wanted}
    lab.wait_for(lambda: expected.items() <= project.written().items())
    found = project.statuses()
    lab.check("the last wishes of both sides", {id_: found[id_] for id_ in expected}, expected)
    print(f"  set again after Task Master had overwritten it: {project.overwritten()}", flush=True)


def main() -> None:
    """Run both trials.

    Raises:
        LabError: something is not as it should be.
    """
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder, "project"), installed())
        project.root.mkdir()
        project.begin()
        print("Marked tests:", flush=True)
        marked_tests(project)
        print("A race:", flush=True)
        race(project)
        lab.relays_end(project.root)


if __name__ == "__main__":
    sys.exit(lab.trial(main))
