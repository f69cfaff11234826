"""An environment variable lets tests shorten the waiting times of a relay."""

from __future__ import annotations

import pytest

from pytest_swarmtask.core.timing import DEFAULTS, VARIABLE, Timing
from tests.lab import Lab, Receiver


def test_named_times_are_set_and_the_others_keep_their_defaults() -> None:
    """The variable sets the named times, and all other times keep their defaults."""
    assert Timing.parse("linger=0.1, backoff_first=0.02") == Timing(linger=0.1, backoff_first=0.02)
    assert Timing.parse("") == DEFAULTS


@pytest.mark.parametrize("text", ["lingr=1", "linger", "linger=soon", "=1"])
def test_a_time_that_does_not_exist_is_refused(text: str) -> None:
    """An unknown time is refused, and so is a time without a number."""
    with pytest.raises(ValueError, match=r"no waiting time named|could not convert"):
        Timing.parse(text)


def test_a_relay_logs_a_mistake_and_delivers(lab: Lab, receiver: Receiver) -> None:
    """If the variable is invalid, a relay logs the mistake and delivers with the default times."""
    event = lab.emit("TASK_STARTED", "a", **{VARIABLE: "lingr=1"})
    assert receiver.wait(1) == [event]
    lab.wait_for_end()
    assert f"{VARIABLE}: there is no waiting time named lingr; the defaults are used" in lab.log()


def test_a_relay_waits_as_long_as_the_variable_says(lab: Lab, receiver: Receiver) -> None:
    """Retries follow each other at once if the variable says so, although the default first wait is 0.25 seconds."""
    receiver.answer = lambda _: 503 if len(receiver.arrivals) < 8 else 200
    lab.emit("TASK_STARTED", "a", **{VARIABLE: "backoff_first=0.001,backoff_most=0.001,linger=0.1"})
    receiver.wait(1)
    times = [arrival.at for arrival in receiver.arrivals]
    assert times[-1] - times[0] < 8
    lab.wait_for_end()
