"""The clock of retention: if the system's clock jumps ahead, nothing expires at once.

Each check of retention notes its time. Something is too old only if it was already too old at a check at least a day
ago. That check was before the jump, so there is a day to deliver the waiting events or to set the clock right.
"""

from __future__ import annotations

import contextlib
import time

from pytest_swarmtask.core.files import only_regular, replace_file

_DAY = 86400.0


class RetentionClock:
    """The limits of ages, for one check of retention.

    Args:
        path: the file with the times of earlier checks. This check is added.
    """

    def __init__(self, path: str) -> None:
        self._now = time.time()
        self._earlier = _note_check(path, self._now)

    def limit(self, age: float) -> float:
        """Return the time before which things are too old, in seconds since the epoch.

        Args:
            age: allowed age in seconds. One below a day is measured by the present time: a day's delay would be
                longer than the age itself.
        """
        return (self._now if age < _DAY else self._earlier) - age


def _note_check(path: str, now: float) -> float:
    """Note a check; return the time of a check at least a day before it, or 0 (the epoch) if there was none."""
    earlier, last = _read(path)
    if now < last:  # the clock was set back
        checks = min(earlier, now), now
    elif now - last >= _DAY:
        checks = last, now
    else:
        return earlier
    with contextlib.suppress(OSError):  # no space left, or no relay has created the folder yet
        replace_file(path, b"%r %r\n" % checks)
    return checks[0]


def _read(path: str) -> tuple[float, float]:
    try:
        with open(path, "rb", opener=only_regular) as file:
            earlier, last = map(float, file.read().split())
    except (OSError, ValueError):
        return 0.0, 0.0
    return (earlier, last) if 0 <= earlier <= last < float("inf") else (0.0, 0.0)
