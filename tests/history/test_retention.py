"""The history keeps runs as long as configured; old and excess runs are deleted one whole run at a time."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path

from pytest_swarmtask.history import retention
from pytest_swarmtask.history.database import connect
from pytest_swarmtask.history.session import update
from tests.history.made import BASE, event_ids, rows, run, take_in
from tests.lab import project_of

DAY = 86400.0
TESTS = {f"test_{n}": "passed" for n in range(300)}


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
    for number in range(6):
        run(journal, number, TESTS)
    take_in(journal)
    path = Path(project_of(journal).history)
    with closing(connect(str(path))) as db:
        full = path.stat().st_size
        assert 1 <= retention.prune(db, 100 * DAY, full // 2) <= 4
        assert retention.prune(db, 100 * DAY, 1) >= 1
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        assert path.stat().st_size < full / 3
    assert rows(journal, "SELECT run FROM runs") == [(f"{5:032x}",)]


def test_it_follows_the_configuration_now_and_then(journal: Path) -> None:
    """Readers apply the configured retention when they import events, at most once an hour."""
    config = journal.parent / "config" / "workflow.yaml"
    config.parent.mkdir()
    config.write_text(f"monitoring:\n  retention:\n    history_age: {int(time.time() - BASE - 2000)}\n")
    for number in range(4):
        run(journal, number, {"test_a": "passed"})
    update(project_of(journal), {})
    assert rows(journal, "SELECT count(*) FROM runs") == [(2,)]
    with closing(connect(project_of(journal).history)) as db:
        assert not retention.is_due(db)
        db.execute("UPDATE note SET value = value - ?", (retention.EVERY,))
        assert retention.is_due(db)


def test_a_configuration_that_cannot_be_followed(journal: Path) -> None:
    """An invalid configuration does not stop readers from using the history."""
    config = journal.parent / "config" / "workflow.yaml"
    config.parent.mkdir()
    config.write_text("monitoring: [")
    run(journal, 1, {"test_a": "passed"})
    update(project_of(journal), dict(os.environ))
    assert rows(journal, "SELECT count(*) FROM runs") == [(1,)]
