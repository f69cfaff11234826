"""`swarmtask secret`: print a new secret for signing webhooks, or a new token that proves a role."""

from __future__ import annotations

import secrets
import sys
from typing import TYPE_CHECKING

from pytest_swarmtask.core.roles import token_hash
from pytest_swarmtask.wire import signing

if TYPE_CHECKING:
    import argparse

    from pytest_swarmtask.cli.common import Subparsers


_HOW = """
Give it to the sender and the receiver, and to nobody else, as an environment variable:
    export AUTOMATION_SECRET_KEY={secret}
To replace a secret without losing events, sign with both for a while:
    secret_env: [NEW_SECRET_KEY, AUTOMATION_SECRET_KEY]
"""

_PROOF = """
Put the hash into workflow.yaml:
    access_control:
      roles:
        deployer:
          token_hash: {hash}
          token_env: DEPLOYER_TOKEN
Give the token to those who may act as the role, and to nobody else, as an environment variable:
    export DEPLOYER_TOKEN={secret}
"""
_TOKEN_BYTES = 32
"""256 bits, which cannot be guessed. So a plain hash of the token is enough: there is nothing to try out."""


def register(subparsers: Subparsers) -> None:
    """Add the command `secret`."""
    parser = subparsers.add_parser(
        "secret",
        help="print a new secret for signing webhooks, or a token for a role",
        description="Print a new secret for signing webhooks, or a token that proves a role.",
        example="swarmtask secret",
        page="security",
    )
    parser.add_argument(
        "--token", dest="token", action="store_true", help="print a token that proves a role, and its hash"
    )
    parser.set_defaults(func=secret)


def secret(args: argparse.Namespace) -> int:
    """Print a new secret, or a new token and its hash. At a terminal, print how to use it, too. Always return 0."""
    new = secrets.token_hex(_TOKEN_BYTES) if args.token else signing.new_secret()
    print(new)
    how = _HOW
    if args.token:
        how = _PROOF.replace("{hash}", token_hash(new))
        print(token_hash(new))
    if sys.stderr.isatty():
        # If standard output goes to a file, the secret must not also be on the screen.
        print(how.replace("{secret}", new if sys.stdout.isatty() else "…"), file=sys.stderr)
    return 0
