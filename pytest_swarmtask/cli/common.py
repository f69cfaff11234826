"""What several commands share: options, argument types, the project, its history, the relay's database, and files."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sqlite3
import sys
import time
from typing import TYPE_CHECKING, TypeVar

from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.files import mode_of, replace_file
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.core.search import find_project, working_directory
from pytest_swarmtask.core.timestamps import named_time
from pytest_swarmtask.recording.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_swarmtask.cli.parser import CommandParser
    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.relay.delivery.store import EndpointState
    from pytest_swarmtask.relay.survey import Survey

    Subparsers = argparse._SubParsersAction[CommandParser]  # noqa: SLF001 - argparse names no other type


Answer = TypeVar("Answer")

LAST_RUNS = 20
"""The default of `--last`, as docs/history.md says."""


# -- arguments -----------------------------------------------------------------------------------------------------


def add_root(parser: argparse.ArgumentParser) -> None:
    """Add the option `--root`."""
    parser.add_argument(
        "--root",
        dest="root",
        metavar="DIR",
        help="the project's folder (default: searched from the current folder upwards)",
    )


def add_run_filters(parser: argparse.ArgumentParser, what: str, last: int = LAST_RUNS) -> None:
    """Add the options `--last`, `--branch` and `--since`; `what` says what the command does with these runs."""
    parser.add_argument(
        "--last",
        dest="last",
        type=_number_of_runs,
        nargs="?",
        default=last,
        const=LAST_RUNS,
        metavar="N",
        help=f"{what} the last N runs (default: {last})",
    )
    parser.add_argument("--branch", dest="branch", help="only runs on this branch")
    parser.add_argument(
        "--since", dest="since", type=_since, metavar="WHEN", help="only runs since then: 7d, 12h, 2026-01-31"
    )


def _number_of_runs(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of runs, expected 1 or more")
    return int(text)


def _since(text: str) -> str:
    """Return the timestamp that an argument names: a date, a time, or how long ago."""
    try:
        return named_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def port(text: str) -> int:
    """Return the port that an argument names.

    Raises:
        argparse.ArgumentTypeError: the argument is not a port.
    """
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, expected 0 to 65535")
    return int(text)


def number_of(unit: str) -> Callable[[str], float]:
    """Return an argument type: a number of this unit, at least 0. Anything else is an `ArgumentTypeError`."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of {unit}")
        return value

    return number


# -- the project ---------------------------------------------------------------------------------------------------


def project_of(arguments: argparse.Namespace) -> Project:
    """Return the project that a command is about.

    Raises:
        UsageError: `--root` does not name a folder, or without it there is no project.
    """
    if arguments.root is not None and not os.path.isdir(arguments.root):
        raise UsageError(f"--root {arguments.root}: there is no such folder")
    if arguments.root is not None:
        return Project(os.path.abspath(arguments.root))
    project = find_project(working_directory(os.environ), os.environ)
    if project.refusal:
        raise UsageError(f"{project.refusal}; or name another one with --root")
    return project


def ask_history(arguments: argparse.Namespace, question: Callable[[Database], Answer]) -> Answer:
    """Import new events into the project's history, ask it a question, and return the answer.

    Raises:
        HistoryError: the history cannot be read now.
    """
    from pytest_swarmtask.history.session import query_history
    from pytest_swarmtask.relay.retention import prune_if_needed

    project = project_of(arguments)
    prune_if_needed(project, os.environ)
    return query_history(project, question, environ=os.environ, say=say)


def present_ci_run() -> str | None:
    """Return the name of the CI run that this command belongs to; None outside of CI."""
    from pytest_swarmtask.core.facts.ci import job_facts

    return job_facts(os.environ).get("ci_run")


def survey_of(project: Project) -> Survey:
    """Return how many events were recorded, and how many each endpoint has received.

    Raises:
        UsageError: the relay's database cannot be read now.
    """
    from pytest_swarmtask.relay.survey import survey

    with relay_database(project):
        return survey(project, os.environ)


@contextlib.contextmanager
def relay_database(project: Project, what: str = "read") -> Iterator[None]:
    """Turn errors of the relay's database into a `UsageError`, which is shown without a traceback.

    Args:
        project: the project.
        what: what cannot be done with the database, for the message.

    Raises:
        UsageError: the database cannot be used.
    """
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise UsageError(f"the relay's database in {project.journal} cannot be {what}: {error}") from None


# -- output --------------------------------------------------------------------------------------------------------


def say(note: str) -> None:
    """Print a message for a person on standard error, apart from the output of the command."""
    print(f"swarmtask: {note}", file=sys.stderr)


def describe_trouble(state: EndpointState) -> str:
    """Return why an endpoint does not get its events, and when the next attempt is."""
    wait = state.next_attempt - time.time()
    again = f"; next attempt in {wait:.0f} s" if state.state == "retrying" and wait > 0 else ""
    return f"{state.state}: {state.reason}{again}"


def write_file(path: Path, content: bytes) -> None:
    """Write a file of the user's, and its folders. Its permissions are kept, and a symbolic link is followed.

    Raises:
        UsageError: the file cannot be written. Its former content is still there.
    """
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    try:
        os.makedirs(folder, exist_ok=True)
        replace_file(target, content, mode=mode_of(target))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None


def write_named_file(path: Path, content: bytes) -> None:
    """Write a file that an option names. If its folder is new, a message says so: it may be mistyped.

    Raises:
        UsageError: as in `write_file`.
    """
    folder = os.path.dirname(os.path.realpath(path))
    is_new = not os.path.isdir(folder)
    write_file(path, content)
    if is_new:
        say(f"made the folder {folder}")


def consequence_of_invalid_config(project: Project) -> str:
    """Return what holds as long as `workflow.yaml` is not valid."""
    if read_settings(project, os.environ).enabled:
        return "until you fix it, events are only recorded with the defaults, and nothing is sent"
    return "until you fix it, nothing is recorded and nothing is sent"
