"""The history's file is private, has a known schema, and serves readers if it is damaged, newer or locked."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from pytest_swarmtask.core.service_errors import HistoryError
from pytest_swarmtask.history import sqlite as module
from pytest_swarmtask.history.query import last_runs
from pytest_swarmtask.history.schema import MIGRATIONS, VERSION
from pytest_swarmtask.history.session import query_history
from pytest_swarmtask.history.sqlite import connect
from tests.history.made import Process, event_ids, journaled_ids, rows, run, take_in
from tests.lab import bound_by_modes, clean_environ, project_of
from tests.shop import swarmtask

TESTS = {f"test_{n}": "passed" for n in range(200)}


def told(journal: Path, timeout: float = 10.0) -> tuple[int, list[str]]:
    """Query the last runs; return their number and the messages for the user."""
    notes: list[str] = []
    found = query_history(
        project_of(journal), lambda db: last_runs(db, 100), environ={}, timeout=timeout, say=notes.append
    )
    return len(found), notes


def test_it_is_private_and_readers_do_not_wait_for_writers(journal: Path) -> None:
    run(journal, 1, TESTS)
    take_in(journal)
    path = Path(project_of(journal).history)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert rows(journal, "PRAGMA journal_mode") == [("wal",)]
    with closing(connect(str(path))) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert {stat.S_IMODE(file.stat().st_mode) for file in journal.glob("history*")} == {0o600}
        assert told(journal, 0.1) == (1, [])


def test_a_newer_version_is_refused(journal: Path) -> None:
    """A history of a newer version stays unchanged, and the message says what to do."""
    run(journal, 1, TESTS)
    take_in(journal)
    with closing(sqlite3.connect(project_of(journal).history)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(HistoryError, match=r"newer version of pytest-swarmtask .*: update pytest-swarmtask, or move"):
        told(journal)
    for command in (["report"], ["tests", "x"], ["export", "--csv"]):
        done = swarmtask(journal.parents[1], *command)
        assert (done.returncode, done.stdout) == (2, "")
        assert "newer version" in done.stderr
        assert "Traceback" not in done.stderr
    done = swarmtask(journal.parents[1], "status")
    assert "402 events in 1 run" in done.stdout, "the rest of the status does not need the history"
    assert "newer version" in done.stderr


def test_an_older_one_is_brought_forward(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A history of an older version is migrated: its rows stay, and it gets the columns of the new schema."""
    run(journal, 1, TESTS)
    take_in(journal)
    before = event_ids(journal)
    monkeypatch.setattr(module, "MIGRATIONS", (*MIGRATIONS, "ALTER TABLE run ADD COLUMN mood TEXT DEFAULT 'fine'"))
    monkeypatch.setattr(module, "VERSION", VERSION + 1)
    run(journal, 2, TESTS)
    assert told(journal) == (2, [])
    assert rows(journal, "SELECT mood FROM run") == [("fine",), ("fine",)]
    assert rows(journal, "PRAGMA user_version") == [(VERSION + 1,)]
    assert set(before) < set(event_ids(journal))


def test_the_first_schema(journal: Path) -> None:
    """A history of the first schema learns from its events which sessions had tests."""
    process = run(journal, 0, {"test_a": "passed"})
    events = process.session({"test_b": "failed"})
    events[-1].metadata["tests"] = 1
    process.write(events)
    path = project_of(journal).history
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(f"{MIGRATIONS[0]} PRAGMA user_version = 1;")
        known = {"session": events[-1].encode().decode(), "run": process.trace_id, "span": events[-1].span_id}
        db.execute("INSERT INTO run (id, trace_id) VALUES (1, :run)", known)
        db.execute("INSERT INTO task (id, kind, name) VALUES (1, 'TASK', 'pytest_run')")
        db.execute("INSERT INTO event (run, event_id, line) VALUES (1, 'x', :session)", known)
        db.execute(
            "INSERT INTO span (run, span_id, kind, task, started, ended, duration)"
            " VALUES (1, :span, 'TASK', 1, '2026-01-01T00:00:00.000Z', '2026-01-01T00:01:00.000Z', 60)",
            known,
        )
    take_in(journal)
    assert rows(journal, "SELECT tests, partial FROM span WHERE tests IS NOT NULL") == [(1, 0)]
    assert rows(journal, "SELECT partial, testing FROM runs") == [(0, 60.0)]


def test_the_second_schema(journal: Path) -> None:
    """Results of the second schema are told apart by the variants that their sessions would have today."""
    path = project_of(journal).history
    started, ended = "2026-01-01T00:00:00.000Z", "2026-01-01T00:01:00.000Z"
    variants: tuple[tuple[dict[str, str], str], ...] = (
        ({"python": "3.10.13", "implementation": "cpython", "platform": "linux"}, "failed"),
        ({"python": "3.13.0rc1+", "implementation": "cpython", "platform": "linux", "ci_job": "test"}, "passed"),
        ({}, "passed"),
    )
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(f"{MIGRATIONS[0]} {MIGRATIONS[1]} PRAGMA user_version = 2;")
        db.execute("INSERT INTO task (id, kind, name) VALUES (1, 'TASK', 'pytest_run'), (2, 'TEST', 'test_a')")
        for number, (facts, outcome) in enumerate(variants, 1):
            process = Process(journal, f"{number:032x}")
            line = process.event("TASK_STARTED", "pytest_run", "a" * 16, None, action="session", **facts)
            db.execute("INSERT INTO run (id, trace_id) VALUES (?, ?)", (number, process.trace_id))
            db.execute("INSERT INTO event (run, event_id, line) VALUES (?, 'x', ?)", (number, line.encode().decode()))
            insert = """INSERT INTO span (run, span_id, parent, kind, task, started, ended, status, failed)
                        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
            db.execute(insert, (number, "a" * 16, None, "TASK", 1, started, ended, "completed", 0))
            failed = int(outcome == "failed")
            db.execute(insert, (number, "b" * 16, "a" * 16, "TEST", 2, started, ended, outcome, failed))
    take_in(journal)
    assert rows(journal, "SELECT variant, outcome FROM tests ORDER BY run") == [
        ("cpython-3.10-linux", "failed"),
        ("test cpython-3.13-linux", "passed"),
        ("", "passed"),
    ]
    assert rows(journal, "SELECT variants, tests FROM runs ORDER BY run") == [
        ("cpython-3.10-linux", 1),
        ("test cpython-3.13-linux", 1),
        ("", 1),
    ]
    assert rows(journal, "SELECT count(*) FROM task") == [(6,)]


def test_a_migration_that_fails_changes_nothing(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(journal, 1, TESTS)
    take_in(journal)
    monkeypatch.setattr(
        module, "MIGRATIONS", (*MIGRATIONS, "ALTER TABLE run ADD COLUMN mood TEXT;\nSELECT nonsense;\n")
    )
    monkeypatch.setattr(module, "VERSION", VERSION + 1)
    with pytest.raises(HistoryError, match="nonsense"):
        told(journal)
    assert rows(journal, "PRAGMA user_version") == [(VERSION,)]
    assert "mood" not in rows(journal, "SELECT sql FROM sqlite_master WHERE name = 'run'")[0][0]


def damage(path: Path, where: str) -> None:
    """Damage a file."""
    content = path.read_bytes()
    start = {"all of it": 0, "its first page": 0, "its pages": 4096, "its end": len(content) // 2}[where]
    end = {"its first page": 4096, "its end": start}.get(where, len(content))
    path.write_bytes(content[:start] + b"\xa5" * (end - start) + (b"" if where == "its end" else content[end:]))


@pytest.mark.parametrize("where", ["all of it", "its first page", "its pages", "its end"])
def test_a_corrupt_one_is_moved_aside(journal: Path, where: str) -> None:
    """A corrupt history is moved aside, and a new one is built from the journal."""
    for number in range(3):
        run(journal, number, TESTS)
    take_in(journal)
    path = Path(project_of(journal).history)
    damage(path, where)
    damaged = path.read_bytes()
    count, notes = told(journal)
    assert count == 3
    (aside,) = journal.glob("history.sqlite.corrupt-*")
    assert aside.read_bytes() == damaged
    assert len(notes) == 1
    assert str(aside) in notes[0]
    assert event_ids(journal) == journaled_ids(journal)
    assert told(journal) == (3, [])


def test_many_find_it_corrupt_at_once(journal: Path) -> None:
    """If several readers find the history corrupt at once, it is moved aside once, and all readers get their answer."""
    for number in range(3):
        run(journal, number, TESTS)
    take_in(journal)
    damage(Path(project_of(journal).history), "its first page")
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(told(journal)[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [3] * 4
    assert len(list(journal.glob("history.sqlite.corrupt-*"))) == 1


def test_one_that_is_locked_is_waited_for_within_bounds(journal: Path) -> None:
    """A reader of a locked history waits briefly, then shows the imported runs and a note, or fails with a reason."""
    run(journal, 1, TESTS)
    take_in(journal)
    run(journal, 2, TESTS)
    with closing(connect(project_of(journal).history)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        count, notes = told(journal, 0.2)
        assert count == 1
        assert "another process is filling the history" in notes[0]
        writer.execute("ROLLBACK")
        assert told(journal) == (2, [])
    for path in journal.glob("history.sqlite*"):
        path.unlink()
    with closing(sqlite3.connect(project_of(journal).history, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(HistoryError, match="locked by another process: try again"):
            told(journal, 0.2)


def test_looking_at_nothing_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / ".taskmaster").mkdir()
    done = swarmtask(tmp_path, "report")
    assert (done.returncode, done.stdout, done.stderr) == (0, "nothing has been recorded here yet\n", "")
    for command in (["tests", "x"], ["export", "--jsonl"]):
        done = swarmtask(tmp_path, *command)
        assert (done.returncode, done.stdout) == (2 * (command[0] == "tests"), "")
        assert "nothing has been recorded here yet" in done.stderr
    assert list((tmp_path / ".taskmaster").iterdir()) == []


def test_where_nothing_can_be_written(journal: Path) -> None:
    """In a read-only journal, reports still show the events of the journal."""
    run(journal, 1, TESTS)
    command = [*bound_by_modes(), sys.executable, "-m", "pytest_swarmtask", "report", "--json"]
    journal.chmod(0o500)
    try:
        done = subprocess.run(command, cwd=journal.parents[1], env=clean_environ(), capture_output=True, check=False)
    finally:
        journal.chmod(0o700)
    assert done.stderr == b""
    assert json.loads(done.stdout)["run"]
    assert not list(journal.glob("history*"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_the_journal_of_another_user(journal: Path) -> None:
    """Root can read another user's journal and leaves no file there that its owner could not read."""
    run(journal, 1, TESTS)
    os.chown(journal, 12345, 12345)
    assert told(journal) == (1, [])
    assert not list(journal.glob("history*"))
