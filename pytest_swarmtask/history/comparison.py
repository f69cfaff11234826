"""How a run differs from another run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.history.query import with_variant

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.query import Run


@dataclass(frozen=True)
class Comparison:
    """The differences between a run and another run, as node ids.

    A test is compared with the same variant of it. If each of the runs has one variant only, these are compared, so
    that a run under another Python says which tests differ. Where a run has several, the variant follows the node id.

    Attributes:
        other: the other run.
        failing: tests that failed in this run, and ran in the other one without failing.
        fixed: tests that failed in the other run, and did not fail in this one.
        still: tests that failed in both.
        added: tests that only this run has. None if the other run is partial, which says nothing about the others.
        gone: tests that only the other run has. None if this run is partial.
        slower: tests that took at least twice as long, and 0.1 s more: node id, seconds in the other run and in this.
        numbers: the lengths of the lists before they were cut, by their names; `slower` is not among them.
    """

    other: Run
    failing: list[str]
    fixed: list[str]
    still: list[str]
    added: list[str]
    gone: list[str]
    slower: list[tuple[str, float, float]]
    numbers: dict[str, int] = field(default_factory=dict)


class _Ending(NamedTuple):
    """How a test ended in a run: whether it failed in any session, and its longest duration."""

    failed: bool
    duration: float | None


def _endings(db: Database, run: Run, *, with_variants: bool) -> dict[tuple[str, str], _Ending]:
    """Return how each test of a run ended, by node id and variant; the variant is empty if it does not matter."""
    query = """SELECT task.name, task.variant, failed, duration FROM span JOIN task ON task.id = span.task
               WHERE run = ? AND span.kind = 'TEST' AND superseded = 0"""
    found: dict[tuple[str, str], _Ending] = {}
    for name, variant, failed, duration in db.execute(query, (run.key,)):
        key = (name, variant if with_variants else "")
        ending = _Ending(bool(failed), duration)
        found[key] = _both(found[key], ending) if key in found else ending
    return found


def _both(one: _Ending, other: _Ending) -> _Ending:
    durations = [ending.duration for ending in (one, other) if ending.duration is not None]
    return _Ending(one.failed or other.failed, max(durations, default=None))


def compare(db: Database, run: Run, other: Run, limit: int) -> Comparison:
    """Return the differences between a run and another run, with at most `limit` node ids of each kind."""
    is_single = len(run.variants) <= 1 and len(other.variants) <= 1
    here, there = (_endings(db, one, with_variants=not is_single) for one in (run, other))
    both = here.keys() & there.keys()
    kinds = {
        "failing": [test for test in both if here[test].failed and not there[test].failed],
        "fixed": [test for test in both if there[test].failed and not here[test].failed],
        "still": [test for test in both if here[test].failed and there[test].failed],
        "added": [] if other.partial else [*(here.keys() - there.keys())],
        "gone": [] if run.partial else [*(there.keys() - here.keys())],
    }
    found = {kind: [with_variant(*test) for test in sorted(tests)[:limit]] for kind, tests in kinds.items()}
    slower = _slower((test, there[test].duration, here[test].duration) for test in both)
    numbers = {kind: len(tests) for kind, tests in kinds.items()}
    return Comparison(other, **found, slower=slower[:limit], numbers=numbers)


def _slower(
    durations: Iterable[tuple[tuple[str, str], float | None, float | None]],
) -> list[tuple[str, float, float]]:
    """Return the tests that took much longer than before, those that lost most time first."""
    found = [
        (with_variant(*test), before, now)
        for test, before, now in durations
        # Short tests vary by chance.
        if before is not None and now is not None and now >= 2 * before and now >= before + 0.1
    ]
    return sorted(found, key=lambda each: (each[1] - each[2], each[0]))
