"""`swarmtask export`: all events of the history, and those that only the journal has as a whole."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING

from pytest_swarmtask.cli.common import add_root, ask_history, project_of, say
from pytest_swarmtask.core.text import NOTHING_RECORDED

if TYPE_CHECKING:
    import argparse

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.history.database import Database


def register(subparsers: Subparsers) -> None:
    """Add the command `export`."""
    parser = subparsers.add_parser(
        "export",
        help="print all events of the history",
        description="Print all events of the history, for other programs.",
        example="swarmtask export --jsonl > events.jsonl",
        page="history",
    )
    formats = parser.add_mutually_exclusive_group(required=True)
    formats.add_argument("--jsonl", dest="csv", action="store_false", help="as journal lines")
    formats.add_argument("--csv", dest="csv", action="store_true", help="as a table")
    add_root(parser)
    parser.set_defaults(func=export)


def export(arguments: argparse.Namespace) -> int:
    """Print all events. Return 0.

    Raises:
        HistoryError: the history cannot be read now.
    """
    project = project_of(arguments)
    return ask_history(arguments, functools.partial(_export, project=project, as_table=arguments.csv))


def _export(db: Database, project: Project, *, as_table: bool) -> int:
    from pytest_swarmtask.history.lines import as_row, journal_lines

    if not db.execute("SELECT 1 FROM run LIMIT 1").fetchone():
        say(NOTHING_RECORDED)
    if not as_table:
        for (line,) in db.execute("SELECT line FROM event ORDER BY id"):
            print(line)
        for _, _, line in journal_lines(db, project):
            print(line)
        return 0
    import csv

    cursor = db.execute("SELECT * FROM events")
    writer = csv.writer(sys.stdout)
    writer.writerow([column[0] for column in cursor.description])
    writer.writerows(cursor)
    writer.writerows(as_row(db, *event) for event in journal_lines(db, project))
    return 0
