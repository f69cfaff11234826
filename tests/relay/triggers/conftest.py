"""The receiver and project of the relay's tests, and a task file."""

from __future__ import annotations

import pytest

from tests.lab import Lab
from tests.relay.tasks.board import Board


@pytest.fixture
def board(lab: Lab) -> Board:
    """The project's task file, not written yet."""
    return Board(lab.root)
