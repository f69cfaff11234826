"""Both engines have the same tables, columns and views."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from pytest_swarmtask.history.sqlite import connect
from tests.postgres import NEWEST, new_history, prepared

ONLY_IN_SQLITE = {"segment"}
ONLY_IN_POSTGRES = {"schema_version", "event_other"}


def test_the_tables_are_the_same(tmp_path: Path) -> None:
    with closing(connect(str(tmp_path / "history.sqlite"))) as db:
        names = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")}
        columns = {name: {row[1] for row in db.execute(f"PRAGMA table_info({name})")} for name in names}
    with prepared(new_history(NEWEST)) as connection:
        query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'swarmtask'"
        found: dict[str, set[str]] = {}
        for table, column in connection.execute(query):
            found.setdefault(table, set()).add(column)
    assert {name: columns[name] for name in names - ONLY_IN_SQLITE} == {
        name: some for name, some in found.items() if name not in ONLY_IN_POSTGRES
    }
