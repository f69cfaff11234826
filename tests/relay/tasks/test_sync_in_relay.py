"""Real sessions and emitters change tasks through a real relay."""

from __future__ import annotations

import json
import textwrap
import threading
from typing import Any

import pytest

from tests.lab import Lab, Receiver, receiving, wait_until
from tests.relay.tasks.board import Board, StandIn, subtask, task
from tests.suite import WITH_WORKERS

MARKED = """
    import pytest

    @pytest.mark.task("1")
    def test_one():
        pass

    @pytest.mark.task("2.1")
    def test_two():
        assert 0

    @pytest.mark.task("3")
    @pytest.mark.parametrize("number", range(3))
    def test_three(number):
        pass

    @pytest.mark.task("4")
    @pytest.mark.skip(reason="later")
    def test_skipped():
        pass

    @pytest.mark.task("nine")
    def test_of_no_task():
        pass
"""


def configure(lab: Lab, **task_manager: Any) -> None:
    lab.webhooks(task_integration={"task_manager": {"enabled": True} | task_manager})


def write(lab: Lab, **modules: str) -> None:
    for name, text in modules.items():
        (lab.root / f"{name}.py").write_text(textwrap.dedent(text))


@pytest.fixture
def marked(lab: Lab, board: Board) -> Board:
    """Five tasks, and tests that are marked with tasks."""
    configure(lab)
    write(lab, test_marked=MARKED)
    return board.write(task(1), task("2", subtasks=[subtask(1, "done")]), task(3), task(4), task(5, "review"))


@pytest.mark.parametrize("xdist", [(), WITH_WORKERS], ids=["plain", "xdist"])
def test_a_complete_run(lab: Lab, marked: Board, xdist: tuple[str, ...]) -> None:
    """A task is done if all its tests pass, pending if one fails, and in progress if they are skipped.

    Other tasks stay as they were.
    """
    assert lab.pytest(*xdist).returncode == 1
    wait_until(lambda: marked.statuses()["3"] == "done", "the end of task 3")
    lab.wait_for_settled()
    assert marked.statuses() == {
        "1": "done",
        "2": "pending",
        "2.1": "pending",
        "3": "done",
        "4": "in-progress",
        "5": "review",
    }
    assert "tests are marked with task nine, which does not exist" in lab.log()
    assert "pytest_run" not in lab.log()


class TestEvents:
    def test_any_reporter_counts(self, lab: Lab, board: Board) -> None:
        """Builds, deployments and manual events set statuses by the map, and other events change nothing."""
        configure(lab, status_map={"BUILD_STARTED": "unchanged", "DEPLOYMENT_FAILED": "blocked"})
        board.write(task(1), task(2), task(3), task(4))
        for event, task_id in [
            ("TASK_STARTED", "1"),
            ("BUILD_STARTED", "2"),
            ("DEPLOYMENT_FAILED", "3"),
            ("TASK_COMPLETED", "4"),
            ("TASK_STARTED", "make_test"),
        ]:
            lab.emit(event, task_id)
        lab.wait_for_settled()
        assert board.statuses() == {"1": "in-progress", "2": "pending", "3": "blocked", "4": "done"}
        (endpoint,) = lab.status()["endpoints"].items()
        assert (endpoint[0], endpoint[1]["waiting"], endpoint[1]["dead"]) == ("task:sync", 0, 0)

    def test_a_relay_is_started_for_it_alone(self, lab: Lab, board: Board) -> None:
        board.write(task(1))
        lab.emit("TASK_COMPLETED", "1")
        assert lab.relays() == []
        configure(lab)
        lab.emit("TASK_COMPLETED", "1")
        wait_until(lambda: board.statuses() == {"1": "done"}, "the status")

    def test_each_environment_has_its_own(self, lab: Lab, board: Board) -> None:
        """Events of an environment change the tasks of its own tag, whichever relay delivers them."""
        own = {"task_integration": {"task_manager": {"enabled": True, "tag": "release"}}}
        lab.webhooks(environments={"prod": own, "dev": {}})
        board.write(task(1), release={"tasks": [task(1)]})
        lab.emit("TASK_COMPLETED", "1", WORKFLOW_ENVIRONMENT="dev")
        lab.emit("TASK_COMPLETED", "1", WORKFLOW_ENVIRONMENT="prod")
        lab.wait_for_settled()
        assert (board.statuses("master"), board.statuses("release")) == ({"1": "pending"}, {"1": "done"})

    def test_a_killed_relay(self, lab: Lab, board: Board) -> None:
        """The next relay repeats the changes of a killed relay, and undoes none of them."""
        configure(lab)
        board.write(task(1))
        lab.emit("TASK_STARTED", "1")
        lab.emit("TASK_COMPLETED", "1")
        wait_until(lambda: board.statuses() == {"1": "done"}, "the status")
        lab.kill()
        for path in (lab.journal / "relay").glob("relay.db*"):
            path.unlink()
        before = board.path.read_bytes()
        assert lab.run("flush").returncode == 0
        assert board.path.read_bytes() == before

    def test_a_missing_file(self, lab: Lab, board: Board) -> None:
        """Events wait for a missing task file, with a message, and the file is not created."""
        configure(lab)
        lab.emit("TASK_COMPLETED", "1")
        done = lab.run("flush")
        assert done.returncode == 1
        assert "tasks.json does not exist: is Task Master used in this project?" in done.stdout
        assert not board.path.exists()
        board.write(task(1))
        assert lab.run("flush").returncode == 0
        assert board.statuses() == {"1": "done"}

    def test_switched_off_meanwhile(self, lab: Lab, board: Board) -> None:
        """If the task manager is disabled, pending events wait visibly, and no task changes."""
        configure(lab)
        lab.emit("TASK_COMPLETED", "1")
        lab.wait_for_end()
        configure(lab, enabled=False)
        board.write(task(1))
        done = lab.run("flush")
        assert (done.returncode, board.statuses()) == (1, {"1": "pending"})
        assert "task_manager is not enabled in the configuration any more" in done.stdout

    def test_a_missing_file_holds_up_nobody(self, lab: Lab, board: Board) -> None:
        """A session does not wait for a missing task file, since only a person can fix that."""
        configure(lab)
        write(lab, test_it="def test_it():\n    pass\n")
        done = lab.pytest("--swarmtask-drain-timeout=50")
        assert done.returncode == 0
        assert "\nswarmtask: task:sync: " in done.stdout

    def test_overwritten_by_task_master(self, lab: Lab, board: Board) -> None:
        """If Task Master overwrites a status because it read the file before, the relay sets the status again."""
        configure(lab)
        board.write(task(1), task(2))

        def meanwhile() -> None:
            lab.emit("TASK_COMPLETED", "1")
            wait_until(lambda: board.statuses()["1"] == "done", "the status")

        StandIn(board, between=meanwhile).set_status("2", "review")
        wait_until(lambda: board.statuses() == {"1": "done", "2": "review"}, "the status to be set again")
        wait_until(lambda: "task:sync: 1 was overwritten, and is done again" in lab.log(), "a word of it in the log")

    def test_a_race(self, lab: Lab, board: Board) -> None:
        """200 changes through the relay, beside a program with Task Master's protocol, end with the right statuses."""
        configure(lab)
        board.write(*(task(n) for n in range(1, 31)))
        program = (
            "from pytest_swarmtask import AutomationIntegrator as A; import time; h = A()\n"
            "for n in range(200):\n"
            "    h.trigger_event('TASK_STARTED' if n < 180 else 'TASK_COMPLETED', str(n % 20 + 1)); time.sleep(0.01)"
        )
        ours = threading.Thread(target=lab.python, args=[program])
        ours.start()
        for n in range(40):
            StandIn(board).set_status(str(21 + n % 10), "review" if n < 30 else "deferred")
        ours.join()
        expected = {str(n): "done" if n <= 20 else "deferred" for n in range(1, 31)}
        wait_until(lambda: board.statuses() == expected, "the last wishes of both")


class TestTitles:
    @pytest.fixture
    def receiver(self) -> Any:
        with receiving() as made:
            yield made

    @pytest.mark.parametrize("format_", ["cloudevents", "plain", "cdevents"])
    def test_events_carry_the_title_of_their_task(
        self, lab: Lab, board: Board, receiver: Receiver, format_: str
    ) -> None:
        """Events for a webhook carry the title of their task, and the journal stays as written."""
        board.write(task(1), task(2, title='Say "hi" 😀 ghp_16C7e42F292c6912E7710c838347Ae178B4a'))
        self.configure(lab, receiver, format_)
        lab.emit("TASK_STARTED", "1")
        lab.emit("TASK_STARTED", "2", '{"a": {}}')
        lab.emit("TASK_STARTED", "make_test")
        events = [event.get("customData", event) for event in receiver.wait(3)]
        titles = {event["task_id"]: event["metadata"].get("task_title") for event in events}
        assert titles == {"1": "Löse 1", "2": 'Say "hi" 😀 [REDACTED]', "make_test": None}
        assert not any("task_title" in event["metadata"] for event in lab.events())

    def test_a_second_attempt_has_the_title_too(self, lab: Lab, board: Board, receiver: Receiver) -> None:
        board.write(task(1))
        self.configure(lab, receiver)
        receiver.answer = lambda _: 200 if len(receiver.arrivals) > 1 else 503
        lab.emit("TASK_STARTED", "1")
        receiver.wait(1)
        titles = [event["metadata"].get("task_title") for one in receiver.arrivals for event in one.events]
        assert titles == ["Löse 1", "Löse 1"]

    def test_a_title_of_the_event_itself_stays(self, lab: Lab, board: Board, receiver: Receiver) -> None:
        board.write(task(1))
        self.configure(lab, receiver)
        lab.emit("TASK_STARTED", "1", '{"task_title": "mine"}')
        (event,) = receiver.wait(1)
        assert event["metadata"]["task_title"] == "mine"

    @pytest.mark.parametrize("task_manager", [{"titles": False}, {"enabled": False}], ids=json.dumps)
    def test_only_where_they_are_wanted(
        self, lab: Lab, board: Board, receiver: Receiver, task_manager: dict[str, bool]
    ) -> None:
        board.write(task(1))
        self.configure(lab, receiver, "plain", **task_manager)
        lab.emit("TASK_STARTED", "1")
        (event,) = receiver.wait(1)
        assert event == lab.events()[0]

    def test_no_file_no_titles(self, lab: Lab, board: Board, receiver: Receiver) -> None:
        self.configure(lab, receiver)
        lab.emit("TASK_STARTED", "1")
        (event,) = receiver.wait(1)
        assert event == lab.events()[0]

    def configure(self, lab: Lab, receiver: Receiver, format_: str = "plain", **task_manager: bool) -> None:
        webhook = {"name": "hook", "url": receiver.url, "format": format_}
        section = {"webhooks": [webhook], "task_manager": {"enabled": True, **task_manager}}
        lab.webhooks(task_integration=section)


def test_no_webhook_can_take_the_reserved_name(lab: Lab, board: Board) -> None:
    """No webhook can have the reserved name, neither in the file nor in a program."""
    lab.webhooks({"name": "task:sync", "url": "https://a.example"})
    done = lab.run("config", "validate")
    assert done.returncode == 2
    assert "webhooks[0].name: found the text 'task:sync', expected a name" in done.stderr
    program = (
        "from pytest_swarmtask import AutomationIntegrator as A; A().register_webhook('https://a', name='task:sync')"
    )
    assert "UsageError: webhook name is 'task:sync'" in lab.python(program).stderr


def test_what_the_user_sees(lab: Lab, board: Board) -> None:
    """The header mentions the task manager, and `status` counts its deliveries."""
    configure(lab)
    board.write(task(1))
    write(lab, test_it="def test_it():\n    pass\n")
    assert ", task manager\n" in lab.pytest("-v").stdout
    lab.wait_for_settled()
    assert "tasks      task:sync: 2 delivered, 0 waiting, 0 dead letters" in lab.run("status").stdout
