"""`swarmtask listen`: receive events on this machine, verify their signatures, and print them."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from pytest_swarmtask.cli.common import port
from pytest_swarmtask.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_swarmtask.cli.common import Subparsers


DEFAULT_PORT = 8017
DEFAULT_SECRET_ENV = "AUTOMATION_SECRET_KEY"  # noqa: S105 - the name of a variable

_NO_SECRET = f"""\
{DEFAULT_SECRET_ENV} is not set: signatures cannot be verified. To verify them, set it here and in the terminal of the
sender, and start again: export {DEFAULT_SECRET_ENV}={{}}"""


def register(subparsers: Subparsers) -> None:
    """Add the command `listen`."""
    parser = subparsers.add_parser(
        "listen",
        help="receive events on this machine, verify and print them",
        description="Receive events on this machine, verify their signatures, and print them. For trying webhooks.",
        example="swarmtask listen",
        page="webhooks",
    )
    parser.add_argument("--host", dest="host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port",
        dest="port",
        type=port,
        default=DEFAULT_PORT,
        help="port to listen on; 0 for any free one (default: %(default)s)",
    )
    parser.add_argument(
        "--secret-env",
        dest="secret_env",
        metavar="NAME",
        action="append",
        help=f"variable with the secret (may be repeated; default: {DEFAULT_SECRET_ENV})",
    )
    parser.add_argument("--json", dest="json", action="store_true", help="print one JSON object for each event")
    parser.add_argument(
        "--fail", dest="fail", type=_status, metavar="CODE", help="answer every request with this status"
    )
    parser.add_argument("--hang", dest="hang", action="store_true", help="never answer")
    parser.add_argument("--count", dest="count", type=int, metavar="N", help="end after this many events")
    parser.set_defaults(func=listen)


def _status(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 200 <= int(text) < 600):
        raise argparse.ArgumentTypeError(f"{text!r} is not a status, expected 200 to 599")
    return int(text)


def listen(args: argparse.Namespace) -> int:
    """Listen until Ctrl-C, or until `--count` events have come. Always return 0.

    Raises:
        UsageError: the server cannot listen on the address, or a named variable is not set.
        ConfigError: a secret is malformed.
    """
    from pytest_swarmtask.cli.listen.printer import Printer
    from pytest_swarmtask.cli.listen.server import ListenHandler, ListenServer, Receiver
    from pytest_swarmtask.cli.local_server import listening, wait_for
    from pytest_swarmtask.wire import signing

    secrets = _secrets(args.secret_env)
    if not secrets:
        print(_NO_SECRET.format(signing.new_secret()), file=sys.stderr)
    receiver = Receiver(Printer(as_json=args.json), secrets, args.fail, args.count, hang=args.hang)
    with listening(
        lambda address: ListenServer(address, ListenHandler, receiver), (args.host, args.port), receiver.stop
    ) as server:
        receiver.printer.greet(server.url)
        wait_for(receiver.stop)
    receiver.printer.farewell(receiver.total())
    return 0


def _secrets(names: Sequence[str] | None) -> list[bytes]:
    from pytest_swarmtask.wire import signing

    found = []
    for name in names or [DEFAULT_SECRET_ENV]:
        value = os.environ.get(name)
        if value:
            found.append(signing.decode_secret(value))
        elif names:
            raise UsageError(f"--secret-env {name}: the variable is not set")
    return found
