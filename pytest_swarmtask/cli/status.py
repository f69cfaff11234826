"""`swarmtask status`: show the recorded events, the deliveries, and the last run."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.cli.asking import Question, add_from, form_of, print_answer, print_text, server_of
from pytest_swarmtask.cli.common import (
    add_root,
    consequence_of_invalid_config,
    describe_trouble,
    present_ci_run,
    project_of,
    relay_database,
    say,
    survey_of,
)
from pytest_swarmtask.cli.task_states import known_states, task_states, unknown_tasks
from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.project import ALERTS, TASKS, TRIGGERS, Project
from pytest_swarmtask.core.service_errors import HistoryError
from pytest_swarmtask.core.text import NOTHING_RECORDED, neutral, plural
from pytest_swarmtask.journal.segments import segments

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.config.workflow import TaskManagerConfig
    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.relay.survey import Survey
    from pytest_swarmtask.relay.triggers.firing_log import RuleSummary
    from pytest_swarmtask.report.last_run import LastRun


_DROPPED = ("purged", "expired", "rejected")
_KINDS = {TASKS: "tasks", TRIGGERS: "triggers", ALERTS: "alerts"}
"""The kinds of endpoints with reserved names. All other endpoints are webhooks or belong to plug-ins."""


def register(subparsers: Subparsers) -> None:
    """Add the command `status`."""
    parser = subparsers.add_parser(
        "status",
        help="show recorded, delivered, waiting and refused events",
        description="Show how many events were recorded, how many each webhook has received, what waits and why, and "
        "the last run.",
        example="swarmtask status --json",
        page="terminal",
    )
    parser.add_argument("--json", dest="json", action="store_true", help="print one JSON object")
    add_from(parser)
    add_root(parser)
    parser.set_defaults(func=status)


def status(arguments: argparse.Namespace) -> int:
    """Show the journal, its endpoints and the last run. Return 1 if events wait or were refused, else 0."""
    if server_of(arguments) is not None:
        return _status_of_server(arguments)
    from pytest_swarmtask.relay.alerts.survey import survey_alerts
    from pytest_swarmtask.relay.retention import prune
    from pytest_swarmtask.relay.triggers.firing_log import summaries
    from pytest_swarmtask.report.terminal import screen

    project = project_of(arguments)
    config_problems, manager = _configuration(project)
    prune(project, os.environ)
    # The history comes before the survey, which does not read again what the history has counted.
    last, marked = _last_run(project) if segments(project.journal) else (None, [])
    found = survey_of(project)
    tasks = task_states(manager, project, marked) if manager else {}
    with relay_database(project):
        rules, alerts = summaries(project), survey_alerts(project)
    if arguments.json:
        triggers = {name: rule._asdict() for name, rule in rules.items()}
        whole = {**_as_json(project, found), "triggers": triggers, **alerts.as_json()}
        whole |= {"last_run": last.as_json() if last else None}
        whole |= {"config_problems": config_problems, "tasks": tasks, "unknown_tasks": unknown_tasks(tasks)}
        print(json.dumps(whole, indent=2))
    else:
        lines = [*_as_text(project, found), *_triggers(rules), *alerts.as_text()]
        print("\n".join(map(neutral, [*_config_lines(config_problems, project), *lines, *_task_lines(tasks)])))
        if last:
            print_text(last.as_text(screen()))
    return 0 if found.is_all_delivered else 1


def _status_of_server(arguments: argparse.Namespace) -> int:
    """Show the last run that a server knows. It knows nothing of the journal and the deliveries of this machine."""
    from pytest_swarmtask.report.last_run import LastRunRequest, write_last_run

    question = Question("status", LastRunRequest(present_ci_run()), write_last_run)
    print_answer(arguments, question, form_of(arguments, "json" if arguments.json else "text"))
    return 0


def _last_run(project: Project) -> tuple[LastRun | None, list[str]]:
    """Return the last run, or None if there is none, and the tasks that its tests name in their marks.

    If the history cannot be read now, say so and return None.
    """
    from pytest_swarmtask.history.query import marked_tasks
    from pytest_swarmtask.history.session import query_history
    from pytest_swarmtask.report.last_run import LastRunRequest, collect_last_run

    def question(db: Database) -> tuple[LastRun | None, list[str]]:
        last = collect_last_run(db, LastRunRequest(present_ci_run()))
        return last, marked_tasks(db, last.run) if last else []

    try:
        return query_history(project, question, environ=os.environ, say=say)
    except HistoryError as error:
        say(str(error))
        return None, []


def _configuration(project: Project) -> tuple[list[str], TaskManagerConfig | None]:
    """Return what is wrong with the configuration, and its task manager if that is enabled."""
    from pytest_swarmtask.config.load import load

    try:
        manager = load(project, os.environ).workflow.task_integration.task_manager
    except ConfigError as error:
        return list(error.problems), None
    return [], manager if manager.enabled else None


def _config_lines(problems: list[str], project: Project) -> Iterator[str]:
    if problems:
        yield f"config     not valid: {problems[0]}"
        more = f"; swarmtask doctor shows {len(problems) - 1} more" if len(problems) > 1 else ""
        yield f"           {consequence_of_invalid_config(project)}{more}"


def _task_lines(states: Mapping[str, str | None]) -> Iterator[str]:
    known, unknown = known_states(states), unknown_tasks(states)
    if known:
        yield f"tasks      of the last run: {known}"
    if unknown:
        yield f"tasks      not known to the task manager: {', '.join(unknown)}"
        yield "           correct the marks of the tests, or add these tasks"


def _as_json(project: Project, found: Survey) -> dict[str, Any]:
    endpoints = {name: {**vars(e), "state": e.state._asdict()} for name, e in found.endpoints.items()}
    return {"journal": project.journal, **vars(found), "runs": len(found.runs), "endpoints": endpoints}


def _as_text(project: Project, found: Survey) -> Iterator[str]:
    yield f"journal    {project.journal}"
    if not found.segments:
        yield f"           empty: {NOTHING_RECORDED}"
        return
    yield f"recorded   {plural(found.events, 'event')} in {plural(len(found.runs), 'run')}"
    if found.foreign or found.torn:
        yield f"           {plural(found.foreign, 'line')} skipped (not events), {plural(found.torn, 'torn end')}"
    for name in found.damaged:
        yield f"           damaged: {name}, whose events after the damage cannot be read"
    if found.relays:
        yield f"relay      {len(found.relays)} running"
    for name, endpoint in found.endpoints.items():
        counts = f"{endpoint.delivered} delivered, {endpoint.waiting} waiting, {plural(endpoint.dead, 'dead letter')}"
        dropped = "".join(f", {count} {how}" for how in _DROPPED if (count := getattr(endpoint, how)))
        yield f"{_kind(name):<10} {name}: {counts}{dropped}"
        if endpoint.state.reason:
            yield f"           {describe_trouble(endpoint.state)}"
    yield from _advice(found)


def _kind(name: str) -> str:
    # The endpoint of an environment has a suffix, as in `monitoring:alerts@prod`.
    return next((kind for reserved, kind in _KINDS.items() if name.startswith(reserved)), "webhook")


def _advice(found: Survey) -> Iterator[str]:
    endpoints = found.endpoints.values()
    if not endpoints:
        yield "webhook    none was configured when this was recorded"
    elif any(endpoint.waiting for endpoint in endpoints):
        # A flush before the webhook is put right would end in the same refusal.
        is_refused = any(endpoint.waiting and endpoint.state.state == "stopped" for endpoint in endpoints)
        yield f"           {'then ' if is_refused else ''}send waiting events with: swarmtask flush"
    if any(endpoint.dead for endpoint in endpoints):
        yield "           list refused events with: swarmtask replay, and send them again with: swarmtask replay --all"
    if any(endpoint.expired for endpoint in endpoints):
        yield "           expired: dead letters too old or too many to be kept (monitoring.retention)"
    if any(endpoint.rejected for endpoint in endpoints):
        yield "           rejected: refused by a receiver that accepted the request; the relay's log says why"


def _triggers(rules: Mapping[str, RuleSummary]) -> Iterator[str]:
    """Yield how often rules have fired, and the last failure. Nothing if no rule has fired."""
    if not rules:
        return
    fired, failed = sum(rule.fired for rule in rules.values()), sum(rule.failed for rule in rules.values())
    name, last = max(rules.items(), key=lambda item: item[1].failed_at)
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(last.failed_at))
    why = f"; last failure: {name} at {at}: {last.reason}" if failed else ""
    yield f"fired      {plural(fired, 'time')}, {failed} failed{why}"
