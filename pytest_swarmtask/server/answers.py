"""The objects that only the API has. All others are those of commands with `--json`, see docs/history.md."""

# ruff: noqa: TC001 - the API's schemas are made of the fields

from __future__ import annotations

from dataclasses import dataclass

from pytest_swarmtask.history.comparison import Comparison
from pytest_swarmtask.history.query import Run
from pytest_swarmtask.report.tree import SpanNode


@dataclass(frozen=True)
class ProjectSummary:
    """A project.

    Attributes:
        project: its name.
        last_run: its last run; null if it has none.
    """

    project: str
    last_run: Run | None


@dataclass(frozen=True)
class ProjectList:
    """All projects, by name."""

    projects: list[ProjectSummary]


@dataclass(frozen=True)
class NoRun:
    """What a report is if no run matches."""

    run: None = None


@dataclass(frozen=True)
class LastRunTree:
    """The last run as the tree of its spans.

    Attributes:
        trace_id: the id of the run.
        spans: its outermost spans, with those below them.
        left_out: how many spans, other than tests, are too many to be shown.
    """

    trace_id: str
    spans: list[SpanNode]
    left_out: int


@dataclass(frozen=True)
class LastRunAnswer:
    """The state of a project.

    Attributes:
        last_run: its last run with tests, or else its last run; null if it has none.
    """

    last_run: LastRunTree | None


@dataclass(frozen=True)
class TestList:
    """Tests by name.

    Attributes:
        tests: node ids.
        total: how many there are in all.
    """

    tests: list[str]
    total: int


@dataclass(frozen=True)
class RunComparison:
    """Two runs compared.

    Attributes:
        run: the run.
        comparison: its differences from the other run.
    """

    run: Run
    comparison: Comparison
