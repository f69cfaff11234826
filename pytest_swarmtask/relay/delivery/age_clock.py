"""The time that ages are judged by: a clock that jumps ahead must not make everything old at once.

Whoever looks after a journal notes when, and what is old is what was old already when somebody looked at least a day
ago. After a jump that look was before it, so that there is a day to deliver what waits, or to set the clock right.
"""

from __future__ import annotations

import contextlib
import time

from pytest_swarmtask.core.files import replace_file

_DAY = 86400.0


class RetentionClock:
    """Which ages are over, for one look after a journal.

    Args:
        path: the file where the looks are noted.
    """

    def __init__(self, path: str) -> None:
        self._now = time.time()
        self._then = _look(path, self._now)

    def limit(self, age: float) -> float:
        """Return the time before which things are older than this many seconds; seconds since the epoch.

        Who lets things go within a day wants them gone soon, and the clock is taken as it is.
        """
        return (self._now if age < _DAY else self._then) - age


def _look(path: str, now: float) -> float:
    """Note that somebody looks; return when somebody did at least a day ago, the epoch where nobody did."""
    then, last = _read(path)
    if now < last:  # the clock was set back
        looks = min(then, now), now
    elif now - last >= _DAY:
        looks = last, now
    else:
        return then
    with contextlib.suppress(OSError):  # no space, or there was no relay here yet
        replace_file(path, b"%r %r\n" % looks)
    return looks[0]


def _read(path: str) -> tuple[float, float]:
    try:
        with open(path, "rb") as file:
            then, last = map(float, file.read().split())
    except (OSError, ValueError):
        return 0.0, 0.0
    return (then, last) if 0 <= then <= last < float("inf") else (0.0, 0.0)
