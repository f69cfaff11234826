"""`swarmtask secret`: a new secret for signing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_swarmtask.relay import signing

if TYPE_CHECKING:
    import argparse

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names no other type

_HOW = """
Give it to both sides and to nobody else, as a variable of the environment:
    export AUTOMATION_SECRET_KEY={secret}
To change a secret without losing an event, sign with both for a while:
    secret_env: [NEW_SECRET_KEY, AUTOMATION_SECRET_KEY]
"""


def register(subparsers: Subparsers) -> None:
    """Add the command `secret`."""
    parser = subparsers.add_parser("secret", help="print a new secret for signing webhooks")
    parser.set_defaults(func=secret)


def secret(args: argparse.Namespace) -> int:  # noqa: ARG001 - every command is called with them
    """Print a new secret, and to a person at a terminal how to use it; always 0."""
    new = signing.new_secret()
    print(new)
    if sys.stderr.isatty():
        print(_HOW.format(secret=new if sys.stdout.isatty() else "whsec_…"), file=sys.stderr)
    return 0
