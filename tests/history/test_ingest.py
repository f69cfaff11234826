"""The history has each journaled event exactly once, even with killed or simultaneous readers."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_swarmtask.core.event import Event
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.history import ingest as module
from pytest_swarmtask.history.ingest import Ingested, ingest
from pytest_swarmtask.history.rows import Batch
from pytest_swarmtask.history.sqlite import connect
from tests.history.made import BASE, Process, content, event_ids, journaled_ids, rows, run, take_in
from tests.lab import clean_environ, project_of

READER = """
import os, sys
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.history import ingest
from pytest_swarmtask.history.session import query_history
ingest.BATCH = int(sys.argv[2])
print("reading", flush=True)
query_history(Project(sys.argv[1]), lambda db: None, environ=os.environ, timeout=60, say=print)
"""

TESTS = {f"tests/test_a.py::test_{n}": ("passed", "failed", "skipped")[n % 3] for n in range(30)}


def reader(journal: Path, batch: int) -> subprocess.Popen[bytes]:
    """Start a process that imports the journal in small transactions."""
    command = [sys.executable, "-c", READER, str(journal.parents[1]), str(batch)]
    return subprocess.Popen(command, env=clean_environ(), stdout=subprocess.PIPE)


# -- once ----------------------------------------------------------------------------------------------------------


def test_each_event_once(journal: Path) -> None:
    """An imported event is not imported again, and later events are imported."""
    process = run(journal, 1, TESTS)
    count = 2 * len(TESTS) + 2
    assert take_in(journal) == Ingested(count, 0)
    assert take_in(journal) == Ingested(0, 0)
    process.write(process.session({"one more": "passed"}))
    assert take_in(journal) == Ingested(4, 0)
    assert event_ids(journal) == journaled_ids(journal)
    assert rows(journal, "SELECT tests, passed, failed, skipped FROM runs") == [(31, 11, 10, 10)]


def test_a_segment_that_was_copied(journal: Path) -> None:
    """A copied segment under another name, as when journals are collected, doubles no event."""
    process = run(journal, 1, TESTS)
    take_in(journal)
    before = content(journal)
    copy = process.path.with_name(process.path.name.replace("-local", "-copied"))
    copy.write_bytes(process.path.read_bytes())
    take_in(journal)
    assert content(journal) == before


def test_a_line_that_is_still_being_written(journal: Path) -> None:
    """A last line without a newline is not imported until the newline is there."""
    process = Process(journal, "1" * 32)
    first, second = (process.event("TASK_STARTED", name, process.ids.span()).encode() for name in "ab")
    process.path.write_bytes(first + second[:40])
    assert take_in(journal) == Ingested(1, 0)
    process.path.write_bytes(first + second)
    assert take_in(journal) == Ingested(1, 0)


def test_lines_that_are_no_events(journal: Path) -> None:
    """Lines that are not events are counted, and the lines around them are imported."""
    process = Process(journal, "1" * 32)
    good = process.event("TASK_STARTED", "good", process.ids.span()).encode()[:-1]
    foreign = [b"", b"{", b"[]", b"\xff\xfe", good[:60], good.replace(b"TASK_", b"TUSK_"), good.replace(b"{}", b"[]")]
    process.path.write_bytes(b"\n".join(foreign) + b"\n" + good + b"\n")
    assert take_in(journal) == Ingested(1, len(foreign))
    assert rows(journal, "SELECT events, foreign_lines FROM segment") == [(1, len(foreign))]


def test_segments_that_retention_has_removed_stay(journal: Path) -> None:
    run(journal, 1, TESTS)
    take_in(journal)
    assert rows(journal, "SELECT count(*) FROM runs") == [(1,)]
    for path in journal.glob("*.jsonl"):
        path.unlink()
    run(journal, 3, TESTS)
    take_in(journal)
    assert rows(journal, "SELECT count(*) FROM runs") == [(2,)]


def test_nothing_new_writes_nothing(journal: Path) -> None:
    """A reader without new events neither waits for a writer nor blocks one."""
    run(journal, 1, TESTS)
    take_in(journal)
    path = project_of(journal).history
    with closing(connect(path)) as writer, closing(connect(path, timeout=0.1)) as db:
        writer.execute("BEGIN IMMEDIATE")
        assert ingest(db, project_of(journal)) == Ingested(0, 0)


# -- any order -----------------------------------------------------------------------------------------------------


@pytest.mark.long
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(12)), batch=st.integers(1, 5))
def test_the_order_does_not_matter(tmp_path_factory: pytest.TempPathFactory, order: list[int], batch: int) -> None:
    """Any order of events, segments and transactions results in the same history."""
    events = _two_processes()
    histories = []
    for arrangement, size in ((list(range(12)), 100), (order, batch)):
        journal = tmp_path_factory.mktemp("project") / ".taskmaster" / "events"
        for number, index in enumerate(arrangement):
            process = Process(journal, events[index].trace_id, BASE + number)
            process.write([events[index]])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "BATCH", size)
            take_in(journal)
        histories.append(content(journal))
    assert histories[0] == histories[1]


def _two_processes() -> list[Event]:
    process = Process(Path(os.devnull).parent, "2" * 32)
    build = process.ids.span()
    return [
        process.event("BUILD_STARTED", "app", build, None, command="make app", branch="main"),
        *process.session({"a": "passed", "b": "failed"}, commit="c0ffee"),
        process.event("BUILD_FAILED", "app", build, None, exit_code=2),
        *process.session({"a": "passed"}),
    ]


LINE = Process(Path(os.devnull).parent, "3" * 32).event("TEST_PASSED", "t", "4" * 16, None, outcome="passed").encode()


def with_metadata(value: object) -> bytes:
    """Return a line with this value in every metadata field that the history stores."""
    fields = json.loads(LINE)
    names = ("outcome", "error", "duration", "attempt", "exit_code", "worker", "command", "arguments", "coverage")
    facts = {"action": "session", "dirty": value, "commit": value, "branch": value, "host": value}
    fields.update(event_type="TASK_FAILED", id="x-1", metadata={**facts, **dict.fromkeys(names, value)})
    return json.dumps(fields).encode()


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.tuples(st.integers(0, len(LINE)), st.integers(0, len(LINE)), st.binary(max_size=20)).map(
            lambda cut: LINE[: cut[0]] + cut[2] + LINE[cut[1] :]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=5,
        ).map(with_metadata),
    )
)
def test_any_line_is_taken(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Every line of the journal, whatever it contains, is imported or counted as no event, and nothing is raised."""
    journal = tmp_path_factory.mktemp("project") / ".taskmaster" / "events"
    process = Process(journal, "3" * 32)
    process.path.write_bytes(data.replace(b"\n", b" ") + b"\n" + LINE)
    found = take_in(journal)
    assert found.events + found.foreign == 2
    assert found.events >= 1


# -- killed readers ------------------------------------------------------------------------------------------------


def test_killed_at_any_point(journal: Path) -> None:
    """A reader that is killed again and again midway neither loses nor doubles an event."""
    for number in range(40):
        run(journal, number, TESTS, branch="main")
    chance = random.Random(6)
    killed = 0
    for _ in range(8):
        process = reader(journal, 7)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.random() * 0.25)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.communicate()
    assert killed, "no reader was caught at work"
    take_in(journal)
    assert event_ids(journal) == journaled_ids(journal)
    whole = rows(journal, "SELECT count(*), sum(tests), sum(failed), sum(duration IS NULL) FROM runs")
    assert whole == [(40, 1200, 400, 0)]
    assert rows(journal, "SELECT count(*) FROM run WHERE stale") == [(0,)]


DYING = """
import glob, itertools, json, os, signal, sys
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.history import ingest
from pytest_swarmtask.history.sqlite import connect

project = Project(sys.argv[1])
ingest.BATCH = 3

def read(most):
    db = connect(project.history)
    numbers = itertools.count(1)
    db.set_trace_callback(lambda statement: next(numbers) == most and os.kill(os.getpid(), signal.SIGKILL))
    ingest.ingest(db, project)

for statement in itertools.count(1):
    for path in glob.glob(project.history + "*"):
        os.unlink(path)
    pid = os.fork()
    if not pid:
        read(statement)
        os._exit(0)
    died = os.waitpid(pid, 0)[1]
    read(0)
    db = connect(project.history)
    ids = [json.loads(line)["id"] for (line,) in db.execute("SELECT line FROM event")]
    print(json.dumps([died, sorted(ids), db.execute("SELECT tests, passed, failed FROM runs").fetchall()]))
    db.close()
    if not died:
        break
"""


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_killed_at_each_statement(journal: Path) -> None:
    """If a reader is killed at any SQL statement, the next reader completes the import and doubles nothing."""
    run(journal, 1, dict(list(TESTS.items())[:4]))
    command = [sys.executable, "-c", DYING, str(journal.parents[1])]
    done = subprocess.run(command, env=clean_environ(), capture_output=True, text=True, timeout=120, check=True)
    *killed, whole = map(json.loads, done.stdout.splitlines())
    assert len(killed) > 20
    assert whole == [0, journaled_ids(journal), [[4, 2, 1]]]
    assert [found for found in killed if found != [signal.SIGKILL, *whole[1:]]] == []


def test_two_readers_at_once(journal: Path) -> None:
    """If two readers import at once, both succeed, and each event is there once."""
    for number in range(30):
        run(journal, number, TESTS)
    readers = [reader(journal, 11) for _ in range(3)]
    for process in readers:
        process.communicate(timeout=60)
    assert [process.returncode for process in readers] == [0, 0, 0]
    assert event_ids(journal) == journaled_ids(journal)
    assert rows(journal, "SELECT count(*), sum(tests) FROM runs") == [(30, 900)]


def test_another_reader_imports_what_was_read_ahead(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that were read ahead, and that another process has imported since, are neither imported nor counted."""
    for number in range(3):
        run(journal, number, TESTS)
    read = module._read_batch
    others: list[Ingested] = []

    def overtaken(*arguments: Any) -> tuple[Batch, list[str]]:
        found = read(*arguments)
        if len(others) == 0:
            others.append(Ingested())
            others.append(take_in(journal))
        return found

    monkeypatch.setattr(module, "BATCH", 11)
    monkeypatch.setattr(module, "_read_batch", overtaken)
    assert take_in(journal) == Ingested()
    assert others[1] == Ingested(3 * 62)
    assert rows(journal, "SELECT sum(events) FROM segment") == [(3 * 62,)]
    assert event_ids(journal) == journaled_ids(journal)


def test_an_error_while_reading_ahead(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the thread that reads ahead cannot read is an error of the import; the batch before it is committed."""
    run(journal, 1, TESTS)
    read = module._read_batch

    def failing(project: Project, names: list[str], cursors: dict[str, int], without: set[str]) -> Any:
        if any(cursors.values()):
            raise MemoryError
        return read(project, names, cursors, without)

    monkeypatch.setattr(module, "BATCH", 11)
    monkeypatch.setattr(module, "_read_batch", failing)
    with pytest.raises(MemoryError):
        take_in(journal)
    assert rows(journal, "SELECT events FROM segment") == [(11,)]


# -- metadata of anybody -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text", "number", "whole"),
    [
        (None, None, None, None),
        ("3", "3", None, None),
        (3, "3", 3.0, 3),
        (2.5, "2.5", 2.5, None),
        (True, "true", None, None),
        (["a"], '["a"]', None, None),
        ({"a": None}, '{"a":null}', None, None),
        (1 << 62, str(1 << 62), None, None),
        (10**30, None, None, None),
    ],
)
def test_metadata_of_another_type(journal: Path, value: Any, text: str | None, number: float, whole: int) -> None:
    """A text is written as JSON, a number that is none is left out, and the fields beside it stay what they are."""
    process = Process(journal, f"{1:032x}")
    span = process.ids.span()
    metadata = {"error": value, "duration": value, "attempt": value, "phase": "call", "worker": "gw0"}
    process.write([process.event("TEST_FAILED", "test_a", span, None, **metadata)])
    assert take_in(journal) == Ingested(1)
    found = rows(journal, "SELECT error, duration, attempt, phase, worker, outcome FROM tests")
    assert found == [(text or (str(value) if value else None), number, whole, "call", "gw0", "failed")]
