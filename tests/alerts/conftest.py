"""A project with alerts, and somebody who is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.alerts.world import World
from tests.relay.lab import receiving


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A project whose alerts are told to a receiver; its relays are gone when the test is over."""
    with receiving() as receiver:
        made = World(tmp_path / "project", receiver)
        yield made
        receiver.closing.set()
        made.kill()
