"""Each kind in the configuration has exactly one class that implements it."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from pytest_swarmtask.config.monitoring import AnyAlert, AnyNotifier
from pytest_swarmtask.config.triggers import AnyAction
from pytest_swarmtask.relay.alerts import lookup
from pytest_swarmtask.relay.notify import channels
from pytest_swarmtask.relay.triggers import actions


@pytest.mark.parametrize(
    ("table", "kinds"),
    [
        (actions._CLASSES, get_args(AnyAction)),
        (lookup._CLASSES, get_args(AnyAlert)),
        (channels._CLASSES, get_args(AnyNotifier)),
    ],
    ids=["actions", "alerts", "notifiers"],
)
def test_each_kind_has_a_class(table: dict[type, Any], kinds: tuple[type, ...]) -> None:
    assert set(table) == set(kinds)
