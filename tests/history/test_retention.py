"""The history keeps runs as long as configured; old and excess runs are deleted one whole run at a time."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path

import pytest

from pytest_swarmtask.history import retention
from pytest_swarmtask.history.past import open_spans
from pytest_swarmtask.history.session import update
from pytest_swarmtask.history.sqlite import connect
from tests.history.made import BASE, Process, content, event_ids, rows, run, take_in
from tests.lab import project_of

DAY = 86400.0


def test_what_is_too_old_goes(journal: Path) -> None:
    """An old run is deleted with all its rows, and is not imported again from the journal, which still has it."""
    for number in range(4):
        run(journal, number, {"test_a": "passed", f"test_{number}": "passed"})
    take_in(journal)
    age = time.time() - (BASE + 2000)  # between the end of the second run and the start of the third
    with closing(connect(project_of(journal).history)) as db:
        assert retention.prune(db, age, 1e12) == 2
    take_in(journal)
    assert rows(journal, "SELECT count(*), sum(tests) FROM runs") == [(2, 4)]
    assert len(event_ids(journal)) == 2 * 6
    assert rows(journal, "SELECT name FROM task ORDER BY name") == [
        ("pytest_run",),
        ("test_2",),
        ("test_3",),
        ("test_a",),
    ]


def test_what_is_too_much_goes(journal: Path) -> None:
    """Deleting excess runs makes the file smaller, and the newest run stays however small the limit is."""
    tests = {f"test_{number}": "passed" for number in range(500)}  # the tables take half a megabyte if they are empty
    for number in range(6):
        run(journal, number, tests)
    take_in(journal)
    path = Path(project_of(journal).history)
    with closing(connect(str(path))) as db:
        full = path.stat().st_size
        assert 1 <= retention.prune(db, 100 * DAY, full // 2) <= 4
        assert retention.prune(db, 100 * DAY, 1) >= 1
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        assert path.stat().st_size < full / 3
    assert rows(journal, "SELECT run FROM runs") == [(f"{5:032x}",)]


def test_raw_lines_go_before_their_rows(journal: Path) -> None:
    """Raw lines of old runs are deleted, and everything else says the same: only the view `events` gets shorter."""
    for number in range(4):
        run(journal, number, {"test_a": "passed", f"test_{number}": "failed"})
    take_in(journal)
    before = content(journal)
    age = time.time() - (BASE + 2000)  # between the end of the second run and the start of the third
    with closing(connect(project_of(journal).history)) as db:
        assert retention.drop_events(db, age) == 2 * 6
        assert retention.drop_events(db, age) == 0
    assert rows(journal, "SELECT DISTINCT run FROM events ORDER BY run") == [(f"{n:032x}",) for n in (2, 3)]
    after = content(journal)
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, True, False, True, True, True, True]
    take_in(journal)  # although the journal still has the lines
    assert content(journal) == after


def test_raw_lines_that_are_still_needed_stay(journal: Path) -> None:
    """Of a run without an end, the lines go by its start; the starts of open spans stay, since alerts ask for them."""
    process = Process(journal, f"{7:032x}")
    opened, done = process.ids.span(), process.ids.span()
    process.write(
        [
            process.event("DEPLOYMENT_STARTED", "web", opened),
            process.event("TASK_STARTED", "x", done, opened),
            process.event("TASK_COMPLETED", "x", done, opened),
        ]
    )
    take_in(journal)
    with closing(connect(project_of(journal).history)) as db:
        assert retention.drop_events(db, time.time() - BASE) == 0
        assert retention.drop_events(db, 1000.0) == 2
        (left,) = open_spans(db, "")
        assert left.span_id == opened
        assert '"DEPLOYMENT_STARTED"' in left.line


@pytest.mark.long
def test_a_passed_result_takes_300_bytes(journal: Path) -> None:
    """Without raw lines, a passed test takes at most 300 bytes of the file with all indexes and free pages."""
    facts = {"variant": "cpython-3.11-linux", "commit": f"{1:040}", "branch": "main"}
    names = [f"tests/unit/test_orders_{n // 50}.py::TestCheckout::test_total[{n}]" for n in range(1000)]
    for number in range(20):
        run(journal, number, dict.fromkeys(names, "passed"), **facts)
    take_in(journal)
    path = Path(project_of(journal).history)
    with closing(connect(str(path))) as db:
        assert retention.drop_events(db, 1000.0) == 20 * 2002
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert path.stat().st_size / (20 * len(names)) <= 300


def test_one_check_removes_only_so_much(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check of a history with very many old lines removes some of them, and the next checks remove the rest."""
    monkeypatch.setattr(retention, "_AT_ONCE", 8)
    for number in range(3):
        run(journal, number, {"test_a": "passed"})
    take_in(journal)
    with closing(connect(project_of(journal).history)) as db:
        assert [retention.drop_events(db, 1000.0) for _ in range(3)] == [8, 4, 0]


def test_it_follows_the_configuration_now_and_then(journal: Path) -> None:
    """Readers apply the configured retention when they import events, at most once an hour."""
    config = journal.parent / "config" / "workflow.yaml"
    config.parent.mkdir()
    config.write_text(f"monitoring:\n  retention:\n    history_age: {int(time.time() - BASE - 2000)}\n")
    with config.open("a") as file:
        file.write(f"    history_events_age: {int(time.time() - BASE - 3000)}\n")
    for number in range(4):
        run(journal, number, {"test_a": "passed"})
    update(project_of(journal), {})
    assert rows(journal, "SELECT count(*) FROM runs") == [(2,)]
    assert rows(journal, "SELECT DISTINCT run FROM events") == [(f"{3:032x}",)]
    with closing(connect(project_of(journal).history)) as db:
        assert not retention.is_due(db)
        db.execute("UPDATE project SET pruned = pruned - ?", (retention.EVERY,))
        assert retention.is_due(db)


def test_a_configuration_that_cannot_be_followed(journal: Path) -> None:
    """An invalid configuration does not stop readers from using the history."""
    config = journal.parent / "config" / "workflow.yaml"
    config.parent.mkdir()
    config.write_text("monitoring: [")
    run(journal, 1, {"test_a": "passed"})
    update(project_of(journal), dict(os.environ))
    assert rows(journal, "SELECT count(*) FROM runs") == [(1,)]
