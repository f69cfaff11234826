"""Deliveries, actions and notifiers each wait after a failure, by their own numbers."""

from __future__ import annotations

import pytest

from pytest_swarmtask.core.timing import DEFAULTS
from pytest_swarmtask.relay.delivery.backoff import action_wait, delivery_wait, notifier_wait


def test_the_wait_of_a_delivery_doubles_up_to_five_minutes() -> None:
    """The wait of a delivery doubles up to five minutes, and varies at random."""
    for failures in [*range(1, 60), 5000]:
        longest = min(300.0, 0.5 * 2 ** min(failures - 1, 30))
        waits = [delivery_wait(failures, None, DEFAULTS) for _ in range(50)]
        assert all(longest / 2 <= wait <= longest for wait in waits)
        assert len(set(waits)) > 1


def test_a_receiver_that_asks_for_a_wait_gets_it() -> None:
    """A delivery waits as long as its receiver asks, but never less than the first wait."""
    assert delivery_wait(30, 17.0, DEFAULTS) == 17.0
    assert 0.25 <= delivery_wait(30, 0.0, DEFAULTS) <= 0.5


def test_an_action_waits_for_the_longer_of_both() -> None:
    """An action waits for the requested time or for its growing wait, whichever is longer."""
    assert action_wait(1, 17.0, DEFAULTS) == 17.0
    assert 4.0 <= action_wait(5, 1.0, DEFAULTS) <= 8.0
    assert 0.25 <= action_wait(1, None, DEFAULTS) <= 0.5


@pytest.mark.parametrize(
    ("failures", "asked", "wait"),
    [(1, None, 2.0), (2, None, 8.0), (3, None, 32.0), (4, None, 128.0), (1, 17.0, 17.0), (1, 3600.0, 128.0)],
)
def test_a_notifier_waits_for_at_most_two_minutes(failures: int, asked: float | None, wait: float) -> None:
    """A notifier waits for about two minutes at most, even if its receiver asks for more."""
    assert notifier_wait(failures, asked, DEFAULTS) == wait
