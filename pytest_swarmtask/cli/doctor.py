"""`swarmtask doctor`: is everything in place, and if not, what to do."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask import __version__
from pytest_swarmtask.cli import tasksmk
from pytest_swarmtask.cli.common import project_of, survey_of
from pytest_swarmtask.config.load import Loaded, is_active, load, references
from pytest_swarmtask.core.errors import ConfigError, UsageError
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.plugins import registry
from pytest_swarmtask.recording.settings import read_settings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.config.workflow import Webhook
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.core.roles import Access


_MARKS = {"ok": "ok  ", "note": "note", "bad": "BAD "}


class CheckResult(NamedTuple):
    """One thing looked at: ``ok``, ``note`` (worth knowing) or ``bad`` (not well); and what to do about it."""

    level: str
    text: str
    advice: str = ""


def register(subparsers: Subparsers) -> None:
    """Add the command `doctor`."""
    parser = subparsers.add_parser("doctor", help="check installation, configuration, webhooks, journal and relay")
    parser.add_argument("--root", dest="root", metavar="DIR", help="the project's folder (default: found upwards)")
    parser.add_argument("--no-ping", dest="ping", action="store_false", help="do not send a ping to the webhooks")
    parser.set_defaults(func=doctor)


def doctor(arguments: argparse.Namespace) -> int:
    """Print each finding; exit code 1 when something is not well."""
    well = True
    for finding in _examine(arguments):
        print(f"{_MARKS[finding.level]} {neutral(finding.text)}")
        if finding.advice:
            print(f"     → {neutral(finding.advice)}")
        well = well and finding.level != "bad"
    return 0 if well else 1


def _examine(arguments: argparse.Namespace) -> Iterator[CheckResult]:
    project = project_of(arguments)
    root = Path(project.root)
    yield from _installation()
    try:
        loaded = load(project, os.environ)
    except ConfigError as error:
        for problem in error.problems:
            yield CheckResult("bad", f"configuration: {problem}", "until it is mended, runs go by the defaults")
    else:
        yield from _configuration(loaded)
        access = read_settings(project, os.environ).access
        yield from _role(access)
        for webhook in loaded.workflow.task_integration.webhooks:
            yield _webhook(webhook.also_signed(access.secrets), root, ping=arguments.ping)
    yield from _copied_tasks_mk(root)
    yield _journal(project)
    yield from _deliveries(project)


def _installation() -> Iterator[CheckResult]:
    yield CheckResult("ok", f"pytest-swarmtask {__version__} on Python {sys.version.split()[0]}")
    if any(entry.name == "swarmtask" for entry in metadata.entry_points(group="pytest11")):
        yield CheckResult("ok", "pytest finds the plugin by itself")
    else:
        advice = "install the package into the Python that runs pytest: python -m pip install pytest-swarmtask"
        yield CheckResult("bad", "pytest does not find the plugin: no entry point is installed", advice)
    for plugin in registry.installed():
        text = f"plug-in {plugin.name}: {plugin.package}, {plugin.entry_point}"
        if plugin.problem:
            yield CheckResult("bad", f"{text}: {plugin.problem}", "install another version of it, or uninstall it")
        else:
            yield CheckResult("ok", text)
    if os.environ.get("SWARMTASK_DISABLED", "") not in ("", "0"):
        yield CheckResult("note", "SWARMTASK_DISABLED is set: nothing is recorded", "unset it to record")


def _configuration(loaded: Loaded) -> Iterator[CheckResult]:
    where = str(loaded.path) if loaded.path else "no workflow.yaml, the defaults hold"
    environment = f", environment {loaded.environment}" if loaded.environment else ""
    yield CheckResult("ok", f"configuration: {where}{environment}")
    if not loaded.workflow.task_integration.enabled:
        yield CheckResult("note", "task_integration.enabled is false: nothing is recorded", "set it to true to record")
    if not loaded.workflow.task_integration.webhooks:
        advice = "set TASKMASTER_WEBHOOK_URL, or add one under task_integration.webhooks"
        yield CheckResult("note", "no webhook is configured: events stay in the journal", advice)


def _role(access: Access) -> Iterator[CheckResult]:
    """Say which role holds here, where there are roles."""
    if not access.restricted:
        return
    name = f"role: {access.role}" if access.role else "role: none, and whoever proves none may do nothing"
    yield CheckResult("ok" if access.role else "note", name)
    for variable in access.disproved:
        advice = "put the right one there, or unset it; swarmtask secret --token makes a new one and its hash"
        yield CheckResult("bad", f"{variable} holds something that is not the token of its role", advice)


def _webhook(webhook: Webhook, root: Path, *, ping: bool) -> CheckResult:
    if not is_active(webhook, os.environ):
        unset = [name for name in references(webhook.url) if not os.environ.get(name)]
        return CheckResult("note", f"webhook {webhook.name}: inactive", f"set {', '.join(unset)} to use it")
    if not ping:
        return _configured(webhook, root)
    from pytest_swarmtask.plugins.sink import Delivered
    from pytest_swarmtask.relay.webhook.sink import WebhookSink

    sink = WebhookSink(webhook, os.environ, root)
    try:
        verdict = sink.ping()
    finally:
        sink.close()
    if isinstance(verdict, Delivered):
        signed = any(os.environ.get(name) for name in webhook.secrets())
        advice = "" if signed else f"it was not signed: set {webhook.secrets()[0]} (swarmtask secret makes one)"
        return CheckResult("ok" if signed else "note", f"webhook {webhook.name}: took a ping", advice)
    advice = "check its address, the network and the secret; events wait meanwhile"
    return CheckResult("bad", f"webhook {webhook.name}: {verdict.reason}", advice)


def _configured(webhook: Webhook, root: Path) -> CheckResult:
    from pytest_swarmtask.relay.http import tls

    try:
        tls.check(webhook, os.environ, root)
    except ConfigError as error:
        return CheckResult("bad", f"webhook {webhook.name}: {error}", "events wait meanwhile")
    return CheckResult("ok", f"webhook {webhook.name}: configured")


def _copied_tasks_mk(root: Path) -> Iterator[CheckResult]:
    """Look at the project's own copy of tasks.mk, if it has one."""
    try:
        copy = tasksmk.compare(root / tasksmk.COPY)
    except UsageError as error:
        yield CheckResult("bad", str(error), "make cannot report either: mend its mode, or install the package again")
        return
    what = f"{tasksmk.COPY} is of pytest-swarmtask {copy.version}, installed is {__version__}"
    if copy.state == "current":
        yield CheckResult("ok", f"{tasksmk.COPY} is the one that is installed")
    elif copy.state in ("older", "other"):
        yield CheckResult("note", what, f"update it with: {tasksmk.UPDATE}")
    elif copy.state == "newer":
        yield CheckResult("note", what, "install the newer one: python -m pip install --upgrade pytest-swarmtask")
    elif copy.state == "edited":
        text = f"{tasksmk.COPY} was changed by hand since it was copied from pytest-swarmtask {copy.version}"
        yield CheckResult("note", text, f"give the changes up with: {tasksmk.UPDATE} --force")


def _journal(project: Project) -> CheckResult:
    folder = Path(project.journal)
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        return CheckResult(
            "bad", f"journal: {folder} cannot be written to", "events of this user are lost: mend its mode"
        )
    return CheckResult("ok", f"journal: {project.journal}")


def _deliveries(project: Project) -> Iterator[CheckResult]:
    try:
        found = survey_of(project)
    except UsageError as error:
        yield CheckResult("bad", str(error), "if it is locked, try again; if not, see the relay's log")
        return
    log = project.relay_log
    for name, endpoint in found.endpoints.items():
        text = f"{name}: {endpoint.delivered} delivered, {endpoint.waiting} waiting, {endpoint.dead} refused"
        if endpoint.waiting or endpoint.dead:
            reason = f" ({endpoint.state.reason})" if endpoint.state.reason else ""
            yield CheckResult("bad", text + reason, f"send what waits with: swarmtask flush; the relay's log is {log}")
        else:
            yield CheckResult("ok", text)
    if found.foreign:
        yield CheckResult("note", f"{found.foreign} lines of the journal are no events and were skipped")
