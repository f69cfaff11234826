"""Failures by their cause: tests that failed with the same error, at the same place of the code, have one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.query import Run

_FAILED = """
SELECT task.kind, task.name, task.variant, span.status, span.error, span.place, evidence.fingerprint, run.trace_id,
       run.started
FROM span JOIN task ON task.id = span.task JOIN run ON run.id = span.run LEFT JOIN evidence ON evidence.span = span.id
WHERE span.run IN ({runs}) AND span.failed = 1 AND span.superseded = 0
  AND NOT EXISTS (SELECT 1 FROM span AS below
                  WHERE below.run = span.run AND below.failed = 1 AND below.parent = span.span_id)
ORDER BY run.started DESC, run.id DESC, span.kind <> 'TEST', span.started, span.id
"""


@dataclass(frozen=True)
class FailedOne:
    """A test that failed, or a task, build or deployment that failed while nothing below it failed.

    Attributes:
        kind: ``TEST``, ``TASK``, ``BUILD`` or ``DEPLOYMENT``.
        name: the node id of a test, else the task id.
        variant: the variant of the test, or an empty text.
        outcome: how it ended, the last time.
        place: file and line, the last time.
    """

    kind: str
    name: str
    variant: str
    outcome: str
    place: str | None


@dataclass
class Cause:
    """Failures with one fingerprint. A failure without a fingerprint is alone, or with those of the same name.

    Attributes:
        fingerprint: what their errors have in common (docs/events.md); None if it is not known.
        error: the message of the last one.
        place: file and line of the last one.
        failed: what failed, the last ones first.
        runs: the number of runs in which it was.
        last_run, last: trace id and start of the last of these runs.
        first_run, first: trace id and start of the first of these runs.
    """

    fingerprint: str | None
    error: str | None
    place: str | None
    last_run: str
    last: str
    first_run: str
    first: str
    runs: int = 1
    failed: list[FailedOne] = field(default_factory=list)


def causes(db: Database, runs: Sequence[Run], variant: str | None) -> list[Cause]:
    """Return why something failed in some runs: what was in most runs first, then what most tests failed with.

    Args:
        db: the history.
        runs: the runs.
        variant: only failures under this variant; None for all.
    """
    found: dict[tuple[str, ...], Cause] = {}
    known: dict[tuple[str, ...], set[tuple[str, str, str]]] = {}
    keys = ", ".join(str(run.key) for run in runs)
    for kind, name, under, outcome, error, place, fingerprint, run, started in db.execute(
        _FAILED.format(runs=keys or "NULL")
    ):
        if variant not in (None, under):
            continue
        key = (fingerprint,) if fingerprint else (kind, name)
        cause = found.get(key)
        if cause is None:
            cause = found[key] = Cause(fingerprint, error, place, run, started, run, started)
        elif cause.first_run != run:  # the rows of a run follow each other
            cause.runs += 1
            cause.first_run, cause.first = run, started
        names = known.setdefault(key, set())
        if (kind, name, under) not in names:
            names.add((kind, name, under))
            cause.failed.append(FailedOne(kind, name, under, outcome, place))
    return sorted(found.values(), key=lambda cause: (-cause.runs, -len(cause.failed)))
