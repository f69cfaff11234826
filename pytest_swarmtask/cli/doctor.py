"""`swarmtask doctor`: check installation, configuration, webhooks, journal and relay, and advise."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask import __version__
from pytest_swarmtask.cli import tasksmk
from pytest_swarmtask.cli.common import add_root, consequence_of_invalid_config, project_of, survey_of
from pytest_swarmtask.cli.task_states import known_states, task_states, tasks_of_last_run, unknown_tasks
from pytest_swarmtask.core.errors import ConfigError, UsageError
from pytest_swarmtask.core.facts.trust import is_untrusted
from pytest_swarmtask.core.project import is_met
from pytest_swarmtask.core.service_errors import HistoryError
from pytest_swarmtask.core.text import neutral, plural
from pytest_swarmtask.history.session import query_history
from pytest_swarmtask.journal import locks
from pytest_swarmtask.journal.segments import segments
from pytest_swarmtask.recording.settings import read_settings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.config.load import Loaded
    from pytest_swarmtask.config.workflow import Webhook
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.core.roles import Access
    from pytest_swarmtask.plugins.sink import SendResult
    from pytest_swarmtask.recording.settings import Settings


_MARKS = {"ok": "ok  ", "note": "note", "bad": "BAD "}


class CheckResult(NamedTuple):
    """The result of one check.

    Attributes:
        level: ``ok``, ``note`` (worth knowing) or ``bad`` (a problem).
        text: the result in words.
        advice: what to do about it, or "".
    """

    level: str
    text: str
    advice: str = ""


def register(subparsers: Subparsers) -> None:
    """Add the command `doctor`."""
    parser = subparsers.add_parser(
        "doctor",
        help="check installation, configuration, webhooks, journal and relay",
        description="Check the installation, the configuration, the webhooks, the journal and the relay, and say how "
        "to fix what is wrong.",
        example="swarmtask doctor",
        page="terminal",
    )
    add_root(parser)
    parser.add_argument("--no-ping", dest="ping", action="store_false", help="do not send a test event to the webhooks")
    parser.set_defaults(func=doctor)


def doctor(arguments: argparse.Namespace) -> int:
    """Print the result of each check. Return 1 if there is a problem, else 0."""
    well = True
    for result in _check(arguments):
        print(f"{_MARKS[result.level]} {neutral(result.text)}")
        if result.advice:
            print(f"     → {neutral(result.advice)}")
        well = well and result.level != "bad"
    return 0 if well else 1


def _check(arguments: argparse.Namespace) -> Iterator[CheckResult]:
    from pytest_swarmtask.config.load import load

    project = project_of(arguments)
    root = Path(project.root)
    yield from _installation()
    try:
        loaded = load(project, os.environ)
    except ConfigError as error:
        advice = consequence_of_invalid_config(project)
        for problem in error.problems:
            yield CheckResult("bad", f"configuration: {problem}", advice)
    else:
        yield from _configuration(loaded)
        settings = read_settings(project, os.environ)
        access = settings.access
        yield from _role(access)
        for webhook in loaded.workflow.task_integration.webhooks:
            yield _webhook(webhook.also_signed(access.secrets), project, ping=arguments.ping)
        yield from _other_endpoints(loaded, settings)
        yield from _tasks(loaded, project)
    yield from _copied_tasks_mk(root)
    yield _journal(project)
    yield from _deliveries(project)


def _installation() -> Iterator[CheckResult]:
    from importlib import metadata

    from pytest_swarmtask.plugins import registry

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
    where = str(loaded.path) if loaded.path else "no workflow.yaml, the defaults are used"
    environment = f", environment {loaded.environment}" if loaded.environment else ""
    yield CheckResult("ok", f"configuration: {where}{environment}")
    if loaded.path and is_untrusted(os.environ):
        text = "the project counts as a stranger's: of its configuration only what is harmless is obeyed"
        yield CheckResult("note", text, "if you trust it, set SWARMTASK_UNTRUSTED=0")
    if not loaded.workflow.task_integration.enabled:
        yield CheckResult("note", "task_integration.enabled is false: nothing is recorded", "set it to true to record")
    if not loaded.workflow.task_integration.webhooks:
        advice = "set TASKMASTER_WEBHOOK_URL, or add one under task_integration.webhooks"
        yield CheckResult("note", "no webhook is configured: events stay in the journal", advice)


def _role(access: Access) -> Iterator[CheckResult]:
    """Check the role that the environment proves, if the configuration has roles."""
    if not access.restricted:
        return
    name = f"role: {access.role}" if access.role else "role: none, which permits nothing"
    yield CheckResult("ok" if access.role else "note", name)
    for variable in access.disproved:
        advice = "set it to the right token, or unset it; swarmtask secret --token prints a new token and its hash"
        yield CheckResult("bad", f"{variable} is not the token of its role", advice)


def _webhook(webhook: Webhook, project: Project, *, ping: bool) -> CheckResult:
    unset = [need for need in webhook.needs() if not is_met(need, os.environ)]
    if unset:
        return CheckResult("note", f"webhook {webhook.name}: inactive", f"set {', '.join(unset)} to use it")
    if not ping:
        return _configured(webhook, project)
    from pytest_swarmtask.plugins.sink import Delivered
    from pytest_swarmtask.relay.webhook.lookup import sink_of

    sink = sink_of(webhook, os.environ, project)
    try:
        result = sink.ping()
    finally:
        sink.close()
    if isinstance(result, Delivered):
        if webhook.format == "otlp":
            return CheckResult("ok", f"webhook {webhook.name}: accepted a request without spans")
        signed = any(os.environ.get(name) for name in webhook.secrets())
        advice = "" if signed else f"it was not signed: set {webhook.secrets()[0]} (swarmtask secret prints a new one)"
        return CheckResult("ok" if signed else "note", f"webhook {webhook.name}: accepted a test event", advice)
    return CheckResult("bad", f"webhook {webhook.name}: {result.reason}", _after_refusal(result))


def _after_refusal(result: SendResult) -> str:
    """Return what becomes of the events of a webhook that did not accept a test event, and what to do."""
    from pytest_swarmtask.plugins.sink import Disabled, Retry, Stopped

    if isinstance(result, Retry):
        return "its events wait, and are sent when it answers; check the network and the receiver"
    if isinstance(result, Stopped):
        return "its events wait until you fix it; then send them with: swarmtask flush"
    if isinstance(result, Disabled):
        return "its events wait; once it takes events again, send them with: swarmtask flush"
    return "if it refuses real events, too, they become dead letters; send these again with: swarmtask replay --all"


def _configured(webhook: Webhook, project: Project) -> CheckResult:
    from pytest_swarmtask.relay.http import tls
    from pytest_swarmtask.relay.otlp.extra import require_extra

    try:
        tls.check(webhook, os.environ, project.root)
        if webhook.format == "otlp":
            require_extra()
    except ConfigError as error:
        return CheckResult("bad", f"webhook {webhook.name}: {error}", "its events wait until you fix it")
    return CheckResult("ok", f"webhook {webhook.name}: configured")


def _other_endpoints(loaded: Loaded, settings: Settings) -> Iterator[CheckResult]:
    """Tell of each endpoint that is no webhook whether it gets events, and why not."""
    from pytest_swarmtask.plugins import endpoints, registry

    manager, _ = registry.plugin_manager([endpoints])
    given, problems = endpoints.all_endpoints(manager, loaded.workflow)
    for problem in problems:
        yield CheckResult("bad", problem, "install another version of it, or uninstall it")
    webhooks = {webhook.name for webhook in loaded.workflow.task_integration.webhooks}
    for name, needs, _ in given:
        unset = [need for need in needs if not is_met(need, os.environ)]
        if name in webhooks:
            continue
        if unset:
            yield CheckResult("note", f"endpoint {name}: inactive", f"set {', '.join(unset)} to use it")
        elif not loaded.path:
            advice = "endpoints of plug-ins get events only in projects with a workflow.yaml: swarmtask init makes one"
            yield CheckResult("note", f"endpoint {name}: inactive", advice)
        elif name not in settings.endpoints:
            yield CheckResult("note", f"endpoint {name}: inactive", "the role of this process does not permit it")
        else:
            yield CheckResult("ok", f"endpoint {name}: active")


def _copied_tasks_mk(root: Path) -> Iterator[CheckResult]:
    """Check the project's own copy of tasks.mk, if it has one."""
    try:
        copy = tasksmk.compare(root / tasksmk.COPY)
    except UsageError as error:
        yield CheckResult("bad", str(error), "make cannot read it either: chmod u+r it, or install the package again")
        return
    what = f"{tasksmk.COPY} is from pytest-swarmtask {copy.version}, but {__version__} is installed"
    if copy.state == "current":
        yield CheckResult("ok", f"{tasksmk.COPY} is up to date")
    elif copy.state in ("older", "other"):
        yield CheckResult("note", what, f"update it with: {tasksmk.UPDATE}")
    elif copy.state == "newer":
        yield CheckResult("note", what, "install the newer one: python -m pip install --upgrade pytest-swarmtask")
    elif copy.state == "edited":
        text = f"{tasksmk.COPY} was changed by hand since it was copied from pytest-swarmtask {copy.version}"
        yield CheckResult("note", text, f"discard the changes with: {tasksmk.UPDATE} --force")


def _journal(project: Project) -> CheckResult:
    folder = Path(project.journal)
    while not folder.exists():  # the first run makes the folder
        if folder.is_symlink():
            text = f"journal: {folder} is a link that leads nowhere"
            return CheckResult("bad", text, "make the folder that it names, or remove the link")
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        text = f"journal: {folder} cannot be written"
        return CheckResult("bad", text, f"this user cannot write the journal: chmod u+rwx {folder}")
    if not locks.has_locks(str(folder)):
        text = f"journal: the file system of {folder} has no locks, so crashes of sessions are not noticed"
        return CheckResult("note", text, "nothing: one relay delivers at a time; if it is killed, the next waits 10 s")
    return CheckResult("ok", f"journal: {project.journal}")


def _tasks(loaded: Loaded, project: Project) -> Iterator[CheckResult]:
    """Yield which status the tasks of the last run have now, and which of them do not exist."""
    manager = loaded.workflow.task_integration.task_manager
    if not (manager.enabled and segments(project.journal)):
        return
    try:
        tasks = query_history(project, tasks_of_last_run, environ=os.environ)
    except HistoryError as error:
        yield CheckResult("bad", str(error))
        return
    states = task_states(manager, project, tasks)
    if known_states(states):
        yield CheckResult("ok", f"tasks of the last run: {known_states(states)}")
    if unknown_tasks(states):
        names = ", ".join(unknown_tasks(states))
        yield CheckResult("bad", f"not known to the task manager: {names}", "correct the marks, or add these tasks")


def _deliveries(project: Project) -> Iterator[CheckResult]:
    try:
        found = survey_of(project)
    except UsageError as error:
        yield CheckResult("bad", str(error), "if it is locked, try again; if not, see the relay's log")
        return
    log = project.relay_log
    for name, endpoint in found.endpoints.items():
        text = f"{name}: {endpoint.delivered} delivered, {endpoint.waiting} waiting, {endpoint.dead} refused"
        advice = []
        if endpoint.waiting:
            then = "then " if endpoint.state.state == "stopped" else ""
            advice.append(f"{then}send waiting events with: swarmtask flush")
        if endpoint.dead:
            advice.append(
                "list refused events with: swarmtask replay, and send them again with: swarmtask replay --all"
            )
        if advice:
            reason = f" ({endpoint.state.reason})" if endpoint.state.reason else ""
            yield CheckResult("bad", text + reason, "; ".join([*advice, f"the relay's log is {log}"]))
        else:
            yield CheckResult("ok", text)
    if found.foreign:
        yield CheckResult("note", f"{plural(found.foreign, 'line')} of the journal skipped (not events)")
    for damaged in found.damaged:
        remedy = "nothing, if the history has its events (swarmtask export); to be rid of this message, remove the file"
        yield CheckResult("bad", f"journal: {damaged} is damaged", remedy)
