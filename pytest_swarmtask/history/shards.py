"""The shards of a run: whether all are there, and whether they divided their suite in the same way.

Shards with the same inputs divide a suite so that each test is in one of them. So tests are counted only where a shard
is missing or had other inputs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from pytest_swarmtask.history.rows import SplitFacts

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pytest_swarmtask.history.database import Database

    _Inputs = frozenset[tuple[str, int]]  # digest and number of tests of each suite that a shard has divided

_SESSIONS = """
SELECT span.span_id, task.variant, span.split, span.superseded FROM span JOIN task ON task.id = span.task
WHERE span.run = ? AND span.tests IS NOT NULL AND span.split IS NOT NULL
"""
_TESTS = """
SELECT DISTINCT span.task, span.parent FROM span JOIN task ON task.id = span.task
WHERE span.run = ? AND span.kind = 'TEST' AND task.variant = ? AND (span.phase IS NULL OR span.phase <> 'collect')
"""
"""A module that is skipped or broken as a whole is collected by each shard, so it is none of the tests they divide."""


@dataclass(frozen=True)
class ShardedSuite:
    """The shards of a run under one variant.

    Attributes:
        variant: the variant.
        of: how many shards there should be.
        tests: how many tests there are in all shards.
        missing: the numbers of shards that have not ended.
        other_inputs: the numbers of shards that had other tests or durations to divide than most shards.
        twice: the number of tests that ran in several shards. It is 0 if no shard is missing and all had the same
            inputs, as is `never`.
        never: the number of tests that ran in no shard.
    """

    variant: str
    of: int
    tests: int
    missing: list[int]
    other_inputs: list[int]
    twice: int
    never: int

    @property
    def is_whole(self) -> bool:
        """Whether each test is in one shard, as far as the shards know."""
        return not (self.missing or self.other_inputs)


class _Sessions:
    """The sessions of a run that are shards of the same number of shards, under one variant."""

    def __init__(self) -> None:
        self.shard_of: dict[str, int] = {}
        self._inputs: defaultdict[int, set[tuple[str, int]]] = defaultdict(set)

    def add(self, span_id: str, split: SplitFacts, *, superseded: bool) -> None:
        """Add a session. A superseded one only tells in which shard its tests ran: some may not have run again."""
        number = int(split.shard.partition("/")[0])
        self.shard_of[span_id] = number
        if not superseded:
            self._inputs[number].add((split.digest, split.tests))

    def inputs(self) -> dict[int, _Inputs]:
        """Return the inputs of each shard, by number. A job may have several sessions, each with its suite."""
        return {number: frozenset(found) for number, found in sorted(self._inputs.items())}


def sharded_suites(db: Database, run: int) -> list[ShardedSuite]:
    """Return the shards of a run by its key, for each variant by name."""
    found: defaultdict[tuple[str, int], _Sessions] = defaultdict(_Sessions)
    for span_id, variant, text, superseded in db.execute(_SESSIONS, (run,)):
        split = msgspec.json.decode(text, type=SplitFacts)
        of = int(split.shard.partition("/")[2])
        found[variant, of].add(span_id, split, superseded=bool(superseded))
    return [_suite(db, run, *key, found[key]) for key in sorted(found)]


def _suite(db: Database, run: int, variant: str, of: int, sessions: _Sessions) -> ShardedSuite:
    inputs = sessions.inputs()
    # Of equally many, those of the shard with the lowest number.
    usual = Counter(inputs.values()).most_common(1)[0][0] if inputs else frozenset()
    other = [number for number, one in inputs.items() if one != usual or any(not digest for digest, _ in one)]
    missing = [number for number in range(1, of + 1) if number not in inputs]
    tests = sum(count for _, count in usual)
    twice = never = 0
    if missing or other:
        ran = _shards_by_test(db, run, variant, sessions.shard_of)
        twice = sum(len(shards) > 1 for shards in ran.values())
        never = max(0, tests - len(ran))
    return ShardedSuite(variant, of, tests, missing, other, twice, never)


def _shards_by_test(db: Database, run: int, variant: str, shard_of: Mapping[str, int]) -> Mapping[int, Collection[int]]:
    """Return the shards in which each test ran, by the key of the test."""
    ran: defaultdict[int, set[int]] = defaultdict(set)
    for task, parent in db.execute(_TESTS, (run, variant)):
        if parent in shard_of:
            ran[task].add(shard_of[parent])
    return ran
