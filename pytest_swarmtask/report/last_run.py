"""The last run as a tree of its spans, in each form: the end of `swarmtask status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from pytest_swarmtask.core.text import NOTHING_RECORDED, plural
from pytest_swarmtask.report.content import last_run, runs_since
from pytest_swarmtask.report.forms import write_json, write_text
from pytest_swarmtask.report.phrases import later_runs
from pytest_swarmtask.report.terminal import drawn, print_tree
from pytest_swarmtask.report.tree import left_out, span_tree

if TYPE_CHECKING:
    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.query import Run
    from pytest_swarmtask.report.forms import Form
    from pytest_swarmtask.report.terminal import Screen
    from pytest_swarmtask.report.tree import SpanNode


class LastRunRequest(NamedTuple):
    """Which run is the last one.

    Attributes:
        ci_run: the CI run that asks, which goes before the last run.
    """

    ci_run: str | None = None


class LastRun(NamedTuple):
    """The last run with tests (or else the last run), its spans, and the runs since then.

    `left_out` is the number of spans that are not shown, because there are too many.
    """

    run: Run
    spans: list[SpanNode]
    left_out: int
    later: list[Run]

    def as_json(self) -> dict[str, Any]:
        """Return the object `last_run` of `status --json`."""
        spans = [span.as_json() for span in self.spans]
        return {"trace_id": self.run.run, "spans": spans, "left_out": self.left_out}

    def as_text(self, screen: Screen) -> str:
        """Return the run as a tree, and the lines below it."""
        tree = drawn(screen, lambda console: print_tree(self.run.run, self.spans, console))
        below = []
        if self.left_out:
            below.append(f"and {plural(self.left_out, 'more task')}: swarmtask report --run {self.run.run[:8]}")
        below += filter(None, [later_runs(self.later, len(self.later))])
        return "".join([tree, *(f"           {line}\n" for line in below)])


def collect_last_run(db: Database, request: LastRunRequest) -> LastRun | None:
    """Return the last run, or None if there is none."""
    run = last_run(db, ci_run=request.ci_run)
    if run is None:
        return None
    spans = span_tree(db, run)
    return LastRun(run, spans, left_out(db, run, spans), runs_since(db, run))


def write_last_run(db: Database, request: LastRunRequest, form: Form, out: BinaryIO) -> None:
    """Write the last run."""
    last = collect_last_run(db, request)
    if form.kind == "json":
        write_json({"last_run": last.as_json() if last else None}, out)
    else:
        write_text(last.as_text(form.screen) if last else f"{NOTHING_RECORDED}\n", out)
