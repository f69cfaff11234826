"""Divides tests among shards, so that the slowest shard takes as little time as can be. Pure arithmetic.

To divide units of work among equal machines in the least time is NP-hard. Two heuristics are tried, which are both
deterministic, and the better result counts: the longest unit first to the shard that has least (LPT, R. L. Graham
1969), and, where that is not close to the ideal, first fit into shards of a bounded size (MULTIFIT, E. G. Coffman,
M. R. Garey and D. S. Johnson 1978).
"""

from __future__ import annotations

import heapq

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CLOSE = 1.002
"""Times the ideal. A result that is closer is not worth another try."""
_TRIES = 12
"""Sizes that MULTIFIT tries. Each halves the range, which begins as wide as LPT is from the ideal."""


def divide(costs: Mapping[str, int], shards: int) -> dict[str, int]:
    """Divide units of work among shards.

    The result depends on names and costs, but not on their order. Whole numbers make it the same on each machine.

    Args:
        costs: what each unit costs, such as microseconds.
        shards: the number of shards, at least 1.

    Returns:
        The shard of each unit, from 0. A shard may get nothing.
    """
    units = sorted(costs, key=lambda name: (-costs[name], name))
    numbers = [costs[name] for name in units]
    ideal = max(-(-sum(numbers) // shards), numbers[0] if numbers else 0)
    best = _longest_first(numbers, shards)
    slowest = slowest_of(numbers, best, shards)
    low = ideal
    for _ in range(_TRIES):
        if slowest <= ideal * _CLOSE or low >= slowest:
            break
        size = (low + slowest) // 2
        found = _first_fit(numbers, shards, size)
        if found is None:
            low = size + 1
        else:
            best, slowest = found, slowest_of(numbers, found, shards)
    return dict(zip(units, best, strict=True))


def slowest_of(costs: Sequence[int], shard_of: Sequence[int], shards: int) -> int:
    """Return what the slowest shard costs."""
    totals = [0] * shards
    for cost, shard in zip(costs, shard_of, strict=True):
        totals[shard] += cost
    return max(totals)


def _longest_first(costs: Sequence[int], shards: int) -> list[int]:
    """Give each unit, the longest first, to the shard that has least."""
    heap = [(0, shard) for shard in range(shards)]
    found = []
    for cost in costs:
        total, shard = heap[0]
        heapq.heapreplace(heap, (total + cost, shard))
        found.append(shard)
    return found


def _first_fit(costs: Sequence[int], shards: int, size: int) -> list[int] | None:
    """Give each unit, the longest first, to the first shard in which it fits; return None if one fits nowhere."""
    left = [size] * shards
    found = []
    for cost in costs:
        shard = next((shard for shard in range(shards) if left[shard] >= cost), None)
        if shard is None:
            return None
        left[shard] -= cost
        found.append(shard)
    return found
