"""Asks the history of the project, or of a server (`--from URL`), and prints the answer."""

from __future__ import annotations

import io
import os
import re
import sys
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from pytest_swarmtask.cli.common import ask_history, project_of, say
from pytest_swarmtask.core.text import neutral

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from pytest_swarmtask.cli.remote import RemoteHistory
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.report.forms import Form, Kind
    from pytest_swarmtask.report.page import DeliverySummary

SERVER_VARIABLE = "SWARMTASK_SERVER"
"""The variable with the address of a server, for all commands that have `--from`."""

_UNPRINTED = ("junit", "html")
"""Kinds that programs read. Their bytes do not depend on the encoding of standard output."""
# What our own reports have: SGR (ECMA-48, section 8.3.117), which sets colours, and tabs in JSON or Markdown.
_ALLOWED = re.compile(r"(\x1b\[[0-9;]*m|[\n\t])")


class Question(NamedTuple):
    """A question to a history.

    Attributes:
        resource: its name in the API of servers.
        request: what is asked for.
        write: asks the local history, and writes the answer to a file; may return the id of the run that it is about.
    """

    resource: str
    request: NamedTuple
    write: Callable[[Database, Any, Form, BinaryIO], str | None]


def add_from(parser: argparse.ArgumentParser) -> None:
    """Add the option `--from`."""
    parser.add_argument(
        "--from",
        dest="server",
        metavar="URL",
        help="ask the server of the team instead of the local history: its address, or that of one of its pages "
        f"(default: {SERVER_VARIABLE}, if it is set)",
    )


def server_of(arguments: argparse.Namespace) -> RemoteHistory | None:
    """Return the server to ask, or None for the local history.

    Raises:
        UsageError: its address is malformed, or no project is known to ask about.
    """
    address = os.environ.get(SERVER_VARIABLE) if arguments.server is None else arguments.server
    if not address:
        return None
    if arguments.root is not None:
        project_of(arguments)  # a folder that is named must exist, also if the address of a page names the project
    from pytest_swarmtask.cli.remote import remote_history

    option = "--from" if arguments.server else SERVER_VARIABLE
    return remote_history(address, option, lambda: project_of(arguments), os.environ)


def form_of(arguments: argparse.Namespace, kind: Kind) -> Form:
    """Return the form of an answer for standard output."""
    from pytest_swarmtask.report.forms import Form
    from pytest_swarmtask.report.terminal import screen

    return Form(kind, getattr(arguments, "full", False), screen())


def answer(arguments: argparse.Namespace, question: Question, form: Form, out: BinaryIO) -> str | None:
    """Write the answer of the server or of the local history, and return the id of the run that it is about, if any.

    Raises:
        HistoryError: the local history cannot be read now.
        UsageError: the server does not answer, or there is no such run or test.
    """
    server = server_of(arguments)
    if server is not None:
        content, run = server.get(question.resource, _given(question.request), form)
        out.write(content if form.kind in _UNPRINTED else _harmless(content))
        return run
    local = _of_checkout(form, project_of(arguments))
    return ask_history(arguments, lambda db: question.write(db, question.request, local, out))


def json_answer(arguments: argparse.Namespace, question: Question) -> bytes:
    """Return the object that the server or the local history answers, as JSON.

    Raises:
        HistoryError: as in `answer`.
        UsageError: as in `answer`.
    """
    out = io.BytesIO()
    answer(arguments, question, form_of(arguments, "json"), out)
    return out.getvalue()


def _given(request: NamedTuple) -> dict[str, Any]:
    """Return the values of a request that are not the default, which servers know."""
    return {name: value for name, value in request._asdict().items() if value != request._field_defaults.get(name)}


def _of_checkout(form: Form, project: Project) -> Form:
    """Return a form that has what only a checkout and its machine know."""

    def deliveries() -> DeliverySummary:
        from pytest_swarmtask.report.page import summarize_deliveries

        return summarize_deliveries(project, os.environ)

    name = os.path.basename(project.root) or "project"
    return form._replace(root=project.root, project=name, say=say, deliveries=deliveries)


def print_answer(arguments: argparse.Namespace, question: Question, form: Form) -> None:
    """Print the answer of the server or of the local history, as `answer`."""
    if form.kind in _UNPRINTED:
        answer(arguments, question, form, sys.stdout.buffer)
        return
    out = io.BytesIO()
    answer(arguments, question, form, out)
    print_text(out.getvalue().decode("utf-8", "replace"))


def print_text(text: str) -> None:
    """Print a text that ends with a line end. A character that standard output cannot show is replaced."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    print(text, end="")


def _harmless(content: bytes) -> bytes:
    """Return a text of a server, without characters that steer a terminal and that our own reports never have."""
    parts = _ALLOWED.split(content.decode("utf-8", "replace"))
    return "".join(part if number % 2 else neutral(part) for number, part in enumerate(parts)).encode()
