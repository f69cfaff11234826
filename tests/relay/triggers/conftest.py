"""The receiver and project of the relay's tests, and a file of tasks."""

from __future__ import annotations

import pytest

from tests.lab import Lab
from tests.relay.tasks.board import Board


@pytest.fixture
def board(lab: Lab) -> Board:
    """The project's file of tasks, still to be written."""
    return Board(lab.root)
