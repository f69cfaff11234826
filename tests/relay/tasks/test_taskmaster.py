"""A status change writes Task Master's file as Task Master would, and leaves everything else as it was."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_swarmtask.core.service_errors import TaskManagerError
from pytest_swarmtask.relay.tasks import lock as locks
from pytest_swarmtask.relay.tasks import taskmaster
from pytest_swarmtask.relay.tasks.document import Document
from pytest_swarmtask.relay.tasks.manager import StatusChange, Task
from tests.relay.tasks.board import OLD, Board, StandIn, desired, subtask, task

AT = "2026-05-05T10:00:00.000Z"
LATER = "2026-05-05T10:00:00.001Z"


def test_a_change_is_what_task_master_would_write(board: Board) -> None:
    """A subtask gets its status and time, its task gets the derived status and the time, and nothing else changes."""
    board.write(task(1, subtasks=[subtask(1), subtask(2)]), task(2))
    expected = board.load()
    first = expected["master"]["tasks"][0]
    first["subtasks"][0].update(status="done", updatedAt=AT)
    first.update(status="in-progress", updatedAt=AT)
    outcome = board.file().set_status({"1.1": desired("done", AT)})
    assert outcome.changes == [StatusChange("1", "pending", "in-progress"), StatusChange("1.1", "pending", "done")]
    assert board.path.read_text("utf-8") == json.dumps(expected, indent=2, ensure_ascii=False)


ODD = """ {"feature":{"tasks":[ ]},\t"master" : {"x": 1.50e+3, "x": "\\u00e9\\ud800 }]",
"tasks":[{"status":"pending","id":"7" , "updatedAt":null,"n":[{"id":1,"status":"pending"}]},
         {"id":8}]}}\r\n\r\n"""


def test_everything_else_stays_byte_for_byte(board: Board) -> None:
    """Only the changed values differ: formatting, numbers, escapes and duplicate keys stay byte for byte."""
    board.path.write_bytes(ODD.encode())
    board.file().set_status({"7": desired("done", AT), "8": desired("review", AT)})
    expected = ODD.replace('"status":"pending","id":"7"', '"status":"done","id":"7"', 1)
    expected = expected.replace('"updatedAt":null', f'"updatedAt":"{AT}"')
    expected = expected.replace('{"id":8}', f'{{"id":8, "status": "review", "updatedAt": "{AT}"}}')
    assert board.path.read_bytes() == expected.encode()


@pytest.mark.parametrize(
    ("statuses", "set_to", "parent"),
    [
        (("done", "pending"), "done", "done"),
        (("completed", "pending"), "done", "done"),
        (("pending", "pending"), "in-progress", "in-progress"),
        (("done", "done"), "pending", "in-progress"),
        (("pending", "done"), "pending", "pending"),
        (("deferred", "pending"), "review", "blocked"),
        (("cancelled", "pending"), "done", "in-progress"),
    ],
)
def test_the_status_of_a_task_follows_its_subtasks(
    board: Board, statuses: tuple[str, str], set_to: str, parent: str
) -> None:
    board.write(task(5, "blocked", [subtask(1, statuses[0]), subtask(2, statuses[1])]))
    board.file().set_status({"5.2": desired(set_to)})
    assert board.statuses()["5"] == parent


def test_a_task_does_not_change_its_subtasks(board: Board) -> None:
    """The status of a task does not change its subtasks, as in Task Master."""
    board.write(task(5, "pending", [subtask(1)]))
    board.file().set_status({"5": desired("done")})
    assert board.statuses() == {"5": "done", "5.1": "pending"}


@pytest.mark.parametrize("id_", [5, "5"])
def test_ids_are_compared_as_text_and_keep_their_type(board: Board, id_: int | str) -> None:
    board.write(task(id_, subtasks=[subtask(id_)]))
    board.file().set_status({"5.5": desired("done"), "5.05": desired("done"), "05": desired("done")})
    (found,) = board.load()["master"]["tasks"]
    assert (found["id"], found["subtasks"][0]["id"], found["subtasks"][0]["status"]) == (id_, id_, "done")


def test_read(board: Board) -> None:
    """Reading returns tasks and subtasks by id, with Task Master's default for a missing status."""
    board.write(task(1, "done", [subtask(2)]), {"id": "x"})
    assert board.file().read() == {
        "1": Task("1", "Löse 1", "done"),
        "1.2": Task("1.2", "Teil 2", "pending"),
        "x": Task("x", "", "pending"),
    }


class TestTags:
    @pytest.fixture(autouse=True)
    def _two_tags(self, board: Board) -> None:
        board.write(task(1), other={"tasks": [task(1)]})

    def test_the_current_one_by_default(self, board: Board) -> None:
        (board.root / ".taskmaster" / "state.json").write_text('{"currentTag": "other"}')
        board.file().set_status({"1": desired("done")})
        assert (board.statuses("master"), board.statuses("other")) == ({"1": "pending"}, {"1": "done"})

    @pytest.mark.parametrize("state", [None, "", "[]", "{}"])
    def test_master_where_no_current_one_is_known(self, board: Board, state: str | None) -> None:
        if state is not None:
            (board.root / ".taskmaster" / "state.json").write_text(state)
        board.file().set_status({"1": desired("done")})
        assert (board.statuses("master"), board.statuses("other")) == ({"1": "done"}, {"1": "pending"})

    def test_the_configured_one_before_the_variable(self, board: Board) -> None:
        board.file("other", TASKMASTER_TAG="master").set_status({"1": desired("done")})
        board.file(TASKMASTER_TAG="other").set_status({"1": desired("review")})
        assert (board.statuses("master"), board.statuses("other")) == ({"1": "pending"}, {"1": "review"})

    def test_one_that_is_not_there(self, board: Board) -> None:
        with pytest.raises(TaskManagerError, match=r"found no third, only master, other; it was left alone"):
            board.file("third").read()


def test_the_old_format_without_tags(board: Board) -> None:
    board.dump({"tasks": [task(1)], "metadata": {}})
    board.file().set_status({"1": desired("done", AT)})
    assert board.load()["tasks"][0]["status"] == "done"


class TestWhoSpokeLast:
    """`updatedAt` decides between an event and any other change of the task."""

    @pytest.mark.parametrize(
        ("updated", "status"),
        [(AT, "done"), (OLD, "done"), (LATER, "review"), ("2026-05-05T12:00:00.001+02:00", "review"), ("soon", "done")],
    )
    def test_the_later_one_wins(self, board: Board, updated: str, status: str) -> None:
        board.write(task(1, "review", updatedAt=updated))
        outcome = board.file().set_status({"1": desired("done", AT)})
        assert board.statuses() == {"1": status}
        assert outcome.kept == ([StatusChange("1", "review", "done")] if status == "review" else [])

    def test_a_time_in_the_future_proves_nothing(self, board: Board) -> None:
        board.write(task(1, "review", updatedAt="2999-01-01T00:00:00.000Z"))
        board.file().set_status({"1": desired("done")})
        assert board.statuses() == {"1": "done"}

    def test_the_order_of_events_is_that_of_their_times(self, board: Board) -> None:
        """The later of two events decides the status of the parent task."""
        board.write(task(1, subtasks=[subtask(1)]))
        board.file().set_status({"1.1": desired("done", AT), "1": desired("review", LATER)})
        assert board.statuses() == {"1": "review", "1.1": "done"}
        board.write(task(1, subtasks=[subtask(1)]))
        board.file().set_status({"1.1": desired("done", LATER), "1": desired("review", AT)})
        assert board.statuses() == {"1": "done", "1.1": "done"}

    def test_the_time_of_a_task_never_goes_back(self, board: Board) -> None:
        """An event of a subtask does not hide a later change of its task."""
        board.write(task(1, "review", [subtask(1)], updatedAt=LATER))
        board.file().set_status({"1.1": desired("done", AT)})
        assert board.load()["master"]["tasks"][0]["updatedAt"] == LATER

    def test_nothing_to_change_is_nothing_written(self, board: Board) -> None:
        board.write(task(1, "done"))
        before = board.path.stat()
        outcome = board.file().set_status({"1": desired("done"), "2": desired("done")})
        assert (outcome.changes, outcome.unknown) == ([], ["2"])
        assert board.path.stat() == before


class TestOverwritten:
    """Task Master reads the file before it takes the lock, and so undoes changes made in between."""

    def test_what_was_undone_is_set_again(self, board: Board) -> None:
        board.write(task(1, subtasks=[subtask(1)]), task(2))
        file, ours = board.file(), {"1.1": desired("done")}
        StandIn(board, between=lambda: file.set_status(ours)).set_status("2", "review")
        assert board.statuses() == {"1": "pending", "1.1": "pending", "2": "review"}
        assert file.restore(ours) is not None
        assert board.statuses() == {"1": "done", "1.1": "done", "2": "review"}
        assert file.restore(ours) is None

    def test_what_was_undone_before_another_change_of_ours(self, board: Board) -> None:
        """An undone change is restored even if our own last change is still in place."""
        board.write(task(1), task(2), task(3))
        file, ours = board.file(), {"1": desired("done")}
        file.restore({})
        StandIn(board, between=lambda: file.set_status(ours)).set_status("2", "review")
        ours["3"] = desired("done")
        file.set_status({"3": ours["3"]})
        assert board.statuses() == {"1": "pending", "2": "review", "3": "done"}
        assert file.restore(ours) is not None
        assert board.statuses() == {"1": "done", "2": "review", "3": "done"}

    def test_own_changes_alone_are_no_reason_to_look_again(self, board: Board) -> None:
        board.write(task(1), task(2))
        file = board.file()
        file.restore({})
        file.set_status({"1": desired("done")})
        file.set_status({"1": desired("done"), "2": desired("done")})
        assert file.restore({}) is None

    def test_what_somebody_else_decided_stays(self, board: Board) -> None:
        board.write(task(1))
        file, ours = board.file(), {"1": desired("done")}
        file.set_status(ours)
        time.sleep(0.002)
        StandIn(board).set_status("1", "review")
        outcome = file.restore(ours)
        assert outcome is not None
        assert (outcome.changes, board.statuses()) == ([], {"1": "review"})

    def test_what_somebody_wrote_by_hand_stays(self, board: Board) -> None:
        """A change by hand that keeps our time stays, since its author has seen our change."""
        board.write(task(1))
        file, ours = board.file(), {"1": desired("done")}
        file.set_status(ours)
        board.path.write_text(board.path.read_text("utf-8").replace('"done"', '"blocked"'), "utf-8")
        file.restore(ours)
        assert board.statuses() == {"1": "blocked"}


class TestTheFile:
    def test_its_mode_stays(self, board: Board) -> None:
        board.write(task(1))
        board.path.chmod(0o640)
        board.file().set_status({"1": desired("done")})
        assert board.path.stat().st_mode & 0o7777 == 0o640

    def test_what_a_killed_process_left_does_not_change_its_mode(self, board: Board) -> None:
        """The temporary file of a killed process is written again, with the mode of the file that it replaces."""
        board.write(task(1))
        board.path.chmod(0o600)
        left = board.path.with_name(".tasks.json.swarmtask")
        left.write_text("half")
        left.chmod(0o644)
        board.file().set_status({"1": desired("done")})
        assert board.path.stat().st_mode & 0o7777 == 0o600

    def test_a_link_is_followed(self, board: Board, tmp_path: Path) -> None:
        """The target of a link changes, the link stays a link, and the lock is where Task Master expects it."""
        board.write(task(1))
        target = tmp_path / "elsewhere.json"
        board.path.rename(target)
        board.path.symlink_to(target)
        lock = Path(f"{board.path}.lock")
        lock.mkdir()
        threading.Timer(0.2, lock.rmdir).start()
        board.file().set_status({"1": desired("done")})
        assert board.path.is_symlink()
        assert '"done"' in target.read_text("utf-8")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere.json", "project"]

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
    def test_its_owner_stays(self, board: Board) -> None:
        board.write(task(1))
        os.chown(board.path, 12345, 12345)
        board.file().set_status({"1": desired("done")})
        assert board.path.stat().st_uid == 12345

    def test_nothing_is_left_beside_it(self, board: Board) -> None:
        board.write(task(1))
        (board.path.parent / ".tasks.json.swarmtask").write_text("of a process that was killed")
        board.file().set_status({"1": desired("done")})
        assert [path.name for path in board.path.parent.iterdir()] == ["tasks.json"]

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (None, "does not exist: is Task Master used in this project?"),
            ("", "is not valid JSON; it was left alone: Expecting value: line 1 column 1 (char 0)"),
            ('{"master": {"tasks": [', "is not valid JSON; it was left alone"),
            ("\xff", "is not valid JSON; it was left alone"),
            ("[" * 100_000, "left alone"),
            ("[]", ": expected an object, found a list; it was left alone"),
            ("{}", ": found no master; it was left alone"),
            ('{"master": []}', ": found no master.tasks; it was left alone"),
            ('{"tasks": {}}', ": expected a list at tasks, found an object; it was left alone"),
            ('{"master": {"tasks": [{"id": 1}, 5]}}', "a task with an id at master.tasks[1], found a number"),
            ('{"master": {"tasks": [{"id": true}]}}', "a task with an id at master.tasks[0], found an object"),
            ('{"master": {"tasks": [{"id": 1, "status": 2}]}}', "a text at master.tasks[0].status, found a number"),
            ('{"master": {"tasks": [{"id": 1, "subtasks": {"a": 1}}]}}', "list at master.tasks[0].subtasks"),
            ('{"master": {"tasks": [{"id": 1, "subtasks": [{}]}]}}', "at master.tasks[0].subtasks[0]"),
        ],
    )
    def test_one_that_is_not_understood_is_left_alone(
        self, board: Board, monkeypatch: pytest.MonkeyPatch, content: str | None, expected: str
    ) -> None:
        monkeypatch.setattr(taskmaster, "_PAUSE", 0.001)
        before = None if content is None else content.encode("latin-1")
        if before is not None:
            board.path.write_bytes(before)
        with pytest.raises(TaskManagerError, match=re.escape(expected)) as caught:
            board.file().set_status({"1": desired("done")})
        assert str(board.path) in str(caught.value)
        assert (board.path.read_bytes() if board.path.exists() else None) == before
        assert not Path(f"{board.path}.lock").exists()

    def test_one_that_is_just_being_written(self, board: Board) -> None:
        """A file that an editor is still writing is read once it is complete."""
        board.write(task(1))
        content = board.path.read_bytes()
        board.path.write_bytes(content[:50])
        threading.Timer(0.05, board.path.write_bytes, [content]).start()
        board.file().set_status({"1": desired("done")})
        assert board.statuses() == {"1": "done"}


class TestTheLock:
    def test_it_is_waited_for(self, board: Board) -> None:
        board.write(task(1))
        lock = Path(f"{board.path}.lock")
        lock.mkdir()
        released: list[str] = []

        def release() -> None:
            released.append(board.statuses()["1"])
            lock.rmdir()

        threading.Timer(0.3, release).start()
        board.file().set_status({"1": desired("done")})
        assert (released, board.statuses()) == (["pending"], {"1": "done"})

    @pytest.mark.parametrize("kind", ["folder", "file"])
    def test_one_left_behind_is_taken_over(self, board: Board, kind: str) -> None:
        """A lock of either kind is taken over after ten seconds without a sign of life, as in Task Master."""
        board.write(task(1))
        lock = Path(f"{board.path}.lock")
        lock.mkdir() if kind == "folder" else lock.write_text("{}")
        os.utime(lock, (time.time() - 10.5,) * 2)
        board.file().set_status({"1": desired("done")})
        assert board.statuses() == {"1": "done"}
        assert not lock.exists()

    def test_one_that_is_held_all_the_time(self, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
        """If the lock is never free, nothing is written, and the caller may try again later."""
        monkeypatch.setattr(locks, "_PATIENCE", 0.1)
        board.write(task(1))
        Path(f"{board.path}.lock").mkdir()
        with pytest.raises(TaskManagerError, match="is locked by another program") as caught:
            board.file().set_status({"1": desired("done")})
        assert caught.value.passing
        assert Path(f"{board.path}.lock").exists()

    def test_who_lost_it_writes_nothing(self, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
        """If another program has taken the lock over, nothing is written, since the file may have changed."""
        board.write(task(1))
        lock = Path(f"{board.path}.lock")
        file = board.file()
        load = file._load

        def asleep(*known: Any) -> Any:
            document = load(*known)
            if lock.exists():
                lock.rename(lock.with_name("x"))
                lock.mkdir()
            return document

        monkeypatch.setattr(file, "_load", asleep)
        with pytest.raises(TaskManagerError, match="the lock was lost") as caught:
            file.set_status({"1": desired("done")})
        assert caught.value.passing
        assert board.statuses() == {"1": "pending"}
        assert lock.exists(), "it is not ours to release"


def test_a_race(board: Board) -> None:
    """Our 200 changes, beside a program with Task Master's protocol, end with the final statuses of both."""
    board.write(*(task(n, subtasks=[subtask(1), subtask(2)]) for n in range(1, 21)), task(99))
    file, ours = board.file(), {f"{n}.{m}": desired("pending", AT) for n in range(1, 11) for m in (1, 2)}
    failures: list[BaseException] = []

    def other() -> None:
        try:
            for round_ in range(30):
                status = "done" if round_ == 29 else "review"
                StandIn(board, between=lambda: time.sleep(0.01)).set_status(f"{11 + round_ % 10}.1", status)
        except BaseException as error:  # noqa: BLE001 - reported below
            failures.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    for round_ in range(200):
        task_id = list(ours)[round_ % 20]
        status = "done" if round_ >= 180 else ["in-progress", "blocked"][round_ % 2]
        ours[task_id] = desired(status, f"2026-05-05T10:00:01.{round_:03}Z")  # fixed, as a clock may be set back
        file.set_status({task_id: ours[task_id]})
        time.sleep(0.003)
    thread.join()
    assert failures == []
    file.restore(ours)
    statuses = board.statuses()
    assert {task_id: statuses[task_id] for task_id in ours} == dict.fromkeys(ours, "done")
    assert [statuses[str(n)] for n in range(1, 11)] == ["done"] * 10
    assert [statuses[f"{n}.1"] for n in range(11, 21)] == ["review"] * 9 + ["done"]


def test_the_lock_is_held_for_moments_only(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is held only to compare and write the file. Slow work is done before."""
    parsed: list[bool] = []
    monkeypatch.setattr(taskmaster, "Document", counting(parsed, Path(f"{board.path}.lock")))
    board.write(*(task(n) for n in range(100)))
    board.file().set_status({"1": desired("done")})
    assert parsed == [False]
    assert board.statuses()["1"] == "done"


def counting(parsed: list[bool], lock: Path) -> type[Document]:
    """Return a document class that notes whether the lock is held when a document is created."""

    class Counting(Document):
        def __init__(self, text: str, tag: str) -> None:
            parsed.append(lock.exists())
            super().__init__(text, tag)

    return Counting
