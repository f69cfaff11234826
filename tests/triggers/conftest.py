"""The receiver and project of the relay's tests, and a file of tasks."""

from __future__ import annotations

import pytest

from tests.relay.conftest import lab, receiver
from tests.relay.lab import Lab
from tests.tasks.board import Board

__all__ = ["lab", "receiver"]


@pytest.fixture
def board(lab: Lab) -> Board:
    """The project's file of tasks, still to be written."""
    return Board(lab.root)
