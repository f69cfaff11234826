"""`swarmtask` alone: what there is in this folder, and what to do next."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pytest_swarmtask.cli.common import ask_history, project_of, survey_of
from pytest_swarmtask.core.text import neutral, plural
from pytest_swarmtask.journal.segments import segments

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.history.query import Run

_WIDTH = 20
"""Columns of a command. The longest below has 18."""


def next_steps(arguments: argparse.Namespace) -> int:
    """Print the state of the project, and the commands that help now. Return 0.

    Raises:
        HistoryError: the history cannot be read now.
        UsageError: there is no project.
    """
    project = project_of(arguments)
    run = _last_run(arguments) if segments(project.journal) else None
    from rich.text import Text

    from pytest_swarmtask.report.terminal import console
    from pytest_swarmtask.report.text import print_line, print_row

    where = console()
    for line in (f"project {project.root}", *_about(run), ""):
        print_line(Text(neutral(line)), 0, where)
    for command, effect in (*_steps(project, run), ("swarmtask --help", "lists all commands")):
        print_row(Text(f"{command:<{_WIDTH}}"), Text(effect), 2, where)
    return 0


def _last_run(arguments: argparse.Namespace) -> Run | None:
    from pytest_swarmtask.report.content import last_run

    return ask_history(arguments, last_run)


def _about(run: Run | None) -> Iterator[str]:
    if run is None:
        yield "nothing has been recorded here yet"
        return
    from pytest_swarmtask.report.phrases import format_time, outcome_counts, short_id

    yield f"last run {short_id(run.run)} of {format_time(run.started)}: {run.what} {run.outcome}"
    if run.tests:
        yield ", ".join(f"{number} {outcome}" for outcome, number in outcome_counts(run).items())


def _steps(project: Project, run: Run | None) -> Iterator[tuple[str, str]]:
    """Yield commands and what they do, the most useful one first."""
    if run is None:
        yield "pytest", "records its tests"
    elif run.bad:
        yield "swarmtask failures", f"shows why, {plural(run.bad, 'failure')} by cause"
        yield "swarmtask explain", "tells whether they are yours"
    if run is not None:
        yield "swarmtask report", "shows the last run"
        yield "swarmtask flaky", "lists the tests that fail now and then"
    waiting = _waiting(project)
    if waiting:
        yield "swarmtask status", f"shows why {plural(waiting, 'event')} could not be delivered yet"
    if not os.path.exists(project.workflow_file):
        yield "swarmtask init", "writes a configuration, make/tasks.mk and a CI workflow"


def _waiting(project: Project) -> int:
    """Return how many events wait for a webhook or were refused by it."""
    return sum(endpoint.waiting + endpoint.dead for endpoint in survey_of(project).endpoints.values())
