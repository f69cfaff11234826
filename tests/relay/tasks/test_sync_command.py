"""`swarmtask sync` and `AutomationIntegrator.sync_tasks` update the tasks from the journal."""

from __future__ import annotations

import json

import pytest

from tests.lab import Lab
from tests.relay.tasks.board import Board, subtask, task


@pytest.fixture
def recorded(lab: Lab, board: Board) -> Board:
    """Three tasks with events in the journal that no relay has applied."""
    board.write(task(1), task(2, subtasks=[subtask(1)]), task(3, "review"))
    program = (
        "from pytest_swarmtask import trigger_task_event as event\n"
        "event('TASK_STARTED', '1'); event('TASK_STARTED', '2.1'); event('TASK_COMPLETED', '2.1')\n"
        "event('TASK_FAILED', 'somewhere_else')"
    )
    assert lab.python(program).returncode == 0
    return board


def test_sync(lab: Lab, recorded: Board) -> None:
    """Each task gets the status of its last event, and a second `sync` changes nothing."""
    done = lab.run("sync")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "1  pending → in-progress  (Löse 1)",
        "2  pending → done  (Löse 2)",
        "2.1  pending → done  (Teil 1)",
        "3 tasks changed",
    ]
    assert recorded.statuses() == {"1": "in-progress", "2": "done", "2.1": "done", "3": "review"}
    assert lab.run("sync").stdout == "all tasks are up to date\n"


def test_dry_run(lab: Lab, recorded: Board) -> None:
    """`--dry-run` shows the changes as a diff, and writes nothing."""
    before = recorded.path.read_text("utf-8")
    done = lab.run("sync", "--dry-run")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[:2] == [f"--- {recorded.path}", f"+++ {recorded.path}"]
    assert '-        "status": "pending",' in lines
    assert '+        "status": "in-progress",' in lines
    assert recorded.path.read_text("utf-8") == before


def test_check(lab: Lab, recorded: Board) -> None:
    """`--check` exits with 1 while file and journal differ and with 0 once they agree, and writes nothing."""
    before = recorded.path.read_text("utf-8")
    done = lab.run("sync", "--check")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "3 tasks would change")
    assert recorded.path.read_text("utf-8") == before
    lab.run("sync")
    assert lab.run("sync", "--check").returncode == 0
    recorded.path.write_text(recorded.path.read_text("utf-8").replace('"in-progress"', '"blocked"'), "utf-8")
    assert lab.run("sync", "--check").returncode == 1


def test_who_spoke_last(lab: Lab, recorded: Board) -> None:
    """A task changed after its event keeps its status. It is listed, but does not count as a difference."""
    recorded.write(task(1, "cancelled", updatedAt="2900-01-01T00:00:00.000Z"), task(2, "done", [subtask(1, "done")]))
    assert lab.run("sync", "--check").returncode == 1, "a time in the future proves nothing"
    later = lab.emit("TASK_STARTED", "nothing")["timestamp"]
    recorded.write(task(1, "cancelled", updatedAt=later), task(2, "done", [subtask(1, "done")]))
    done = lab.run("sync", "--check")
    said = "1  stays cancelled: it was changed after the event that says in-progress\nall tasks are up to date\n"
    assert (done.returncode, done.stdout) == (0, said)


def test_json(lab: Lab, recorded: Board) -> None:
    done = lab.run("sync", "--check", "--json")
    assert done.returncode == 1
    change = {"task_id": "1", "before": "pending", "after": "in-progress", "title": "Löse 1"}
    found = json.loads(done.stdout)
    assert (found["changes"][0], found["kept"], found["unknown"]) == (change, [], [])


def test_marks_of_no_task_are_named(lab: Lab, recorded: Board) -> None:
    """`sync` names marks of unknown tasks, and ignores other unknown task ids."""
    text = "import pytest\n@pytest.mark.task('5.7')\ndef test_it():\n    pass\n"
    (lab.root / "test_it.py").write_text(text)
    lab.pytest()
    lab.run("sync")
    assert lab.run("sync").stdout == "tests are marked with task 5.7, which does not exist\nall tasks are up to date\n"
    assert json.loads(lab.run("sync", "--json").stdout)["unknown"] == ["5.7"]


@pytest.mark.parametrize("arguments", [(), ("--dry-run",), ("--check",)])
def test_a_file_that_cannot_be_used(lab: Lab, board: Board, arguments: tuple[str, ...]) -> None:
    """An unusable file causes a message and exit code 2, without a traceback, and nothing is written."""
    board.path.write_text("{oops")
    done = lab.run("sync", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"swarmtask: {board.path} is not valid JSON; it was left alone: ")
    assert board.path.read_text() == "{oops"


def test_a_configuration_that_cannot_be_used(lab: Lab, board: Board) -> None:
    lab.webhooks(task_integration={"task_manager": {"kind": "paper"}})
    done = lab.run("sync")
    assert done.returncode == 2
    assert "task_manager.kind: found the text 'paper', expected one of taskmaster, rest" in done.stderr


def test_foreign_lines_of_the_journal(lab: Lab, recorded: Board) -> None:
    """Lines of the journal that are not events are skipped one by one."""
    for segment in lab.segments():
        segment.write_bytes(b"not JSON\n" + segment.read_bytes() + b'{"torn')
    lab.run("sync")
    assert recorded.statuses()["2"] == "done"


def test_from_python(lab: Lab, recorded: Board) -> None:
    """`sync_tasks` returns the changes, includes the integrator's own events, and raises errors."""
    program = (
        "from pytest_swarmtask import AutomationIntegrator\n"
        "integrator = AutomationIntegrator(); integrator.trigger_event('TASK_COMPLETED', '3')\n"
        "print(integrator.sync_tasks(dry_run=True) == integrator.sync_tasks(), integrator.sync_tasks())"
    )
    assert lab.python(program).stdout == "True {}\n"
    assert recorded.statuses() == {"1": "in-progress", "2": "done", "2.1": "done", "3": "done"}
    recorded.path.unlink()
    raised = lab.python(
        "from pytest_swarmtask import AutomationIntegrator\nfrom pytest_swarmtask.core.errors import UsageError\n"
        "try: AutomationIntegrator().sync_tasks()\nexcept UsageError as error: print(error)"
    )
    assert "tasks.json does not exist" in raised.stdout


def test_only_who_may(lab: Lab, recorded: Board) -> None:
    """The command, the integrator and the relay all require the permission `task:sync`."""
    lab.webhooks(
        task_integration={"task_manager": {"enabled": True}},
        access_control={"default_role": "guest", "roles": {"guest": {"allow": ["emit:*"]}}},
    )
    done = lab.run("sync")
    assert done.returncode == 3
    assert "not permitted: the role guest may not task:sync" in done.stderr
    program = "from pytest_swarmtask import AutomationIntegrator as A; A().sync_tasks()"
    assert "AccessError: not permitted: the role guest may not task:sync" in lab.python(program).stderr
    lab.emit("TASK_COMPLETED", "1")
    assert lab.status()["endpoints"] == {}
    assert recorded.statuses()["1"] == "pending"
