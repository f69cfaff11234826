"""`swarmtask status` and `swarmtask flush`: what was recorded, what was delivered, and sending the rest."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.cli.common import number_of, project_of, relay_database, survey_of
from pytest_swarmtask.core.errors import HistoryError
from pytest_swarmtask.core.project import ALERTS, TASKS, TRIGGERS, Project
from pytest_swarmtask.core.text import neutral, plural
from pytest_swarmtask.journal.segments import segments
from pytest_swarmtask.recording.github_annotations import take_annotations

if TYPE_CHECKING:
    import argparse
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping

    from rich.progress import Progress
    from typing_extensions import Self

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.relay.survey import EndpointSurvey, Survey
    from pytest_swarmtask.relay.triggers.firing_log import RuleSummary
    from pytest_swarmtask.report.tree import SpanNode


FLUSH_TIMEOUT = 60.0
_KINDS = {TASKS: "tasks", TRIGGERS: "triggers", ALERTS: "alerts"}
"""What an endpoint is, by its name; all others are webhooks and those of plug-ins."""


def register(subparsers: Subparsers) -> None:
    """Add the commands `status` and `flush`."""
    status_parser = subparsers.add_parser("status", help="show what was recorded, delivered, waits or was refused")
    status_parser.add_argument("--json", dest="json", action="store_true", help="print one JSON object")
    status_parser.set_defaults(func=status)
    flush_parser = subparsers.add_parser("flush", help="send what has not been delivered yet, and wait for it")
    flush_parser.add_argument(
        "--timeout",
        dest="timeout",
        type=number_of("seconds"),
        default=FLUSH_TIMEOUT,
        metavar="SECONDS",
        help="give up after this long (default: %(default)g)",
    )
    flush_parser.set_defaults(func=flush)
    for parser in (status_parser, flush_parser):
        parser.add_argument("--root", dest="root", metavar="DIR", help="the project's folder (default: found upwards)")


def status(arguments: argparse.Namespace) -> int:
    """Show the journal and its endpoints; exit code 1 when events wait or were refused."""
    from pytest_swarmtask.relay.alerts.survey import survey_alerts
    from pytest_swarmtask.relay.retention import prune
    from pytest_swarmtask.relay.triggers.firing_log import summaries
    from pytest_swarmtask.report.terminal import print_tree

    project = project_of(arguments)
    prune(project, os.environ)
    # First, because the survey does not count again what the history counts here.
    last_run = _last_run(project) if segments(project.journal) else None
    found = survey_of(project)
    with relay_database(project):
        rules, told = summaries(project), survey_alerts(project)
    if arguments.json:
        shown = {"trace_id": last_run[0], "spans": [span.as_json() for span in last_run[1]]} if last_run else None
        triggers = {name: rule._asdict() for name, rule in rules.items()}
        whole = {**_as_json(project, found), "triggers": triggers, **told.as_json(), "last_run": shown}
        print(json.dumps(whole, indent=2))
    else:
        print("\n".join(map(neutral, [*_as_text(project, found), *_triggers(rules), *told.as_text()])))
        if last_run:
            print_tree(*last_run)
    return 0 if found.is_all_delivered else 1


def _triggers(rules: Mapping[str, RuleSummary]) -> Iterator[str]:
    """Yield how often triggers have fired and what failed last, where any has fired."""
    if not rules:
        return
    fired, failed = sum(rule.fired for rule in rules.values()), sum(rule.failed for rule in rules.values())
    name, last = max(rules.items(), key=lambda item: item[1].failed_at)
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(last.failed_at))
    why = f"; last failure: {name} at {at}: {last.reason}" if failed else ""
    yield f"fired      {plural(fired, 'time')}, {failed} failed{why}"


def _last_run(project: Project) -> tuple[str, list[SpanNode]] | None:
    """Return the last run as a tree; where the history cannot be read now, that is said, and the rest is shown."""
    from pytest_swarmtask.history.query import last_runs
    from pytest_swarmtask.history.session import QueryOptions, query_history
    from pytest_swarmtask.report.tree import tree

    def question(db: sqlite3.Connection) -> tuple[str, list[SpanNode]] | None:
        return next(((run.run, tree(db, run)) for run in last_runs(db, 1)), None)

    def say(note: str) -> None:
        print(f"swarmtask: {note}", file=sys.stderr)

    try:
        return query_history(project, question, QueryOptions(os.environ, say=say))
    except HistoryError as error:
        say(str(error))
        return None


def _as_json(project: Project, found: Survey) -> dict[str, Any]:
    endpoints = {name: {**vars(e), "state": e.state._asdict()} for name, e in found.endpoints.items()}
    return {"journal": project.journal, **vars(found), "runs": len(found.runs), "endpoints": endpoints}


def _as_text(project: Project, found: Survey) -> Iterator[str]:
    yield f"journal    {project.journal}"
    if not found.segments:
        yield "           empty: nothing has been recorded here yet"
        return
    yield f"recorded   {plural(found.events, 'event')} in {plural(len(found.runs), 'run')}"
    if found.foreign or found.torn:
        yield f"           {plural(found.foreign, 'line')} skipped as no events, {plural(found.torn, 'torn end')}"
    if found.relays:
        yield f"relay      {len(found.relays)} at work"
    for name, endpoint in found.endpoints.items():
        counts = f"{endpoint.delivered} delivered, {endpoint.waiting} waiting, {plural(endpoint.dead, 'dead letter')}"
        dropped = "".join(f", {count} {how}" for how in ("purged", "expired") if (count := getattr(endpoint, how)))
        yield f"{_kind(name):<10} {name}: {counts}{dropped}"
        if endpoint.state.reason:
            yield f"           {_trouble(endpoint)}"
    if not found.endpoints:
        yield "webhook    none was configured when this was recorded"
    elif any(endpoint.waiting for endpoint in found.endpoints.values()):
        yield "           send what waits with: swarmtask flush"
    if any(endpoint.dead for endpoint in found.endpoints.values()):
        yield "           see what was refused, and send it again, with: swarmtask replay"
    if any(endpoint.expired for endpoint in found.endpoints.values()):
        yield "           expired: dead letters too old or too many to be kept (monitoring.retention)"


def _kind(name: str) -> str:
    return next((kind for start, kind in _KINDS.items() if name.startswith(start)), "webhook")


def _trouble(endpoint: EndpointSurvey) -> str:
    state, reason, _, next_attempt = endpoint.state
    wait = next_attempt - time.time()
    again = f"; tried again in {wait:.0f} s" if state == "retrying" and wait > 0 else ""
    return f"{state}: {reason}{again}"


def flush(arguments: argparse.Namespace) -> int:
    """Send what waits; exit code 1 when some of it could not be."""
    from pytest_swarmtask.relay import process

    project = project_of(arguments)
    if not os.path.isdir(project.journal):
        print("nothing has been recorded here yet")
        return 0
    before = survey_of(project)
    with _Bar() as bar:
        process.flush(project, os.environ, arguments.timeout, bar.update)
    after = survey_of(project)
    for line in _flushed(before, after):
        print(neutral(line))
    for annotation in take_annotations(project, os.environ):
        print(annotation)
    return 0 if not any(endpoint.waiting for endpoint in after.endpoints.values()) else 1


def _flushed(before: Survey, after: Survey) -> Iterator[str]:
    if not after.endpoints:
        yield "nothing is owed to a webhook"
    for name, endpoint in after.endpoints.items():
        earlier = before.endpoints.get(name)
        sent = endpoint.delivered - (earlier.delivered if earlier else 0)
        yield f"{name}: {sent} delivered now, {endpoint.waiting} waiting, {plural(endpoint.dead, 'dead letter')}"
        if endpoint.waiting and endpoint.state.reason:
            yield f"  {_trouble(endpoint)}"


class _Bar:
    """A progress bar on standard error: only on a terminal, and only when it takes long."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._progress: Progress | None = None
        self.update: Callable[[int, int], None] | None = self._update if sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _update(self, settled: int, total: int) -> None:
        if self._progress is None and time.monotonic() - self._begun > 1.0 and settled < total:
            from rich.console import Console
            from rich.progress import Progress

            self._progress = Progress(console=Console(stderr=True))
            self._progress.add_task("sending", total=total)
            self._progress.start()
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=settled, total=total)
