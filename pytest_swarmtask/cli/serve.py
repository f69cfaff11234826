"""`swarmtask serve`: the server of a team."""

from __future__ import annotations

import ipaddress
import os
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.cli.common import add_root, port, project_of, say
from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.files import private_folder
from pytest_swarmtask.core.project import ALERTS
from pytest_swarmtask.core.service_errors import StoreAwayError
from pytest_swarmtask.core.timing import VARIABLE, Timing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.config.workflow import Workflow
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.history.store import HistoryStore
    from pytest_swarmtask.plugins.hookspecs import SinkRequest
    from pytest_swarmtask.server.access import Senders

PORT = 8019
"""The default of `--port`. It differs from the ports of `listen` and `report --serve`, so that all three can run."""
DATABASE_VARIABLE = "SWARMTASK_DATABASE"
CONNECTIONS = 8
"""Connections to the database, and so requests that are worked on at the same time. More would only wait for each
other: a project has one writer at a time."""
_AGAIN = 2.0
"""Seconds between two attempts to reach the database at the start."""


def register(subparsers: Subparsers) -> None:
    """Add the command `serve`."""
    parser = subparsers.add_parser(
        "serve",
        help="take the events of a team's machines into one history, and show it",
        description="Serve the history of a team: a receiver for the events of all machines, pages, and an API.",
        example="swarmtask serve --port 8019",
        page="team",
    )
    parser.add_argument("--host", dest="host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", dest="port", type=port, default=PORT, help="port; 0 for any free one (default: %(default)s)"
    )
    parser.add_argument(
        "--database",
        dest="database",
        metavar="URL",
        help=f"postgresql://… or a file for SQLite (default: {DATABASE_VARIABLE}, else a file in .taskmaster/server)",
    )
    parser.add_argument(
        "--open", dest="open", action="store_true", help="let everybody read who can reach the server, without a token"
    )
    parser.add_argument(
        "--path-prefix", dest="prefix", type=_prefix, default="", metavar="PATH", help="path below a reverse proxy: /ci"
    )
    parser.add_argument("--log-json", dest="log_json", action="store_true", help="write the log as lines of JSON")
    add_root(parser)
    parser.set_defaults(func=serve)


def _prefix(text: str) -> str:
    return f"/{text.strip('/')}" if text.strip("/") else ""


def serve(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM. Always return 0.

    Raises:
        ConfigError: the configuration is not valid, or lacks a secret or what an alert needs.
        HistoryError: the database cannot be used.
        UsageError: a package is missing, the address is in use, or everybody could read without being asked to.
    """
    try:
        from pytest_swarmtask.server import alerts, run
    except ImportError as error:
        raise UsageError(f"the server needs a package ({error}): pip install 'pytest-swarmtask[server]'") from None
    from pytest_swarmtask.config.load import load

    project = project_of(arguments)
    workflow = load(project, os.environ).workflow
    tokens = [value for name in workflow.server.read_tokens() if (value := os.environ.get(name))]
    if not tokens and not arguments.open and not _is_loopback(arguments.host):
        raise UsageError(
            f"--host {arguments.host}: everybody who can reach it could read. Set {workflow.server.read_tokens()[0]} "
            "to a token for readers, or allow it with --open"
        )
    senders, secret = _senders(workflow, os.environ, project)
    request = _alerts_request(workflow, os.environ, project)
    alerts.check_alerts(request)
    store = _store(arguments.database or os.environ.get(DATABASE_VARIABLE) or _own_database(project))
    served = run.Served(store, senders, [] if arguments.open else tokens, request)
    with served.listening(arguments.host, arguments.port, arguments.prefix, as_json=arguments.log_json) as url:
        print(f"{url}/ shows the runs until Ctrl-C. Projects send their events there with:", flush=True)
        print(f"  export TASKMASTER_WEBHOOK_URL={url}/hook", flush=True)
        print(f"  export AUTOMATION_SECRET_KEY={secret}", flush=True)
        told = alerts.announcement(workflow.monitoring)
        if told:
            print(told, flush=True)
        served.wait()
    return 0


def _alerts_request(workflow: Workflow, environ: Mapping[str, str], project: Project) -> SinkRequest:
    """Return what stands for the server in conditions and notifiers. Its events are of all environments."""
    from pytest_swarmtask.plugins.hookspecs import SinkRequest
    from pytest_swarmtask.plugins.registry import plugin_manager

    timing = Timing.parse(environ.get(VARIABLE, ""))
    return SinkRequest(ALERTS, ALERTS, project, environ, workflow, None, None, "", plugin_manager(())[0], timing)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _senders(workflow: Workflow, environ: Mapping[str, str], project: Project) -> tuple[Senders, str]:
    """Return who may write, and what to print of the secret."""
    from pytest_swarmtask.server.access import SECRET_VARIABLE, Senders, kept_secret

    is_configured = workflow.server.projects or any(role.secrets() for role in workflow.access_control.roles.values())
    if environ.get(SECRET_VARIABLE) or is_configured:
        return Senders(workflow, environ, None), "…  # the secret that this server knows, too"
    secret, is_new = kept_secret(project.server_secret)
    return Senders(workflow, environ, secret), secret if is_new else f"$(cat {project.server_secret})"


def _own_database(project: Project) -> str:
    private_folder(os.path.dirname(project.server_history))
    return project.server_history


def _store(address: str) -> HistoryStore:
    """Open the store. A database that cannot be reached is waited for: it may start later than this server."""
    from pytest_swarmtask.history.store import open_store

    told = ""
    while True:
        try:
            return open_store(address, CONNECTIONS)
        except StoreAwayError as error:
            if str(error) != told:
                say(f"{error}; trying again every {_AGAIN:.0f} s")
            told = str(error)
        time.sleep(_AGAIN)
