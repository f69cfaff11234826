"""`swarmtask completion`: the script by which a shell completes commands and options."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from pytest_swarmtask.cli.common import Subparsers

SHELLS = ("bash", "zsh", "fish")


def register(subparsers: Subparsers) -> None:
    """Add the command `completion`."""
    parser = subparsers.add_parser(
        "completion",
        help="print a script for the completion of commands in bash, zsh or fish",
        description="Print a script. A shell that has read it completes the commands and options of swarmtask.",
        example='eval "$(swarmtask completion bash)"',
        page="terminal#completion",
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    parser.set_defaults(func=completion)


def completion(arguments: argparse.Namespace) -> int:
    """Print the script for a shell. Return 0."""
    import shtab

    print(shtab.complete(arguments.whole, arguments.shell))
    return 0
