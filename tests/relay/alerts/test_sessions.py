"""Alerts about pytest sessions: sessions without tests say nothing, and a part of the suite nothing about the whole."""

from __future__ import annotations

import pytest

from pytest_swarmtask.sources.pytest.place import default_variant
from tests.relay.alerts.world import World

VARIANT = default_variant({}, under_ci=False)
MODULE = """
import os
def test_one(): assert "ONE" not in os.environ
def test_two(): pass
"""


@pytest.mark.long
def test_a_row_of_failures(world: World) -> None:
    """A session in which no test ran neither breaks nor extends a row, and a partial one does not end it."""
    world.watch({"name": "row", "kind": "consecutive_failures", "count": 3, "when": {"task_id": "pytest_run"}})
    world.file("test_it.py", MODULE)
    assert world.pytest(ONE="1").returncode == 1
    assert world.pytest("-k", "no_hit").returncode == 5
    assert world.pytest(ONE="1").returncode == 1
    assert world.pytest("-k", "two").returncode == 0
    world.handled()
    assert world.said() == []
    assert world.pytest(ONE="1").returncode == 1
    (message,) = world.told(1)
    assert (message["state"], message["subject"]) == ("firing", f"pytest_run under {VARIANT}")
    assert world.pytest("-k", "two").returncode == 0
    assert world.pytest("-k", "no_hit").returncode == 5
    world.handled()
    assert len(world.said()) == 1
    assert world.pytest().returncode == 0
    assert [message["state"] for message in world.told(2)] == ["firing", "resolved"]


def test_a_task_whose_tests_are_skipped_is_no_alarm(world: World) -> None:
    world.watch({"name": "failed", "kind": "failure", "when": {"task_id": "5.2"}})
    world.file(
        "test_it.py",
        "import os, pytest\n@pytest.mark.task('5.2')\ndef test_it():\n"
        "    if 'SKIP' in os.environ: pytest.skip('not here')\n    assert 0\n",
    )
    assert world.pytest(SKIP="1").returncode == 0
    world.handled()
    assert world.said() == []
    assert world.pytest().returncode == 1
    assert [message["subject"] for message in world.told(1)] == [f"5.2 under {VARIANT}"]
