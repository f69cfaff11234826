"""The last runs of a project, in each form: `swarmtask runs`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from rich.text import Text

from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.history.query import Run, RunFilter, last_runs
from pytest_swarmtask.report.content import find_run, without_keys
from pytest_swarmtask.report.forms import no_match, write_json, write_text
from pytest_swarmtask.report.phrases import format_duration, format_times, outcome_counts, short_commit, short_id
from pytest_swarmtask.report.terminal import OUTCOME_STYLES, counts, drawn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.report.forms import Form


class RunsRequest(NamedTuple):
    """Which runs are listed.

    Attributes:
        branch: only runs on this branch.
        since: only runs that started at this timestamp or later.
        limit: the number of runs, at most.
        before: only runs before the run whose id begins with this text.
        variant: only runs with tests under this variant.
    """

    branch: str | None = None
    since: str | None = None
    limit: int = 20
    before: str | None = None
    variant: str | None = None


@dataclass(frozen=True)
class RunPage:
    """A page of the runs of a project.

    Attributes:
        runs: the runs, newest first.
        next: the parameter `before` for the next page; null at the end.
    """

    runs: list[Run]
    next: str | None


def write_runs(db: Database, request: RunsRequest, form: Form, out: BinaryIO) -> None:
    """Write the last runs.

    Raises:
        UsageError: `before` names no run, or several.
    """
    before = find_run(db, request.before) if request.before else None
    conditions = RunFilter(request.branch, request.since, variant=request.variant)
    found = last_runs(db, request.limit + 1, conditions, before)
    runs = found[: request.limit]
    if form.kind == "json":
        page = RunPage(runs, runs[-1].run if len(found) > len(runs) else None)
        write_json(without_keys(asdict(page)), out)
    elif runs:
        write_text(drawn(form.screen, lambda console: _print(runs, console)), out)
    else:
        write_text(f"{no_match(db, 'No run', request.branch, request.since, request.variant)}\n", out)


def _print(runs: Sequence[Run], console: Console) -> None:
    from pytest_swarmtask.report.text import print_line

    for run, time in zip(runs, format_times([run.started for run in runs]), strict=True):
        head, about = _head(run, time), _about(run)
        if console.is_terminal:
            print_line(head, 0, console)
            print_line(about, 4, console)
        else:  # a line to each run, for programs such as `grep`
            print_line(Text("  ").join([head, about]), 0, console)


def _head(run: Run, time: str) -> Text:
    """Return when a run began, how it ended, its id, and how long it took. The columns have fixed widths."""
    took = "" if run.duration is None else format_duration(run.duration)
    head = Text(f"{time}  ")
    head.append(f"{run.outcome:<10}  ", OUTCOME_STYLES[run.outcome]).append(neutral(short_id(run.run)), "bold")
    return head.append(f"  {took:>8}", "dim")


def _about(run: Run) -> Text:
    """Return what a run was, where, and its tests, such as ``pytest_run on main at d60ae3d9d6: 8 passed, 1 failed``."""
    branch = f" on {run.branch}" if run.branch else ""
    commit = f" at {short_commit(run.commit, run.dirty)}" if run.commit else ""
    about = Text(neutral(f"{run.what}{branch}{commit}"), "dim")
    return about.append(": ").append_text(counts(outcome_counts(run))) if run.tests else about
