"""`swarmtask mcp`: answer questions of coding agents, over the Model Context Protocol."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_swarmtask.cli.asking import Question, add_from, json_answer, server_of
from pytest_swarmtask.cli.common import add_root, project_of
from pytest_swarmtask.core.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from pytest_swarmtask.cli.common import Subparsers


def register(subparsers: Subparsers) -> None:
    """Add the command `mcp`."""
    parser = subparsers.add_parser(
        "mcp",
        help="answer questions of coding agents over the Model Context Protocol",
        description="Answer the questions of coding agents about runs, failures and tests, over the Model Context "
        "Protocol on stdin and stdout.",
        example="swarmtask mcp",
        page="agents",
    )
    add_from(parser)
    add_root(parser)
    parser.set_defaults(func=mcp)


def mcp(arguments: argparse.Namespace) -> int:
    """Answer questions on standard input and output until the input ends. Always return 0.

    Raises:
        UsageError: a package is missing, or there is no history that could be asked.
    """
    try:
        from pytest_swarmtask.mcp import tools
    except ImportError as error:
        raise UsageError(f"agents need a package ({error}): pip install 'pytest-swarmtask[mcp]'") from None
    # Now, and not at the first question: an editor shows why a command did not start.
    if server_of(arguments) is None:
        project_of(arguments)

    def ask(resource: str, request: NamedTuple, write: Callable[..., Any]) -> Any:
        return json.loads(json_answer(arguments, Question(resource, request, write)))

    tools.serve(ask)
    return 0
