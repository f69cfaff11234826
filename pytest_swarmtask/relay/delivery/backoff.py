"""How long to wait after failed attempts: of deliveries, of a trigger's actions, and of notifiers."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_swarmtask.core.timing import Timing


def delivery_wait(failures: int, asked: float | None, timing: Timing) -> float:
    """Return the seconds until the next attempt of a delivery.

    A receiver that asks for a wait gets it, also after many failures: it knows when it will be back. It cannot ask for
    less than the first wait. Otherwise it could make us try again without a pause.

    Args:
        failures: attempts in a row that failed.
        asked: seconds that the receiver asked us to wait, or None.
        timing: the first and the longest wait.
    """
    return _growing_wait(failures, timing) if asked is None else max(asked, _growing_wait(1, timing))


def action_wait(failures: int, asked: float | None, timing: Timing) -> float:
    """Return the seconds until the next attempt of a trigger's action: the growing wait, or a longer one if asked."""
    return max(asked or 0.0, _growing_wait(failures, timing))


def notifier_wait(failures: int, asked: float | None, timing: Timing) -> float:
    """Return the seconds until the next attempt of a notifier: 2, 8, 32 and 128 by default, or what it asked for.

    There are only a few attempts, so the waits grow faster than for deliveries. No receiver can ask for more than the
    longest wait.
    """
    wait = timing.notify_first * 4.0 ** (failures - 1) if asked is None else asked
    return min(wait, timing.notify_most)


def _growing_wait(failures: int, timing: Timing) -> float:
    """Return a wait that doubles with each failure, with jitter.

    The jitter keeps senders that failed at the same moment from coming back at the same moment.
    """
    # The exponent is bounded because a float overflows after a thousand failures.
    longest = min(timing.backoff_most, timing.backoff_first * 2.0 ** min(failures - 1, 20))
    return random.uniform(longest / 2, longest)  # noqa: S311 - spreads load, keeps no secret
