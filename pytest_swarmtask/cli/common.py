"""What several commands need: the type of `subparsers`, argument types, the project, errors of the relay's database."""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.files import mode_of, replace_file
from pytest_swarmtask.core.project import Project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_swarmtask.relay.survey import Survey

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names no other type


def add_root(parser: argparse.ArgumentParser) -> None:
    """Add the option `--root`."""
    parser.add_argument("--root", dest="root", metavar="DIR", help="the project's folder (default: found upwards)")


def project_of(arguments: argparse.Namespace) -> Project:
    """Return the project that a command is about.

    Raises:
        UsageError: `--root` names no folder.
    """
    if arguments.root is not None and not os.path.isdir(arguments.root):
        raise UsageError(f"--root {arguments.root}: there is no such folder")
    return Project.find(os.getcwd()) if arguments.root is None else Project(os.path.abspath(arguments.root))


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


def survey_of(project: Project) -> Survey:
    """Return what a journal holds.

    Raises:
        UsageError: the relay's database cannot be read now.
    """
    from pytest_swarmtask.relay.survey import survey

    with relay_database(project):
        return survey(project, os.environ)


def write_file(path: Path, content: bytes) -> None:
    """Write a file of the user's, with its folders. Its permissions are kept, and a symbolic link is followed.

    Raises:
        UsageError: it cannot be written. The former content is still there.
    """
    target = os.path.realpath(path)
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        replace_file(target, content, mode=mode_of(target))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None


def port(text: str) -> int:
    """Return the port that an argument names.

    Raises:
        argparse.ArgumentTypeError: it names none.
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
