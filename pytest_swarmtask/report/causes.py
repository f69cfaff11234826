"""The failures of the last runs by their causes, in each form: `swarmtask failures`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, BinaryIO

from rich.text import Text

from pytest_swarmtask.core.outcomes import first_line
from pytest_swarmtask.core.project import relative
from pytest_swarmtask.core.text import neutral, plural
from pytest_swarmtask.history.causes import Cause, causes
from pytest_swarmtask.history.query import last_runs, with_variant
from pytest_swarmtask.report.forms import no_match, write_json, write_text
from pytest_swarmtask.report.phrases import format_time, last_runs_in_words, rerun_command, short_id
from pytest_swarmtask.report.terminal import drawn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.report.forms import Form, SearchedRuns

_MOST_NAMES = 10
"""Tests of one cause that are named. A broken fixture may fail hundreds."""
_MOST_RERUN = 5
"""Tests that a command to copy names. More would fill the screen."""


@dataclass(frozen=True)
class FailureCauses:
    """The object of `failures --json`.

    Attributes:
        runs: the number of runs with tests that were searched.
        failed: the number of tests, tasks, builds and deployments that failed in them.
        causes: why: what was in most runs first.
    """

    runs: int
    failed: int
    causes: list[Cause]


def write_causes(db: Database, request: SearchedRuns, form: Form, out: BinaryIO) -> None:
    """Write the failures of the last runs by their causes."""
    runs = last_runs(db, request.last, request.as_filter())
    found = causes(db, runs, request.variant)
    answer = FailureCauses(len(runs), sum(len(cause.failed) for cause in found), found)
    if form.kind == "json":
        write_json(asdict(answer), out)
    elif not runs:
        write_text(f"{no_match(db, 'No run with tests', request.branch, request.since, request.variant)}\n", out)
    elif not found:
        write_text(f"Nothing failed in {last_runs_in_words(len(runs))}.\n", out)
    else:
        write_text(drawn(form.screen, lambda console: _print(answer, form.root, console)), out)


def _print(answer: FailureCauses, root: str, console: Console) -> None:
    from pytest_swarmtask.report.text import print_line

    for line, indent in _lines(answer, root):
        print_line(line, indent, console)


def _lines(answer: FailureCauses, root: str) -> Iterator[tuple[Text, int]]:
    number, reasons = plural(answer.failed, "failure"), plural(len(answer.causes), "cause")
    last = f"run {short_id(answer.causes[0].last_run)} of {format_time(answer.causes[0].last)}"
    yield Text(f"{number} with {reasons} in {last if answer.runs == 1 else last_runs_in_words(answer.runs)}", "bold"), 0
    has_variants = len({one.variant for cause in answer.causes for one in cause.failed}) > 1
    for cause in answer.causes:
        yield Text(), 0
        yield Text(neutral(first_line(cause.error or "") or "no message"), "red"), 2
        times = (
            f"in {cause.runs} of {answer.runs} runs, last in {short_id(cause.last_run)} of {format_time(cause.last)}"
        )
        facts = (relative(cause.place or "", root), times if answer.runs > 1 else "")
        yield Text(neutral(", ".join(filter(None, facts))), "dim"), 2
        for one in cause.failed[:_MOST_NAMES]:
            name = with_variant(one.name, one.variant) if has_variants else one.name
            kind = "" if one.kind == "TEST" else f"{one.kind.lower()} "
            yield (
                Text(kind, "dim").append(neutral(name), "default not dim").append(f"  {one.outcome}", "red not dim"),
                4,
            )
        if len(cause.failed) > _MOST_NAMES:
            yield Text(f"and {len(cause.failed) - _MOST_NAMES} more", "dim"), 4
        tests = list(dict.fromkeys(one.name for one in cause.failed if one.kind == "TEST"))
        if 0 < len(tests) <= _MOST_RERUN:
            yield Text(f"again: {rerun_command(tests)}", "dim", no_wrap=True), 4
