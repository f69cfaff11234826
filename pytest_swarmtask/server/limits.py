"""Limits for senders whose requests are refused again and again."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_BURST = 30.0
"""Refused requests that an address may send at once."""
_RATE = 1.0
"""Refused requests a second that an address may send in the long run. Each costs us a hash of up to 5 MB."""
_MOST = 10_000
"""Addresses that are remembered. The one that was refused longest ago is forgotten first."""


class Refusals:
    """Counts the refused requests of each address in a leaky bucket.

    Behind a gateway, good relays share an address with a wrong one. Their events only arrive later, because relays try
    again after an answer 429.

    Args:
        clock: returns a time in seconds, from any starting point.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def add(self, address: str) -> None:
        """Count a refused request."""
        now = self._clock()
        self._levels[address] = (self._level(address, now) + 1, now)
        self._levels.move_to_end(address)
        if len(self._levels) > _MOST:
            self._levels.popitem(last=False)

    def wait(self, address: str) -> int:
        """Return how many seconds an address has to wait until its next request is looked at; mostly 0."""
        return math.ceil(max(0.0, self._level(address, self._clock()) - _BURST) / _RATE)

    def _level(self, address: str, now: float) -> float:
        level, at = self._levels.get(address, (0.0, now))
        return max(0.0, level - (now - at) * _RATE)
