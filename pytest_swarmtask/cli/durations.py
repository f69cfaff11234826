"""`swarmtask durations`: how long tests usually take, for `pytest --swarmtask-shard`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_swarmtask.cli.asking import Question, add_from, form_of, json_answer, print_answer
from pytest_swarmtask.cli.common import add_root, project_of, say, write_named_file

if TYPE_CHECKING:
    import argparse

    from pytest_swarmtask.cli.common import Subparsers


def register(subparsers: Subparsers) -> None:
    """Add the command `durations`."""
    parser = subparsers.add_parser(
        "durations",
        help="print how long tests usually take, for pytest --swarmtask-shard",
        description="Print how long each test usually takes, or write it to the file by which pytest --swarmtask-shard "
        "divides a suite.",
        example="swarmtask durations --write",
        page="sharding",
    )
    parser.add_argument(
        "--write",
        nargs="?",
        const="",
        metavar="FILE",
        help="write them to a file, for caches of CI (default: where pytest --swarmtask-shard looks for it)",
    )
    add_from(parser)
    add_root(parser)
    parser.set_defaults(func=durations)


def durations(arguments: argparse.Namespace) -> int:
    """Print or write the median duration of each test in its last complete runs, as JSON. Return 0.

    Raises:
        HistoryError: the history cannot be read now.
        UsageError: the server does not answer, or the file cannot be written.
    """
    from pytest_swarmtask.report.durations import DurationsRequest, write_durations

    question = Question("durations", DurationsRequest(), write_durations)
    if arguments.write is None:
        print_answer(arguments, question, form_of(arguments, "json"))
        return 0
    found = json_answer(arguments, question)
    path = Path(arguments.write or project_of(arguments).durations)
    write_named_file(path, found)
    say(f"wrote {path}")
    return 0
